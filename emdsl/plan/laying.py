"""Where the nodes of hidden numbers are laid: over the range that their posterior occupies, so finely that it tells.

At given parameters the range is moved and widened until next to nothing of the posterior lies at its ends, and narrowed
to what is occupied; then there are more nodes until the log-likelihood stays where it is (Kitagawa 1987 lays such nodes
by hand).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emdsl.data.bound import Bound
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.derivation import Derivation
from emdsl.plan.grids import FIRST_INTERVALS, SCALES, Scale, range_of
from emdsl.plan.program import Program
from emdsl.runtime.problem import Array, Theta

#: Expected units beyond the range that are negligible, and that a range is narrowed to.
AT_THE_ENDS, OCCUPIED = 1e-9, 1e-12
#: A range is narrowed where this share of it would do, with this share of what is occupied on either side.
WIDE, MARGIN = 0.7, 0.1
#: Rounds of moving and narrowing at most.
MOST_ROUNDS = 60
#: What half as many nodes again may move the log-likelihood by.
STILL = 2e-8
#: … and where there cannot be so many: the error of the sum falls far faster than by what more nodes move it.
ENOUGH = 1e-5
#: The most intervals between nodes.
MOST_INTERVALS = 1500
#: … and while starts are run.
MOST_SEARCHED = 200
#: The ends of a range and the intervals between its nodes.
Laid = tuple[float, float, int]


@dataclass(frozen=True)
class Held:
    """The log-likelihood and, for each laid number, the expected units at its nodes."""

    loglik: float
    units: Mapping[str, Array]


def laid_names(derivation: Derivation) -> tuple[str, ...]:
    """The hidden numbers whose nodes are laid."""
    return tuple(item.latents[0] for item in derivation.integrals if item.placing == "laid")


def with_laid_nodes(derivation: Derivation, bound: Bound, theta: Theta, *, finely: bool = True) -> Bound:
    """The data with nodes laid for these parameters. `finely`: so many that more of them would change nothing; else as
    many as there were.

    Raises `too-fine` where no number of nodes that can be had suffices.
    """
    if not laid_names(derivation):
        return bound
    bound = _in_place(derivation, replace(bound, nodes=1), theta)
    return _fine_enough(derivation, bound, theta) if finely else bound


def stand(derivation: Derivation, bound: Bound, theta: Theta) -> bool:
    """Whether the nodes are where these parameters want them, and enough."""
    if _in_place(derivation, bound, theta).laid != bound.laid:
        return False
    finer = _finer(derivation, bound)
    if finer is None:
        return False
    moved = held_at(derivation, finer, theta).loglik - held_at(derivation, bound, theta).loglik
    return bool(abs(moved) <= STILL)


def held_at(derivation: Derivation, bound: Bound, theta: Theta) -> Held:
    """How the posterior is spread over the nodes."""
    program = Program(derivation, bound)
    loglik, statistics = program.expect(theta)
    return Held(float(loglik), {name: _units(name, program, statistics) for name in laid_names(derivation)})


def _units(name: str, program: Program, statistics: Mapping[str, Any]) -> Array:
    """Expected units at each node, from the statistics of the number's own laws."""
    total: Any = 0.0
    for item in program.pieces.values():
        piece = item.piece
        if piece.target is None or piece.target.name != name or name not in item.axes.hidden:
            continue
        values = statistics[piece.name]
        if piece.form == "separable":
            constant = next((j for j, term in enumerate(piece.terms) if term.statistic == "1"), None)
            if constant is None:
                continue
            values = values[..., constant]
        axis = item.axes.hidden.index(name)
        total = total + values.sum(axis=tuple(k for k in range(values.ndim) if k != axis))
    return np.asarray(total)


# --- the range --------------------------------------------------------------------------------------------------------


def _in_place(derivation: Derivation, bound: Bound, theta: Theta) -> Bound:
    ranges = {name: range_of(name, bound) for name in laid_names(derivation)}
    scales = {name: SCALES[derivation.model.variable(name).domain.kind] for name in ranges}
    widened: set[str] = set()
    for _ in range(MOST_ROUNDS):
        bound = replace(bound, laid=dict(ranges))
        found = held_at(derivation, bound, theta)
        moved = {
            name: _wider(ranges[name], found.units[name], scales[name])
            or _narrower(ranges[name], found.units[name], name in widened)
            for name in ranges
        }
        if moved == ranges:
            break
        widened |= {name for name in ranges if _width(moved[name]) > _width(ranges[name])}
        ranges = moved
    # What was widened by doubling is wide of the mark by up to a factor of 2.
    return replace(bound, laid={n: _narrower(ranges[n], found.units[n], False) for n in ranges})


def _width(item: Laid) -> float:
    return item[1] - item[0]


def _wider(item: Laid, units: Array, scale: Scale) -> Laid | None:
    """The range wider at an end that is occupied, None where none is."""
    low, high, intervals = item
    if not np.isfinite(units).all():
        return None
    more = 0.5 * _width(item)
    down = max(low - more, scale.least) if _occupied(units[:2]) else low
    up = min(high + more, scale.most) if _occupied(units[-2:]) else high
    return (down, up, intervals) if (down, up) != (low, high) else None


def _occupied(units: Array) -> bool:
    return bool(units.sum() > AT_THE_ENDS)


def _narrower(item: Laid, units: Array, widened: bool) -> Laid:
    """The range narrowed to what is occupied, where that is far less; of one that had to be widened by more."""
    low, high, intervals = item
    step = _width(item) / intervals
    held = np.flatnonzero((np.cumsum(units) > OCCUPIED) & (np.cumsum(units[::-1])[::-1] > OCCUPIED))
    if not len(held) or not np.isfinite(units).all():
        return item
    first, last = low + step * float(held[0]), low + step * float(held[-1])
    margin = max(2 * step, MARGIN * (last - first))
    first, last = max(low, first - margin), min(high, last + margin)
    share = (last - first) / _width(item)
    return (first, last, intervals) if share < (1 / 3 if widened else WIDE) else item


# --- the number of nodes ----------------------------------------------------------------------------------------------


def _fine_enough(derivation: Derivation, bound: Bound, theta: Theta) -> Bound:
    found = held_at(derivation, bound, theta)
    for name, units in found.units.items():
        if _occupied(units[:1]) or _occupied(units[-1:]):
            raise EmmError(
                "beyond-nodes", f"the posterior of `{name}` reaches beyond all nodes: it comes closer to the end of "
                "its domain than numbers can be told apart",
                help="give starting values nearer to the estimates (--init), or another law",
            )  # fmt: skip
    while True:
        finer = _finer(derivation, bound)
        if finer is None:
            raise _too_fine(derivation, bound)
        after = held_at(derivation, finer, theta)
        if abs(after.loglik - found.loglik) <= STILL:
            # The time of a chain goes with the square of its nodes, that of anything else with the nodes.
            return bound if any(integral.lag for integral in derivation.integrals) else finer
        bound, found = finer, after


def _finer(derivation: Derivation, bound: Bound) -> Bound | None:
    """Half as many nodes again, None where that is more than can be had."""
    ranges = {name: range_of(name, bound) for name in laid_names(derivation)}
    more = {name: (low, high, (3 * intervals) // 2) for name, (low, high, intervals) in ranges.items()}
    if max(intervals for _, _, intervals in more.values()) > MOST_INTERVALS:
        return None
    return replace(bound, laid=more)


def on_most_nodes(derivation: Derivation, bound: Bound, theta: Theta) -> tuple[Bound, float, float] | None:
    """For parameters that want more nodes than can be had, as those at a boundary may where a law shrinks to a point:
    the most nodes, the log-likelihood on them, and by how much they move it. None where they do not suffice either.
    """
    bound = _in_place(derivation, bound, theta)
    finer = _finer(derivation, bound)
    while finer is not None:
        before, bound, finer = bound, finer, _finer(derivation, finer)
    loglik = held_at(derivation, bound, theta).loglik
    moved = abs(loglik - held_at(derivation, before, theta).loglik)
    return (bound, loglik, moved) if moved <= ENOUGH else None


def doubled(derivation: Derivation, bound: Bound) -> Bound | None:
    """Twice as many intervals, None where that is more than starts are run on."""
    ranges = {name: range_of(name, bound) for name in laid_names(derivation)}
    more = {name: (low, high, 2 * intervals) for name, (low, high, intervals) in ranges.items()}
    return replace(bound, laid=more) if max(i for _, _, i in more.values()) <= MOST_SEARCHED else None


def as_fine(derivation: Derivation, bound: Bound, theta: Theta) -> Bound:
    """The range that these parameters take, its nodes as far apart as they are."""
    apart = {n: _width(range_of(n, bound)) / range_of(n, bound)[2] for n in laid_names(derivation)}
    moved = _in_place(derivation, bound, theta)
    ranges = {name: range_of(name, moved) for name in apart}
    few = {n: max(FIRST_INTERVALS, int(np.ceil(_width(item) / apart[n]))) for n, item in ranges.items()}
    return replace(moved, laid={name: (low, high, few[name]) for name, (low, high, _) in ranges.items()})


def afresh(derivation: Derivation, bound: Bound) -> Bound:
    """The ranges as they are, with as few nodes as to begin with."""
    ranges = {name: range_of(name, bound) for name in laid_names(derivation)}
    return replace(bound, laid={name: (low, high, FIRST_INTERVALS) for name, (low, high, _) in ranges.items()})


def _too_fine(derivation: Derivation, bound: Bound) -> EmmError:
    names = ", ".join(f"`{name}`" for name in laid_names(derivation))
    ranges = "; ".join(
        f"{low:.6g} to {high:.6g}, {(high - low) / n:.2g} apart"
        for low, high, n in (range_of(name, bound) for name in laid_names(derivation))
    )
    return EmmError(
        "too-fine",
        f"more than {MOST_INTERVALS:,} nodes of {names} would be needed: some law that looks at it is far narrower "
        f"than the range in which it may lie (nodes at {ranges})",
        help="give starting values nearer to the estimates (--init), or leave a number out that hardly varies",
    )
