"""Pieces that are quadratic in their columns: second moments are all that they need of data and posterior.

The rows of each unit are summed to moments once, when data are bound. At one theta the quadratic form is read off from
the log-density at a few points; an E-step then costs a few products for each unit, however many rows it has. The M-step
sees a few rows that have the moments of all: whatever is quadratic has the same sum over them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.ir.expressions import Apply, Binder, Expression, VariableRef
from emdsl.ir.latents import continuous_latents
from emdsl.plan.evaluation import Evaluator
from emdsl.plan.latent_pieces import LatentPiece
from emdsl.plan.named import ROW, Named
from emdsl.runtime.integrals.gaussian import sigma_points
from emdsl.runtime.integrals.points import PointWeights
from emdsl.runtime.integrals.quadratic import Quadratic
from emdsl.runtime.integrals.stencil import quadratic, stencil
from emdsl.runtime.pieces import PieceData
from emdsl.runtime.problem import Array, Theta

Codes = NDArray[np.intp]
#: Above this many moments for each row they would take more room than the rows are worth.
MOST_COLUMNS = 12
#: Where the terms of a sum are so large that their rounding is this share of the sum, it is taken row by row.
LOST, ROUNDING = 1e-11, 1e-16
#: The site of a column without hidden variable.
NONE = -1


@dataclass(frozen=True)
class Column:
    """What varies by row: `expression` at the elements `over` of its own sums. `data` `(elements, rows)`, standardised
    by `centre` and `scale` `(elements,)`; `site` `(elements,)` is the place among the piece's hidden numbers of the one
    that it is a multiple of, or NONE.
    """

    expression: Expression
    over: tuple[int, ...]
    data: Array
    centre: Array
    scale: Array
    site: Codes

    @property
    def shared(self) -> int | None:
        """The site, where it is the same for all elements."""
        return int(self.site[0]) if (self.site == self.site[0]).all() else None


@dataclass(frozen=True)
class MomentPiece:
    """A piece by moments. `plain` evaluates it by row; `moments` holds for each pair of columns (0 is the constant)
    their products summed in each unit, `(elements, units)`.
    """

    plain: LatentPiece
    columns: tuple[Column, ...]
    overs: dict[Expression, tuple[Binder, ...]]
    moments: dict[tuple[int, int], Array]

    @property
    def name(self) -> str:
        """The piece's name."""
        return self.plain.name

    @property
    def bound(self) -> Any:
        """The bound piece."""
        return self.plain.bound

    @property
    def sites(self) -> tuple[Any, ...]:
        """The hidden numbers that it looks at."""
        return self.plain.sites

    @property
    def rows(self) -> Any:
        """Its rows within units."""
        return self.plain.rows

    def summed(self, theta: Theta, v: Array, values: Array) -> Array:
        """By row, as any piece."""
        return self.plain.summed(theta, v, values)

    def statistics(self, values: Array, weights: Array) -> PointWeights:
        """By row, as any piece."""
        return self.plain.statistics(values, weights)

    # --- E-step -------------------------------------------------------------------------------------------------------

    def quadratic(self, theta: Theta, v: Array, centre: Array, spread: Array) -> Quadratic:
        """The log-density summed in each unit, a quadratic of the hidden numbers at `centre` `(q, *cells, units)`."""
        return self.by_moments(theta, v, centre, spread) or self.plain.quadratic(theta, v, centre, spread)

    def by_moments(self, theta: Theta, v: Array, centre: Array, spread: Array) -> Quadratic | None:
        """The same from moments alone; None where rounding would eat its digits."""
        form = self._form(theta, v, *self._cloud(centre, spread))
        value, size = np.zeros(centre.shape[1:]), 0.0
        gradient, hessian = np.zeros(centre.shape), np.zeros((len(centre), *centre.shape))
        for (i, j), moment in self.moments.items():
            for first, second, coefficient, total in self._by_site(i, j, form[i, j], moment):
                part = coefficient @ total * (1.0 if i == j else 2.0)
                if first == NONE and second == NONE:
                    value += part
                    size += float(np.abs(part).sum())
                elif first == NONE or second == NONE:
                    gradient[max(first, second)] += part
                    size += float(np.abs(part * centre[max(first, second)]).sum())
                else:
                    hessian[first, second] += part
                    hessian[second, first] += part
                    size += float(np.abs(part * centre[first] * centre[second]).sum())
        slope = gradient + np.einsum("ij...,j...->i...", hessian, centre)
        value = value + (gradient * centre).sum(axis=0) + 0.5 * (centre * (slope - gradient)).sum(axis=0)
        if not size * ROUNDING < LOST * (1.0 + abs(float(value.sum()))):
            return None
        return Quadratic(value, slope, hessian, by_row=False)

    def _by_site(self, i: int, j: int, coefficient: Array, moment: Array) -> Iterator[tuple[int, int, Array, Array]]:
        """The elements of a pair of columns, together where they have the same hidden numbers: sites, coefficients
        `(*cells, elements)`, moments `(elements, units)`.
        """
        first, second = self.site(i), self.site(j)
        pairs = np.stack([np.broadcast_to(first, moment.shape[:1]), np.broadcast_to(second, moment.shape[:1])])
        if (pairs == pairs[:, :1]).all():
            yield int(pairs[0, 0]), int(pairs[1, 0]), coefficient, moment
            return
        for element in range(len(moment)):
            some = slice(element, element + 1)
            yield int(pairs[0, element]), int(pairs[1, element]), coefficient[..., some], moment[some]

    def site(self, i: int) -> Codes:
        """The hidden numbers of a column by element, NONE where it has none; column 0 is the constant."""
        return np.array([NONE]) if i == 0 else self.columns[i - 1].site

    def _cloud(self, centre: Array, spread: Array) -> tuple[Array, Array]:
        """Where the columns lie, hidden numbers at `centre`: middle and width `(columns, elements)`, in their standard
        units.
        """
        middle = np.zeros((len(self.columns), len(self.moments[0, 0])))
        width = np.ones_like(middle)
        cells = tuple(range(1, centre.ndim - 1))
        total = np.maximum(self.moments[0, 0].sum(axis=-1), 1e-300)
        mean = centre.mean(axis=cells)
        square = (centre**2 + spread**2).mean(axis=cells)
        for j, column in enumerate(self.columns):
            for e in np.flatnonzero(column.site != NONE):
                site = column.site[e]
                middle[j, e] = float(self.moments[0, j + 1][e] @ mean[site]) / total[e]
                bend = float(self.moments[j + 1, j + 1][e] @ square[site]) / total[e] - middle[j, e] ** 2
                width[j, e] = np.sqrt(bend) if bend > 1e-12 * middle[j, e] ** 2 and bend > 0 else 1.0
        return middle, width

    def _form(self, theta: Theta, v: Array, middle: Array, width: Array) -> Array:
        """The quadratic form in the standardised columns: `(1 + columns, 1 + columns, *cells, elements)`.

        It is taken where the columns lie, `middle` and `width`: elsewhere differences would lose digits.
        """
        k = len(self.columns)
        data = self._at(middle[:, :, None] + width[:, :, None] * stencil(k).T[:, None, :])
        piece = self.plain
        cells = data.hidden[:-1]
        values = np.broadcast_to(piece.density(theta, v, data), (*data.cells, data.rows))
        if data.outside is not None:
            values = np.where(data.outside[..., None], 0.0, values)
        values = values.reshape(*cells, -1, data.rows, 1)
        value, gradient, hessian = quadratic(values, np.ones((k, *values.shape[:-2], 1)))
        form = np.empty((k + 1, k + 1, *values.shape[:-2]))
        form[0, 0] = value[..., 0]
        form[0, 1:] = form[1:, 0] = 0.5 * gradient[..., 0]
        form[1:, 1:] = 0.5 * hessian[..., 0]
        # From the columns (x - middle) / width to the columns x.
        change = np.zeros((k + 1, k + 1, middle.shape[1]))
        change[0, 0] = 1.0
        for j in range(k):
            change[j + 1, j + 1] = 1.0 / width[j]
            change[j + 1, 0] = -middle[j] / width[j]
        return np.asarray(np.einsum("aie,ab...e,bje->ij...e", change, form, change))

    def _at(self, standardised: Array) -> PieceData:
        """The piece at rows of columns `(columns, *cells, elements or 1, rows)` in standard units."""
        bound = self.bound
        elements = tuple(bound.axes.sizes[name] for name in bound.axes.elements)
        hidden = bound.axes.hidden
        lead = (1,) * (len(hidden) - (standardised.ndim - 3)) if standardised.ndim == 3 else ()
        points: dict[Any, Named] = {}
        grouped: dict[Expression, list[Array]] = {}
        for column, values in zip(self.columns, standardised, strict=True):
            full = column.centre[:, None] + column.scale[:, None] * values
            cells = full.shape[:-2] if standardised.ndim > 3 else ()
            shape = (*cells, *(lead or (1,)), *elements, full.shape[-1])
            grouped.setdefault(column.expression, []).append(full.reshape(shape))
        for expression, arrays in grouped.items():
            overs = self.overs[expression]
            if not overs:
                points[expression] = Named((*hidden, *bound.axes.elements, ROW), arrays[0])
                continue
            sizes = [len(self.plain.binder.bound.indexes[binder.index_set]) for binder in overs]
            stacked = np.stack(arrays).reshape(*sizes, *arrays[0].shape)
            names = (*(binder.name for binder in overs), *hidden, *bound.axes.elements, ROW)
            points[expression] = Named(names, stacked)
        return self.plain.binder.at_columns(bound, points, self.plain.hidden, standardised.shape[-1])

    # --- M-step -------------------------------------------------------------------------------------------------------

    def posterior(self, mean: Array, covariance: Array, weights: Array, *, by_row: bool) -> PointWeights:
        """Rows with the moments of all rows and the posterior `mean` `(q, *cells, units)`, `covariance` `(q, q, *cells,
        units)`; `weights` `(*cells, units)`.
        """
        if by_row:
            return self.plain.posterior(mean, covariance, weights, by_row=True)
        k = len(self.columns)
        cells = weights.shape[:-1]
        elements = len(self.moments[0, 0])
        pooled = np.zeros((k + 1, k + 1, *cells, elements))
        for (i, j), moment in self.moments.items():
            total = self._pooled(i, j, moment, mean, covariance, weights)
            pooled[i, j] = pooled[j, i] = total
        count = pooled[0, 0]
        safe = np.where(count > 0, count, 1.0)
        first = pooled[0, 1:] / safe
        second = pooled[1:, 1:] / safe - first[:, None] * first[None, :]
        points = np.moveaxis(sigma_points(first, second), -2, -1)  # (columns, *cells, elements, rows)
        data = self._at(points)
        share = np.broadcast_to((count / points.shape[-1])[..., None], points.shape[1:])
        mask = share.reshape(*cells, 1, *data.elements, points.shape[-1])
        data = replace(data, row_mask=mask)
        return PointWeights(np.ones((*data.hidden, data.rows)), data)

    def _pooled(
        self, i: int, j: int, moment: Array, mean: Array, covariance: Array, weights: Array
    ) -> Array:  # fmt: skip
        """The sum over units of a pair's moments under the posterior: `(*cells, elements)`."""
        parts = []
        for first, second, _, total in self._by_site(i, j, np.ones((1, len(moment))), moment):
            expected = weights
            if first != NONE and second != NONE:
                expected = weights * (covariance[first, second] + mean[first] * mean[second])
            elif first != NONE or second != NONE:
                expected = weights * mean[max(first, second)]
            parts.append(expected @ total.T)
        return np.concatenate(parts, axis=-1)


def moment_piece(plain: LatentPiece) -> MomentPiece | LatentPiece:
    """The piece by moments where it is quadratic in a few columns, and neither a parameter nor one of the hidden
    numbers of a unit is chosen by row; else as it is.
    """
    item = plain.bound
    chosen_by_row = any(place is None and (slot is not None and slot.by_row) for place, slot in _places(plain))
    if not item.piece.quadratic or chosen_by_row or item.piece.form != "rows" or _chooses(plain):
        return plain
    found = list(_columns(plain))
    if not found or len(found) > MOST_COLUMNS:
        return plain
    overs = {column.expression: over for column, over in found}
    columns = tuple(column for column, _ in found)
    return MomentPiece(plain, columns, overs, _moments(plain, columns))


def _chooses(plain: LatentPiece) -> bool:
    """Whether the data of a row choose among several hidden numbers that it looks at."""
    binder = plain.binder
    evaluator = Evaluator(binder.model, binder.bound, level=plain.bound.level)
    own = {site[1] for site in plain.sites}
    return any(
        reference not in own and any(ROW in evaluator.code(index).axes for index in reference.indices)
        for reference in continuous_latents(_looked_at(plain), binder.model)
    )


def _looked_at(plain: LatentPiece) -> Any:
    piece = plain.bound.piece
    return piece.knowns, tuple(atom.terms for atom in piece.atoms)


def _places(plain: LatentPiece) -> Iterator[tuple[Any, Any]]:
    return zip(plain.bound.data.addresses, plain.bound.data.slots, strict=True)


def _columns(plain: LatentPiece) -> Iterator[tuple[Column, tuple[Binder, ...]]]:
    piece, binder = plain.bound.piece, plain.binder
    wanted: dict[Expression, tuple[Binder, ...]] = {known.value: () for known in piece.knowns if known.by_row}
    for atom in piece.atoms:
        for term in atom.terms:
            if term.coefficient is not None and binder.by_row(term.coefficient):
                wanted[term.coefficient] = term.over
    for expression, over in wanted.items():
        sizes = [len(binder.bound.indexes[item.index_set]) for item in over]
        for place in product(*(range(size) for size in sizes)):
            yield _column(plain, expression, over, place), over


def _column(plain: LatentPiece, expression: Expression, over: tuple[Binder, ...], place: tuple[int, ...]) -> Column:
    item, binder = plain.bound, plain.binder
    evaluator = Evaluator(binder.model, binder.bound, level=item.level)
    elements = tuple(item.axes.sizes[name] for name in item.axes.elements)
    rows = item.data.rows
    reference, factor = _parts(expression, binder)
    if factor is None:
        data = np.ones((*elements, rows))
    else:
        names = (*item.axes.elements, *(b.name for b in over), ROW)
        table = evaluator.value(factor).aligned(names)
        sizes = tuple(len(binder.bound.indexes[b.index_set]) for b in over)
        full = np.broadcast_to(table, (*elements, *sizes, rows))
        chosen: Any = (*(slice(None),) * len(elements), *place)
        data = full[chosen]
    data = np.nan_to_num(np.asarray(data, dtype=np.float64).reshape(-1, rows), nan=0.0)
    weight = _weight(plain)
    total = np.maximum(weight.sum(axis=-1), 1e-300)
    centre = np.zeros(len(data)) if reference is not None else (weight * data).sum(axis=-1) / total
    scale = np.sqrt((weight * (data - centre[:, None]) ** 2).sum(axis=-1) / total)
    scale = np.where(scale > 0, scale, 1.0)
    site = np.full(len(data), NONE)
    if reference is not None:
        site = sites_by_element(reference, plain, evaluator, elements, over, place)
    return Column(expression, place, (data - centre[:, None]) / scale[:, None], centre, scale, site)


def _parts(expression: Expression, binder: Any) -> tuple[VariableRef | None, Expression | None]:
    """The hidden variable of a column, and what it is multiplied by (None: 1)."""

    def hidden(part: Any) -> bool:
        return isinstance(part, VariableRef) and any(True for _ in continuous_latents(part, binder.model))

    if hidden(expression):
        return expression, None  # type: ignore[return-value]
    if isinstance(expression, Apply) and expression.op == "*":
        for one, other in (expression.args, expression.args[::-1]):
            if hidden(one):
                return one, other  # type: ignore[return-value]
    return None, expression


def sites_by_element(
    reference: VariableRef, plain: LatentPiece, evaluator: Evaluator, elements: tuple[int, ...],
    over: tuple[Binder, ...], place: tuple[int, ...],
) -> Codes:  # fmt: skip
    """The place among the piece's hidden numbers of a reference, for each element."""
    count = int(np.prod(elements))
    for number, site in enumerate(plain.sites):
        if site[1] == reference:
            return np.full(count, number)
    names = (*plain.bound.axes.elements, *(b.name for b in over))
    sizes = tuple(len(plain.binder.bound.indexes[b.index_set]) for b in over)
    codes = []
    for index in reference.indices:
        table = np.broadcast_to(evaluator.code(index).aligned(names), (*elements, *sizes))
        chosen: Any = (*(slice(None),) * len(elements), *place)
        codes.append(table[chosen].reshape(-1))
    keys = [(site[0], site[1], site[2]) for site in plain.sites]
    return np.array(
        [keys.index((reference.name, tuple(int(c[e]) for c in codes), reference.lag)) for e in range(count)]
    )


def _weight(plain: LatentPiece) -> Array:
    """`(elements, rows)`: the weight of each row within its unit, 0 where the piece does not apply."""
    data = plain.bound.data
    full = np.ones((*data.elements, data.rows))
    if data.row_mask is not None:
        full = full * data.row_mask
    if plain.rows.weights is not None:
        full = full * plain.rows.weights
    return full.reshape(-1, data.rows)


def _moments(plain: LatentPiece, columns: tuple[Column, ...]) -> dict[tuple[int, int], Array]:
    weight = _weight(plain)
    data = [np.ones_like(weight), *(column.data for column in columns)]
    unweighted = replace(plain.rows, weights=None)
    return {
        (i, j): unweighted.summed(weight * data[i] * data[j])
        for i, j in combinations_with_replacement(range(len(data)), 2)
    }
