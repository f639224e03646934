"""The axes of a piece's cells, where each parameter lies in the vector of all of them, and a piece with its data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from emdsl.data.bound import Bound
from emdsl.ir.derivation import Piece
from emdsl.ir.identifiers import identifier
from emdsl.ir.model import Model
from emdsl.plan.limits import check_array
from emdsl.runtime.pieces import PieceData
from emdsl.runtime.problem import Array


@dataclass(frozen=True)
class Axes:
    """The cell axes of a piece by kind: hidden variables, elements (bound indices), codes of data."""

    hidden: tuple[str, ...]
    elements: tuple[str, ...]
    codes: tuple[str, ...]
    sizes: Mapping[str, int]

    @property
    def cells(self) -> tuple[str, ...]:
        """All cell axes in order."""
        return (*self.hidden, *self.elements, *self.codes)

    def shape(self, axes: tuple[str, ...]) -> tuple[int, ...]:
        """Lengths of some axes."""
        return tuple(self.sizes[axis] for axis in axes)


@dataclass(frozen=True)
class Layout:
    """Shapes of the parameters, and where each begins in the vector of all of them."""

    shapes: Mapping[str, tuple[int, ...]]
    offsets: Mapping[str, int]
    size: int

    def split(self, vector: Array) -> dict[str, Array]:
        """The parameters' arrays of a vector of all parameters."""
        return {
            name: vector[self.offsets[name] : self.offsets[name] + int(np.prod(shape))].reshape(shape)
            for name, shape in self.shapes.items()
        }


def layout(model: Model, bound: Bound, batch: int | None = None) -> Layout:
    """The layout of a model's parameters for the sizes at hand; with a leading axis of starts for a batch of them."""
    lead = () if batch is None else (batch,)
    shapes = {p.name: (*lead, *(len(bound.indexes[axis]) for axis in p.array_axes)) for p in model.parameters}
    for name, shape in shapes.items():
        axes = model.parameter(name).array_axes
        check_array(f"the parameter `{name}[{', '.join(axes)}]`", shape, "index it by fewer sets, or by smaller ones")
    offsets, total = {}, 0
    for name, shape in shapes.items():
        offsets[name] = total
        total += int(np.prod(shape))
    return Layout(shapes, offsets, total)


@dataclass
class BoundPiece:
    """One piece with everything that does not change during a fit.

    `carrier` says how it enters the E-step: `static` (no data), `affine` (statistics times eta), `coded` (tables by
    code), `rows` (a density by row), `log-sum-exp`, `gaussian`, `vector` (a normal law by formulas), or not at all:
    `prior`, `arrays` (a prior that is a function of whole arrays), `argument` (one element of such an array).
    `by_position`: a law for the first units of chains, or the later ones, leaves out the other rows by itself; that of
    a hidden chain does not. `moved` gives for predictors, by number of the atom, what their coefficients `(slots,)`
    were bound less by.
    """

    piece: Piece
    level: int
    axes: Axes
    data: PieceData
    carrier: str = ""
    by_position: bool = False
    moved: dict[int, Array] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name as an identifier of generated code."""
        return identifier(self.piece.name)
