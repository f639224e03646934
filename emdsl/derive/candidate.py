"""An update of the M-step with what it depends on, and the order in which updates run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from emdsl.ir.derivation import Update


@dataclass(frozen=True)
class Candidate:
    """A rule that applies: the update, what it depends on besides itself, and formulas to read."""

    update: Update
    depends: frozenset[str]
    equation: Any = None
    solution: Any = None


def in_order(groups: list[Candidate]) -> tuple[Candidate, ...]:
    """Each after those that it depends on; where that is circular, linear groups first, and what is used at its old
    value is noted.
    """
    waiting = list(groups)
    done: list[Candidate] = []
    while waiting:
        pending = {name for c in waiting for name in c.update.parameters}
        ready = [c for c in waiting if not (c.depends - set(c.update.parameters)) & pending]
        chosen = ready[0] if ready else min(waiting, key=lambda c: c.update.rule != "linear")
        waiting.remove(chosen)
        late = sorted(chosen.depends & (pending - set(chosen.update.parameters)))
        done.append(replace(chosen, update=replace(chosen.update, conditional=tuple(late))))
    return tuple(done)
