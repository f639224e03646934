"""A hidden variable with a conjugate kernel in each unit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from emdsl.plan.gaussian_method import DrawnEvidence
from emdsl.plan.latent_pieces import AnyPiece
from emdsl.runtime.integrals.kernels import Kernel, coefficients, line_functions, weights
from emdsl.runtime.integrals.lines import line, mode_of
from emdsl.runtime.problem import Array, Theta

#: Points are moved to the posterior where they lie off by more than this factor, so many times at most.
FAR, ROUNDS = 4.0, 5


@dataclass
class KernelUnits:
    """`shape` is `(1, *cells, units)`; `own_laws` marks the law of the hidden variable itself; `form` is the kernel."""

    pieces: tuple[AnyPiece, ...]
    shape: tuple[int, ...]
    own_laws: tuple[bool, ...]
    form: Kernel
    scale: Array | None = field(default=None, repr=False)

    def evidence(self, theta: Theta, v: Array) -> KernelEvidence:
        """The integral at theta."""
        form = self.form
        for _ in range(ROUNDS):
            points = self._points()
            found = self._coefficients(theta, v, points, (True,) * len(self.pieces))
            log_integral, means = form.integrate(found[1:])
            if form.bounded or self._is_settled(self._typical(means)):
                break
        value = found[0] + log_integral
        if not np.isfinite(value).all():
            value = np.where(np.isnan(value), -np.inf, value)
        return KernelEvidence(self, value, means, found[1:], points)

    def _is_settled(self, place: Array) -> bool:
        """Whether the points lie around the posterior, where coefficients keep their digits; they are moved there."""
        old = 1.0 if self.scale is None else self.scale
        self.scale = np.where(np.isfinite(place) & (place > 0), place, 1.0)
        ratio = self.scale / old
        return bool(((ratio < FAR) & (ratio > 1.0 / FAR)).all())

    def _typical(self, means: Array) -> Array:
        """A typical value: the mean of the logarithm is a function of every kernel."""
        return np.asarray(np.exp(means[list(self.form.functions).index("log(u)")]))

    def drawn(self, theta: Theta, v: Array, rng: np.random.Generator) -> DrawnEvidence:
        """Draws from the hidden variable's own law."""
        found = self._coefficients(theta, v, self._points(), self.own_laws)
        values = self.form.draw(rng, found[1:])[None]
        return DrawnEvidence(self.pieces, (values,) * len(self.pieces), self.shape[1:-1])

    def _points(self) -> Array:
        """`(*cells, points, units)`."""
        nodes = np.array(self.form.nodes)
        scale = np.ones(self.shape[1:]) if self.scale is None else self.scale
        return np.asarray(nodes[:, None] * scale[..., None, :])

    def _coefficients(self, theta: Theta, v: Array, points: Array, used: tuple[bool, ...]) -> Array:
        total: Any = 0.0
        for piece, wanted in zip(self.pieces, used, strict=True):
            if wanted:
                total = total + coefficients(piece.summed(theta, v, points[None]), points, self.form)
        return np.asarray(total)


@dataclass(frozen=True)
class KernelEvidence:
    """The evidence `(*cells, units)`, and the means and coefficients of the kernel's functions, at one theta."""

    units: KernelUnits
    value: Array
    means: Array
    coefficients: Array
    points: Array

    def forward(self, rows: slice) -> Array:
        """Log-evidence of some units."""
        return np.array(self.value[..., rows])

    def statistics(self, weights_: Array) -> dict[str, Any]:
        """Points whose weights give every function of the kernel its mean."""
        points = self.points
        share = weights(self.means, points, self.units.form) * weights_[..., None, :]
        return {piece.name: piece.statistics(points[None], share) for piece in self.units.pieces}

    def moments(self) -> tuple[Array, Array]:
        """Posterior means and variances, `(1, *cells, units)`."""
        mean, variance = self.units.form.moments(self.coefficients)
        return mean[None], variance[None]

    def line(self, count: int) -> tuple[Array, Array]:
        """Points `(*cells, count, units)` over the posterior, whose shares are right for any smooth function."""
        form, own = self.units.form, self.coefficients[..., None, :]
        functions, slope, value = line_functions(form)

        def log_density(x: Array) -> Array:
            terms = (a * function(x) for a, function in zip(own, functions, strict=True))
            return np.asarray(sum(terms, slope(x)))

        with np.errstate(all="ignore"):
            start = self.units.shape[1:]
            x = np.zeros(start) if form.bounded else np.log(self.units._typical(self.means))
            x, spread = mode_of(log_density, np.where(np.isfinite(x), x, 0.0), np.ones(start))
            points, shares = line(log_density, x, spread, count)
        return np.asarray(value(points)), shares
