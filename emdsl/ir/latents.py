"""Which hidden variables are integrated over, and which are summed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from emdsl.ir.expressions import VariableRef, walk
from emdsl.ir.model import Model, Variable

#: Domains whose values are whole numbers.
WHOLE = frozenset({"natural", "integer"})
#: Domains whose values are numbers.
CONTINUOUS = frozenset({"real", "positive", "unit", "interval", "simplex"}) | WHOLE


def is_continuous(variable: Variable) -> bool:
    """Whether a variable is hidden and takes values at points: real numbers, and the counts of open cells, which are
    summed around where they are probable. (A latent count of the text is a finite variable.)
    """
    return variable.kind == "latent" and variable.values is None and variable.domain.kind in CONTINUOUS


def continuous_latents(expression: Any, model: Model) -> Iterator[VariableRef]:
    """The continuous hidden variables that an expression looks at, as often as it does."""
    for node in walk(expression):
        if isinstance(node, VariableRef) and is_continuous(model.variable(node.name)):
            yield node


def event_axes(variable: Variable, model: Model) -> int:
    """How many of the last axes of an array variable one law draws together."""
    targets = [factor.target for factor in model.factors if factor.target is not None]
    return max((len(variable.axes) - len(item.indices) for item in targets if item.name == variable.name), default=0)


def is_shares(variable: Variable, model: Model) -> bool:
    """Whether a variable is hidden and holds shares of 1: numbers between 0 and 1 that one law draws together."""
    return is_continuous(variable) and variable.domain.kind == "unit" and event_axes(variable, model) > 0


def home_plate(latents: Sequence[str], lag: int, model: Model) -> str | None:
    """The plate within whose units continuous hidden variables of several plates are tied together: the outermost of
    theirs, or the one around it where that is a chain along which laws look back; None where it is the whole data set.
    """
    plates = {model.variable(name).plate for name in latents}
    first = next((plate for plate in model.plates if plate.name in plates), None)
    if first is None or None in plates:
        return None
    return first.parent if first.ordered and lag else first.name
