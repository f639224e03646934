"""Free coordinates: every parameter in its domain as one unconstrained vector, and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.domain_maps import DomainMap, domain_maps
from emdsl.runtime.domain_scalars import ZERO_COORDINATE
from emdsl.runtime.neutral import element_names, neutral
from emdsl.runtime.problem import Array, Space, Theta


@dataclass(frozen=True, eq=False)
class Piece:
    """One map, the number of the parameter it belongs to and its place in u."""

    space: int
    map: DomainMap
    place: slice


class Coordinates:
    """All parameters as one vector u of free coordinates.

    `base` gives the fixed elements and chooses each simplex's reference; without it, neutral values do. `held` marks,
    among all `full_size` coordinates, those that stay where the base has them (elements at a boundary); u has the
    others only.
    """

    def __init__(
        self, spaces: Sequence[Space], base: Theta | None = None, held: NDArray[np.bool_] | None = None
    ) -> None:
        self.spaces = tuple(spaces)
        values = base if base is not None else {space.name: neutral(space) for space in self.spaces}
        self.shears = tuple(self._shears())
        self.base = tuple(self._sheared(values))
        pieces: list[Piece] = []
        start = 0
        for number, (space, value) in enumerate(zip(self.spaces, self.base, strict=True)):
            for part in domain_maps(space, value):
                pieces.append(Piece(number, part, slice(start, start + part.size)))
                start += part.size
        self.pieces = tuple(pieces)
        self.full_size = start
        self.held = np.zeros(start, dtype=bool) if held is None else held
        self.kept = np.flatnonzero(~self.held) if self.held.any() else None
        self.size = start if self.kept is None else len(self.kept)
        self.resting = self.full_free(values) if self.kept is not None else None

    def _shears(self) -> Iterator[tuple[tuple[int, int], tuple[int, int], float]]:
        """Number of the space and flat place of a free element and of the one that its coordinate also holds, and the
        factor.
        """
        number = {space.name: k for k, space in enumerate(self.spaces)}
        for k, space in enumerate(self.spaces):
            for place, other, at, factor in space.shears:
                if other in number and not space.fixed.ravel()[place]:
                    yield (k, place), (number[other], at), factor

    def _sheared(self, theta: Theta) -> list[Array]:
        """The flat arrays of the parameters as coordinates are taken of them."""
        flat = [np.array(theta[space.name], dtype=float).ravel() for space in self.spaces]
        for (k, place), (other, at), factor in self.shears:
            flat[k][place] += factor * flat[other][at]
        return flat

    def full_free(self, theta: Theta) -> Array:
        """All coordinates, also those held, `(full_size,)`."""
        u = np.empty(self.full_size)
        flat = self._sheared(theta)
        for piece in self.pieces:
            u[piece.place] = piece.map.free(flat[piece.space])
        return u

    def free(self, theta: Theta) -> Array:
        """The free coordinates of theta, `(size,)`."""
        u = self.full_free(theta)
        return u if self.kept is None else u[self.kept]

    def theta(self, u: Array) -> dict[str, Array]:
        """The parameters at coordinates u; fixed and held elements as in the base."""
        if self.kept is not None and self.resting is not None:
            full = self.resting.copy()
            full[self.kept] = u
            u = full
        flat = [value.copy() for value in self.base]
        for piece in self.pieces:
            piece.map.write(u[piece.place], flat[piece.space])
        for (k, place), (other, at), factor in self.shears:
            flat[k][place] -= factor * flat[other][at]
        return {space.name: value.reshape(space.shape) for space, value in zip(self.spaces, flat, strict=True)}

    def pullback(self, theta: Theta, gradient: Theta) -> Array:
        """Gradient in the free coordinates from the gradient in the array elements (taken as free of each other; for a
        symmetric matrix, entry by entry)."""
        out = np.empty(self.full_size)
        slopes = [np.array(gradient[space.name], dtype=float).ravel() for space in self.spaces]
        for (k, place), (other, at), factor in self.shears:
            slopes[other][at] -= factor * slopes[k][place]
        for piece in self.pieces:
            value = np.asarray(theta[self.spaces[piece.space].name], dtype=float)
            out[piece.place] = piece.map.pullback(value.ravel(), slopes[piece.space])
        return out if self.kept is None else out[self.kept]

    def jacobian(self, theta: Theta) -> Array:
        """dx/du, `(elements, size)`, the elements of all parameters in order (fixed ones have rows of zeros)."""
        offsets = self.offsets
        out = np.zeros((offsets[-1], self.full_size))
        for piece in self.pieces:
            value = np.asarray(theta[self.spaces[piece.space].name], dtype=float).ravel()
            rows = slice(offsets[piece.space], offsets[piece.space + 1])
            out[rows, piece.place] += piece.map.jacobian(value)
        for (k, place), (other, at), factor in self.shears:
            out[offsets[k] + place] -= factor * out[offsets[other] + at]
        return out if self.kept is None else out[:, self.kept]

    @property
    def offsets(self) -> list[int]:
        """Where each parameter's elements start among all elements, and their number at the end."""
        return [0, *np.cumsum([value.size for value in self.base], dtype=int).tolist()]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all elements, in order."""
        return tuple(name for space in self.spaces for name in element_names(space))

    def flags(self, which: str) -> NDArray[np.bool_]:
        """`closed_below`, `closed_above` or `scale_free` of the coordinates of u."""
        parts = [np.asarray(getattr(piece.map, which), dtype=bool) for piece in self.pieces]
        full = np.concatenate(parts) if parts else np.zeros(0, dtype=bool)
        return full if self.kept is None else full[self.kept]

    @property
    def full_elements(self) -> NDArray[np.intp]:
        """The element, among all, that each of all coordinates is named after."""
        offsets = self.offsets
        parts = [piece.map.elements + offsets[piece.space] for piece in self.pieces]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.intp)

    @property
    def elements(self) -> NDArray[np.intp]:
        """The element, among all, that each coordinate of u is named after."""
        return self.full_elements if self.kept is None else self.full_elements[self.kept]

    def at(self, theta: Theta) -> Coordinates:
        """The coordinates around theta: references chosen anew, and what sits at a boundary held there."""
        around = Coordinates(self.spaces, theta)
        edges = around.edges(theta)
        return Coordinates(self.spaces, theta, edges) if edges.any() else around

    def without_zeros(self, theta: Theta) -> Coordinates:
        """The coordinates around theta, references chosen anew, with exact zeros (and what else has no finite
        coordinate) held: EM never leaves a zero."""
        around = Coordinates(self.spaces, theta)
        zeros = around.flags("scale_free") & (np.abs(around.full_free(theta)) > 0.9 * abs(ZERO_COORDINATE))
        return Coordinates(self.spaces, theta, zeros) if zeros.any() else around

    def edges(self, theta: Theta) -> NDArray[np.bool_]:
        """Which of all coordinates sit at the boundary at theta, `(full_size,)`."""
        out = np.zeros(self.full_size, dtype=bool)
        for piece in self.pieces:
            value = np.asarray(theta[self.spaces[piece.space].name], dtype=float).ravel()
            out[piece.place] = piece.map.edge(value)
        return out | self.unsmooth

    @property
    def kinked(self) -> NDArray[np.bool_]:
        """Which of all coordinates the log-density has kinks in, `(full_size,)`."""
        out = np.zeros(self.full_size, dtype=bool)
        for piece in self.pieces:
            out[piece.place] = self.spaces[piece.space].kinked
        return out

    @property
    def unsmooth(self) -> NDArray[np.bool_]:
        """Which of all coordinates have no derivative that is 0 at a maximum: kinks, and bounds of the support."""
        out = self.kinked
        for piece in self.pieces:
            out[piece.place] |= self.spaces[piece.space].order_statistic
        return out

    def holding(self, u: Array, coordinates: NDArray[np.intp] | NDArray[np.bool_]) -> Coordinates:
        """These coordinates with some of u's (positions in u, or a mask) held where u has them; references chosen
        anew."""
        theta = self.theta(u)
        held = self.held.copy()
        places = np.arange(self.full_size) if self.kept is None else self.kept
        held[places[coordinates]] = True
        resting = set(self.full_elements[held].tolist())
        around = Coordinates(self.spaces, theta)
        return Coordinates(self.spaces, theta, np.array([e in resting for e in around.full_elements], dtype=bool))

    @property
    def boundary_elements(self) -> NDArray[np.intp]:
        """The elements, among all, that lie at a boundary, in order."""
        offsets = self.offsets
        parts = [
            piece.map.touched(self.held[piece.place]) + offsets[piece.space]
            for piece in self.pieces
            if self.held[piece.place].any()
        ]
        return np.unique(np.concatenate(parts)) if parts else np.zeros(0, dtype=np.intp)

    @property
    def boundary(self) -> tuple[str, ...]:
        """The names of the elements that lie at a boundary."""
        names = self.names
        return tuple(names[i] for i in self.boundary_elements)
