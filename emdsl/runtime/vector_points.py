"""Normal laws of vectors by formulas, where continuous hidden variables stand in them: a part of Q at the points of
their posterior.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.problem import Array, Theta
from emdsl.runtime.vector_density import VectorDensity


@dataclass(frozen=True)
class VectorWeights:
    """Weights `(*hidden, rows)` of a law, points being its last hidden axis, and the law at these points."""

    weights: Array
    law: VectorDensity


@dataclass(frozen=True)
class VectorAtPoints:
    """A law's part of Q; the law at points comes with the statistics. `names` are the parameters in it."""

    name: str
    names: frozenset[str]

    @property
    def data(self) -> VectorAtPoints:
        """Itself: the statistics go by its name."""
        return self

    def touches(self, parameters: set[str]) -> bool:
        """Whether some of these parameters occur in it."""
        return bool(self.names & parameters)

    def value(self, theta: Theta, v: Array, statistics: VectorWeights) -> float:
        """The expected log-density."""
        return statistics.law.value(theta, v, statistics.weights)

    def gradient(self, theta: Theta, v: Array, statistics: VectorWeights, out: Array) -> None:
        """Adds the gradient in all parameters to `out`."""
        statistics.law.gradient(theta, v, statistics.weights, out)

    def hessian(
        self, theta: Theta, v: Array, statistics: VectorWeights, local: NDArray[np.intp], out: Array,
        cache: dict[Any, Any],
    ) -> None:  # fmt: skip
        """Adds the expected second derivatives to `out` `(group, group)`."""
        statistics.law.hessian(theta, v, statistics.weights, local, out, cache)
