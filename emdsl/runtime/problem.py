"""What the fitting loop asks of a model bound to data, whatever the model is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
#: Parameter arrays by name; a scalar is an array of shape ().
Theta = Mapping[str, Array]


@dataclass(frozen=True)
class Space:
    """Where one parameter array lies, its sizes bound.

    `shape` is the array's shape; the last `event` axes are one element of the domain (1 for a simplex, contrast or
    ordered vector; more for a joint simplex; 2 for a matrix; 0 for scalars), the leading ones are independent
    elements. `low`, `high` bound an interval. `fixed` is true where the value is held (by the user, by structure, or
    because no data touch it); `zero` is true where a structural zero holds (always also fixed). `labels` are the
    labels of each array axis. `order_statistic`: each element is a bound of the support, estimated by the least or
    largest datum; `kinked`: the log-density has a kink in it. Neither has a derivative that is 0 at the maximum.
    `shears` lists elements whose coordinate is that of the element plus a factor times another parameter's element:
    flat place, other parameter, its flat place, factor.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    event: int
    labels: tuple[tuple[str, ...], ...]
    fixed: NDArray[np.bool_]
    zero: NDArray[np.bool_]
    low: float = -np.inf
    high: float = np.inf
    order_statistic: bool = False
    kinked: bool = False
    shears: tuple[tuple[int, str, int, float], ...] = ()


@dataclass(frozen=True)
class Expectation:
    """What one E-step gives: the observed-data log-likelihood at theta, and the expected statistics, opaque to the
    loop.
    """

    loglik: float
    statistics: Any


class Problem(Protocol):
    """A model bound to data. All methods are pure in theta."""

    @property
    def spaces(self) -> tuple[Space, ...]:
        """The parameters, in order of declaration."""
        ...

    @property
    def has_latent(self) -> bool:
        """Whether anything is hidden (otherwise random starts are pointless)."""
        ...

    def initial(self) -> dict[str, Array]:
        """Start 1: declared `init` values and `--init`, otherwise neutral values inside the domains."""
        ...

    def expect(self, theta: Theta) -> Expectation:
        """The E-step."""
        ...

    def random_expectation(self, rng: np.random.Generator, theta: Theta) -> Expectation:
        """Statistics under random responsibilities: the first E-step of a random start."""
        ...

    def maximize(self, theta: Theta, statistics: Any) -> dict[str, Array]:
        """The M-step: theta that raises (as a rule maximises) Q, starting from theta."""
        ...

    def gradient(self, theta: Theta, statistics: Any) -> dict[str, Array]:
        """Gradient of Q (plus log prior) in the array elements at theta; with the statistics of `expect(theta)` it is
        the score of the penalised observed-data log-likelihood (Fisher's identity). Elements are taken as free of
        each other.
        """
        ...

    def log_prior(self, theta: Theta) -> float:
        """Log-density of the priors; 0 where there is none."""
        ...

    def degenerate(self, theta: Theta, statistics: Any) -> str | None:
        """Why this state is a degenerate optimum (a component holding too few units, a scale near nothing), or None."""
        ...
