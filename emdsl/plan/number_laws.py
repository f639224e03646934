"""The joint posterior of the hidden numbers that a statement looks at, for each unit of its plate.

Whatever an integral is taken by, what it says is one of two things: a normal law, or points with shares. Of a conjugate
kernel, and of one number by quadrature, the points are those of a fine line over the posterior itself, on which the
trapezoidal rule holds for any smooth function (Trefethen and Weideman 2014); the few points that the M-step takes would
give right means of the kernel's functions alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.data.bound import Bound
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.expressions import VariableRef
from emdsl.ir.model import Model
from emdsl.plan.crossed import Place
from emdsl.plan.crossed_layout import Layout
from emdsl.plan.evaluation import Evaluator
from emdsl.plan.gaussian_method import GaussianEvidence, GaussianMethod
from emdsl.plan.integral_pieces import order_of
from emdsl.plan.integrals import BoundIntegral, Evidence
from emdsl.plan.latent_pieces import drawn
from emdsl.plan.monte_carlo import MonteCarlo, SampledEvidence
from emdsl.plan.named import POINT, ROW, Named
from emdsl.plan.path_laws import path_points
from emdsl.plan.switching import SwitchingChain, SwitchingEvidence
from emdsl.plan.unit_kernel import KernelEvidence
from emdsl.plan.unit_quadrature import PointEvidence, QuadratureUnits
from emdsl.plan.unit_shares import ShareEvidence
from emdsl.runtime.integrals.gaussian import covariance_root
from emdsl.runtime.integrals.interval_ties import IntervalLaw, IntervalTies
from emdsl.runtime.problem import Array, Theta

Codes = NDArray[np.intp]
#: Points of a line over the posterior of one number, times `Bound.nodes`.
LINE_POINTS = 48
#: Half the width of a grid over numbers beside one on an interval, in standard deviations, and its points along each,
#: times `Bound.nodes`; and the most numbers that all points may come to.
GRID_REACH, GRID_POINTS, MOST_POINTS = 8.5, 12, 1 << 26


@dataclass(frozen=True)
class NumberLaw:
    """The posterior of some hidden numbers in each cell of the finite variables `axes`, by unit.

    `sites` say which number each slot is. A normal law has `mean` `(slots, *cells, units)` and `covariance` `(slots,
    slots, *cells, units)`; any other `points` `(slots, *cells, points, units)` with `shares` `(*cells, points, units)`
    that sum to 1. `simulated`: the points are random draws. `apart`: they are right for every number by itself, not for
    functions of several.
    """

    sites: tuple[Any, ...]
    axes: tuple[str, ...]
    mean: Array | None = None
    covariance: Array | None = None
    points: Array | None = None
    shares: Array | None = None
    simulated: bool = False
    apart: bool = False

    def of(self, units: Codes) -> NumberLaw:
        """The law for some units."""
        arrays = ("mean", "covariance", "points", "shares")
        chosen = {name: getattr(self, name) for name in arrays if getattr(self, name) is not None}
        return replace(self, **{name: array[..., units] for name, array in chosen.items()})

    def named(self, values: Array) -> dict[Any, Named]:
        """`values` `(slots, *cells, points, units)` as an evaluator takes them."""
        return drawn(self.sites, values, (*self.axes, POINT))


def number_law(
    integral: BoundIntegral, evidence: Evidence, references: Iterable[VariableRef], plate: str | None,
    evaluator: Evaluator, given: tuple[Theta, Array], cells: Sequence[str] = (),
) -> NumberLaw:  # fmt: skip
    """The posterior of what `references` say, for all units of `plate`. `evaluator` gives what chooses among elements
    outside plates, `given` theta and its vector, `cells` are the axes of the finite variables that are looked at beside
    them."""
    model, bound = evaluator.model, evaluator.bound
    names = dict.fromkeys(references)
    if integral.layout is not None:
        sites: tuple[Any, ...] = tuple(_places(names, integral.layout, plate, evaluator))
        place: Any = slice(None)
    else:
        sites = tuple(_sites(names, model, bound))
        own = integral.level + (1 if integral.integral.lag else 0)
        place = _units_above(bound, plate, own)
    if isinstance(evidence, SwitchingEvidence):
        axes = tuple(axis for axis in cells if axis.partition("@")[0] in evidence.method.states)
        points, shares = path_points(evidence.method, sites, axes)
        return NumberLaw(sites, axes, points=points, shares=shares, simulated=True).of(place)
    found = _law(integral, evidence, sites, bound, given)
    return replace(found.of(place), axes=integral.axes)


def _law(
    integral: BoundIntegral, evidence: Evidence, sites: tuple[Any, ...], bound: Bound, given: tuple[Theta, Array]
) -> NumberLaw:  # fmt: skip
    match evidence:
        case GaussianEvidence(law=IntervalLaw() as law):
            return _on_interval(law, sites, bound.nodes)
        case GaussianEvidence(law=law):
            mean, covariance = law.marginal(sites)
            return NumberLaw(sites, (), mean, covariance)
        case SampledEvidence(method=method, draws=draws, share=share):
            points = method.ties.gather(method.values(draws), sites)
            shares = share if share.shape[-1] == 1 else method.pieces[0].rows.of_integral(share)
            return NumberLaw(
                sites, (), points=points, shares=np.broadcast_to(shares, points.shape[1:]), simulated=True
            )  # fmt: skip
        case ShareEvidence(units=group, law=law):
            count = LINE_POINTS * bound.nodes + 1
            found, share = law.quantiles(count)
            points = found.reshape(*group.shape[:-1], count, group.shape[-1])
            shares = np.broadcast_to(share[:, None], points.shape[1:])
            return NumberLaw(sites, (), points=points, shares=shares, apart=group.size > 2)
        case KernelEvidence():
            values, shares = evidence.line(LINE_POINTS * bound.nodes)
            return NumberLaw(sites, (), points=values[None], shares=shares)
        case PointEvidence(units=QuadratureUnits() as units) if len(evidence.points) == 1:
            values, shares = units.line(*given, LINE_POINTS * bound.nodes)
            return NumberLaw(sites, (), points=values[None], shares=shares)
        case PointEvidence(points=points, share=share):
            order = {site: slot for slot, site in enumerate(order_of(integral.pieces))}
            return NumberLaw(sites, (), points=points[[order[site] for site in sites]], shares=share)
    raise AssertionError("random starts have no posterior")


def _on_interval(law: IntervalLaw, sites: tuple[Any, ...], nodes: int) -> NumberLaw:
    """Points over the number on the interval and, at each of them, over the others, which are normal given it."""
    slots = [law.order[site] for site in sites]
    others = [slot for slot in dict.fromkeys(slots) if slot != law.bounded]
    values, shares = law.line(LINE_POINTS * nodes)
    z, weight = _grid(len(others), nodes)
    size = len(z) * values.size * len(sites)
    if size > MOST_POINTS:
        raise EmmError(
            "too-large", f"what is known of {len(sites)} hidden numbers, one of them on an interval, takes {size:,} "
            f"points; at most {MOST_POINTS:,} are allowed", help="predict fewer units at a time",
        )  # fmt: skip
    shape = (*values.shape[:-2], len(z) * values.shape[-2], values.shape[-1])
    found = {law.bounded: np.repeat(values, len(z), axis=-2)}
    if others:
        mean, covariance = law.others(others, values)
        moved = np.einsum("ij...u,pj->i...pu", covariance_root(covariance), z)
        both = mean[..., :, None, :] + moved[..., None, :, :]
        found |= {slot: both[place].reshape(shape) for place, slot in enumerate(others)}
    share = (shares[..., :, None, :] * weight[:, None]).reshape(shape)
    return NumberLaw(sites, (), points=np.stack([found[slot] for slot in slots]), shares=share)


def _grid(count: int, nodes: int) -> tuple[Array, Array]:
    """Points `(points, count)` over independent standard normal numbers, and their shares."""
    line = np.linspace(-GRID_REACH, GRID_REACH, GRID_POINTS * nodes + 1)
    z = np.array(list(product(line, repeat=count))).reshape(len(line) ** count, count)
    share = np.exp(-0.5 * (z**2).sum(axis=1))
    return z, share / share.sum()


def _sites(names: Iterable[VariableRef], model: Model, bound: Bound) -> Iterable[Any]:
    """All elements of each variable, at each lag."""
    for name, lag in dict.fromkeys((reference.name, reference.lag) for reference in names):
        shape = [len(bound.indexes[axis]) for axis in model.variable(name).axes]
        yield from ((name, element, lag) for element in product(*map(range, shape)))


def _places(names: Iterable[VariableRef], layout: Layout, plate: str | None, evaluator: Evaluator) -> Iterable[Place]:
    """Where each number stands among those of the whole data set, unit by unit."""
    bound, model = evaluator.bound, evaluator.model
    size = bound.levels[bound.level_of(plate)].size
    found: dict[Any, Place] = {}
    for reference in names:
        name, shape = reference.name, layout.shapes[reference.name]
        own = bound.level_of(model.variable(name).plate)
        unit = _units_above(bound, plate, own)
        codes = [evaluator.code(index) for index in reference.indices]
        if codes and len(codes) == len(shape) and all(code.axes == (ROW,) for code in codes):
            full = np.broadcast_arrays(*(code.array for code in codes))
            chosen = np.ravel_multi_index(tuple(np.maximum(item, 0) for item in full), shape)
            found[reference] = Place(name, reference, 0, layout.place(name, unit, chosen))
            continue
        for number, element in enumerate(product(*map(range, shape))):
            places = np.broadcast_to(layout.place(name, unit, number), size)
            found[name, element] = Place(name, element, 0, places)
    return found.values()


def _units_above(bound: Bound, plate: str | None, above: int) -> Codes:
    """For each unit of a plate the unit of a level around it (or its own)."""
    level = bound.level_of(plate)
    unit: Codes = np.arange(bound.levels[level].size)
    for number in range(level, above, -1):
        unit = bound.levels[number].parent[unit]
    return unit


def points_of(integral: BoundIntegral, nodes: int) -> int:
    """How many points the law of one unit's numbers may come to, roughly."""
    match integral.method:
        case GaussianMethod(ties=IntervalTies(order=order)):
            return LINE_POINTS * nodes * int((GRID_POINTS * nodes + 1) ** (len(order) - 1))
        case MonteCarlo(pairs=pairs):
            return 2 * pairs
        case SwitchingChain():
            return integral.method.points
        case QuadratureUnits(shape=shape, count=count) if shape[0] > 1:
            return int(count ** shape[0])
    return LINE_POINTS * nodes
