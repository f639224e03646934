"""Hidden numbers without a closed integral and too many for nodes: importance sampling around their joint mode.

Draws are of the normal law at the mode with the curvature there (Shephard and Pitt 1997; Durbin and Koopman 1997),
weighted by how much more probable they are in truth; in pairs that mirror each other. The random numbers are the same
at every theta, so that the simulated likelihood is smooth, EM and Newton's method climb it as any other, and the same
seed gives the same digits (simulated maximum likelihood, Monte Carlo EM of Wei and Tanner 1990).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from emdsl.plan.gaussian_method import DrawnEvidence, Law, Ties
from emdsl.plan.latent_pieces import AnyPiece
from emdsl.runtime.kernels import log_sum_exp
from emdsl.runtime.problem import Array, Theta

#: Pairs of draws to begin with.
FIRST_PAIRS = 100
#: Newton steps towards the mode, and the step (in spreads) that has arrived.
MOST_STEPS, ARRIVED = 60, 1e-6
#: The stencil's width in spreads: the curvature at the mode is wanted.
WIDTH = 0.02
#: Batches that the draws are divided into for their simulation error.
BATCHES = 10


@dataclass
class MonteCarlo:
    """`own_laws` marks the laws of the hidden variables; `pairs` of mirrored draws are made with `seed`. `batch`: only
    one of BATCHES equal parts of them is used.
    """

    pieces: tuple[AnyPiece, ...]
    own_laws: tuple[bool, ...]
    ties: Ties
    pairs: int
    seed: int
    batch: int | None = None
    around: tuple[Array, Array] | None = field(default=None, repr=False)
    noise: Array | None = field(default=None, repr=False)
    variance: float = 0.0

    def evidence(self, theta: Theta, v: Array) -> SampledEvidence:
        """The integral at theta."""
        every = (True,) * len(self.pieces)
        law, laplace, top = self._mode(theta, v, every, self.around)
        self.around = (law.mean, law.spread)
        z = self._noise()
        x = law.sample(z)
        squares = 0.5 * self.ties.total((z**2).sum(axis=0))
        logs = self._joint(theta, v, x, every) + squares + (laplace - top)[..., None, :]
        value, _ = log_sum_exp(np.moveaxis(logs, -2, 0).copy(), (0,))
        count = logs.shape[-2]
        found = SampledEvidence(self, value - np.log(count), x, np.exp(logs - value[..., None, :]))
        self.variance = found.variance
        return found

    def drawn(self, theta: Theta, v: Array, rng: np.random.Generator) -> DrawnEvidence:
        """One draw from the hidden variables' own laws; standard normal where these are not proper by themselves."""
        shape = self.ties.shape
        try:
            law, _, _ = self._mode(theta, v, self.own_laws, None)
            values = law.sample(rng.standard_normal((shape[0], *shape[1:-1], 1, shape[-1])))[..., 0, :]
        except np.linalg.LinAlgError:
            values = rng.standard_normal(shape)
        return DrawnEvidence(self.pieces, tuple(self.ties.gather(values, p.sites) for p in self.pieces), shape[1:-1])

    def _noise(self) -> Array:
        """`(d, *cells, draws, units)` standard normal numbers, each pair mirrored."""
        if self.noise is None:
            shape = self.ties.shape
            lead = (shape[0], *shape[1:-1], self.pairs, shape[-1])
            half = np.random.default_rng([self.seed, 7]).standard_normal(lead)
            self.noise = np.concatenate([half, -half], axis=-2)
        if self.batch is None:
            return self.noise
        chosen = np.arange(self.noise.shape[-2]) % self.pairs % BATCHES == self.batch
        return self.noise[..., chosen, :]

    def _joint(self, theta: Theta, v: Array, x: Array, used: tuple[bool, ...]) -> Array:
        """The log-joint `(*cells, draws, units of the integral)` at `x` `(d, *cells, draws, units)`."""
        total: Any = 0.0
        for piece, wanted in zip(self.pieces, used, strict=True):
            if wanted:
                total = total + self.ties.total(piece.summed(theta, v, self.ties.gather(x, piece.sites)))
        return np.asarray(total)

    def _mode(
        self, theta: Theta, v: Array, used: tuple[bool, ...], around: tuple[Array, Array] | None
    ) -> tuple[Law, Array, Array]:
        """The normal law at the joint mode, its log-integral, and the log-joint at the mode, by unit."""
        centre, spread = around or (np.zeros(self.ties.shape), np.ones(self.ties.shape))
        for _ in range(MOST_STEPS):
            parts = []
            for piece, wanted in zip(self.pieces, used, strict=True):
                if wanted:
                    at = self.ties.gather(centre, piece.sites)
                    width = WIDTH * self.ties.gather(spread, piece.sites)
                    parts.append((piece.sites, piece.quadratic(theta, v, at, width)))
            laplace, law = self.ties.integrate(centre, parts)
            step, spread = law.mean - centre, law.spread
            if not np.abs(step / np.maximum(spread, 1e-300)).max(initial=0.0) > ARRIVED:
                break
            centre = centre + self._climbed(theta, v, centre, step, used)
        top = self._joint(theta, v, law.mean[..., None, :], used)[..., 0, :]
        return law, laplace, top

    def _climbed(self, theta: Theta, v: Array, centre: Array, step: Array, used: tuple[bool, ...]) -> Array:
        """The step, halved in each unit until the log-joint does not fall."""
        before = self._joint(theta, v, centre[..., None, :], used)[..., 0, :]
        scale = np.ones(before.shape)
        for _ in range(30):
            moved = centre + self.ties.of_units(scale) * step
            after = self._joint(theta, v, moved[..., None, :], used)[..., 0, :]
            falls = ~(after >= before - 1e-9 * (1.0 + np.abs(before)))
            if not falls.any():
                break
            scale = np.where(falls, 0.5 * scale, scale)
        return np.asarray(self.ties.of_units(scale) * step)


@dataclass(frozen=True)
class SampledEvidence:
    """The simulated evidence `(*cells, units)`, the draws `(d, *cells, draws, units)` and their shares."""

    method: MonteCarlo
    value: Array
    draws: Array
    share: Array

    def forward(self, rows: slice) -> Array:
        """Log-evidence of some units."""
        return np.array(self.value[..., rows])

    def statistics(self, weights: Array) -> dict[str, Any]:
        """The draws with their shares."""
        found: dict[str, Any] = {}
        for piece in self.method.pieces:
            points = self.method.ties.gather(self.draws, piece.sites)
            share = piece.rows.of_integral(self.share * weights[..., None, :])
            found[piece.name] = piece.statistics(points, np.broadcast_to(share, points.shape[1:]))
        return found

    def moments(self) -> tuple[Array, Array]:
        """Posterior means and variances, `(d, *cells, units)`, from the shares of the draws."""
        alone = self.share.shape[-1] == 1
        share = self.share if alone else self.method.pieces[0].rows.of_integral(self.share)
        mean = (self.draws * share).sum(axis=-2)
        return mean, ((self.draws - mean[..., None, :]) ** 2 * share).sum(axis=-2)

    @property
    def variance(self) -> float:
        """The simulation variance of the log-likelihood of all units, by pairs of draws (delta method)."""
        pairs = self.share.shape[-2] // 2
        both = (self.share[..., :pairs, :] + self.share[..., pairs:, :]) * pairs
        return float((((both - 1.0) ** 2).sum(axis=-2) / (pairs * max(pairs - 1, 1))).sum())
