"""Hidden numbers as coordinates on the whole line: positive ones by their logarithm, shares by their logit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.plan.latent_pieces import AnyPiece, by_stencil
from emdsl.runtime.functions import logistic
from emdsl.runtime.integrals.quadratic import Quadratic
from emdsl.runtime.problem import Array, Theta

#: Domains that have such a coordinate, by code.
KINDS = ("real", "positive", "unit")
Codes = NDArray[np.intp]


def codes_of(kinds: Sequence[str]) -> Codes:
    """The code of each of some domains, `(q, 1)`."""
    return np.array([[KINDS.index(kind)] for kind in kinds], dtype=np.intp)


def values_at(x: Array, codes: Codes) -> Array:
    """Hidden numbers at coordinates `x` `(q, ..., units)`; `codes` `(q, units)`, or `(q, 1)`."""
    if not codes.any():
        return x
    kind = _aligned(codes, x)
    return np.asarray(np.where(kind == 0, x, np.where(kind == 1, np.exp(np.where(kind == 1, x, 0.0)), logistic(x))))


def log_slopes(x: Array, codes: Codes) -> Array:
    """The logarithm of d value / d coordinate, of each number."""
    kind = _aligned(codes, x)
    shares = -np.logaddexp(0.0, x) - np.logaddexp(0.0, -x)
    return np.asarray(np.where(kind == 1, x, np.where(kind == 2, shares, 0.0)))


def _aligned(codes: Codes, x: Array) -> Codes:
    return codes.reshape(len(codes), *(1,) * (x.ndim - 2), codes.shape[-1])


@dataclass(frozen=True)
class PieceOnLine:
    """A piece as a function of the coordinates of its numbers."""

    piece: AnyPiece
    codes: Codes

    @property
    def sites(self) -> tuple[Any, ...]:
        """The numbers that it looks at."""
        return self.piece.sites

    def summed(self, theta: Theta, v: Array, x: Array) -> Array:
        """The log-density at coordinates, summed in each unit."""
        return self.piece.summed(theta, v, values_at(x, self.codes))

    def quadratic(self, theta: Theta, v: Array, centre: Array, spread: Array) -> Quadratic:
        """The log-density as a quadratic of the coordinates at `centre`."""
        if not self.codes.any():
            return self.piece.quadratic(theta, v, centre, spread)
        return by_stencil(self, theta, v, centre, spread)


@dataclass(frozen=True)
class Slopes:
    """The logarithm of the Jacobian, a term of the log-joint; `sites` are all hidden numbers, once each."""

    sites: tuple[Any, ...]
    codes: Codes

    def summed(self, theta: Theta, v: Array, x: Array) -> Array:
        """`(*cells, points, units)`."""
        return np.asarray(log_slopes(x, self.codes).sum(axis=0))

    def quadratic(self, theta: Theta, v: Array, centre: Array, spread: Array) -> Quadratic:
        """Of the logit `log s(x) + log s(-x)`, whose derivatives are `1 - 2 s` and `-2 s (1 - s)`."""
        kind = _aligned(self.codes, centre)
        share = logistic(centre)
        gradient = np.where(kind == 1, 1.0, np.where(kind == 2, 1.0 - 2.0 * share, 0.0))
        bend = np.where(kind == 2, -2.0 * share * (1.0 - share), 0.0)
        q = len(centre)
        hessian = np.zeros((q, q, *centre.shape[1:]))
        hessian[range(q), range(q)] = bend
        return Quadratic(self.summed(theta, v, centre), np.broadcast_to(gradient, centre.shape), hessian)
