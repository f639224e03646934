"""Spelling: the known name that an unknown one was probably meant to be."""

from __future__ import annotations

from collections.abc import Iterable


def closest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate nearest to `name`, or None where none is near.

    Near is a third of the letters at most (one for words of up to five letters, none for a single letter), counted as
    insertions, deletions, substitutions and transpositions; upper and lower case count as equal. Ties go to the first
    in the alphabet, so that the answer does not depend on the order of the candidates.
    """
    folded = name.casefold()
    limit = max(1, len(folded) // 3) if len(folded) > 1 else 0
    scored = [
        (distance, candidate)
        for candidate in candidates
        if candidate != name and abs(len(candidate) - len(name)) <= limit
        and (distance := edit_distance(folded, candidate.casefold())) <= limit
    ]  # fmt: skip
    return min(scored)[1] if scored else None


def edit_distance(left: str, right: str) -> int:
    """Insertions, deletions, substitutions and transpositions of neighbours (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, start=1):
        earlier, before, row = before, row, [i]
        for j, b in enumerate(right, start=1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                cost = min(cost, earlier[j - 2] + 1)
            row.append(cost)
    return row[-1]
