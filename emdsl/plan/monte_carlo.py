"""Hidden numbers without a closed integral and too many for nodes: importance sampling around their joint mode.

Draws are of the normal law at the mode with the curvature there (Shephard and Pitt 1997; Durbin and Koopman 1997),
weighted by how much more probable they are in truth; in pairs that mirror each other. The random numbers are the same
at every theta, so that the simulated likelihood is smooth, Newton's method climbs it as any other, and the same seed
gives the same digits (simulated maximum likelihood). Positive numbers are drawn as logarithms, shares as logits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from emdsl.plan.gaussian_method import DrawnEvidence, Law, Ties
from emdsl.plan.latent_pieces import AnyPiece
from emdsl.plan.on_line import Codes, PieceOnLine, Slopes, codes_of, values_at
from emdsl.runtime.functions import lgamma
from emdsl.runtime.integrals.quadratic import Quadratic
from emdsl.runtime.integrals.stratified import stratified_vectors
from emdsl.runtime.integrals.unit_ties import UnitTies
from emdsl.runtime.kernels import log_sum_exp
from emdsl.runtime.problem import Array, Theta

#: Pairs of draws to begin with.
FIRST_PAIRS = 100
#: Newton steps towards the mode, and the step (in spreads) that has arrived.
MOST_STEPS, ARRIVED = 60, 1e-8
#: The stencil's width in spreads: the curvature at the mode is wanted.
WIDTH = 0.02
#: Batches that the draws are divided into for their simulation error.
BATCHES = 10
#: Log-densities at once: draws are taken some at a time.
AT_ONCE = 2_000_000
#: Where the log-joint does not bend downwards, its curvature is raised by so many times that of the last law.
RAISES = (1.0, 10.0, 100.0, 1e4)

#: Degrees of freedom of draws of real numbers, of draws with heavy tails, and the most numbers of a unit that are drawn
#: so and stratified.
TAILS, HEAVY_TAILS, MOST_STRATIFIED = 60.0, 5.0, 10

Term = PieceOnLine | Slopes


@dataclass(frozen=True)
class Proposal:
    """The normal law that is drawn from: `law`, the logarithm of its density's normaliser by unit of the integral."""

    law: Law
    normalizer: Array


@dataclass
class MonteCarlo:
    """`own_laws` marks the laws of the hidden variables; `kinds` gives the domain of each variable, `everything` is a
    site (or several) with all hidden numbers and `codes` are the codes of their domains; `pairs` of mirrored draws are
    made with `seed`. `closed`: the log-joint is quadratic. `batch`: only one of BATCHES equal parts of them is used.
    `last` is what was simulated last, with the posterior weights of its cells.
    """

    pieces: tuple[AnyPiece, ...]
    own_laws: tuple[bool, ...]
    ties: Ties
    kinds: Mapping[str, str]
    everything: tuple[Any, ...]
    codes: Codes
    pairs: int
    seed: int
    closed: bool = False
    batch: int | None = None
    around: tuple[Array, Array] | None = field(default=None, repr=False)
    noise: Array | None = field(default=None, repr=False)
    last: tuple[SampledEvidence, Array] | None = field(default=None, repr=False)

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        """The log-joint as a function of coordinates: the pieces, and the Jacobian where there is one."""
        found: list[Term] = [
            PieceOnLine(piece, codes_of([self.kinds[site[0]] for site in piece.sites])) for piece in self.pieces
        ]
        return (*found, Slopes(self.everything, self.codes)) if self.codes.any() else tuple(found)

    @property
    def _own(self) -> tuple[Term, ...]:
        """The terms of the hidden variables' own laws."""
        return tuple(
            term for term, own in zip(self.terms, (*self.own_laws, True), strict=False) if own
        )  # fmt: skip

    def values(self, x: Array) -> Array:
        """Hidden numbers at coordinates `(d, ..., units)`."""
        return values_at(x, self.codes)

    def evidence(self, theta: Theta, v: Array) -> SampledEvidence:
        """The integral at theta."""
        try:
            proposal = self.proposal(theta, v, self.terms, self.around)
        except np.linalg.LinAlgError:
            if self.around is None:
                raise
            proposal = self.proposal(theta, v, self.terms, None)  # the last mode may be far away
        self.around = (proposal.law.mean, proposal.law.spread)
        z = self._noise()
        x = proposal.law.sample(z)
        squares = self.ties.total((z**2).sum(axis=0))
        logs = self.joint(theta, v, x, self.terms) - self._log_shape(squares) + proposal.normalizer[..., None, :]
        value, _ = log_sum_exp(np.moveaxis(logs, -2, 0).copy(), (0,))
        count = logs.shape[-2]
        return SampledEvidence(self, value - np.log(count), x, np.exp(logs - value[..., None, :]), z)

    def drawn(self, theta: Theta, v: Array, rng: np.random.Generator) -> DrawnEvidence:
        """One draw from the hidden variables' own laws; standard normal where these are not proper by themselves."""
        shape = self.ties.shape
        try:
            law = self.proposal(theta, v, self._own, None).law
            x = law.sample(rng.standard_normal((shape[0], *shape[1:-1], 1, shape[-1])))[..., 0, :]
        except np.linalg.LinAlgError:
            x = rng.standard_normal(shape)
        values = self.values(x)
        return DrawnEvidence(self.pieces, tuple(self.ties.gather(values, p.sites) for p in self.pieces), shape[1:-1])

    def _noise(self) -> Array:
        """`(d, *cells, draws, units)` standard normal numbers (of heavy tails, Student's), each pair mirrored."""
        if self.noise is None:
            shape, rng = self.ties.shape, np.random.default_rng([self.seed, 7])
            full = (shape[0], *shape[1:-1], self.pairs, shape[-1])
            few = self.stratified
            half = stratified_vectors(full, self._tails, BATCHES, rng) if few else rng.standard_normal(full)
            self.noise = np.concatenate([half, -half], axis=-2)
        if self.batch is None:
            return self.noise
        chosen = np.arange(self.noise.shape[-2]) % self.pairs % BATCHES == self.batch
        return self.noise[..., chosen, :]

    @property
    def stratified(self) -> bool:
        """Whether the draws of a batch are spread evenly: of units with a few numbers each."""
        return isinstance(self.ties, UnitTies) and self.ties.shape[0] <= MOST_STRATIFIED

    @cached_property
    def _tails(self) -> float:
        """Degrees of freedom of the draws. Beside a normal law many posteriors have heavier tails: behind counts and
        yes or no it is that of the prior, and the weights of normal draws then have no variance. A gamma law has heavy
        tails on the scale of its logarithm, a beta law on that of its logit. Of many numbers together a heavy-tailed
        law is unlike any posterior.
        """
        if not self.stratified or (self.closed and not self.codes.any()):
            return np.inf
        return HEAVY_TAILS if self.codes.any() else TAILS

    def _log_shape(self, squares: Array) -> Array:
        """The log-density of the noise, relative to a standard normal law at 0, by the sum of its squares."""
        d, tails = self.ties.shape[0], self._tails
        if np.isinf(tails):
            return -0.5 * squares
        both = 0.5 * (tails + d)
        top = lgamma(both) - lgamma(0.5 * tails) - 0.5 * d * np.log(0.5 * tails)
        return np.asarray(top - both * np.log1p(squares / tails))

    @property
    def evaluations(self) -> int:
        """Log-densities by row that one draw of everything takes."""
        cells = int(np.prod(self.ties.shape[1:-1]))
        return cells * sum(int(np.prod(p.bound.data.elements)) * p.bound.data.rows for p in self.pieces)

    def slices(self, draws: int) -> list[slice]:
        """Draws that are looked at together."""
        some = max(1, AT_ONCE // max(1, self.evaluations))
        return [slice(begin, min(begin + some, draws)) for begin in range(0, draws, some)]

    def joint(self, theta: Theta, v: Array, x: Array, terms: Sequence[Term]) -> Array:
        """The log-joint `(*cells, draws, units of the integral)` at `x` `(d, *cells, draws, units)`."""
        found = []
        for some in self.slices(x.shape[-2]):
            total: Any = 0.0
            for term in terms:
                at = self.ties.gather(x[..., some, :], term.sites)
                total = total + self.ties.total(term.summed(theta, v, at))
            found.append(np.asarray(total))
        return found[0] if len(found) == 1 else np.concatenate(found, axis=-2)

    # --- the law that is drawn from -----------------------------------------------------------------------------------

    def beside(self, theta: Theta, v: Array) -> Proposal:
        """The law at a theta right beside that of the last evidence: three Newton steps from its mode are enough."""
        assert self.around is not None
        centre, spread = self.around
        for _ in range(3):
            found = self._law_around(theta, v, centre, spread, self.terms)
            centre, spread = found.law.mean, found.law.spread
        return found

    def proposal(
        self, theta: Theta, v: Array, terms: Sequence[Term], around: tuple[Array, Array] | None
    ) -> Proposal:  # fmt: skip
        """The normal law at the joint mode. Raises LinAlgError where the log-joint bends upwards everywhere."""
        centre, spread = around or (np.zeros(self.ties.shape), np.ones(self.ties.shape))
        for _ in range(MOST_STEPS):
            found = self._law_around(theta, v, centre, spread, terms)
            step, spread = found.law.mean - centre, found.law.spread
            if not np.abs(step / np.maximum(spread, 1e-300)).max(initial=0.0) > ARRIVED:
                break
            centre = centre + self._climbed(theta, v, centre, step, terms)
        return found

    def _law_around(self, theta: Theta, v: Array, centre: Array, spread: Array, terms: Sequence[Term]) -> Proposal:
        """The law of the quadratic at `centre`, its curvature raised where it has to be."""
        parts = []
        for term in terms:
            at = self.ties.gather(centre, term.sites)
            parts.append((term.sites, term.quadratic(theta, v, at, WIDTH * self.ties.gather(spread, term.sites))))
        for raised in (0.0, *RAISES):
            whole = parts if not raised else [*parts, (self.everything, self._bend(spread, raised))]
            try:
                integral, law = self.ties.integrate(centre, whole)
            except np.linalg.LinAlgError:
                if raised == RAISES[-1]:
                    raise
                continue
            break
        shift = law.mean - centre
        top: Any = 0.0
        for sites, own in whole:
            top = top + self.ties.total(own.value + 0.5 * (own.gradient * self.ties.gather(shift, sites)).sum(axis=0))
        return Proposal(law, integral - top)

    def _bend(self, spread: Array, times: float) -> Quadratic:
        """A term that bends every number downwards at the centre."""
        widths = self.ties.gather(spread, self.everything)
        q = len(widths)
        hessian = np.zeros((q, *widths.shape))
        hessian[range(q), range(q)] = -times / widths**2
        return Quadratic(np.zeros(widths.shape[1:]), np.zeros(widths.shape), hessian)

    def _climbed(
        self, theta: Theta, v: Array, centre: Array, step: Array, terms: Sequence[Term]
    ) -> Array:  # fmt: skip
        """The step, halved in each unit until the log-joint does not fall."""
        before = self.joint(theta, v, centre[..., None, :], terms)[..., 0, :]
        scale = np.ones(before.shape)
        for _ in range(30):
            moved = centre + self.ties.of_units(scale) * step
            after = self.joint(theta, v, moved[..., None, :], terms)[..., 0, :]
            falls = ~(after >= before - 1e-9 * (1.0 + np.abs(before)))
            if not falls.any():
                break
            scale = np.where(falls, 0.5 * scale, scale)
        return np.asarray(self.ties.of_units(scale) * step)


@dataclass(frozen=True)
class SampledEvidence:
    """The simulated evidence `(*cells, units)`, the draws `(d, *cells, draws, units)` as coordinates, their shares,
    and the `noise` that they were made of.
    """

    method: MonteCarlo
    value: Array
    draws: Array
    share: Array
    noise: Array

    def forward(self, rows: slice) -> Array:
        """Log-evidence of some units."""
        return np.array(self.value[..., rows])

    def statistics(self, weights: Array) -> dict[str, Any]:
        """The draws with their shares."""
        self.method.last = (self, weights)
        found: dict[str, Any] = {}
        values = self.method.values(self.draws)
        for piece in self.method.pieces:
            points = self.method.ties.gather(values, piece.sites)
            share = piece.rows.of_integral(self.share * weights[..., None, :])
            found[piece.name] = piece.statistics(points, np.broadcast_to(share, points.shape[1:]))
        return found

    def moments(self) -> tuple[Array, Array]:
        """Posterior means and variances, `(d, *cells, units)`, from the shares of the draws."""
        alone = self.share.shape[-1] == 1
        share = self.share if alone else self.method.pieces[0].rows.of_integral(self.share)
        values = self.method.values(self.draws)
        mean = (values * share).sum(axis=-2)
        return mean, ((values - mean[..., None, :]) ** 2 * share).sum(axis=-2)

    def variance(self, weights: Array) -> float:
        """The simulation variance of the log-likelihood of all units, by pairs of draws, of stratified ones by batches
        of pairs (delta method); `weights` `(*cells, units)` are those of each unit's cells in it.
        """
        count = self.share.shape[-2] // 2
        parts = self.share[..., :count, :] + self.share[..., count:, :]
        if self.method.stratified and self.method.batch is None:
            parts = parts.reshape(*parts.shape[:-2], -1, BATCHES, parts.shape[-1]).sum(axis=-3)
            count = BATCHES
        own = ((parts * count - 1.0) ** 2).sum(axis=-2) / (count * max(count - 1, 1))
        return float((own * weights**2).sum())

    def effective(self, weights: Array) -> float:
        """How many equally weighted draws are worth as much (Kong, Liu and Wong 1994), in the unit that has fewest;
        cells that nearly no unit is in are left out.
        """
        sizes = 1.0 / (self.share**2).sum(axis=-2)
        heavy = np.broadcast_to(weights, sizes.shape) > 0.01
        return float(sizes[heavy].min(initial=float(self.share.shape[-2])))
