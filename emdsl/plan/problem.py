"""A program as the fitting loop sees it: E-step, M-step, score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.data.bound import Bound
from emdsl.ir.derivation import Derivation, Update
from emdsl.ir.identifiers import identifier
from emdsl.plan.array_priors import array_parts, assembly_of
from emdsl.plan.centred_inputs import shears_by_parameter
from emdsl.plan.degeneracy import degenerate
from emdsl.plan.kinks import check_held, kinked_parameters
from emdsl.plan.layout import BoundPiece
from emdsl.plan.merged import is_merged
from emdsl.plan.named import START
from emdsl.plan.normal_laws import exact_scores
from emdsl.plan.program import Program
from emdsl.plan.reflection import off_the_saddle, reflections
from emdsl.plan.spaces import make_spaces
from emdsl.plan.unseen import check_conditions
from emdsl.runtime.assembly import Assembly, assemble_gradient
from emdsl.runtime.domains import Coordinates
from emdsl.runtime.gaussian_part import GaussianPart
from emdsl.runtime.group import Group
from emdsl.runtime.integrals.assembly import PointAssembly, split_points
from emdsl.runtime.kernels import LOG_IMPOSSIBLE
from emdsl.runtime.matrix_terms import ArrayPart
from emdsl.runtime.matrix_updates import covariance_update, gaussian_gradient, mean_update
from emdsl.runtime.problem import Array, Expectation, Space, Theta
from emdsl.runtime.random_start import draw_potentials
from emdsl.runtime.rules import inside, keep_fixed, share
from emdsl.runtime.stationary import StationaryPart
from emdsl.runtime.vector_density import VectorDensity
from emdsl.runtime.vector_points import VectorAtPoints

#: Rows times starts up to which starts run as a batch: above it one start fills the machine by itself.
MOST_BATCHED = 400_000
#: Numbers in the random log-potentials of a batch, which has them all at once: 64 MB.
MOST_POTENTIALS = 8_000_000

#: A part of Q with derivatives.
AnyPart = Assembly | PointAssembly | StationaryPart | ArrayPart | VectorDensity | VectorAtPoints


def iterated(update: Update) -> bool:
    """Whether an update takes Newton steps on Q."""
    return update.rule in ("linear", "newton") and update.formula != "gaussian"


class BoundProblem:
    """Implements `emdsl.runtime.problem.Problem` for a derivation bound to data.

    `fix` holds values that are not estimated, `init` those that start 1 begins from: parameter arrays in which NaN
    means free or not given.
    """

    def __init__(
        self,
        derivation: Derivation,
        bound: Bound,
        fix: Mapping[str, Array] | None = None,
        init: Mapping[str, Array] | None = None,
        batch: int | None = None,
    ) -> None:
        check_conditions(derivation.model, bound)
        self.program = Program(derivation, bound, batch, held=fix)
        self.batch = batch
        #: Whether random starts are sharp (see `emdsl.runtime.random_start`).
        self.sharp = False
        #: Elements that no row can touch, by parameter.
        self.untouched: dict[str, NDArray[np.bool_]] = {}
        self._given = (fix or {}, init or {})
        self._mirrors = reflections(derivation.model)
        # What is hidden, and so the pieces, may depend on the data.
        self.derivation = derivation = self.program.derivation
        self.model = derivation.model
        self.spaces: tuple[Space, ...]
        self.spaces, self._start = make_spaces(derivation.model, self.program.bound, fix or {}, init or {})
        check_held(derivation, self.spaces)
        bounds = {update.parameters[0] for update in derivation.updates if update.rule == "bound"}
        kinks = kinked_parameters(derivation)
        self.spaces = tuple(
            replace(space, order_statistic=space.name in bounds, kinked=space.name in kinks) for space in self.spaces
        )
        shears = shears_by_parameter(self.program.centring, self.program.layout)
        self.spaces = tuple(replace(space, shears=shears.get(space.name, ())) for space in self.spaces)
        self._space = {space.name: space for space in self.spaces}
        self._arrays = {} if batch else array_parts(self.program)
        # A batch only climbs: it needs neither scores nor the groups that Newton's method updates.
        self.assemblies: list[AnyPart] = [] if batch else self._assemblies()
        self._completions = {} if batch else {
            name: self._point_assembly(self.program.pieces[name]) for name in self.program.completions
        }  # fmt: skip
        self._groups = {
            update.parameters: self._group(update) for update in derivation.updates if not batch and iterated(update)
        }
        self._data = {name: item.data for name, item in self.program.pieces.items()}
        self._updates = {
            update.parameters[0]: getattr(self.program.module, f"update_{identifier(update.parameters[0])}")
            for update in derivation.updates
            if update.rule in ("simplex", "bound", "closed form")
        }
        self._dense = any(item.piece.continuous and item.axes.hidden for item in self.program.pieces.values())
        ordered = {plate.name for plate in derivation.model.plates if plate.ordered}
        self._chains = [level.plate in ordered for level in self.program.bound.levels]
        #: Statistics that have an axis of starts, in a batch.
        self.by_start = frozenset(n for n, item in self.program.pieces.items() if item.axes.hidden[:1] == (START,))
        self._leave_out_held()
        self._start_at_bounds()
        self.priors = [name for name, item in self.program.pieces.items() if item.carrier == "prior"]

    @property
    def has_latent(self) -> bool:
        """Whether the model has hidden variables that a start can draw."""
        return bool(self.program.drawn or self.program.integrals)

    @property
    def hidden_bounds(self) -> tuple[str, ...]:
        """Parameters that bound the support of a hidden component."""
        return tuple(
            update.parameters[0]
            for update in self.derivation.updates
            if update.rule == "bound" and any(self.program.pieces[c.piece].axes.hidden for c in update.contributions)
        )

    def initial(self) -> dict[str, Array]:
        """Declared and given starting values, otherwise neutral values inside the domains."""
        lead = () if self.batch is None else (self.batch,)
        return {name: np.broadcast_to(value, (*lead, *value.shape)).copy() for name, value in self._start.items()}

    def beside_saddle(self, theta: Theta, statistics: Any) -> dict[str, Array] | None:
        """A start beside theta, where multipliers of a hidden number are 0 and have no slope by symmetry; else None."""
        declared = {p.name for p in self.model.parameters if p.init is not None}
        open_ = [item for item in self._mirrors if not declared & {name for name, _ in item.parameters}]
        return off_the_saddle(theta, self.gradient(theta, statistics), open_, self.spaces) if open_ else None

    def expect(self, theta: Theta) -> Expectation:
        """The E-step."""
        loglik, statistics = self.program.expect(theta)
        return Expectation(loglik if self.batch else float(loglik), self._with_priors(statistics))

    def random_expectation(self, rng: np.random.Generator, theta: Theta) -> Expectation:
        """Statistics under random responsibilities."""
        statistics = self.program.expect_random(theta, *self._draw(rng), rng)
        return Expectation(float("nan"), self._with_priors(statistics))

    def random_expectations(self, rngs: Sequence[np.random.Generator], theta: Theta) -> Expectation:
        """Of a batch: `random_expectation` for each of its starts, from its own generator."""
        draws = [self._draw(rng) for rng in rngs]
        potentials = {name: np.stack([draw[0][name] for draw in draws]) for name in draws[0][0]}
        multiplier = tuple(np.stack(weights) for weights in zip(*(draw[1] for draw in draws), strict=True))
        statistics = self.program.expect_random(theta, potentials, multiplier, rngs[0])
        return Expectation(float("nan"), self._with_priors(statistics))

    def _draw(self, rng: np.random.Generator) -> tuple[dict[str, Array], tuple[Array, ...]]:
        levels = self.program.bound.levels
        parents, sizes = [level.parent for level in levels], [level.size for level in levels]
        return draw_potentials(
            rng, self.program.drawn, parents, sizes, dense=self._dense, sharp=self.sharp, chains=self._chains
        )

    def rough(self) -> BoundProblem:
        """The same problem with at most two Newton steps in an M-step (a generalised EM algorithm)."""
        other = copy(self)
        other._groups = {names: replace(group, most_steps=2) for names, group in self._groups.items()}
        return other

    def batched(self, count: int) -> BoundProblem | None:
        """The same problem for `count` starts at once, where that pays: every update is in closed form, and the
        arrays are small.
        """
        numbers = sum(size for size in self.program.sizes.values()) + self.program.bound.levels[-1].size
        potentials = sum(size * self.program.bound.levels[level].size for _, level, size in self.program.latents)
        if self.program.integrals or self.program.completions or self._arrays:
            return None
        if potentials * count > MOST_POTENTIALS:
            return None
        fixed_mean = self.program.gaussians and any(space.fixed.any() for space in self.spaces)
        if (
            any(iterated(update) or update.rule == "bound" for update in self.derivation.updates)
            or fixed_mean
            or numbers * count > MOST_BATCHED
        ):
            return None
        found = BoundProblem(self.derivation, self.program.bound, *self._given, batch=count)
        found.sharp = self.sharp
        return found

    def sharpened(self, statistics: dict[str, Any]) -> BoundProblem | None:
        """The same problem with sharp random starts, where two values of what is hidden have the same law; else
        None."""
        if not is_merged(self.program, statistics):
            return None
        other = copy(self)
        other.sharp = True
        return other

    def _with_priors(self, statistics: dict[str, Any]) -> dict[str, Any]:
        statistics |= dict.fromkeys(self._arrays)
        for name in self.priors:
            data = self.program.pieces[name].data
            ones = np.ones(data.eta_shape)
            statistics[name] = ones if data.outside is None else np.where(data.outside[..., None], 0.0, ones)
        return statistics

    def _start_at_bounds(self) -> None:
        """Bounds of the support begin where all data lie inside, unless they are given."""
        for update in self.derivation.updates:
            (name, *_) = update.parameters
            if update.rule != "bound" or self.batch is not None:
                continue
            ones = {}
            for contribution in update.contributions:
                item = self.program.pieces[contribution.piece]
                ones[contribution.piece] = np.ones((*item.data.hidden, item.data.rows))
            found = self._updates[name](self._start, self.program.vector(self._start), ones, self._data)
            given = np.asarray(self._given[1].get(name, np.full(found.shape, np.nan)))
            declared = self.model.parameter(name).init is not None
            keep = self._space[name].fixed | ~np.isnan(given) | ~inside(found, self._space[name]) | declared
            self._start[name] = np.where(keep, self._start[name], found)

    def _leave_out_held(self) -> None:
        """A prior is about what is estimated: not about the baseline of a contrast, nor about structural zeros;
        about each correlation once."""
        for item in self.program.pieces.values():
            name = item.piece.factor.removeprefix("prior:")
            if item.carrier != "prior" or name not in self._space:
                continue
            space = self._space[name]
            held = space.zero.copy()
            if space.kind == "contrast":
                held[..., 0] = True
            elif space.kind == "correlation":
                held[...] = np.tril(np.ones(space.shape[-2:], dtype=bool))
            for place in item.data.addresses:
                if held.any() and place is not None and place.parameter == name:
                    inside = place.gather(np.broadcast_to(held, place.shape).astype(float))
                    mask = np.broadcast_to(inside != 0, item.data.cells)
                    outside = item.data.outside
                    item.data.outside = mask if outside is None else outside | mask

    def resampled(self, rng: np.random.Generator) -> BoundProblem:
        """The same problem with as many outermost units drawn with replacement. Weights that are whole numbers count
        units, each of which may be drawn by itself; others stay with their unit."""
        bound = self.program.bound
        plate = bound.levels[1].plate or ""
        weights = bound.weights.get(plate, np.ones(bound.levels[1].size))
        if (weights == np.round(weights)).all():
            drawn = rng.multinomial(int(weights.sum()), weights / weights.sum()).astype(float)
        else:
            drawn = weights * rng.multinomial(len(weights), np.full(len(weights), 1.0 / len(weights)))
        again = replace(bound, weights={**bound.weights, plate: drawn})
        return BoundProblem(self.derivation, again, *self._given)

    def holding(self, theta: Theta, masks: Mapping[str, NDArray[np.bool_]]) -> BoundProblem:
        """The same problem with the elements of the masks held where theta has them."""
        other = copy(self)
        other.spaces = tuple(
            replace(space, fixed=space.fixed | masks[space.name]) if space.name in masks else space
            for space in self.spaces
        )
        other._space = {space.name: space for space in other.spaces}
        other._start = {name: np.array(value, dtype=float) for name, value in theta.items()}
        updates = [update for update in self.derivation.updates if iterated(update)]
        other._groups = {update.parameters: other._group(update) for update in updates}
        return other

    def starting_at(self, theta: Theta) -> BoundProblem:
        """The same problem, whose fit begins at theta."""
        return self.holding(theta, {})

    def leaving_out(self, masks: Mapping[str, NDArray[np.bool_]]) -> BoundProblem:
        """The same problem without the elements of the masks, which nothing touches: they stay where they are."""
        other = self.holding(self._start, masks)
        other.untouched = dict(masks)
        return other

    # --- M-step -------------------------------------------------------------------------------------------------------

    def maximize(self, theta: Theta, statistics: Any) -> dict[str, Array]:
        """Every update in its order, each at the newest values of the others."""
        new: dict[str, Array] = {name: np.asarray(value) for name, value in theta.items()}
        with np.errstate(all="ignore"):
            for update in self.derivation.updates:
                new.update(self._update(update, new, statistics))
        return new

    def _update(self, update: Update, theta: dict[str, Array], statistics: Any) -> dict[str, Array]:
        if update.rule in ("simplex", "bound", "closed form"):
            (name,) = update.parameters
            weights, pieces = split_points(statistics, self._data)
            value = self._updates[name](theta, self.program.vector(theta), weights, pieces)
            space = self._space[name]
            if update.rule == "simplex":
                return {name: share(value, theta[name], space)}
            return {name: keep_fixed(np.broadcast_to(value, np.shape(theta[name])), theta[name], space)}
        if update.formula == "gaussian":
            (name,) = update.parameters
            gaussians = self.program.gaussians
            own = [(gaussians[c.piece], statistics[c.piece]) for c in update.contributions if c.piece in gaussians]
            if update.rule == "linear":
                return {name: mean_update(name, own, theta, self._space[name])}
            v = self.program.vector(theta)
            priors = [
                self._arrays[c.piece].moments(theta, v, name) for c in update.contributions if c.piece in self._arrays
            ]
            return {name: covariance_update(name, own, theta, self._space[name], priors)}
        return self._groups[update.parameters].maximize(theta, statistics, self.program.vector)

    def _group(self, update: Update) -> Group:
        spaces = tuple(self._space[name] for name in update.parameters)
        climbed = [self._completions.get(item.data.name, item) for item in self.assemblies]
        members: list[Any] = [item for item in climbed if item.touches(set(update.parameters))]
        wholes = [
            GaussianPart(name, piece, dict(self.program.layout.offsets))
            for name, piece in self.program.gaussians.items()
        ]
        members += [item for item in wholes if item.touches(set(update.parameters))]
        coordinates = Coordinates(spaces, self._start)
        program, linear = self.program, update.rule == "linear"
        return Group(coordinates, members, program.layout.offsets, linear, centring=program.centring)

    # --- score --------------------------------------------------------------------------------------------------------

    def gradient(self, theta: Theta, statistics: Any) -> dict[str, Array]:
        """The gradient of Q plus log prior in the array elements; that of the laws of hidden numbers by their
        multipliers, where theta is that of the E-step."""
        with np.errstate(all="ignore"):
            v = self.program.vector(theta)
            exact = exact_scores(statistics, v)
            statistics = self._weights(statistics)
            out = assemble_gradient([a for a in self.assemblies if a.data.name not in exact], theta, v, statistics)
            for score in exact.values():
                score.gradient(theta, v, out)
            out = out if self.program.centring is None else self.program.centring.gradient(out)
            parts = self.program.layout.split(out)
            for name, piece in self.program.gaussians.items():
                if name in exact:
                    continue
                in_mean, in_covariance = gaussian_gradient(piece, statistics[name], theta)
                if in_mean is not None:
                    parts[piece.mean_name] = parts[piece.mean_name] + in_mean
                parts[piece.covariance.parameter] = parts[piece.covariance.parameter] + in_covariance
            return parts

    def _weights(self, statistics: Any) -> dict[str, Any]:
        """Statistics with plain posterior weights of the pieces that the M-step completes."""
        return {name: item.weights if name in self.program.completions else item for name, item in statistics.items()}

    def unit_gradients(self, theta: Theta) -> tuple[dict[str, Array], Array]:
        """The score of each outermost unit by parameter, `(units, *shape)`, priors left out, and the units' weights."""
        from emdsl.plan.unit_scores import unit_gradients

        return unit_gradients(self, theta)

    def why_no_unit_gradients(self) -> str:
        """Why `unit_gradients` would raise, empty where it would not."""
        from emdsl.plan.unit_scores import why_none

        return why_none(self)

    @property
    def fractional_weights(self) -> bool:
        """Whether some weight is no whole number: it then does not count units, and the observed information means
        nothing."""
        return any(bool((array != np.round(array)).any()) for array in self.program.bound.weights.values())

    def log_prior(self, theta: Theta) -> Any:
        """Log-density of the priors (one for each start of a batch)."""
        if not self.priors and not self._arrays:
            return 0.0
        total: Any = 0.0
        with np.errstate(all="ignore"):
            v = self.program.vector(theta)
            for name in self.priors:
                item = self.program.pieces[name]
                value = getattr(self.program.module, f"eta_{item.name}")(theta, v, item.data)
                # A part without parameters (the normaliser of a prior with known arguments) is the same for all starts.
                by_start = name in self.by_start
                total = total + (value.reshape(self.batch, -1).sum(axis=1) if by_start else value.sum())
            for part in self._arrays.values():
                total = total + part.value(theta, v, None)
        # A density of a prior that is infinite has no mode; -1e300 stands for the logarithm of 0.
        total = np.where(np.abs(total) > -LOG_IMPOSSIBLE, np.sign(total) * np.inf, total)
        return float(total) if self.batch is None else total

    def degenerate(self, theta: Theta, statistics: Any) -> str | None:
        """A hidden value that holds too few units for a density, or a scale near nothing."""
        return degenerate(self.program, statistics)

    def _point_assembly(self, item: BoundPiece) -> PointAssembly:
        piece, module = item.piece, self.program.module
        prefix, of = ("", piece) if piece.completion is None else ("completed_", piece.completion)
        kinds = ("value", "gradient", "hessian")
        return PointAssembly(
            data=item.data,
            names=tuple(tuple(term.parameter.name for term in atom.terms) for atom in piece.atoms),
            formulas=tuple(getattr(module, f"{prefix}{kind}_{item.name}") for kind in kinds),
            hessian_entries=tuple((i, j) for i, j, _ in of.hessian),
            reduced=piece.form == "log-sum-exp",
            sign=piece.sign,
            offsets=self.program.layout.offsets,
        )

    def _assemblies(self) -> list[AnyPart]:
        found: list[AnyPart] = list(self.program.stationary.values())
        found += self._arrays.values()
        found += self.program.vectors.values()
        found += self.program.point_vectors.values()
        for item in self.program.pieces.values():
            if item.piece.form in ("gaussian", "stationary", "arrays") or item.piece.argument:
                continue
            if item.carrier in ("integral", "rows") and not item.piece.atoms:
                continue  # it has no part in the M-step
            if item.carrier == "integral":
                found.append(self._point_assembly(item))
            else:
                found.append(assembly_of(item, self.program))
        return found
