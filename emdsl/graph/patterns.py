"""Patterns of a `case`: genotypes expanded, what each arm covers, what is missed, and disjoint boxes of labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from emdsl.graph.failures import failure
from emdsl.graph.names import Names
from emdsl.ir.expressions import AnyPattern, Expression, LabelPattern
from emdsl.syntax import tree

Alternative = tuple[LabelPattern | AnyPattern, ...]
ANY = AnyPattern()


@dataclass(frozen=True)
class Subject:
    """What a `case` looks at: one finite expression, or the two of an unordered genotype."""

    expressions: tuple[Expression, ...]
    index_set: str
    text: str

    @property
    def genotype(self) -> bool:
        """Whether it is an unordered pair."""
        return len(self.expressions) == 2


def expand(arm: tree.CaseArm, subjects: Sequence[Subject], names: Names) -> tuple[Alternative, ...]:
    """The arm's alternatives over the flattened subjects; a genotype in both orders."""
    expanded: list[Alternative] = []
    for alternative in arm.alternatives:
        choices = [_orders(pattern, subject, names) for pattern, subject in zip(alternative, subjects, strict=True)]
        for combination in product(*choices):
            flat = tuple(pattern for part in combination for pattern in part)
            if flat not in expanded:
                expanded.append(flat)
    return tuple(expanded)


def _orders(pattern: tree.Pattern, subject: Subject, names: Names) -> tuple[Alternative, ...]:
    match pattern:
        case tree.AnyPattern():
            return ((ANY,) * len(subject.expressions),)
        case tree.LabelPattern(label):
            if subject.genotype:
                raise failure(
                    "pattern-kind", f"`{subject.text}` is a genotype, which the label `{label}` cannot match", pattern,
                    f"{label}/{label}, or {label}/_ for at least one `{label}`",
                )  # fmt: skip
            return ((_matches(pattern, subject, names),),)
        case tree.PairPattern(left, right):
            if not subject.genotype:
                raise failure(
                    "pattern-kind", f"`{subject.text}` is no genotype, which the pattern `A/B` asks for", pattern,
                    f"a label of `{subject.index_set}`",
                )  # fmt: skip
            one, two = (_matches(side, subject, names) for side in (left, right))
            return ((one, two),) if one == two else ((one, two), (two, one))


def _matches(pattern: tree.LabelPattern | tree.AnyPattern, subject: Subject, names: Names) -> LabelPattern | AnyPattern:
    if isinstance(pattern, tree.AnyPattern):
        return ANY
    return LabelPattern((names.check_label(pattern.label, subject.index_set, pattern),))


@dataclass(frozen=True)
class Atoms:
    """The values of one subject as far as a `case` tells them apart: the labels named in it, and the rest as one.

    `rest` are the labels of the rest (empty: there are none); None: only the data know them.
    """

    named: tuple[str, ...]
    rest: tuple[str, ...] | None

    #: The atom that stands for the rest.
    REST = ""

    @property
    def all(self) -> tuple[str, ...]:
        """All atoms."""
        return self.named if self.rest == () else (*self.named, self.REST)


def atoms(index_set: str, patterns: Sequence[LabelPattern | AnyPattern], names: Names) -> Atoms:
    """The atoms of a subject, given every pattern that is written for it."""
    named: dict[str, None] = {}
    for pattern in patterns:
        if isinstance(pattern, LabelPattern):
            named.update(dict.fromkeys(pattern.labels))
    known = names.static_labels(index_set)
    rest = None if known is None else tuple(label for label in known if label not in named)
    return Atoms(tuple(named), rest)


def covers(alternative: Alternative, cell: Sequence[str]) -> bool:
    """Whether a tuple of atoms matches."""
    return all(isinstance(p, AnyPattern) or atom in p.labels for p, atom in zip(alternative, cell, strict=True))


def first_matches(
    arms: Sequence[tuple[Alternative, ...]], spaces: Sequence[Atoms]
) -> dict[tuple[str, ...], int | None]:
    """For each tuple of atoms the arm it falls to (None: it is missed)."""
    table: dict[tuple[str, ...], int | None] = {}
    for cell in product(*(space.all for space in spaces)):
        hit = (i for i, arm in enumerate(arms) if any(covers(alternative, cell) for alternative in arm))
        table[cell] = next(hit, None)
    return table


def check_complete(
    node: tree.Case,
    table: Mapping[tuple[str, ...], int | None],
    spaces: Sequence[Atoms],
    subjects: Sequence[Subject],
    names: Names,
) -> None:
    """Raise if a value is missed; warn of arms that nothing reaches."""
    missed: dict[str, None] = {}
    for cell, arm in table.items():
        if arm is None:
            parts = [space.rest if atom == Atoms.REST else (atom,) for atom, space in zip(cell, spaces, strict=True)]
            if None in parts:
                unknown = next(s for s, part in zip(_flat(subjects), parts, strict=True) if part is None)
                raise failure(
                    "case-incomplete",
                    f"the labels of `{unknown.index_set}` come from the data, so the case must end with `_`",
                    node,
                    ", ".join("_" for _ in subjects) + " -> ...",
                )
            for values in product(*(part for part in parts if part is not None)):
                missed[_shown(values, subjects)] = None
    if missed:
        listed = list(missed)
        more = f" and {len(listed) - 12} more" if len(listed) > 12 else ""
        raise failure(
            "case-incomplete",
            f"the case misses {', '.join(listed[:12])}{more}",
            node,
            f"{listed[0].strip('()')} -> ...",
        )
    for i, arm_node in enumerate(node.arms):
        if i not in table.values():
            names.warn(arm_node, "this branch of the case is never reached")


def _flat(subjects: Sequence[Subject]) -> list[Subject]:
    return [subject for subject in subjects for _ in subject.expressions]


def _shown(values: Sequence[str], subjects: Sequence[Subject]) -> str:
    rest = list(values)
    shown = []
    for subject in subjects:
        labels = [rest.pop(0) for _ in subject.expressions]
        shown.append("/".join(sorted(labels) if subject.genotype else labels))
    return ", ".join(shown) if len(shown) == 1 else f"({', '.join(shown)})"


#: A product of sets of atoms, one set for each subject.
Box = tuple[frozenset[str], ...]


def boxes(cells: Sequence[tuple[str, ...]]) -> tuple[Box, ...]:
    """Disjoint boxes that hold exactly these cells."""
    if not cells:
        return ()
    if len(cells[0]) == 0:
        return ((),)
    tails: dict[str, set[tuple[str, ...]]] = {}
    for head, *tail in cells:
        tails.setdefault(head, set()).add(tuple(tail))
    groups: dict[frozenset[tuple[str, ...]], list[str]] = {}
    for head, rest in tails.items():
        groups.setdefault(frozenset(rest), []).append(head)
    found: list[Box] = []
    for rest_set, heads in groups.items():
        ordered = [cell[1:] for cell in cells if cell[0] == heads[0] and cell[1:] in rest_set]
        found.extend((frozenset(heads), *box) for box in boxes(ordered))
    return tuple(found)
