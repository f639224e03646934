"""An integral over some units of a level, in the place of one over all: the others have an evidence of 1."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.problem import Array, Theta

Codes = NDArray[np.intp]


@dataclass(frozen=True)
class SomeUnits:
    """`method` is over its own units, each of which lies in, or is, the unit `owner` of `units` of the level."""

    method: Any
    owner: Codes
    units: int

    def evidence(self, theta: Theta, v: Array) -> SomeEvidence:
        """The integral at theta."""
        return SomeEvidence(self.method.evidence(theta, v), self.owner, self.units)

    def drawn(self, theta: Theta, v: Array, rng: np.random.Generator) -> SomeEvidence:
        """One draw of the hidden variables."""
        return SomeEvidence(self.method.drawn(theta, v, rng), self.owner, self.units)


@dataclass(frozen=True)
class SomeEvidence:
    """The evidence of some units, as that of all."""

    inner: Any
    owner: Codes
    units: int

    @cached_property
    def _value(self) -> Array:
        own = self.inner.forward(slice(0, len(self.owner)))
        out = np.zeros((*own.shape[:-1], self.units))
        place: Any = (..., self.owner)
        np.add.at(out, place, own)
        return out

    def forward(self, rows: slice) -> Array:
        """Log-evidence `(*cells, rows)` of some units."""
        return self._value[..., rows].copy()

    def statistics(self, weights: Array) -> dict[str, Any]:
        """What the M-step takes, for each piece."""
        found = self.inner.statistics(weights[..., self.owner])
        return {name: item for name, item in found.items() if item is not None}

    def moments(self) -> tuple[Array, Array]:
        """Posterior means and variances of the units that the integral is over."""
        found: tuple[Array, Array] = self.inner.moments()
        return found
