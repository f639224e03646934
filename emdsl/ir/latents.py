"""Which hidden variables are integrated over, and which are summed."""

from __future__ import annotations

from collections.abc import Iterator
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
