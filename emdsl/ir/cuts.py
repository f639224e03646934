"""Cut points of ordered variables: one fewer than there are levels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from emdsl.ir.expressions import ConstantRef, ParameterRef, Position, VariableRef, walk
from emdsl.ir.model import Model


@dataclass(frozen=True)
class Cuts:
    """The array `name` holds, over the index set `axis`, the cut points of `variable`, whose levels are `levels`."""

    name: str
    axis: str
    variable: str
    levels: str

    def message(self, cuts: int, levels: int) -> str:
        """What is wrong where the sizes do not agree; empty where they do."""
        if cuts == levels - 1:
            return ""
        return (
            f"`{self.variable}` has {levels} levels, and so {levels - 1} cut points: "
            f"`{self.name}` has {cuts}, one for each of `{self.axis}`"
        )

    def help(self, levels: int) -> str:
        """The declaration that would agree."""
        return f"index {self.axis} = 1..{levels - 1}"


def cut_points(model: Model) -> Iterator[Cuts]:
    """Every array of cut points in the model, once."""
    axes = {item.name: item.array_axes for item in model.parameters} | {c.name: c.axes for c in model.constants}
    levels = {variable.name: variable.values for variable in model.variables}
    seen: set[Cuts] = set()
    for node in walk(model.factors):
        match node:
            case ParameterRef(name, indices) | ConstantRef(name, indices):
                for place, index in enumerate(indices):
                    match index:
                        case Position(VariableRef(variable)) if (values := levels.get(variable)) is not None:
                            cuts = Cuts(name, axes[name][place], variable, values)
                            if cuts not in seen:
                                seen.add(cuts)
                                yield cuts
