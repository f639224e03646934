"""A chain of hidden numbers whose laws a finite chain switches: paths of the finite states are drawn by particles, and
of each path the numbers are integrated out exactly.

At a theta where paths are `drawn anew`, the evidence is that of the particles. `hold` keeps the paths: from then on the
evidence is `sum_j w_j p(path_j, data; theta)` with weights under which it is that of the particles where they were
drawn (Geyer and Thompson 1992). It is smooth in theta, its slope is the mean of the complete-data score, and EM raises
it, as if the paths were all that there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emdsl.diagnostics.errors import EmmError
from emdsl.plan.latent_pieces import AnyPiece, Site
from emdsl.plan.named import POINT
from emdsl.plan.nodes import Scan
from emdsl.plan.paths import EMPTY, Paths, finite_values, random_path
from emdsl.runtime.chains import ChainLayout
from emdsl.runtime.integrals.chain_ties import ChainTies
from emdsl.runtime.integrals.particles import (
    SwitchingSteps,
    all_paths,
    backward_paths,
    log_sum,
    particle_filter,
)
from emdsl.runtime.integrals.path_moments import WeightedPaths, filtered_paths
from emdsl.runtime.integrals.quadratic import Quadratic
from emdsl.runtime.kernels import LOG_IMPOSSIBLE
from emdsl.runtime.problem import Array, Theta

if TYPE_CHECKING:
    from emdsl.plan.bound_program import BoundProgram

Codes = NDArray[np.intp]
#: Particles and paths of each independent run to begin with, and the runs.
FIRST_PARTICLES, FIRST_PATHS, RUNS = 20, 10, 10
#: Narrower stencils than this share of their centre cannot be told from a point.
SMALLEST = 1e-7


@dataclass(frozen=True)
class Quads:
    """The log-joint of the numbers at one theta by step and states, as `SwitchingSteps` has it for all chains, and
    whether each piece was evaluated row by row.
    """

    steps: SwitchingSteps
    by_row: tuple[bool, ...]


@dataclass
class SwitchingChain:
    """`order` gives each number its place among the b of a step; `starts` are the offsets of the chains. `sizes` are
    the labels of the finite variables that the pieces look at. `states` (attached) are the variables of the finite
    chain. Where it `tells`, the weighted paths of every chain are in `told` and their most probable ones in `best`;
    `filtered`: what they say of each step is given the data up to it alone.
    """

    pieces: tuple[AnyPiece, ...]
    order: Mapping[Site, int]
    starts: Codes
    sizes: Mapping[str, int]
    names: tuple[str, ...]
    nodes: int
    seed: int
    states: tuple[str, ...] = ()
    lengths: tuple[int, ...] = ()
    round: int = 0
    held: bool = False
    few: bool = False
    without_run: int | None = None
    paths: list[Paths] = field(default_factory=list)
    around: tuple[Array, Array] | None = None
    quads: Quads | None = None
    random: np.random.Generator | None = None
    shares: list[Array] = field(default_factory=list)
    pooled: tuple[Array, Array, Array] | None = None
    moves: list[tuple[slice, Array, Array]] = field(default_factory=list)
    chain: int = 0
    tells: bool = False
    filtered: bool = False
    told: list[tuple[slice, WeightedPaths]] = field(default_factory=list)
    best: list[Codes] = field(default_factory=list)

    # --- the program's side -------------------------------------------------------------------------------------------

    def attach(self, program: BoundProgram) -> None:
        """Takes the place of the sum over paths in a program. Raises where the finite variables are no such chain."""
        scans = [node for node in program.nodes if isinstance(node, Scan)]
        plain = len(scans) == 1 and not scans[0].axes and scans[0].memory == 1
        if not plain or not set(self.sizes) <= set(scans[0].states):
            names, finite = ", ".join(f"`{n}`" for n in self.names), ", ".join(f"`{n}`" for n in self.sizes)
            raise EmmError(
                "not-supported-yet", f"paths of {finite} are drawn where they are the one finite chain of the plate of "
                f"{names} and look back one unit; this is not such a chain",
            )  # fmt: skip
        self.states = scans[0].states
        self.lengths = tuple(program.sizes[name] for name in self.states)
        module: Any = program.module
        module.scan_forward, module.scan_reverse = self.forward_scan, self.reverse_scan

    def evidence(self, theta: Theta, v: Array) -> SwitchingEvidence:
        """Prepares the sum over paths at theta, whose evidence is that of the scan."""
        self._prepare(theta, v)
        self.random = None
        return SwitchingEvidence(self)

    def drawn(self, theta: Theta, v: Array, rng: np.random.Generator) -> SwitchingEvidence:
        """One random path in place of all, for random starts."""
        self._prepare(theta, v)
        self.random = rng
        return SwitchingEvidence(self)

    def hold(self) -> None:
        """From now on the paths of the last evidence are kept."""
        self.held = True

    def _prepare(self, theta: Theta, v: Array) -> None:
        size = int(self.starts[-1])
        centre, spread = self.around or (np.zeros((len(self.order), size)), np.ones((len(self.order), size)))
        spread = np.maximum(spread, SMALLEST * np.maximum(1.0, np.abs(centre)))
        self.around = (centre, spread)
        self.quads = self._quads(theta, v, centre, spread)
        self.shares, self.told, self.best, self.chain = [], [], [], 0
        self.moves.clear()
        k = int(np.prod(self.lengths))
        b = len(self.order)
        self.pooled = np.zeros((size, k, k)), np.zeros((size, k, k, 2 * b)), np.zeros((size, k, k, 2 * b, 2 * b))

    # --- the log-joint by step ----------------------------------------------------------------------------------------

    def _ties(self, cells: tuple[int, ...], steps: int) -> ChainTies:
        return ChainTies(self.order, (len(self.order), *cells, steps), np.array([0, steps]), 1)

    @property
    def points(self) -> int:
        """Points of the numbers of a step, two for each path; of few paths so many all the same."""
        return 2 * FIRST_PATHS * RUNS * self.nodes

    @property
    def whole(self) -> ChainTies:
        """All chains."""
        return ChainTies(self.order, (len(self.order), int(self.starts[-1])), self.starts, 1)

    def slot(self, site: Site) -> int:
        """The place of a number in `z`: those one step back come first."""
        return self.order[site[0], site[1], 0] + (0 if site[2] else len(self.order))

    def _quads(self, theta: Theta, v: Array, centre: Array, spread: Array) -> Quads:
        size, b, k = centre.shape[-1], len(self.order), int(np.prod(self.lengths))
        value = np.zeros((size, k, k))
        slope, precision = np.zeros((size, k, k, 2 * b)), np.zeros((size, k, k, 2 * b, 2 * b))
        whole, by_row = self.whole, []
        for piece in self.pieces:
            axes = _axes(piece)
            cells = tuple(piece.bound.axes.sizes[axis] for axis in axes)
            at, width = (
                np.broadcast_to(
                    whole.gather(x, piece.sites).reshape(len(piece.sites), *(1,) * len(cells), size),
                    (len(piece.sites), *cells, size),
                )
                for x in (centre, spread)
            )
            own = piece.quadratic(theta, v, at, width)
            by_row.append(own.by_row)
            slots = [self.slot(site) for site in piece.sites]
            value += self._full(np.broadcast_to(own.value, (*cells, size)), axes)
            for i, first in enumerate(slots):
                slope[..., first] += self._full(np.broadcast_to(own.gradient[i], (*cells, size)), axes)
                for j, second in enumerate(slots):
                    precision[..., first, second] -= self._full(
                        np.broadcast_to(own.hessian[i, j], (*cells, size)), axes
                    )
        begins = self.starts[:-1]
        slope[begins, ..., :b] = 0.0
        precision[begins, ..., :b, :] = 0.0
        precision[begins, ..., :, :b] = 0.0
        return Quads(SwitchingSteps(value, slope, precision), tuple(by_row))

    def _grid(self, axes: tuple[str, ...]) -> tuple[list[int], tuple[int, ...]]:
        """Where the axes of a piece stand among all those of the state before and of the state, and the full shape."""
        every = [*(f"{name}@1" for name in self.states), *self.states]
        return [every.index(axis) for axis in axes], (*self.lengths, *self.lengths)

    def _full(self, values: Array, axes: tuple[str, ...]) -> Array:
        """`(*cells, steps)` of a piece as `(steps, K, K)`."""
        places, shape = self._grid(axes)
        order = np.argsort(places)
        moved = np.moveaxis(values.transpose(*order, len(axes)), -1, 0)
        lead = [shape[p] if p in places else 1 for p in range(len(shape))]
        k = int(np.prod(self.lengths))
        full = np.broadcast_to(moved.reshape(len(moved), *lead), (len(moved), *shape))
        return np.asarray(full.reshape(len(moved), k, k))

    def _narrowed(self, values: Array, axes: tuple[str, ...]) -> Array:
        """`(steps, K, K, ...)` summed to the cells of a piece, `(*cells, steps, ...)`."""
        places, shape = self._grid(axes)
        full = values.reshape(len(values), *shape, *values.shape[3:])
        gone = tuple(1 + p for p in range(len(shape)) if p not in places)
        summed = full.sum(axis=gone)
        ranks = np.argsort(np.argsort(places))
        moved = np.moveaxis(summed, 0, len(axes))
        return np.asarray(moved.transpose(*ranks, *range(len(axes), moved.ndim)))

    # --- the sum over paths -------------------------------------------------------------------------------------------

    def forward_scan(
        self, log_first: Array, log_step: Array, log_emit: Array | None, layout: ChainLayout
    ) -> tuple[Array, Any]:
        """In place of `emdsl.runtime.scan.scan_forward`: log-evidence by chain, `(1, chains)`."""
        assert self.quads is not None
        finite = finite_values(log_first, log_step, log_emit, layout)
        found = np.zeros((1, layout.chains))
        offset = int(self.starts[self.chain])
        for chain in range(layout.chains):
            rows = slice(int(layout.starts[chain]), int(layout.starts[chain + 1]))
            if rows.start == rows.stop:
                self._keep(EMPTY)
                self.shares.append(np.ones(1))
                self.best.append(EMPTY.states[0])
                self.chain += 1
                continue
            here = slice(offset + rows.start, offset + rows.stop)
            whole = self.quads.steps
            steps = SwitchingSteps(finite[rows] + whole.value[here], whole.slope[here], whole.precision[here])
            found[0, chain] = self._filter(steps, here) if self.filtered else self._smooth(steps, finite[rows], here)
            self.chain += 1
        return found, (layout, log_first.ndim == 2, log_step.ndim == 3, offset)

    def reverse_scan(self, tape: Any, adjoint: Array) -> tuple[Array, Array, Array]:
        """In place of `emdsl.runtime.scan.scan_reverse`; pooled numbers get the weights of their chains."""
        layout, shared_first, shared_step, offset = tape
        assert self.pooled is not None
        here = slice(offset, offset + layout.size)
        by_step = np.repeat(adjoint[0], np.diff(layout.starts))
        for values in self.pooled:
            values[here] *= by_step.reshape(-1, *(1,) * (values.ndim - 1))
        pairs = np.moveaxis(self.pooled[0][here], 0, -1)[None]  # (1, K, K, rows)
        d_emit = pairs.sum(axis=1)
        d_first = np.zeros((*d_emit.shape[:2], layout.chains))
        d_first[..., layout.lengths > 0] = d_emit[..., layout.first_rows]
        d_step = pairs.copy()
        d_step[..., layout.first_rows] = 0.0
        return (
            d_first.sum(axis=-1) if shared_first else d_first, d_step.sum(axis=-1) if shared_step else d_step, d_emit
        )  # fmt: skip

    def _keep(self, paths: Paths) -> None:
        if self.chain < len(self.paths):
            self.paths[self.chain] = paths
        else:
            self.paths.append(paths)

    def _paths(self, steps: SwitchingSteps, chain: int) -> Paths:
        """Paths drawn anew."""
        rng = np.random.default_rng([self.seed, self.round, chain, 11])
        runs = 1 if self.few else RUNS
        found = particle_filter(steps, FIRST_PARTICLES * self.nodes, runs, rng)
        if found.exact:
            states, logs = all_paths(found)
            possible = np.isfinite(logs) & (logs > LOG_IMPOSSIBLE)
            states = states[possible] if possible.any() else states[:1]
            count = len(states)
            paths = Paths(states, np.zeros(count), np.zeros(count, dtype=np.intp), found.evidence[:1], True)
        else:
            drawn = backward_paths(found, steps, FIRST_PATHS * self.nodes, rng)
            states, run = drawn.reshape(-1, drawn.shape[-1]), np.repeat(np.arange(runs), drawn.shape[1])
            # of equal weight in their run, the runs weighted by their evidence: together the mean evidence
            logs = found.evidence[run] - np.log(runs * drawn.shape[1])
            own, _ = self._given(steps, states)
            paths = Paths(states, logs - own, run, found.evidence, False)
        self._keep(paths)
        return paths

    def _given(self, steps: SwitchingSteps, states: Codes) -> tuple[Array, Any]:
        """The log-density of each path and the data, the numbers integrated out, and their law given each."""
        length, b = steps.length, steps.size
        before = np.concatenate([np.zeros((len(states), 1), dtype=np.intp), states[:, :-1]], axis=1)
        at = np.arange(length)
        value = steps.value[at, before, states]
        gradient = np.moveaxis(steps.slope[at, before, states], -1, 0)
        hessian = -np.moveaxis(steps.precision[at, before, states], (-2, -1), (0, 1))
        ties = self._ties((len(states),), length)
        integral, law = ties.integrate(
            np.zeros((b, len(states), length)), [(self._sites, Quadratic(value, gradient, hessian))]
        )  # fmt: skip
        return integral[..., 0], law

    @property
    def _sites(self) -> tuple[Site, ...]:
        """The numbers of one step back and of the step, in the order of `z`."""
        names = sorted(self.order, key=lambda site: self.order[site])
        return (*((name, element, 1) for name, element, _ in names), *names)

    def _smooth(self, steps: SwitchingSteps, finite: Array, here: slice) -> float:
        """The log-evidence of one chain by its paths, drawn anew or held; what they say of each step."""
        if self.random is not None:
            paths = random_path(finite, self.random)
        elif self.held:
            paths = self.paths[self.chain]
        else:
            paths = self._paths(steps, self.chain)
        own, law = self._given(steps, paths.states)
        logs = paths.base + own
        if self.without_run is not None and not paths.exact:
            logs = np.where(paths.run == self.without_run, -np.inf, logs)
        top = logs.max()
        share = np.exp(logs - top)
        evidence = float(top + np.log(share.sum()))
        share /= share.sum() if evidence > LOG_IMPOSSIBLE or not self.tells else np.nan
        self.shares.append(share)
        mean, covariance = law.marginal(self._sites)  # (2 b, paths, steps), (2 b, 2 b, paths, steps)
        mean, covariance = np.moveaxis(mean, 0, -1), np.moveaxis(covariance, (0, 1), (-2, -1))
        states = paths.states
        before = np.concatenate([np.zeros((len(states), 1), dtype=np.intp), states[:, :-1]], axis=1)
        weight = np.broadcast_to(share[:, None], states.shape)
        self._pool(WeightedPaths(states, before, weight, paths.run, mean, covariance, paths.exact), here)
        if self.tells:
            self.best.append(states[int(np.argmax(own))])
        return evidence

    def _filter(self, steps: SwitchingSteps, here: slice) -> float:
        """The log-evidence of one chain; what is known of each step from the data up to it."""
        rng = np.random.default_rng([self.seed, self.round, self.chain, 13])
        runs = 1 if self.few else RUNS
        weighted, evidence = filtered_paths(steps, FIRST_PARTICLES * self.nodes, runs, rng)
        self._pool(weighted, here)
        return float(log_sum(evidence) - np.log(runs))

    def _pool(self, paths: WeightedPaths, here: slice) -> None:
        """Sums over paths by step and states: their weights, and the moments of the numbers under them."""
        assert self.pooled is not None and self.around is not None
        second = paths.covariance + paths.mean[..., :, None] * paths.mean[..., None, :]
        at = (np.broadcast_to(np.arange(here.start, here.stop), paths.states.shape), paths.before, paths.states)
        values = (np.ones(paths.states.shape), paths.mean, second)
        for target, value in zip(self.pooled, values, strict=True):
            np.add.at(target, at, value * paths.share.reshape(*paths.share.shape, *(1,) * (value.ndim - 2)))
        self.moves.append((here, *paths.moments))
        if self.tells:
            self.told.append((here, paths))

    def settle(self) -> None:
        """The next quadratics are taken around where the numbers were found."""
        assert self.around is not None
        centre, spread = self.around[0].copy(), self.around[1].copy()
        for here, middle, width in self.moves:
            centre[:, here] += middle
            spread[:, here] = width
        self.moves.clear()
        self.around = (centre, spread)


@dataclass(frozen=True)
class SwitchingEvidence:
    """What the integral adds to the program beside the scan: nothing to the evidence, and the pooled numbers."""

    method: SwitchingChain

    def forward(self, rows: slice) -> Array:
        """The evidence is the scan's."""
        return np.zeros(len(range(*rows.indices(1 << 62))))

    def statistics(self, weights: Array) -> dict[str, Any]:
        """For each piece the posterior in each of its cells, as a normal law with the moments of all paths."""
        method = self.method
        assert method.pooled is not None and method.around is not None and method.quads is not None
        share, first, second = method.pooled
        size, whole = len(share), method.whole
        found: dict[str, Any] = {}
        for piece, by_row in zip(method.pieces, method.quads.by_row, strict=True):
            axes = _axes(piece)
            slots = [method.slot(site) for site in piece.sites]
            weight = method._narrowed(share, axes)
            mean = method._narrowed(first[..., slots], axes)
            square = method._narrowed(second[..., slots, :][..., slots], axes)
            safe = np.where(weight > 0, weight, 1.0)
            mean = np.moveaxis(mean / safe[..., None], -1, 0)
            square = np.moveaxis(square / safe[..., None, None], (-2, -1), (0, 1))
            covariance = square - mean[:, None] * mean[None, :]
            centre = whole.gather(method.around[0], piece.sites)
            mean = mean + centre.reshape(len(slots), *(1,) * len(axes), size)
            found[piece.name] = piece.posterior(mean, covariance, weight, by_row=by_row)
        method.settle()
        return found

    def moments(self) -> tuple[Array, Array]:
        """Means and variances of the numbers, `(b, steps)`."""
        assert self.method.around is not None
        mean = self.method.around[0].copy()
        variance = np.zeros(mean.shape)
        for here, middle, width in self.method.moves:
            mean[:, here] += middle
            variance[:, here] = width**2
        return mean, variance


def _axes(piece: AnyPiece) -> tuple[str, ...]:
    """The finite hidden variables that a piece looks at, `name@1` one step back."""
    return tuple(axis for axis in piece.bound.axes.hidden if axis != POINT)
