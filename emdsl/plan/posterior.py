"""What the data say of the hidden variables: probabilities of their values unit by unit, and paths of hidden chains.

One sweep of the program with a log-potential of 0 on every hidden variable, and one on every pair of draws that makes
a genotype: the adjoint of a potential is the (joint) posterior probability.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.data.bound import Bound
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.derivation import Derivation
from emdsl.ir.latents import is_continuous
from emdsl.ir.model import Model, Variable
from emdsl.plan.block_source import block_function
from emdsl.plan.counts import counted_variables, raised, tail, warnings_of
from emdsl.plan.elimination import Eliminator
from emdsl.plan.evaluation import Evaluator
from emdsl.plan.hidden_numbers import (
    HiddenNumber,
    gridded_number,
    infinite_notes,
    integrated_numbers,
    is_on_grid,
    standard_joint,
    standardised_number,
)
from emdsl.plan.loading import load_module
from emdsl.plan.monte_carlo import MonteCarlo
from emdsl.plan.named import ROW, Named
from emdsl.plan.nodes import Node, Potential, Power, RowDensity, Scan, in_order
from emdsl.plan.program import Constants, Program
from emdsl.plan.pruning import Choice
from emdsl.plan.source import HEADER
from emdsl.plan.unseen import check_conditions, is_unseen
from emdsl.runtime.carriers import times_weight
from emdsl.runtime.chains import ChainLayout
from emdsl.runtime.filtering import filter_forward, filter_reverse
from emdsl.runtime.problem import Array, Theta
from emdsl.runtime.scan import ChainTape, scan_forward, scan_reverse
from emdsl.runtime.viterbi import unit_path, viterbi

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
    order of `Level`, NaN in units whose data are impossible; `numbers` `(values,)` are the labels as numbers, where
    all are. `path` `(units,)`: the codes of the most probable path, of a variable of a chain; -1 where there is none.
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
        found, model = program.run(theta, filtered=filtered), program.derivation.model
        own = {m.name: np.nan_to_num(m.probabilities) for m in found.marginals}
        tails = tuple(tail(model, bound, name, own[name]) for name in counted_variables(model) if name in own)
        wider = raised(bound, tails)
        if wider is None:
            return replace(found, notes=(*found.notes, *warnings_of(tails, first)))
        bound = wider


def reported(model: Model) -> tuple[Variable, ...]:
    """The hidden variables that a user has declared, and the indicators that a law brings along; not the draws that a
    genotype is made of."""
    draws = {name for variable in model.variables for name in variable.components}
    return tuple(
        v for v in model.variables if v.kind == "latent" and v.name not in draws and not is_unseen(v.name)
    )  # fmt: skip


def check_finite(model: Model, what: str, place: str = "", help: str = "") -> None:
    """Raises `not-supported-yet` where something hidden is no label; `what` cannot be had of it."""
    names = [variable.name for variable in model.variables if is_continuous(variable)]
    if names:
        raise EmmError(
            "not-supported-yet", f"{what} continuous hidden variables ({', '.join(names)}) cannot be made yet",
            place=place, help=help,
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
            found.append(Potential(next(self.numbers), axes, self._level_of(plate), True, name))
        return found


@dataclass
class _Paths:
    """The most probable paths of the scans of one block after the other, `(outer cells, rows)`."""

    found: list[Codes] = field(default_factory=list)

    def scan(
        self, log_first: Array, log_step: Array, log_emit: Array | None, layout: ChainLayout
    ) -> tuple[Array, ChainTape]:
        """`scan_forward`, which also notes the path."""
        self.found.append(viterbi(log_first, log_step, log_emit, layout))
        return scan_forward(log_first, log_step, log_emit, layout)


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
        model, bound = self.derivation.model, self.bound
        pairs = tuple(
            (v.name, v.plate, v.components) for v in model.variables if v.kind == "latent" and v.components
        )  # fmt: skip
        pieces, maps = list(self.pieces.values()), list(self.maps.values())
        around = tuple(standard_joint(name, value, model) for name, value in self.standard.items())
        joint = (*pairs, *joint, *around)
        root = PosteriorEliminator(
            model, bound, pieces, maps, passes=self.passes, joint=joint, integrals=self.inside
        ).build()  # fmt: skip
        self.posterior_nodes = in_order(root)
        self.posterior_constants = self._constants(root)
        source = "\n".join([HEADER.format(name="posterior"), "", *block_function(root, "sweep")])
        self.posterior_module = load_module(source)
        self.posterior_module.times_weight = _times_weight  # type: ignore[attr-defined]

    def run(self, theta: Theta, *, filtered: bool = False) -> Posterior:
        """The posterior at one theta; `filtered` as in `shares`."""
        paths = _Paths()
        self.posterior_module.scan_forward = paths.scan  # type: ignore[attr-defined]
        with np.errstate(all="ignore"):
            shares = self._shares(theta)
            scans = self._scans(paths.found)
        if filtered:
            shares = self.shares(theta, filtered=True)
        finite = [v for v in reported(self.derivation.model) if v.values is not None and not is_on_grid(v)]
        marginals = {v.name: self._marginal(v, shares[v.name]) for v in finite}
        followed, notes = self._paths(scans, shares)
        for name in followed.keys() & marginals.keys():
            marginals[name] = _with_path(marginals[name], followed[name])
        numbers = self._numbers(theta, shares)
        said = (*notes, *_impossible(marginals, self.bound), *infinite_notes(numbers), *self._simulated())
        return Posterior(tuple(marginals.values()), said, tuple(numbers.values()))

    def _simulated(self) -> Iterator[str]:
        """A note for each integral whose posterior is known but for the error of a simulation."""
        for integral in self.integrals.values():
            if isinstance(integral.method, MonteCarlo):
                names = ", ".join(integral.integral.latents)
                yield f"the posterior of {names} is simulated, by {2 * integral.method.pairs} weighted draws"

    def _numbers(self, theta: Theta, shares: Mapping[str, Array]) -> dict[str, HiddenNumber]:
        """The continuous hidden variables, integrated or summed over nodes."""
        found = {item.name: item for item in self.hidden_numbers}
        model, bound = self.derivation.model, self.bound
        for variable in model.variables:
            name = variable.name
            if not is_on_grid(variable):
                continue
            level = next(n for n, item in enumerate(bound.levels) if item.plate == variable.plate)
            if name in self.standard:
                values = Evaluator(model, bound, theta=theta, level=level).value(self.standard[name])
                joint, _, axes = standard_joint(name, self.standard[name], model)
                found[name] = standardised_number(name, level, Named((*axes, ROW), shares[joint]), values)
            else:
                found[name] = gridded_number(variable, level, shares[name], bound)
        return found

    # --- probabilities ------------------------------------------------------------------------------------------------

    def shares(self, theta: Theta, *, filtered: bool = False) -> dict[str, Array]:
        """The joint posterior of each hidden variable, genotype and name of `joint`, `(*values, units)`; NaN where the
        data are impossible. `filtered`: given a chain's units up to this one and no later ones.

        Raises `not-supported-yet` for a filter of a chain under hidden variables, or of higher order.
        """
        if filtered:
            self._check_filter()
        module: Any = self.posterior_module
        module.scan_forward = filter_forward if filtered else scan_forward
        module.scan_reverse = filter_reverse if filtered else scan_reverse
        with np.errstate(all="ignore"):
            return self._shares(theta)

    def _check_filter(self) -> None:
        check_finite(
            self.declared, "filters of", "--filtered",
            "leave out --filtered: what is hidden is then known from the whole chain",
        )  # fmt: skip
        for node in self.posterior_nodes:
            if isinstance(node, Scan) and (node.axes or node.memory > 1):
                what = f"under {', '.join(node.axes)}" if node.axes else "that looks back more than one unit"
                raise EmmError(
                    "not-supported-yet", f"the chain of {', '.join(node.states)} {what} cannot be filtered yet",
                    place="--filtered", help="leave out --filtered: what is hidden is then known from the whole chain",
                )  # fmt: skip

    def _shares(self, theta: Theta) -> dict[str, Array]:
        """For each hidden variable `(values, units)`, for each genotype `(values, values, units)`."""
        v = self.vector(theta)
        etas = self.etas(theta, v)
        nodes = self.posterior_nodes
        tables = {node.number: self._table(node, theta, v, etas, blank=False) for node in nodes}
        constants = self._evidence_only(nodes)
        sums = {node.number: self._accumulator(node, tables) for node in nodes}
        for block in self.blocks:
            self.posterior_module.sweep(tables, constants, block, sums)
        found = {}
        for node in nodes:
            if isinstance(node, Potential):
                total = sums[node.number].sum(axis=tuple(range(len(node.axes))))
                found[node.latent] = sums[node.number] / total
        self.hidden_numbers = tuple(self._integrated(theta, v, tables, sums))
        return found

    def _integrated(
        self, theta: Theta, v: Array, tables: Mapping[int, Any], sums: Mapping[int, Any]
    ) -> Iterator[HiddenNumber]:
        """The numbers of every integral, over the posterior of its cells."""
        model, bound = self.derivation.model, self.bound
        for node in self.posterior_nodes:
            if isinstance(node, RowDensity) and node.piece in self.integrals:
                yield from integrated_numbers(
                    self.integrals[node.piece], tables[node.number], sums[node.number], model, bound
                )
        for integral in self.whole:
            yield from integrated_numbers(integral, integral.method.evidence(theta, v), np.ones(1), model, bound)

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
        level = next(n for n, item in enumerate(self.bound.levels) if item.plate == variable.plate)
        if not variable.components:
            return Marginal(variable.name, level, labels, shares, self.bound.labels_as_numbers(variable.values))
        return Marginal(variable.name, level, *_unordered(labels, shares))

    # --- paths --------------------------------------------------------------------------------------------------------

    def _scans(self, found: list[Codes]) -> list[tuple[Scan, Codes]]:
        """Each scan with the paths of all rows, the blocks put together."""
        nodes = [node for node in self.posterior_nodes if isinstance(node, Scan)]
        whole = []
        for k, node in enumerate(nodes):
            states = int(np.prod([self.sizes[name] for name in node.states]))
            layouts = [block.layouts[node.level + 1] for block in self.blocks]
            parts = zip(found[k :: len(nodes)], layouts, strict=True)
            paths = [
                path if node.memory == 1 or layout is None else unit_path(path, layout.windows(node.memory), states)
                for path, layout in parts
            ]
            whole.append((node, np.concatenate(paths, axis=-1)))
        return whole

    def _paths(
        self, scans: list[tuple[Scan, Codes]], shares: Mapping[str, Array]
    ) -> tuple[dict[str, Codes], tuple[str, ...]]:
        """The path of every variable of a chain, and on what it depends."""
        paths: dict[str, Codes] = {}
        notes = []
        for node, path in scans:
            names = ", ".join(dict.fromkeys(name.partition(".")[0] for name in node.states))
            if any("@" in axis for axis in node.axes):
                notes.append(f"there is no most probable path of {names}, whose chain depends on another chain's past")
                continue
            numbers = [name for name in node.states if is_on_grid(self.derivation.model.variable(name))]
            if numbers and len(numbers) < len(node.states):
                others = ", ".join(name for name in node.states if name not in numbers)
                notes.append(
                    f"the most probable path of {others} is the one with the most probable {', '.join(numbers)}"
                )
            if node.axes:
                around = ", ".join(dict.fromkeys(name.partition(".")[0] for name in node.axes))
                notes.append(f"the most probable path of {names} is the one given the most probable {around}")
            chosen = self._chosen(node, path, shares)
            codes = np.unravel_index(np.maximum(chosen, 0), tuple(self.sizes[name] for name in node.states))
            for name, code in zip(node.states, codes, strict=True):
                paths[name] = np.where(chosen < 0, -1, code)
        return self._declared(paths), tuple(notes)

    def _chosen(self, node: Scan, path: Codes, shares: Mapping[str, Array]) -> Codes:
        """The path of each chain given the most probable value of every variable around it."""
        level = self.bound.levels[node.level + 1]
        cell: Any = np.zeros(self.bound.levels[node.level].size, dtype=np.intp)
        number = {name: level for name, level, _ in self.latents}
        for axis in node.axes:
            best = np.argmax(np.nan_to_num(shares[axis]), axis=0)
            cell = cell * self.sizes[axis] + best[self._ancestor(node.level, number[axis])]
        return np.asarray(path[cell[level.parent], np.arange(level.size)])

    def _ancestor(self, level: int, above: int) -> Codes:
        """For each unit of a level the unit of a level above it that it lies in."""
        unit: Codes = np.arange(self.bound.levels[level].size)
        for number in range(level, above, -1):
            unit = self.bound.levels[number].parent[unit]
        return unit

    def _declared(self, paths: Mapping[str, Codes]) -> dict[str, Codes]:
        """The paths by the names that the user knows: the two draws of a genotype as one pair."""
        found = {}
        for variable in reported(self.derivation.model):
            if variable.name in paths:
                found[variable.name] = paths[variable.name]
            elif variable.components and all(name in paths for name in variable.components):
                assert variable.values is not None
                one, two = (paths[name] for name in variable.components)
                size = len(self.bound.indexes[variable.values])
                low, high = np.minimum(one, two), np.maximum(one, two)
                code = low * size - low * (low - 1) // 2 + high - low
                found[variable.name] = np.where(low < 0, -1, code)
        return found


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


def _impossible(marginals: Mapping[str, Marginal], bound: Bound) -> tuple[str, ...]:
    """A note for each plate some of whose units have data that cannot be, at these parameters."""
    units: dict[int, int] = {}
    for marginal in marginals.values():
        count = int(np.isnan(marginal.probabilities).any(axis=0).sum())
        units[marginal.level] = max(units.get(marginal.level, 0), count)
    return tuple(
        f"the data of {count} of {bound.levels[level].size} units of `{bound.levels[level].plate}` are impossible at "
        "these parameters; their posterior is empty"
        for level, count in units.items()
        if count
    )
