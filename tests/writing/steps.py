"""The steps of derivations, read back from the goldens of `tests/derive`, so that nothing is derived here."""

from __future__ import annotations

from pathlib import Path

from emdsl.ir.derivation import Step

GOLDEN = Path(__file__).resolve().parents[1] / "derive" / "golden"
NAMES = tuple(sorted(path.stem for path in GOLDEN.glob("*.txt")))
_LEADS = {"     ": "before", "  => ": "after", "   # ": "note"}


def steps_of(name: str) -> tuple[Step, ...]:
    """The steps of a golden."""
    text = (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")
    return tuple(_step(block) for block in text.split("\n\n") if block.strip())


def _step(block: str) -> Step:
    head, *lines = block.strip("\n").split("\n")
    rule, _, subject = head.partition(": ")
    found: dict[str, list[str]] = {"before": [], "after": [], "note": []}
    field = "before"
    for line in lines:
        lead = _LEADS[line[:5]]
        field = field if lead == "before" else lead
        found[field].append(line[5:])
    return Step(rule, subject, *("\n".join(found[each]) for each in ("before", "after", "note")))
