"""What the data say of the hidden variables: probabilities of their values unit by unit, and paths of hidden chains.

One sweep of the program with a log-potential of 0 on every hidden variable, and one on every pair of draws that makes
a genotype: the adjoint of a potential is the (joint) posterior probability.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.data.bound import Bound
from emdsl.data.past import pasts
from emdsl.ir.derivation import Derivation
from emdsl.ir.grids import index_set_of
from emdsl.ir.model import Model, Variable
from emdsl.plan.block_source import block_function
from emdsl.plan.bound_program import Constants
from emdsl.plan.counts import counted_variables, raised, tail, warnings_of
from emdsl.plan.elimination import Eliminator
from emdsl.plan.evaluation import Evaluator
from emdsl.plan.filters import filtered_evidence, filters_at_once
from emdsl.plan.hidden_numbers import (
    HiddenNumber,
    gridded_number,
    infinite_notes,
    integrated_numbers,
    is_on_grid,
    shares_on_nodes,
    standard_joint,
    standardised_number,
    with_known_cells,
)
from emdsl.plan.integrals import Evidence
from emdsl.plan.loading import load_module
from emdsl.plan.monte_carlo import MonteCarlo
from emdsl.plan.named import ROW, Named
from emdsl.plan.nodes import Node, Potential, Power, RowDensity, in_order
from emdsl.plan.outside import declared_marginals, declared_numbers, impossible_notes
from emdsl.plan.path_laws import said_of, wider_paths
from emdsl.plan.probable_paths import BlockPaths, ProbablePaths
from emdsl.plan.program import Program
from emdsl.plan.pruning import Choice
from emdsl.plan.share_draws import drawn_in
from emdsl.plan.source import HEADER
from emdsl.plan.unrolling import is_chosen
from emdsl.plan.unseen import check_conditions, is_unseen
from emdsl.runtime.carriers import times_weight
from emdsl.runtime.filtering import filter_forward, filter_reverse
from emdsl.runtime.problem import Array, Theta
from emdsl.runtime.scan import scan_forward, scan_reverse

Codes = NDArray[np.intp]
#: Hidden variables whose joint posterior is asked for in each unit of a plate: a name for them, the plate, their axes.
Joint = tuple[str, str | None, tuple[str, ...]]

#: What stands for a weight of 0 inside an outer unit in reverse: the unit's own posterior comes back multiplied by it,
#: which drops out of the shares.
NO_WEIGHT = 1e-200


@dataclass(frozen=True)
class Marginal:
    """The posterior of one hidden variable.

    `labels` are its values (of a genotype the unordered pairs `A/B`); `probabilities` is `(values, units)`, in the
    order of `Level` (of an array outside the plates by element), NaN in units whose data are impossible; `numbers`
    `(values,)` are the labels as numbers, where all are. `path` `(units,)`: the codes of the most
    probable path, of a variable of a chain; -1 where there is none.
    """

    name: str
    level: int
    labels: tuple[str, ...]
    probabilities: Array
    numbers: Array | None = None
    path: Codes | None = None

    @property
    def best(self) -> Codes:
        """The code of the most probable value in each unit, the first of equals; -1 where the data are impossible."""
        impossible = np.isnan(self.probabilities).any(axis=0)
        return np.where(impossible, -1, np.argmax(np.nan_to_num(self.probabilities), axis=0))

    @property
    def mean(self) -> Array | None:
        """The expected value in each unit, where the labels are numbers."""
        return None if self.numbers is None else np.asarray(self.numbers @ self.probabilities)


@dataclass(frozen=True)
class Posterior:
    """The marginals of all finite hidden variables in the order of declaration, the continuous ones, and what a reader
    must know of them.
    """

    marginals: tuple[Marginal, ...]
    notes: tuple[str, ...] = ()
    numbers: tuple[HiddenNumber, ...] = ()


def posterior(derivation: Derivation, bound: Bound, theta: Theta, *, filtered: bool = False) -> Posterior:
    """The posterior of what is hidden in each unit, at these parameters. Outermost units count once, whatever their
    weight. `filtered`: the probabilities are given a chain's units up to this one alone; the path stays that of the
    whole chain."""
    check_conditions(derivation.model, bound)
    first = bound
    while True:
        program = PosteriorProgram(derivation, bound)
        at_once = filtered and program.filters_at_once
        found, model = program.run(theta, filtered=at_once), program.derivation.model
        own = {m.name: np.nan_to_num(m.probabilities) for m in found.marginals}
        tails = tuple(tail(model, bound, name, own[name]) for name in counted_variables(model) if name in own)
        wider = raised(bound, tails) or wider_paths(program.switching, bound)
        if wider is None:
            if filtered and not at_once:
                found = _by_moments(found, derivation, bound, theta)
            return replace(found, notes=(*found.notes, *warnings_of(tails, first)))
        bound = wider


def _by_moments(whole: Posterior, derivation: Derivation, bound: Bound, theta: Theta) -> Posterior:
    """The posterior of each unit of a chain given the data up to its moment; paths stay those of the whole chain."""
    marginals = {item.name: replace(item, probabilities=item.probabilities.copy()) for item in whole.marginals}
    numbers = {item.name: replace(item, mean=item.mean.copy(), sd=item.sd.copy()) for item in whole.numbers}
    for past in pasts(derivation.model, bound):
        found = PosteriorProgram(derivation, past.bound).run(theta)
        for marginal in found.marginals:
            now = past.now[marginal.level]
            marginals[marginal.name].probabilities[:, past.kept[marginal.level][now]] = marginal.probabilities[:, now]
        for number in found.numbers:
            now = past.now[number.level]
            units = past.kept[number.level][now]
            numbers[number.name].mean[:, units], numbers[number.name].sd[:, units] = (
                number.mean[:, now], number.sd[:, now]
            )  # fmt: skip
    return replace(whole, marginals=tuple(marginals.values()), numbers=tuple(numbers.values()))


def reported(model: Model) -> tuple[Variable, ...]:
    """The hidden variables that a user has declared, and the indicators that a law brings along; not the draws that a
    genotype is made of."""
    draws = {name for variable in model.variables for name in variable.components}
    return tuple(
        v for v in model.variables if v.kind == "latent" and v.name not in draws and not is_unseen(v.name)
        and not is_chosen(v.name)
    )  # fmt: skip


@dataclass
class PosteriorEliminator(Eliminator):
    """The program of the log-evidence with a log-potential on every hidden variable, and on every one of `joint`:
    a name, a plate and axes."""

    joint: tuple[Joint, ...] = ()
    random: bool = True

    def _leaves(self) -> list[Node]:
        found = super()._leaves()
        for name, plate, axes in self.joint:
            found.append(Potential(next(self.numbers), axes, self.bound.level_of(plate), True, name))
        return found


def _times_weight(table: Array, weights: Array) -> Array:
    """A unit of weight 0 adds nothing to the evidence, even where its own is impossible."""
    return times_weight(table, np.where(weights == NO_WEIGHT, 0.0, weights))


class PosteriorProgram(Program):
    """The program of a model on its data, with what the posterior needs beside the log-evidence."""

    def __init__(
        self, derivation: Derivation, bound: Bound, joint: tuple[Joint, ...] = (), prune: Choice = "auto"
    ) -> None:
        super().__init__(derivation, bound, prune=prune)
        self.declared = derivation.model
        #: What a standardised number is, where its name stands for e.
        self.standard = {i.latents[0]: i.value for i in derivation.integrals if i.value is not None}
        #: What the last sweep found of each integral, by its name.
        self.evidences: dict[str, Evidence] = {}
        self._filtered = False
        model, bound = self.derivation.model, self.bound
        pairs = tuple(
            (v.name, v.plate, v.components)
            for v in model.variables
            if v.kind == "latent" and v.components and v.name not in bound.chosen
        )  # fmt: skip
        pieces, maps = list(self.pieces.values()), list(self.maps.values())
        around = tuple(standard_joint(name, value, model) for name, value in self.standard.items())
        joint = (*pairs, *joint, *around)
        root = PosteriorEliminator(
            model, bound, pieces, maps, passes=self.passes, joint=(*pairs, *joint, *self.asked()),
            integrals=self.inside, in_chain=self.in_chain,
        ).build()  # fmt: skip
        self.posterior_nodes = in_order(root)
        self.posterior_constants = self._constants(root)
        source = "\n".join([HEADER.format(name="posterior"), "", *block_function(root, "sweep")])
        self.posterior_module = load_module(source)
        self.posterior_module.times_weight = _times_weight  # type: ignore[attr-defined]

    @property
    def filters_at_once(self) -> bool:
        """Whether one sweep tells what is known from the past of each unit."""
        return filters_at_once(self, self.posterior_nodes)

    def asked(self) -> tuple[Joint, ...]:
        """What the posterior of is asked beside that of each hidden variable, once the integrals are bound."""
        return ()

    def run(self, theta: Theta, *, filtered: bool = False) -> Posterior:
        """The posterior at one theta; `filtered` as in `shares`."""
        paths = BlockPaths()
        self._scans(paths.scan, scan_reverse, filtered=False)
        with np.errstate(all="ignore"):
            shares = self._shares(theta)
        best = [np.concatenate(item.best)[None] for item in self.switching]
        doubtful = any(not paths.exact for item in self.switching for _, paths in item.told)
        if filtered:
            shares = self.shares(theta, filtered=True)
        finite = [v for v in reported(self.derivation.model) if v.values is not None and not is_on_grid(v)]
        marginals = {v.name: self._marginal(v, shares[v.name]) for v in finite}
        told = ProbablePaths(self, self.posterior_nodes, reported(self.derivation.model))
        followed, notes = told.of(told.scans(best or paths.found), shares)
        for name in followed.keys() & marginals.keys():
            marginals[name] = _with_path(marginals[name], followed[name])
        numbers = self._numbers(theta, shares)
        said = (*notes, *impossible_notes(marginals, self.bound), *infinite_notes(numbers), *self._simulated(doubtful))
        return Posterior(
            tuple(declared_marginals(marginals.values(), self.declared, self.bound)), said,
            tuple(declared_numbers(numbers.values(), self.bound)),
        )  # fmt: skip

    def _simulated(self, doubtful: bool) -> Iterator[str]:
        """A note for each integral whose posterior is known but for the error of a simulation; `doubtful`: the most
        probable paths are those of drawn ones.
        """
        for name in drawn_in(self):
            draws = len(self.bound.indexes[index_set_of(name)])
            yield f"the posterior of {name} is simulated, by {draws} weighted draws"
        for integral in self.integrals.values():
            if isinstance(integral.taken, MonteCarlo):
                names = ", ".join(integral.integral.latents)
                yield f"the posterior of {names} is simulated, by {2 * integral.taken.pairs} weighted draws"
        for item in self.switching:
            yield from said_of(item, "the posterior of")
            if doubtful:
                states = ", ".join(item.states)
                yield f"the most probable path of {states} is that of the drawn ones: others may be more probable"

    def _numbers(self, theta: Theta, shares: Mapping[str, Array]) -> dict[str, HiddenNumber]:
        """The continuous hidden variables, integrated or summed over nodes."""
        found = {item.name: item for item in self.hidden_numbers}
        model, bound = self.derivation.model, self.bound
        for variable in model.variables:
            name = variable.name
            if not is_on_grid(variable):
                continue
            level = bound.level_of(variable.plate)
            if name in self.standard:
                values = Evaluator(model, bound, theta=theta, level=level).value(self.standard[name])
                joint, _, axes = standard_joint(name, self.standard[name], model)
                found[name] = standardised_number(name, level, Named((*axes, ROW), shares[joint]), values)
            elif self.declared.variable(name).axes:
                (axis,) = self.declared.variable(name).axes
                found[name] = shares_on_nodes(variable, axis, level, shares[name], bound)
            else:
                found[name] = gridded_number(variable, level, shares[name], bound)
        return found

    # --- probabilities ------------------------------------------------------------------------------------------------

    def shares(self, theta: Theta, *, filtered: bool = False) -> dict[str, Array]:
        """The joint posterior of each hidden variable, genotype and name of `joint`, `(*values, units)`; NaN where the
        data are impossible. `filtered`: given a chain's units up to this one and no later ones, where one sweep
        filters.
        """
        assert not filtered or self.filters_at_once
        scans = (filter_forward, filter_reverse) if filtered else (scan_forward, scan_reverse)
        self._scans(*scans, filtered=filtered)
        with np.errstate(all="ignore"):
            return self._shares(theta)

    def _scans(self, forward: Any, reverse: Any, *, filtered: bool) -> None:
        """How chains are summed out; those that switch the laws of numbers are by paths."""
        module: Any = self.posterior_module
        self._filtered = filtered
        for item in self.switching:
            item.tells, item.filtered = True, filtered
            forward, reverse = item.forward_scan, item.reverse_scan
        module.scan_forward, module.scan_reverse = forward, reverse

    def _swept(self, theta: Theta, v: Array) -> tuple[dict[int, Any], dict[int, Any], list[Evidence]]:
        """The tables of all nodes, what came back to them, and the evidence of integrals across the whole data set."""
        etas = self.etas(theta, v)
        nodes = self.posterior_nodes
        tables = {node.number: self._table(node, theta, v, etas, blank=False) for node in nodes}
        whole = [integral.method.evidence(theta, v) for integral in self.whole]
        constants = self._evidence_only(nodes)
        sums = {node.number: self.accumulator(node, tables) for node in nodes}
        for block in self.blocks:
            self.posterior_module.sweep(tables, constants, block, sums)
        return tables, sums, whole

    def _shares(self, theta: Theta) -> dict[str, Array]:
        """For each hidden variable `(values, units)`, for each genotype `(values, values, units)`."""
        v = self.vector(theta)
        nodes = self.posterior_nodes
        for item in self.switching:  # where the numbers are
            item.few = True
            self._swept(theta, v)
            item.settle()
            item.few = False
        tables, sums, whole = self._swept(theta, v)
        found = {}
        for node in nodes:
            if isinstance(node, Potential):
                total = sums[node.number].sum(axis=tuple(range(len(node.axes))))
                found[node.latent] = sums[node.number] / total
        numbers = self._integrated((theta, v), tables, sums, whole)
        self.hidden_numbers = tuple(with_known_cells(numbers, self.derivation.model, self.bound))
        return found

    def _integrated(
        self, given: tuple[Theta, Array], tables: Mapping[int, Any], sums: Mapping[int, Any], whole: Sequence[Evidence]
    ) -> Iterator[HiddenNumber]:
        """The numbers of every integral, over the posterior of its cells; `given` are theta and its vector."""
        model, bound = self.derivation.model, self.bound
        for node in self.posterior_nodes:
            if isinstance(node, RowDensity) and node.piece in self.integrals:
                found = tables[node.number]
                self.evidences[node.piece] = filtered_evidence(found, *given) if self._filtered else found
                yield from integrated_numbers(
                    self.integrals[node.piece], self.evidences[node.piece], sums[node.number], model, bound
                )
        for integral, found in zip(self.whole, whole, strict=True):
            self.evidences[integral.name] = filtered_evidence(found, *given) if self._filtered else found
            yield from integrated_numbers(integral, self.evidences[integral.name], np.ones(1), model, bound)

    def _evidence_only(self, nodes: tuple[Node, ...]) -> Constants:
        """The bound data with potentials of 0, outermost weights of 1, and no weight inside that is 0."""
        constants = Constants(self.posterior_constants)
        constants.size = self.posterior_constants.size
        for node in nodes:
            if isinstance(node, Potential):
                shape = tuple(self.sizes[axis] for axis in node.axes)
                constants[node.number] = np.zeros((*shape, self.bound.levels[node.level].size))
            elif isinstance(node, Power):
                weights = np.asarray(constants[node.number])
                constants[node.number] = (
                    np.ones_like(weights) if node.level == 1 else np.where(weights == 0, NO_WEIGHT, weights)
                )
        return constants

    def _marginal(self, variable: Variable, shares: Array) -> Marginal:
        assert variable.values is not None
        labels = self.bound.indexes[variable.values]
        level = self.bound.level_of(variable.plate)
        if not variable.components:
            return Marginal(variable.name, level, labels, shares, self.bound.labels_as_numbers(variable.values))
        return Marginal(variable.name, level, *_unordered(labels, shares))


def _unordered(labels: tuple[str, ...], joint: Array) -> tuple[tuple[str, ...], Array]:
    """The unordered pairs `A/B` in the order of the labels, and their probabilities, from those of ordered pairs."""
    first, second = np.triu_indices(len(labels))
    both = joint[first, second] + np.where((first != second)[:, None], joint[second, first], 0.0)
    return unordered_pairs(labels), both


def unordered_pairs(labels: tuple[str, ...]) -> tuple[str, ...]:
    """`A/A`, `A/B`, `B/B`: the values of a genotype, in the order of the labels."""
    first, second = np.triu_indices(len(labels))
    return tuple(f"{labels[a]}/{labels[b]}" for a, b in zip(first, second, strict=True))


def _with_path(marginal: Marginal, path: Codes) -> Marginal:
    return Marginal(
        marginal.name, marginal.level, marginal.labels, marginal.probabilities, marginal.numbers, path
    )  # fmt: skip
