"""Numbers on the line, above or below a bound, or between two bounds: their free coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.problem import Array

#: A log coordinate below this stands for an exact zero: exp(-690) is 1e-300, the end of the normal numbers.
ZERO_COORDINATE = -690.0
#: The smallest number whose logarithm is taken; its logarithm is below ZERO_COORDINATE.
TINY = 1e-304
#: A probability below this share of its range lies at the boundary.
EDGE = 1e-8


def safe_log(x: Array) -> Array:
    """`log x`, where 0 (and what rounding left below 0) gives -700, which `exp_or_zero` turns back into 0."""
    return np.log(np.maximum(x, TINY))


def exp_or_zero(u: Array) -> Array:
    """`exp u`, exactly 0 where u stands for the logarithm of 0."""
    return np.where(u > ZERO_COORDINATE, np.exp(u), 0.0)


def scalar_bounds(kind: str, low: float, high: float) -> tuple[float, float]:
    """The interval that a scalar kind stands for."""
    match kind:
        case "positive":
            return 0.0, np.inf
        case "unit":
            return 0.0, 1.0
        case "interval":
            return low, high
        case _:
            return -np.inf, np.inf


@dataclass(frozen=True, eq=False)
class ScalarMap:
    """Scalars in (low, high), each free of the others.

    u = x on the line, log(x - low) or log(high - x) with one bound, logit((x - low)/(high - low)) with two. `index`
    (size,) are the flat positions in the parameter's array.
    """

    index: NDArray[np.intp]
    low: float
    high: float

    @property
    def size(self) -> int:
        """How many coordinates."""
        return len(self.index)

    def free(self, x: Array) -> Array:
        """Coordinates of the flat array x."""
        value = x[self.index]
        match isfinite(self.low), isfinite(self.high):
            case True, True:
                return safe_log((value - self.low) / (self.high - self.low)) - safe_log(
                    (self.high - value) / (self.high - self.low)
                )
            case True, False:
                return safe_log(value - self.low)
            case False, True:
                return safe_log(self.high - value)
            case _:
                return value

    def write(self, u: Array, out: Array) -> None:
        """The elements at coordinates u, into the flat array out."""
        match isfinite(self.low), isfinite(self.high):
            case True, True:
                share = np.where(u > ZERO_COORDINATE, 1.0 / (1.0 + np.exp(-u)), 0.0)
                out[self.index] = self.low + (self.high - self.low) * share
            case True, False:
                out[self.index] = self.low + exp_or_zero(u)
            case False, True:
                out[self.index] = self.high - exp_or_zero(u)
            case _:
                out[self.index] = u

    def slope(self, x: Array) -> Array:
        """dx/du, elementwise."""
        value = x[self.index]
        match isfinite(self.low), isfinite(self.high):
            case True, True:
                return (value - self.low) * (self.high - value) / (self.high - self.low)
            case True, False:
                return value - self.low
            case False, True:
                return value - self.high
            case _:
                return np.ones_like(value)

    def pullback(self, x: Array, gradient: Array) -> Array:
        """Gradient in u from the gradient in x (flat)."""
        slope = self.slope(x)
        return np.where(slope != 0.0, gradient[self.index] * slope, 0.0)

    def jacobian(self, x: Array) -> Array:
        """dx/du, `(x.size, size)`."""
        out = np.zeros((x.size, self.size))
        out[self.index, np.arange(self.size)] = self.slope(x)
        return out

    def edge(self, x: Array) -> NDArray[np.bool_]:
        """Which coordinates sit at a bound: two bounds, within 1e-8 of the range; one bound, at the bound itself."""
        value = x[self.index]
        if isfinite(self.low) and isfinite(self.high):
            share = (value - self.low) / (self.high - self.low)
            return (share < EDGE) | (share > 1 - EDGE)
        distance = np.minimum(np.abs(value - self.low), np.abs(self.high - value))
        return distance < 1e-100

    @property
    def closed_below(self) -> NDArray[np.bool_]:
        """Where u to minus infinity is a point of the closed domain."""
        return np.full(self.size, isfinite(self.low) or isfinite(self.high))

    @property
    def closed_above(self) -> NDArray[np.bool_]:
        """Where u to plus infinity is a point of the closed domain."""
        return np.full(self.size, isfinite(self.low) and isfinite(self.high))

    @property
    def scale_free(self) -> NDArray[np.bool_]:
        """Where a unit of u is a natural unit (a log or logit), whatever the data's unit."""
        return self.closed_below

    @property
    def elements(self) -> NDArray[np.intp]:
        """The flat position that each coordinate is named after."""
        return self.index

    def touched(self, held: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Flat positions of the elements that lie at the boundary where the coordinates `held` are held."""
        return self.index[held]
