"""Intercepts at the centres of inputs: a change of coordinates of the vector of all parameters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.problem import Array


@dataclass(frozen=True)
class Centring:
    """`v[intercept] + shift * v[slope]` stands in the place of `v[intercept]`, for each of k triples."""

    intercepts: NDArray[np.intp]
    slopes: NDArray[np.intp]
    shifts: Array

    def vector(self, v: Array) -> Array:
        """The vector that formulas see, of that of the parameters."""
        out = v.copy()
        np.add.at(out, self.intercepts, self.shifts * v[self.slopes])
        return out

    def gradient(self, slope: Array) -> Array:
        """A gradient `(..., size)` in the parameters, of that in what formulas see."""
        out = slope.copy()
        for intercept, other, shift in zip(self.intercepts, self.slopes, self.shifts, strict=True):
            out[..., other] += shift * slope[..., intercept]
        return out

    def matrix(self, members: NDArray[np.intp]) -> Array | None:
        """The derivative of some places of what formulas see in the same places of the parameters; None for 1."""
        place = {int(member): k for k, member in enumerate(members)}
        out = np.eye(len(members))
        for intercept, slope, shift in zip(self.intercepts, self.slopes, self.shifts, strict=True):
            if int(intercept) in place and int(slope) in place:
                out[place[int(intercept)], place[int(slope)]] = shift
        return None if np.array_equal(out, np.eye(len(members))) else out
