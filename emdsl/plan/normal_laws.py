"""The normal laws of hidden numbers by mean and variance: what integrals are taken with, and the score in their own
parameters, also where a variance is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.ir.latents import continuous_latents
from emdsl.plan.evaluation import Evaluator
from emdsl.plan.formulas import names_in
from emdsl.plan.latent_pieces import LatentPiece, Site, VectorPiece
from emdsl.plan.law_parts import Codes, MultiplierLaw, Part, pulled_points
from emdsl.plan.moment_piece import MomentPiece, sites_by_element
from emdsl.plan.residual_laws import ResidualLaw
from emdsl.plan.residual_piece import ResidualPiece
from emdsl.runtime.assembly import Assembly, make_place
from emdsl.runtime.integrals.gaussian import LOG_2PI
from emdsl.runtime.integrals.innovations import Innovations
from emdsl.runtime.problem import Array, Theta

Formula = Callable[..., tuple[Any, ...]]


@dataclass(frozen=True)
class ScalarLaw:
    """The law of a number, or of each element of an array. `slots` `(elements,)` are the targets' places among the
    hidden numbers, `applies` `(elements, *cells, rows or 1)` marks where the law holds; `parents`: its mean looks at
    other hidden numbers.
    """

    piece: LatentPiece
    law: Formula
    slopes: tuple[Formula, Formula]
    slots: Codes
    applies: NDArray[np.bool_]
    parents: bool
    offsets: Mapping[str, int]

    def at(self, theta: Theta, v: Array) -> Part:
        """Mean, variance and ties, from the mean at a few values of what it looks at: it is affine."""
        cells, sites = self.piece.hidden, self.piece.sites
        mean, variance, constant = self._evaluated(theta, v, np.zeros((len(sites), *cells, 1, 1)))
        ties: dict[Site, Array] = {}
        if self.parents:
            far = 2.0 ** np.ceil(np.log2(max(1.0, float(np.abs(mean).max(initial=0.0)))))
            probes = np.zeros((len(sites), *cells, len(sites), 1))
            for k in range(len(sites)):
                probes[k, ..., k, :] = far
            moved = self._evaluated(theta, v, probes)[0]
            for k, site in enumerate(sites):
                tie = np.where(self.applies, (moved[..., k, :] - mean[..., 0, :]) / far, 0.0)
                if tie.any():
                    ties[site] = tie
        covariance = np.zeros((len(self.slots), *np.broadcast_shapes(variance[..., 0, :].shape, self.applies.shape)))
        for k in range(len(self.slots)):
            covariance[k, k] = np.where(self.applies[k], variance[k, ..., 0, :], 0.0)
        total = np.where(self.applies, constant[..., 0, :], 0.0).sum(axis=0)
        return Part(self.slots, np.where(self.applies, mean[..., 0, :], 0.0), covariance, ties, total)

    def _evaluated(self, theta: Theta, v: Array, values: Array) -> tuple[Array, Array, Array]:
        """Mean, variance and constant `(elements, *cells, points, rows or 1)` at `values` `(sites, *cells, points,
        1)`.
        """
        data = self.piece.at(values)
        lead = len(data.hidden)
        found = []
        for item in self.law(theta, v, data):
            array = np.asarray(item, dtype=np.float64)
            rows = array.shape[-1] if array.ndim else 1
            full = np.broadcast_to(array if array.ndim else array.reshape(1), (*data.cells, rows))
            flat = full.reshape(*data.hidden, -1, rows)
            found.append(np.moveaxis(flat, lead, 0))
        return found[0], found[1], found[2]

    def gradient(self, theta: Theta, v: Array, law: MultiplierLaw, weights: Array, out: Array) -> None:
        """Adds the score of the law's parameters: `E[r dm]` and `1/2 (r^2 - W) dv`, dm at the posterior."""
        sites = self.piece.sites
        mean, _ = law.marginal(sites)
        found = law.innovations(self.slots.tolist(), sites)
        pulls = weights * found.mean
        bends = 0.5 * weights * (found.mean**2 - np.stack([found.curvature[k, k] for k in range(len(self.slots))]))
        here = mean[..., None, :]
        self._add(0, theta, v, here, bends[..., None, :], out)
        if not self.parents:
            self._add(1, theta, v, here, pulls[..., None, :], out)
            return
        self._add(1, theta, v, *pulled_points(here, found, pulls, weights), out)

    def _add(self, of_mean: int, theta: Theta, v: Array, points: Array, shares: Array, out: Array) -> None:
        """Adds derivatives of the mean or the variance at `points` `(sites, *cells, points, rows)`, summed with
        `shares` `(elements, *cells, points, rows)`.
        """
        data = replace(self.piece.at(points), rows=shares.shape[-1])
        shares = np.where(self.applies[..., None, :], shares, 0.0)
        mask: Any = np.moveaxis(shares, 0, -2).reshape(*data.hidden, *data.elements, data.rows)
        data = replace(data, row_mask=mask)
        places = tuple(make_place(data, i, self.offsets) for i in range(len(data.addresses)))
        formulas = (self.law, self.slopes[of_mean], self.law)
        part = Assembly(data, (), places, formulas, (), False, 1)
        part.gradient(theta, v, np.ones((*data.hidden, data.rows)), out)


@dataclass(frozen=True)
class VectorLaw:
    """The multivariate normal law of a hidden vector."""

    piece: VectorPiece
    slots: Codes
    applies: NDArray[np.bool_]
    offsets: Mapping[str, int]

    def at(self, theta: Theta, v: Array) -> Part:
        """Mean and covariance by cell."""
        gaussian, cells = self.piece.gaussian, self.piece.hidden
        d = len(self.slots)
        mean = np.broadcast_to(gaussian.mean_of(theta), (*cells, d))
        covariance = np.broadcast_to(gaussian.covariance_of(theta), (*cells, d, d))
        first = np.where(self.applies, np.moveaxis(mean, -1, 0)[..., None], 0.0)
        second = np.where(self.applies, np.moveaxis(covariance, (-2, -1), (0, 1))[..., None], 0.0)
        constant = np.where(self.applies[0], gaussian.data.constant + 0.5 * d * LOG_2PI, 0.0)
        return Part(self.slots, first, second, {}, constant)

    def gradient(self, theta: Theta, v: Array, law: MultiplierLaw, weights: Array, out: Array) -> None:
        """Adds the score in mean and covariance: r, and (r r' - W)/2."""
        gaussian = self.piece.gaussian
        found = law.innovations(self.slots.tolist(), self.piece.sites)
        weights = np.where(self.applies[0], weights, 0.0)
        bend = 0.5 * (found.mean[:, None] * found.mean[None, :] - found.curvature)
        in_covariance = np.moveaxis((weights * bend).sum(axis=-1), (0, 1), (-2, -1))
        self._add(gaussian.covariance.parameter, gaussian.covariance.scatter(in_covariance), out)
        if gaussian.mean_name:
            in_mean = np.moveaxis((weights * found.mean).sum(axis=-1), 0, -1)
            self._add(gaussian.mean_name, gaussian.mean.scatter(in_mean), out)  # type: ignore[union-attr]

    def _add(self, name: str, slope: Array, out: Array) -> None:
        out[self.offsets[name] : self.offsets[name] + slope.size] += slope.ravel()


AnyLaw = ScalarLaw | VectorLaw | ResidualLaw


@dataclass(frozen=True)
class NormalLaws:
    """The laws of all hidden numbers of an integral, by name of their piece; `shape` is `(d, *cells, units)`, laws look
    back `lag` units at most.
    """

    laws: Mapping[str, AnyLaw]
    order: Mapping[Site, int]
    shape: tuple[int, ...]
    lag: int

    def at(self, theta: Theta, v: Array) -> Innovations:
        """All of them at one theta."""
        parts = [law.at(theta, v) for law in self.laws.values()]
        d, cells = self.shape[0], self.shape[1:-1]
        n = max(item.shape[-1] for part in parts for item in (part.mean, part.covariance, *part.ties.values()))
        mean, constant = np.zeros((d, *cells, n)), np.zeros((*cells, n))
        covariance = np.zeros((d, d, *cells, n))
        ties: list[Array | None] = [None] * (self.lag + 1)
        for part in parts:
            mean[part.slots] += part.mean
            covariance[np.ix_(part.slots, part.slots)] += part.covariance
            constant += part.constant
            for (name, element, back), tie in part.ties.items():
                found = ties[back]
                if found is None:
                    found = ties[back] = np.zeros((d, d, *cells, n))
                found[part.slots, self.order[name, element, 0]] += tie
        return Innovations(mean, covariance, tuple(ties), constant)


@dataclass(frozen=True)
class LawScore:
    """The score in the parameters of one law, at the vector `at` of all parameters, where the posterior was taken;
    `weights` `(*cells, units)`.
    """

    law: AnyLaw
    at: Array
    posterior: MultiplierLaw
    weights: Array

    def gradient(self, theta: Theta, v: Array, out: Array) -> None:
        """Adds it to `out`."""
        self.law.gradient(theta, v, self.posterior, self.weights, out)


#: Under this and the name of its piece the statistics keep the score of a law.
SCORE = "score of "


def exact_scores(statistics: Mapping[str, Any], v: Array) -> dict[str, LawScore]:
    """The scores among the statistics that were taken at v, by name of the piece."""
    return {
        name.removeprefix(SCORE): item
        for name, item in statistics.items()
        if isinstance(item, LawScore) and np.array_equal(item.at, v)
    }


def bind_laws(
    pieces: Sequence[Any], own_laws: Sequence[bool], order: Mapping[Site, int], shape: tuple[int, ...], lag: int,
    module: Any,
) -> NormalLaws | None:  # fmt: skip
    """The laws of the hidden numbers, where each has exactly one that is normal, by its mean and variance."""
    laws: dict[str, AnyLaw] = {}
    for piece, own in zip(pieces, own_laws, strict=True):
        if not own:
            continue
        law = _bind(piece, order, module)
        if law is None:
            return None
        laws[piece.name] = law
    seen: Any = 0
    for law in laws.values():
        marks = np.zeros((shape[0], *law.applies.shape[1:]), dtype=int)
        np.add.at(marks, law.slots, law.applies.astype(int))
        seen = seen + marks
    return NormalLaws(laws, order, shape, lag) if np.all(seen == 1) else None


def _bind(piece: Any, order: Mapping[Site, int], module: Any) -> AnyLaw | None:
    plain = piece.plain if isinstance(piece, MomentPiece) else piece
    if plain.rows.unit is not None or plain.rows.weights is not None:
        return None
    if isinstance(plain, VectorPiece):
        slots = np.array([order[name, element, 0] for name, element, _ in plain.sites])
        return VectorLaw(plain, slots, _applies(plain, len(slots)), plain.offsets)
    if isinstance(plain, ResidualPiece):
        slots = np.array([order[plain.sites[k][0], plain.sites[k][1], 0] for k in plain.own])
        return ResidualLaw(plain, slots, _applies(plain, len(slots)), plain.offsets)
    law = plain.bound.piece.law
    if law is None or type(plain) is not LatentPiece:
        return None
    item, binder = plain.bound, plain.binder
    evaluator = Evaluator(binder.model, binder.bound, level=item.level)
    elements = tuple(item.axes.sizes[name] for name in item.axes.elements)
    assert item.piece.target is not None
    own = sites_by_element(item.piece.target, plain, evaluator, elements, (), ())
    slots = np.array([order[plain.sites[k][0], plain.sites[k][1], 0] for k in own])
    if len(set(slots.tolist())) < len(slots):
        return None
    name = item.name
    slopes = (getattr(module, f"variance_slopes_{name}"), getattr(module, f"mean_slopes_{name}"))
    applies = _applies(plain, len(slots))
    return ScalarLaw(
        plain, getattr(module, f"law_{name}"), slopes, slots, applies, _has_parents(plain), binder.layout.offsets
    )


def _applies(plain: Any, count: int) -> NDArray[np.bool_]:
    """`(elements, *cells, rows or 1)`: where the law holds."""
    data, hidden = plain.bound.data, plain.hidden
    found = np.ones((count, *hidden, 1), dtype=bool)
    vector = isinstance(plain, VectorPiece | ResidualPiece)
    if data.outside is not None:
        inside = ~data.outside.reshape(*hidden, -1)
        found = found & np.moveaxis(inside, -1, 0)[..., None]
    if data.row_mask is not None:
        mask = data.row_mask.reshape(-1, data.rows)
        mask = np.broadcast_to(mask, (count, data.rows)) if vector else mask
        found = found & mask.reshape(count, *(1,) * len(hidden), data.rows)
    return found


def _has_parents(plain: LatentPiece) -> bool:
    """Whether the mean of a law looks at other hidden numbers than its own."""
    piece, model = plain.bound.piece, plain.binder.model
    assert piece.law is not None

    def looks(part: Any) -> bool:
        return any(True for _ in continuous_latents(part, model))

    hidden = {known.symbol for known in piece.knowns if known.value != piece.target and looks(known.value)}
    hidden |= {atom.symbol for atom in piece.atoms if looks(atom.terms)}
    return bool(hidden & names_in(piece.law.mean))
