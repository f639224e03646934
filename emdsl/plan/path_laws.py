"""What the weighted paths of a switching chain say: how well that is known, and the law of its numbers.

Given a path the numbers are normal (Rao and Blackwell): probabilities and moments are means over paths, which their
independent runs give the simulation errors of. A law of the numbers that statements are averaged over is a mixture of
normal laws, one for each path, each taken at points that mirror each other around its mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from emdsl.data.bound import Bound
from emdsl.plan.latent_pieces import Site
from emdsl.plan.switching import SwitchingChain
from emdsl.runtime.integrals.gaussian import covariance_root
from emdsl.runtime.integrals.path_moments import WeightedPaths
from emdsl.runtime.integrals.stratified import stratified_vectors
from emdsl.runtime.problem import Array

#: The simulation errors that are asked for: of a probability, and of a mean in standard deviations of its number.
WANTED_CHANCE, WANTED_SHIFT = 0.02, 0.05
#: How many times the usual number of paths are drawn at most.
MOST = 16


@dataclass(frozen=True)
class PathErrors:
    """The largest simulation errors of one integral: of a probability, of a mean in standard deviations of its number,
    and of how many paths they are. `exact`: of all there are.
    """

    paths: int
    chance: float
    shift: float
    exact: bool

    @property
    def met(self) -> bool:
        """Whether they are as small as is asked for."""
        return self.chance <= WANTED_CHANCE and self.shift <= WANTED_SHIFT


def path_errors(method: SwitchingChain) -> PathErrors:
    """Those of what was told last."""
    k = int(np.prod(method.lengths))
    chance = shift = 0.0
    for _, paths in method.told:
        of_state, of_mean = paths.errors(k)
        _, spread = paths.moments
        chance = max(chance, float(np.nan_to_num(of_state).max(initial=0.0)))
        with np.errstate(divide="ignore", invalid="ignore"):
            shift = max(shift, float(np.nan_to_num(of_mean / spread).max(initial=0.0)))
    most = max((len(paths.states) for _, paths in method.told), default=0)
    return PathErrors(most, chance, shift, all(paths.exact for _, paths in method.told))


def said_of(method: SwitchingChain, what: str) -> Iterator[str]:
    """A note for the reader about `what` is told of the variables, where paths are drawn."""
    found = path_errors(method)
    if found.exact:
        return
    text = (
        f"{what} {', '.join((*method.states, *method.names))} is simulated, by {found.paths} weighted paths of "
        f"{', '.join(method.states)}: simulation errors, as standard deviations, of at most {found.chance:.2g} of a "
        f"probability, {found.shift:.2g} of a number's mean in units of its standard deviation"
    )
    yield text if found.met else f"{text}; more paths than that are not drawn"


def wider_paths(methods: Sequence[SwitchingChain], bound: Bound) -> Bound | None:
    """The data with so many more paths as their errors ask for, where those drawn do not suffice."""
    found = [path_errors(method) for method in methods]
    if all(item.met for item in found) or bound.nodes >= MOST:
        return None
    excess = max(max(item.chance / WANTED_CHANCE, item.shift / WANTED_SHIFT) for item in found)
    return replace(bound, nodes=min(MOST, max(2 * bound.nodes, ceil(bound.nodes * excess**2))))


def path_points(method: SwitchingChain, sites: Sequence[Site], axes: Sequence[str]) -> tuple[Array, Array]:
    """Points `(slots, *cells, points, steps)` of the numbers at `sites` over all chains, and their shares `(*cells,
    points, steps)` within each cell of the states `axes` (`name@1`: one step back).
    """
    assert method.around is not None
    slots = [method.slot(site) for site in sites]
    size = int(method.starts[-1])
    centre = method.whole.gather(method.around[0], tuple(sites)).reshape(len(slots), 1, size)
    copies = [max(1, -(-method.points // (2 * len(paths.states)))) for _, paths in method.told]
    count = max((2 * many * len(paths.states) for many, (_, paths) in zip(copies, method.told, strict=True)), default=1)
    cells = _cells(method, axes)
    points, shares = np.zeros((len(slots), count, size)), np.zeros((*cells, count, size))
    for chain, ((here, paths), many) in enumerate(zip(method.told, copies, strict=True)):
        rng = np.random.default_rng([method.seed, chain, 17])
        found = _points(paths, slots, many, rng)
        points[:, : found.shape[1], here] = found
        share = _indicators(method, paths, axes) * (paths.share / (2 * many))
        shares[..., : found.shape[1], here] = np.concatenate([share] * (2 * many), axis=-2)
    points += centre
    total = shares.sum(axis=-2, keepdims=True)
    shares /= np.where(total > 0.0, total, 1.0)
    full = points.reshape(len(slots), *(1,) * len(cells), count, size)
    return np.broadcast_to(full, (len(slots), *shares.shape)), shares


def _points(paths: WeightedPaths, slots: Sequence[int], many: int, rng: np.random.Generator) -> Array:
    """`2 many` points of the law given each path, `(slots, 2 many paths, steps)`: they mirror each other in pairs, the
    distances from the mean stratified; where there is one pair a path, over all paths.
    """
    size, length = paths.states.shape
    mean = np.moveaxis(paths.mean[..., slots], -1, 0)
    covariance = np.moveaxis(paths.covariance[..., slots, :][..., slots], (-2, -1), (0, 1))
    noise = stratified_vectors((len(slots), many * size, length), np.inf, size if many > 1 else 1, rng)
    away = np.einsum("ijpt,jmpt->impt", covariance_root(covariance), noise.reshape(len(slots), many, size, length))
    both = np.concatenate([mean[:, None] + away, mean[:, None] - away], axis=1)
    return both.reshape(len(slots), 2 * many * size, length)


def _indicators(method: SwitchingChain, paths: WeightedPaths, axes: Sequence[str]) -> Array:
    """Whether each path is in each cell, `(*cells, paths, steps)`."""
    now, before = (np.unravel_index(codes, method.lengths) for codes in (paths.states, paths.before))
    codes = []
    for axis in axes:
        name, _, back = axis.partition("@")
        codes.append((before if back else now)[method.states.index(name)])
    cells = _cells(method, axes)
    found = np.ones((*cells, *paths.states.shape))
    for cell in np.ndindex(*cells):
        for code, value in zip(codes, cell, strict=True):
            found[cell] *= code == value
    return found


def _cells(method: SwitchingChain, axes: Sequence[str]) -> tuple[int, ...]:
    return tuple(method.lengths[method.states.index(axis.partition("@")[0])] for axis in axes)
