"""Observed numbers with open cells that other laws look at: which they are, and the units that integrals are over.

What is hidden in a unit is known when data are bound. Units without open cells keep the pieces and integrals of
complete data; in the others the hidden numbers of a unit, or of a stretch of a chain between known values, are
integrated out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from emdsl.data.bound import Bound, Share, Values
from emdsl.data.shares import share_of
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.derivation import Derivation, Integral, Piece
from emdsl.ir.model import Model, Variable
from emdsl.ir.open_cells import mask_name, without_cells
from emdsl.plan.cell_limits import Numbers, numbers_of
from emdsl.plan.copies import with_pieces
from emdsl.plan.open_cells import looked_at
from emdsl.plan.openness import open_cells, open_units
from emdsl.plan.unit_quadrature import MOST_VARIABLES

Codes = NDArray[np.intp]
Flags = NDArray[np.bool_]
#: What the hidden numbers of one unit may be, in order; MANY where they are more than nodes are for.
Kinds = tuple[str, ...]
MANY = ("many",)
#: Numbers of one unit, and of those inside it, that are drawn together.
MOST_TOGETHER = 12


def looked_at_numbers(derivation: Derivation) -> tuple[str, ...]:
    """The observed numbers that something other than their own law looks at."""
    numbers = [v.name for v in derivation.model.variables if v.kind == "observed" and v.values is None]
    seen = looked_at(derivation) if numbers else set()
    return tuple(name for name in numbers if name in seen)


def open_numbers(derivation: Derivation, bound: Bound) -> tuple[str, ...]:
    """Those of them that have open cells."""
    model = derivation.model
    found = [v.name for v in model.variables if v.kind == "observed" and v.values is None and v.name in bound.values]
    gaps = [name for name in found if open_cells(model.variable(name), model, bound).any()]
    if not gaps:
        return ()
    looked = looked_at_numbers(derivation)
    return tuple(name for name in gaps if name in looked)


def with_open_numbers(derivation: Derivation, bound: Bound) -> tuple[Derivation, Bound]:
    """The derivation and the data with the units of each integral of open cells, one for each way in which it is taken,
    and without those that have no units.
    """
    if not derivation.open:
        return derivation, bound
    model = derivation.model
    values = dict(bound.values)
    for name in derivation.open:
        variable = model.variable(name)
        _check_first_units(variable, model, bound)
        values[mask_name(name)] = Values(open_cells(variable, model, bound).astype(np.float64))
    bound = replace(bound, values=values)
    parts = [
        [(integral, None)] if integral.open is None else list(_parts(integral, model, bound))
        for integral in derivation.integrals
    ]
    copies: dict[str, Sequence[Piece]] = {
        name: (derivation.piece(name),) * len(own)
        for integral, own in zip(derivation.integrals, parts, strict=True)
        for name in integral.pieces
    }
    derivation = with_pieces(derivation, copies)
    integrals: list[Integral] = []
    shares: dict[str, Share] = {}
    for integral, own in zip(derivation.integrals, parts, strict=True):
        for number, (part, share) in enumerate(own):
            group = "" if share is None else f"{','.join(integral.latents)} {len(shares)}"
            if share is not None:
                shares[group] = share
            integrals.append(replace(part, group=group, pieces=integral.pieces[number :: len(own)]))
    derivation = replace(derivation, integrals=tuple(integrals), open=())
    return derivation, replace(bound, shares=shares)


def _check_first_units(variable: Variable, model: Model, bound: Bound) -> None:
    """Where a chain has no law for its first units, which it conditions on, these must be known."""
    own = [f for f in model.factors if f.target is not None and f.target.name == variable.name]
    if not own or any(factor.when != "after" for factor in own):
        return
    lag = max(factor.lag for factor in own)
    level = bound.levels[bound.level_of(variable.plate)]
    if open_cells(variable, model, bound)[..., level.position() < lag].any():
        raise EmmError(
            "missing-cell",
            f"the first cells of a chain of `{variable.name}` are conditioned on, so they may not be empty or a bound",
            help=f"give the first unit a law: observed {variable.name} ~ D1 first, D2 after",
        )


# --- units ------------------------------------------------------------------------------------------------------------


def _parts(integral: Integral, model: Model, bound: Bound) -> Iterator[tuple[Integral, Share | None]]:
    """The integral over each group of units in which it is taken in one way; a share of None is the whole data set."""
    where = integral.open
    assert where is not None
    units = open_units(where, model, bound)
    plates = {model.variable(name).plate for name in integral.latents}
    if where.plate is None and (not integral.lag or len(plates) > 1):
        if units[0] == where.hidden:
            if where.hidden:
                _check_free(integral, model, bound)
            yield integral, None
        return
    place = {level.plate: number for number, level in enumerate(bound.levels)}
    chosen = np.flatnonzero(units == where.hidden)
    if not len(chosen):
        return
    alone = all(model.variable(name).cell_of for name in integral.latents)
    home = place[where.plate]
    if not integral.lag:
        share = Share(home, chosen, bound.levels[home].parent[chosen])
    elif not (where.hidden and alone):
        share = _whole_chains(chosen, home + 1, bound)
    else:
        share = _stretches(integral, model, bound, home + 1)
    if not where.hidden:
        yield integral, share
        return
    yield from _by_kind(integral, share, model, bound)


def _whole_chains(chains: Codes, level: int, bound: Bound) -> Share:
    starts = bound.levels[level].starts
    units = [np.arange(starts[chain], starts[chain + 1]) for chain in chains]
    offsets = np.concatenate([[0], np.cumsum([len(own) for own in units])])
    return Share(level, np.concatenate(units).astype(np.intp), chains, offsets.astype(np.intp))


def _stretches(integral: Integral, model: Model, bound: Bound, level: int) -> Share:
    """The stretches of chains that hidden numbers reach into: with the units whose laws look back at these, and those
    that the laws look back at. Between stretches lie known values, so that nothing ties them together.
    """
    own, lag = bound.levels[level], integral.lag
    steps = np.unique(numbers_of(integral.latents, model, bound, level - 1).unit)
    chain = own.parent[steps]
    new = np.ones(len(steps), dtype=bool)
    new[1:] = (chain[1:] != chain[:-1]) | (np.diff(steps) > lag)
    first, last = steps[new], steps[np.append(new[1:], True)]
    owner = chain[new]
    begin, end = np.maximum(first - lag, own.starts[owner]), np.minimum(last + lag + 1, own.starts[owner + 1])
    units = [np.arange(low, high) for low, high in zip(begin, end, strict=True)]
    starts = np.concatenate([[0], np.cumsum(end - begin)]).astype(np.intp)
    return Share(level, np.concatenate(units).astype(np.intp), owner, starts)


@dataclass(frozen=True)
class _Kept:
    """Some of the units of a share, or of its stretches."""

    share: Share

    @property
    def count(self) -> int:
        return len(self.share.owner)

    def places(self, number: int) -> Codes:
        """Where the units of one stand among those of the share."""
        starts = self.share.starts
        return np.array([number]) if starts is None else np.arange(starts[number], starts[number + 1])

    def some(self, chosen: Flags) -> Share:
        if chosen.all():
            return self.share
        numbers = np.flatnonzero(chosen).tolist()
        places = [self.places(number) for number in numbers]
        starts = None
        if self.share.starts is not None:
            starts = np.concatenate([[0], np.cumsum([len(own) for own in places])]).astype(np.intp)
        return Share(self.share.level, self.share.units[np.concatenate(places)], self.share.owner[numbers], starts)


def _by_kind(integral: Integral, share: Share, model: Model, bound: Bound) -> Iterator[tuple[Integral, Share]]:
    """The units, or stretches, by the way in which their integral is taken."""
    kept = _Kept(share)
    home = share.level if share.starts is None else share.level - 1
    numbers = numbers_of(integral.latents, model, share_of(model, bound, share), home)
    left = np.ones(kept.count, dtype=bool)
    if integral.method in ("gaussian", "kernel", "monte-carlo"):
        left = np.bincount(numbers.owner, weights=numbers.cut, minlength=kept.count) > 0
        if not left.all():
            yield integral, kept.some(~left)
    kinds = _kinds(numbers, kept.count)
    for own in sorted({kind for kind, wanted in zip(kinds, left, strict=True) if wanted}, key=lambda k: (len(k), k)):
        chosen = np.array([kind == own and wanted for kind, wanted in zip(kinds, left, strict=True)])
        yield _taken(integral, own, _Chosen(numbers, chosen), model), kept.some(chosen)


def _kinds(numbers: Numbers, count: int) -> list[Kinds]:
    """Of the hidden numbers of each unit."""
    starts = np.searchsorted(numbers.owner, np.arange(count + 1))
    parts = [tuple(str(kind) for kind in numbers.kind[a:b]) for a, b in pairwise(starts)]
    return [kinds if len(kinds) <= MOST_VARIABLES else MANY for kinds in parts]


@dataclass(frozen=True)
class _Chosen:
    """The hidden numbers of some units."""

    numbers: Numbers
    units: Flags

    @property
    def most(self) -> int:
        """The most hidden numbers of one unit."""
        return int(np.bincount(self.numbers.owner)[np.flatnonzero(self.units)].max())

    @property
    def real(self) -> bool:
        """Whether all are real numbers without bounds."""
        return bool((self.numbers.kind[self.units[self.numbers.owner]] == "real").all())


def _taken(integral: Integral, kinds: Kinds, chosen: _Chosen, model: Model) -> Integral:
    """The integral over as many numbers of these kinds. Raises where there is no way to take it."""
    names = ", ".join(f"`{without_cells(name)}`" for name in integral.latents)
    if kinds == MANY:
        nested = len({model.variable(name).plate for name in integral.latents}) > 1
        if chosen.real and not (nested and chosen.most > MOST_TOGETHER):
            return replace(integral, method="monte-carlo", kernel="", basis=())
        what = f"draws are made of at most {MOST_TOGETHER} numbers of a unit and those inside it" if chosen.real else (
            "draws are made of real numbers without bounds alone"
        )  # fmt: skip
        raise EmmError(
            "not-supported-yet",
            f"open cells leave {chosen.most} hidden numbers {names} to one unit, which have no closed integral: nodes "
            f"are for at most {MOST_VARIABLES}, and {what}",
        )
    if "whole" in kinds and len(kinds) > 1:
        raise EmmError(
            "not-supported-yet",
            f"open cells leave a hidden count and {len(kinds) - 1} more hidden ({names}) to one unit, and laws look at "
            "them together: this has no plan yet",
        )
    if integral.method == "gaussian" and kinds in (("above",), ("below",)):
        return replace(integral, cut=True)
    return replace(integral, method="sum" if kinds == ("whole",) else "quadrature", kernel="", basis=())


def _check_free(integral: Integral, model: Model, bound: Bound) -> None:
    """Hidden numbers across the whole data set are integrated without bounds."""
    for name in integral.latents:
        if numbers_of((name,), model, bound, 0).cut.any():
            raise EmmError(
                "not-supported-yet",
                f"`{model.variable(name).cell_of or name}` has cells that hold bounds, and is tied to hidden numbers "
                "across the whole data set: this has no plan yet",
            )
