"""Gaussian hidden variables: evidence in closed form, posterior as sigma points, whatever ties them together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import numpy as np

from emdsl.plan.latent_pieces import AnyPiece, Site
from emdsl.plan.law_parts import MultiplierLaw
from emdsl.plan.normal_laws import SCORE, LawScore, NormalLaws
from emdsl.runtime.integrals.innovations import Innovations
from emdsl.runtime.integrals.quadratic import Quadratic
from emdsl.runtime.problem import Array, Theta

#: Where the stencil lies farther from the posterior than this many of its spreads, or is so many times too wide or too
#: narrow, the quadratic is taken again around the posterior: differences of its values would lose digits.
FAR, OUT_OF_SCALE = 1.0, 4.0
#: The same of pieces by moments, whose form is one for all rows: its rounding is that of the square of this.
OUT_OF_SCALE_OF_MOMENTS = 30.0
ROUNDS = 8
#: Widths to begin with where nothing is known.
WIDTHS = (1.0, 1e5, 1e-5)
#: Where the square of a mean is this many times the variance of its law, moments of the posterior are taken by row.
MOST_OFFSET = 1e5
#: A stencil narrower than this share of its centre cannot be told from a point.
SMALLEST = 1e-7


class Law(Protocol):
    """A normal law of all hidden numbers; `mean` and `spread` are `(d, *cells, units)`."""

    @property
    def mean(self) -> Array: ...

    @property
    def spread(self) -> Array: ...

    def marginal(self, sites: tuple[Site, ...]) -> tuple[Array, Array]:
        """Mean `(q, *cells, units)` and covariance `(q, q, *cells, units)` of what one piece looks at."""
        ...

    def draw(self, rng: np.random.Generator) -> Array:
        """One draw `(d, *cells, units)`."""
        ...

    def sample(self, noise: Array) -> Array:
        """Joint draws of standard normal `noise` `(d, *cells, draws, units)`, whose squares are the quadratic form of
        the law.
        """
        ...


class Ties(Protocol):
    """What ties the hidden numbers of a data set together: those of one unit, of a chain, or of everything.

    `shape` is `(d, *cells, units)`: d numbers for each of the units that pieces are summed to.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...

    def gather(self, values: Array, sites: tuple[Site, ...]) -> Array:
        """`values` `(d, ..., units)` as one piece sees them: `(q, ..., units)`."""
        ...

    def total(self, values: Array) -> Array:
        """Values by the units of a piece, summed in each unit of the integral."""
        ...

    def of_units(self, values: Array) -> Array:
        """Values by unit of the integral, for each unit of the hidden numbers."""
        ...

    def integrate(self, centre: Array, parts: list[tuple[tuple[Site, ...], Quadratic]]) -> tuple[Array, Law]:
        """The log-integral in each unit of the integral, and the law. Raises LinAlgError where there is none."""
        ...

    def integrate_innovations(
        self, centre: Array, spread: Array, parts: list[tuple[tuple[Site, ...], Quadratic]], laws: Innovations
    ) -> tuple[Array, Any] | None:
        """The same with the hidden numbers' own laws by mean and variance; the law that it gives knows multipliers and
        widths. None where precisions serve as well; `spread` is how wide the posterior was last.
        """
        ...


@dataclass
class GaussianMethod:
    """An integral over jointly Gaussian hidden variables; `own_laws` marks the laws of the hidden variables, `laws` has
    them by mean and variance where they are so.
    """

    pieces: tuple[AnyPiece, ...]
    own_laws: tuple[bool, ...]
    ties: Ties
    laws: NormalLaws | None = None
    around: tuple[Array, Array] | None = field(default=None, repr=False)

    def evidence(self, theta: Theta, v: Array) -> GaussianEvidence:
        """The integral at theta."""
        shape = self.ties.shape
        laws = None if self.laws is None else self.laws.at(theta, v)
        found = None if self.around is None else self._settled(theta, v, *self.around, laws)
        for width in WIDTHS:
            found = found or self._settled(theta, v, np.zeros(shape), np.full(shape, width), laws)
        if found is None:
            raise np.linalg.LinAlgError("the law of hidden variables has no finite integral")
        self.around = (found.law.mean, _width(found))
        return found

    def _settled(
        self, theta: Theta, v: Array, centre: Array, spread: Array, laws: Innovations | None
    ) -> GaussianEvidence | None:
        """The integral by stencils that are moved until they lie around the posterior; None where they never do, as
        when they begin so narrow that differences are rounding.
        """
        every = (True,) * len(self.pieces)
        for _ in range(ROUNDS):
            spread = np.maximum(spread, SMALLEST * np.maximum(1.0, np.abs(centre)))
            try:
                found = self._by_laws(theta, v, centre, spread, laws)
                found = found or GaussianEvidence(self, *self._integrated(theta, v, centre, spread, every))
            except np.linalg.LinAlgError:
                return None
            law = found.law
            with np.errstate(divide="ignore", invalid="ignore"):
                wanted = np.maximum(_width(found), SMALLEST * np.maximum(1.0, np.abs(law.mean)))
                near = np.abs(law.mean - centre) <= FAR * np.maximum(wanted, spread)
                scale = wanted / spread
                most = OUT_OF_SCALE if any(found.by_row) else OUT_OF_SCALE_OF_MOMENTS
                fits = (scale <= most) & (scale >= 1.0 / most)
            if (near & fits).all():
                return found
            centre, spread = law.mean, _width(found)
        return None

    def _by_laws(
        self, theta: Theta, v: Array, centre: Array, spread: Array, laws: Innovations | None
    ) -> GaussianEvidence | None:
        """The integral with the hidden numbers' own laws by mean and variance, where there are such."""
        if laws is None:
            return None
        parts = self._parts(theta, v, centre, spread, tuple(not own for own in self.own_laws))
        found = self.ties.integrate_innovations(centre, spread, parts, laws)
        if found is None:
            return None
        value, law = found
        others = iter(own.by_row for _, own in parts)
        far = bool((law.mean**2 > MOST_OFFSET * laws.variances).any())
        by_row = tuple(far if own else next(others) for own in self.own_laws)
        return GaussianEvidence(self, value, law, by_row, v)

    def drawn(self, theta: Theta, v: Array, rng: np.random.Generator) -> DrawnEvidence:
        """Draws from the hidden variables' own laws; standard normal where these are not proper by themselves."""
        values = self.drawn_values(theta, v, rng)
        cells = self.ties.shape[1:-1]
        return DrawnEvidence(self.pieces, tuple(self.ties.gather(values, p.sites) for p in self.pieces), cells)

    def drawn_values(self, theta: Theta, v: Array, rng: np.random.Generator) -> Array:
        """The draws `(d, *cells, units)`."""
        shape = self.ties.shape
        try:
            _, law, _ = self._integrated(theta, v, np.zeros(shape), np.ones(shape), self.own_laws)
            return law.draw(rng)
        except np.linalg.LinAlgError:
            return rng.standard_normal(shape)

    def _integrated(
        self, theta: Theta, v: Array, centre: Array, spread: Array, used: tuple[bool, ...]
    ) -> tuple[Array, Law, tuple[bool, ...]]:
        parts = self._parts(theta, v, centre, spread, used)
        by_row = tuple(own.by_row for _, own in parts)
        return (*self.ties.integrate(centre, parts), by_row)

    def _parts(
        self, theta: Theta, v: Array, centre: Array, spread: Array, used: tuple[bool, ...]
    ) -> list[tuple[tuple[Any, ...], Quadratic]]:
        """The quadratics of the pieces that are used."""
        parts = []
        for piece, wanted in zip(self.pieces, used, strict=True):
            if wanted:
                at, width = self.ties.gather(centre, piece.sites), self.ties.gather(spread, piece.sites)
                parts.append((piece.sites, piece.quadratic(theta, v, at, width)))
        return parts


def _width(found: GaussianEvidence) -> Array:
    """How wide stencils are wanted, `(d, *cells, units)`."""
    return found.law.spread if found.taken_at is None else found.law.width  # type: ignore[attr-defined]


@dataclass(frozen=True)
class GaussianEvidence:
    """The evidence `(*cells, units of the integral)` and the posterior at one theta. `taken_at` is the vector of all
    parameters, where the hidden numbers' laws entered by mean and variance.
    """

    method: GaussianMethod
    value: Array
    law: Law
    by_row: tuple[bool, ...]
    taken_at: Array | None = None

    def forward(self, rows: slice) -> Array:
        """Log-evidence of some units."""
        return np.array(self.value[..., rows])

    def statistics(self, weights: Array) -> dict[str, Any]:
        """Sigma points for each piece, and the scores of the hidden numbers' own laws."""
        found: dict[str, Any] = {}
        for piece, by_row in zip(self.method.pieces, self.by_row, strict=True):
            mean, covariance = self.law.marginal(piece.sites)
            share = piece.rows.of_integral(weights)
            found[piece.name] = piece.posterior(mean, covariance, share, by_row=by_row)
            if self.taken_at is not None and self.method.laws is not None and piece.name in self.method.laws.laws:
                law, posterior = self.method.laws.laws[piece.name], cast(MultiplierLaw, self.law)
                found[SCORE + piece.name] = LawScore(law, self.taken_at, posterior, share)
        return found

    def moments(self) -> tuple[Array, Array]:
        """Posterior means and variances, `(d, *cells, units)`."""
        return self.law.mean, self.law.spread**2


@dataclass(frozen=True)
class DrawnEvidence:
    """One value of the hidden variables in place of their posterior: for each piece `(q, *cells, units)`."""

    pieces: tuple[AnyPiece, ...]
    values: tuple[Array, ...]
    cells: tuple[int, ...]

    def forward(self, rows: slice) -> Array:
        """Nothing is said of the cells."""
        return np.zeros((*self.cells, len(range(*rows.indices(1 << 62)))))

    def statistics(self, weights: Array) -> dict[str, Any]:
        """The draws as one point for each unit."""
        found: dict[str, Any] = {}
        for piece, values in zip(self.pieces, self.values, strict=True):
            points = values[..., None, :]
            share = piece.rows.of_integral(weights)[..., None, :]
            found[piece.name] = piece.statistics(points, np.broadcast_to(share, points.shape[1:]))
        return found

    def moments(self) -> tuple[Array, Array]:
        """A draw is no posterior."""
        raise AssertionError("random starts have no posterior")
