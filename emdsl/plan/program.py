"""A derivation bound to data: the arrays, the generated module, and the E-step over blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from math import prod
from typing import Any

import numpy as np

from emdsl.data.bound import Bound
from emdsl.data.counting import weights_between
from emdsl.data.shares import share_of
from emdsl.ir.derivation import Derivation, Integral
from emdsl.ir.identifiers import identifier
from emdsl.plan.binding import PieceBinder
from emdsl.plan.blocks import make_blocks
from emdsl.plan.centred_inputs import centred
from emdsl.plan.coded_sums import coded_data, coded_statistics, coded_sums
from emdsl.plan.condensing import condensed_sums, is_condensable, weights_of_rows
from emdsl.plan.counts import counted_variables
from emdsl.plan.crossing import crossed_sum
from emdsl.plan.drawn_sums import drawn_shares_of
from emdsl.plan.elimination import Eliminator, Passes
from emdsl.plan.integrals import BoundIntegral, bind_integral, joined_by_paths, over_all
from emdsl.plan.latent_pieces import VectorPiece
from emdsl.plan.leaves import coded_table, codes_of, leaf_statistics, static_table
from emdsl.plan.limits import check_array
from emdsl.plan.loading import load_module as load_module  # a stand-alone file puts its own program in this place
from emdsl.plan.maps import bind_map, observed_pairs
from emdsl.plan.matrices import GaussianPiece, bind_gaussian, bind_stationary
from emdsl.plan.narrow_laws import too_narrow
from emdsl.plan.nodes import (
    Affine,
    CodedLogSumExp,
    Crossing,
    DrawnLogSumExp,
    Fused,
    Indicator,
    LogSumExp,
    Node,
    Opening,
    Potential,
    Power,
    PrunedLogSumExp,
    Quadratic,
    RowDensity,
    Scan,
    Table,
    Take,
    in_order,
)
from emdsl.plan.pooled_units import Pooled, pooled
from emdsl.plan.preparation import prepared
from emdsl.plan.pruning import Choice, find_prunings, pruned_sum, states_of
from emdsl.plan.residual_piece import ResidualPiece
from emdsl.plan.source import formula_source, program_source
from emdsl.plan.switching import SwitchingChain
from emdsl.plan.unseen import is_unseen
from emdsl.plan.vectors import bind_vector, parameters_of
from emdsl.runtime.carriers import Block, RowTable
from emdsl.runtime.functions import LOG_ZERO
from emdsl.runtime.fused import fused_tables
from emdsl.runtime.integrals.points import PointWeights
from emdsl.runtime.kernels import LOG_IMPOSSIBLE
from emdsl.runtime.openings import FirstWindows
from emdsl.runtime.problem import Array, Theta
from emdsl.runtime.residuals import SeenMoments
from emdsl.runtime.vector_density import VectorDensity, VectorTable
from emdsl.runtime.vector_points import VectorAtPoints

#: A spread this many times below the pooled one is narrow: squares of standardised columns then lose half their digits.
NARROW = 1e4


class Constants(dict[int, Any]):
    """Bound data by number of node; `size` is the length of each axis."""

    size: dict[str, int]

    def copy(self) -> Constants:
        """The same data in a dictionary of its own."""
        found = Constants(self)
        found.size = self.size
        return found


class Program:
    """The E-step of one model on one data set. Pure in theta; scratch is its own."""

    def __init__(
        self, derivation: Derivation, bound: Bound, batch: int | None = None, prune: Choice = "auto",
        fuse: Choice = "auto", held: Mapping[str, Array] | None = None, regroup: bool = True, by_code: bool = True,
    ) -> None:  # fmt: skip
        """`held` are the values of parameters that are not estimated, NaN where they are. `regroup`: a plate may be put
        around the others, where rows look at elements outside the plates. `by_code`: sums over hidden variables of rows
        may be taken by code.
        """
        #: Hidden shares that are summed over nodes in their simplex.
        self.simplex = tuple(item.latents[0] for item in derivation.integrals if item.placing == "shares")
        derivation, bound = prepared(derivation, bound, regroup=regroup)
        #: Hidden numbers whose nodes are laid where the posterior lies.
        self.laid = tuple(bound.laid)
        self.derivation, self.bound, self.batch = derivation, bound, batch
        together = {
            name: [derivation.piece(other) for other in integral.pieces]
            for integral in derivation.integrals
            for name in integral.pieces
        }
        binder = PieceBinder(derivation.model, bound, batch, together)
        self._binder = binder
        #: Integrals over some units alone see these as all the data.
        binders = {
            group: PieceBinder(derivation.model, share_of(derivation.model, bound, share), batch, together)
            for group, share in bound.shares.items()
        }
        own = {name: item.group for item in derivation.integrals for name in item.pieces}
        self._row_data: dict[str, Any] = {}
        self.layout = binder.layout
        self.pieces = {
            piece.name: binders.get(own.get(piece.name, ""), binder).bind(piece, derivation.pieces)
            for piece in derivation.pieces
        }
        #: How the vector that formulas see differs from the parameters: intercepts at the centres of inputs.
        self.centring = None if batch else centred(self.pieces.values(), derivation.model, self.layout, held or {})
        statements = (*derivation.maps, *observed_pairs(derivation.model))
        self.maps = {item.name: bind_map(item, derivation.model, bound) for item in statements}
        self.gaussians: dict[str, GaussianPiece] = {}
        self.vectors: dict[str, VectorDensity] = {}
        #: Normal laws of vectors by formulas that look at continuous hidden variables.
        self.point_vectors: dict[str, VectorAtPoints] = {}
        self.stationary = {
            name: bind_stationary(item.piece, item.axes, binder)
            for name, item in self.pieces.items()
            if item.piece.stationary is not None
        }
        formulas = load_module(formula_source(derivation))
        self.integrals = {
            integral.name: integral
            for integral in (
                self._integral(item, binders.get(item.group, binder), formulas)
                for item in joined_by_paths(derivation.integrals, self.pieces, derivation.model, bound)
            )
        }
        arguments = (derivation.model, bound, list(self.pieces.values()), list(self.maps.values()))
        #: Integrals across the whole data set: their evidence is a number where no hidden variable is around them.
        self.whole = tuple(item for item in self.integrals.values() if item.level == 0 and not item.axes)
        self.inside = tuple(item for item in self.integrals.values() if item not in self.whole)
        apart = self._chained() | set(bound.chosen)
        self.prunings = find_prunings(derivation.model, bound, list(self.maps.values()), apart, prune)
        self.passes = Passes(self.prunings, fuse, by_code)
        #: Integrals along a chain that finite variables of its own plate switch.
        self.switching = tuple(m for m in (i.method for i in self.integrals.values()) if isinstance(m, SwitchingChain))
        self.in_chain = frozenset(name for method in self.switching for name in method.sizes)
        first = Eliminator(*arguments, integrals=self.inside, passes=self.passes, in_chain=self.in_chain)
        self.root = first.build()
        self.sizes = first.sizes
        counts = frozenset(counted_variables(derivation.model))
        second = Eliminator(
            *arguments,
            random=True,
            integrals=self.inside,
            without_potential=counts,
            passes=self.passes,
            in_chain=self.in_chain,
        )
        self.random_root = second.build()
        weighted = None if batch else self._weighted_root()
        self.source = program_source(derivation, self.root, self.random_root, weighted)
        self.module = load_module(self.source)
        self._bind_statistics()
        #: Of each piece that is completed by expected statistics: their symbols, and what gives them.
        self.completions = {
            name: (item.piece.completion.symbols, getattr(self.module, f"expected_{item.name}"))
            for name, item in self.pieces.items()
            if item.piece.completion is not None
        }
        self.nodes, self.random_nodes = in_order(self.root), in_order(self.random_root)
        self.constants = self._constants(self.root)
        self.random_constants = self._constants(self.random_root)
        self._etas = [
            (name, getattr(self.module, f"eta_{item.name}"), item.data)
            for name, item in self.pieces.items()
            if item.piece.form == "separable" and not item.piece.prior
        ]
        level_of = {level.plate: number for number, level in enumerate(bound.levels)}
        #: Name, level and number of values of each finite hidden variable.
        self.latents = [
            (v.name, level_of[v.plate], len(bound.indexes[v.values]))
            for v in derivation.model.variables
            if v.kind == "latent"
            and v.values is not None
            and not v.components
            and not is_unseen(v.name)
            and v.name not in bound.chosen
        ]
        #: Those that random starts draw: a count begins at its own law, a random one means nothing.
        self.drawn = [item for item in self.latents if item[0] not in counts]
        self._counted = {name for name, item in self.pieces.items() if counts & set(item.axes.hidden)}
        cells = max((self.cells(node) for node in self.nodes if node.rows), default=1)
        #: Densities by row and element that one look at all continuous hidden variables takes.
        self.evaluations = sum(
            int(np.prod(piece.bound.data.elements)) * piece.bound.data.rows
            for item in self.integrals.values()
            for piece in item.pieces
        )
        #: Levels whose units are hidden chains.
        self.scans = {node.level + 1 for node in self.nodes if isinstance(node, Scan)}
        #: Whether hidden variables that all units share are summed out.
        summed = LogSumExp | CodedLogSumExp | PrunedLogSumExp | Crossing
        self.together = any(node.level == 0 and isinstance(node, summed) for node in self.nodes)
        self.blocks = make_blocks(bound, cells, self.scans, together=self.together)
        rows = max((size for block in self.blocks for size in block.n), default=0)
        check_array("the largest table of one block of units", (cells, rows), "give the hidden variables fewer values")
        for method in self.switching:
            method.attach(self)
        #: Sums over a few rows in place of all, where rows differ in one number.
        self.condensed = None if weighted is None else condensed_sums(self, weighted)
        #: Numbers in the largest array over all rows.
        self.largest = cells * bound.levels[-1].size

    @cached_property
    def pooled(self) -> dict[str, Pooled]:
        """Of integrals whose units share precisions, those over a few units in place of all, for sums over all."""
        if self.derivation.model.givens:
            return {}
        found = {n: pooled(i.method, self._unit_weights(i.level)) for n, i in self.integrals.items()}
        return {name: item for name, item in found.items() if item is not None}

    # --- binding ------------------------------------------------------------------------------------------------------

    def _integral(self, integral: Integral, binder: PieceBinder, formulas: Any) -> BoundIntegral:
        found = bind_integral(integral, self.pieces, binder, formulas, partial(weights_between, binder.bound))
        if not integral.group:
            return found
        return over_all(found, self.bound.levels[found.level].size, self.bound.shares[integral.group])

    def _weighted_root(self) -> Node | None:
        """The program with a weight for each row, where a few rows may stand for all."""
        if not is_condensable(self.root):
            return None
        plate, weights = self.bound.levels[1].plate or "", weights_of_rows(self.bound)
        bound = replace(self.bound, weights={**self.bound.weights, plate: weights})
        pieces, maps = list(self.pieces.values()), list(self.maps.values())
        return Eliminator(self.derivation.model, bound, pieces, maps, passes=self.passes).build()

    def _bind_statistics(self) -> None:
        bound = self.bound
        for integral in self.integrals.values():
            for piece in integral.pieces:
                if isinstance(piece, VectorPiece | ResidualPiece) and piece.gaussian is not None:
                    self.gaussians[piece.name] = piece.gaussian
                elif isinstance(piece, ResidualPiece):
                    self.point_vectors[piece.name] = VectorAtPoints(piece.name, parameters_of(piece.bound.piece))
        for name, item in self.pieces.items():
            if item.carrier == "integral":
                continue
            if item.carrier == "gaussian":
                self.gaussians[name] = bind_gaussian(item, self._binder, self._unit_weights(item.level))
                continue
            if item.carrier == "vector":
                self.vectors[name] = bind_vector(item, self._binder, self.module)
                continue
            if item.piece.form != "separable" or item.piece.prior:
                continue
            data = item.data
            data.weights = self._unit_weights(item.level)
            columns = getattr(self.module, f"statistics_{identifier(name)}")(data)
            if item.carrier == "affine" or any(term.statistic != "1" for term in item.piece.terms):
                rows = bound.levels[item.level].size
                shape = (*data.elements, rows)
                full = np.stack([np.broadcast_to(column, shape) for column in columns], axis=-2)
                if data.row_mask is not None:
                    full = np.where(data.row_mask[..., None, :], full, 0.0)
                count = int(np.prod(data.elements))
                full = full.reshape(count, data.terms, rows)
                flat = full if item.carrier == "coded" else full.reshape(count * data.terms, rows)
                data.statistics = np.ascontiguousarray(flat, dtype=np.float64)

    def _unit_weights(self, level: int) -> Any:
        """The weight of each unit of a level: the product over the plates around it."""
        return weights_between(self.bound, 0, level)

    def _chained(self) -> frozenset[str]:
        """Hidden variables that are summed out along a chain: something looks back at them, or a law of its first
        units, or of the others, looks at them.
        """
        found: set[str] = set()
        for item in self.pieces.values():
            some = item.piece.when != "always" and not item.by_position
            found |= {axis.partition("@")[0] for axis in item.axes.hidden if some or "@" in axis}
        return frozenset(found)

    def cells(self, node: Node) -> int:
        """Numbers for each unit in the array of a node; where states are listed, in the list of a unit on average."""
        total = prod(self.sizes.get(axis, 1) for axis in node.axes)
        if isinstance(node, PrunedLogSumExp):
            return total * states_of(node, self.prunings).on_average
        return total

    def _constants(self, root: Node) -> Constants:
        constants = Constants()
        constants.size = dict(self.sizes)
        for node in in_order(root):
            match node:
                case Affine():
                    constants[node.number] = self.pieces[node.piece].data
                case Take():
                    constants[node.number] = self.pieces[node.pieces[0]].data
                case DrawnLogSumExp():
                    constants[node.number] = drawn_shares_of(node, self.derivation.model, self.bound)
                case CodedLogSumExp():
                    constants[node.number] = coded_data(node, self.pieces, self.passes.codes)
                case Fused():
                    constants[node.number] = codes_of(node, self.passes.joint)
                case Indicator():
                    constants[node.number] = self.maps[node.map]
                case Power():
                    constants[node.number] = self.bound.weights[node.plate]
                case Opening(parts=parts, states=states, memory=memory):
                    outer = tuple(axis for axis in node.axes if axis.partition("@")[0] not in states)
                    shape = tuple(self.sizes[axis] for axis in node.axes)
                    constants[node.number] = FirstWindows(parts, outer, states, memory, shape)
                case Crossing(roles=roles):
                    model, bound = self.derivation.model, self.bound
                    constants[node.number] = crossed_sum(node, roles, model, bound, self.sizes)
                case PrunedLogSumExp():
                    constants[node.number] = pruned_sum(node, self.prunings, self.sizes)
        return constants

    # --- E-step -------------------------------------------------------------------------------------------------------

    def vector(self, theta: Theta) -> Array:
        """All parameters in one vector, in order of declaration, as formulas see it."""
        v = np.concatenate([np.ravel(theta[name]) for name in self.layout.shapes] or [np.zeros(0)])
        return v if self.centring is None else self.centring.vector(v)

    def etas(self, theta: Theta, v: Array) -> dict[str, Array]:
        """The eta table of each separable piece."""
        tables = {name: self._possible(name, function(theta, v, data)) for name, function, data in self._etas}
        for name, part in self.stationary.items():
            tables[name] = part.table(theta)[..., None]
        return tables

    def _possible(self, name: str, table: Array) -> Array:
        """An eta table with the logarithm of 0 in the cells that are impossible."""
        item = self.pieces[name]
        if item.data.impossible is not None:
            constant = next(j for j, term in enumerate(item.piece.terms) if term.statistic == "1")
            mask = np.broadcast_to(item.data.impossible, table.shape[:-1])
            table[mask] = 0.0
            table[mask, constant] = LOG_ZERO
        return table

    def expect(self, theta: Theta, *, row_by_row: bool = False) -> tuple[Any, dict[str, Any]]:
        """The log-likelihood (one for each start of a batch) and the expected statistics of each piece, `(*cells,
        terms)` (posterior weights by row for pieces by row, monomials for Gaussian ones). `row_by_row`: no rows stand
        for others.
        """
        with np.errstate(all="ignore"):
            v = self.vector(theta)
            etas = self.etas(theta, v)
            tables = {
                node.number: self._pooled_table(node, theta, v, None) or self.table_of(node, theta, v, etas)
                for node in self.nodes
            }
            whole = [integral.method.evidence(theta, v) for integral in self.whole]
            few = None if row_by_row else self._condensed_sweep(tables)
            total, found = few or self.sweep(tables, self.blocks)
            if self.laid or self.simplex:
                total = np.where(too_narrow(self, tables), -np.inf, total)
            for evidence in whole:
                total = total + evidence.forward(slice(0, 1))[0]
                found.update(evidence.statistics(np.ones(1)))
            return total, self._completed(self._at_points(found, self.nodes, tables), theta, v)

    def _pooled_table(self, node: Node, theta: Theta, v: Array, rng: np.random.Generator | None) -> Any:
        """The leaf of an integral over a few units in place of all; None for any other node."""
        if not isinstance(node, RowDensity) or node.piece not in self.pooled:
            return None
        found = self.pooled[node.piece]
        return found.evidence(theta, v) if rng is None else found.drawn(theta, v, rng)

    def table_of(self, node: Node, theta: Theta, v: Array, etas: dict[str, Array]) -> Any:
        """What a leaf of the program looks its log-factors up in, at theta."""
        return self._table(node, theta, v, etas, blank=False)

    def sweep(self, tables: dict[int, Any], blocks: Sequence[Block]) -> tuple[Any, dict[str, Any]]:
        """The E-step over some blocks: log-evidence and statistics; of an integral the posterior weights of its
        cells, right for the rows of these blocks alone."""
        return self._sweep(self.nodes, tables, self.constants, self.module.expectation, blocks)

    def expect_random(
        self, theta: Theta, potentials: dict[str, Array], multiplier: tuple[Array, ...], rng: np.random.Generator
    ) -> dict[str, Any]:
        """Expected statistics with all log-densities but structural zeros, and those in which counts occur, left out
        and random potentials in their place.
        """
        with np.errstate(all="ignore"):
            v = self.vector(theta)
            etas = {
                name: eta if name in self._counted else np.where(eta <= LOG_IMPOSSIBLE, LOG_ZERO, 0.0)
                for name, eta in self.etas(theta, v).items()
            }
            tables = {
                n.number: self._pooled_table(n, theta, v, rng)
                or self._table(n, theta, v, etas, blank=not self._counted & _pieces_of(n), rng=rng)
                for n in self.random_nodes
            }
            constants = self.random_constants.copy()
            for node in self.random_nodes:
                if isinstance(node, Potential):
                    constants[node.number] = potentials[node.latent]
            blocks = [replace(block, multiplier=multiplier) for block in self.blocks]
            run = self.module.random_expectation
            whole = [integral.method.drawn(theta, v, rng) for integral in self.whole]
            found = self._sweep(self.random_nodes, tables, constants, run, blocks)[1]
            for evidence in whole:
                found.update(evidence.statistics(np.ones(1)))
            return self._completed(self._at_points(found, self.random_nodes, tables), theta, v)

    def _completed(self, found: dict[str, Any], theta: Theta, v: Array) -> dict[str, Any]:
        """The statistics, values of which only an event is known having their expectations at theta."""
        for name, (symbols, expected) in self.completions.items():
            data = self.pieces[name].data
            knowns = dict(zip(symbols, expected(theta, v, data), strict=True))
            found[name] = PointWeights(found[name], replace(data, knowns={**data.knowns, **knowns}))
        return self.whole_vectors(found, theta)

    def whole_vectors(self, found: dict[str, Any], theta: Theta) -> dict[str, Any]:
        """The statistics, moments of vectors of which some columns are missing being those of whole ones at theta."""
        for name, item in found.items():
            if isinstance(item, SeenMoments):
                found[name] = item.monomials(self.gaussians[name].covariance_of(theta))
        return found

    def _at_points(self, found: dict[str, Any], nodes: tuple[Node, ...], tables: dict[int, Any]) -> dict[str, Any]:
        """The statistics with those of every integral's pieces in place of the posterior weights of its cells."""
        for node in nodes:
            if isinstance(node, RowDensity) and node.piece in self.integrals:
                found.update(tables[node.number].statistics(found.pop(node.piece)))
        return found

    def _table(
        self, node: Node, theta: Theta, v: Array, etas: dict[str, Array], *, blank: bool,
        rng: np.random.Generator | None = None,
    ) -> Any:  # fmt: skip
        match node:
            case RowDensity() if node.piece in self.integrals:
                method = self.integrals[node.piece].method
                return method.evidence(theta, v) if rng is None else method.drawn(theta, v, rng)
            case Table():
                return static_table(node, self.pieces, etas, self.sizes)
            case Affine():
                data = self.pieces[node.piece].data
                if not blank and self._is_narrow(node.piece, etas):
                    return self._row_table(node.piece, theta, v)
                return etas[node.piece].reshape(*data.hidden, -1)
            case Take():
                if not blank and self._is_narrow(node.pieces[0], etas):
                    return self._row_table(node.pieces[0], theta, v)
                return coded_table(node, self.pieces, etas)
            case CodedLogSumExp():
                return coded_sums(node, self.pieces, etas, self.sizes, self.passes.codes)
            case Fused():
                tables = [coded_table(take, self.pieces, etas) for take in node.takes]
                return fused_tables(tables, codes_of(node, self.passes.joint))
            case RowDensity():
                item = self.pieces[node.piece]
                density = getattr(self.module, f"density_{item.name}")
                reduced = item.piece.form == "log-sum-exp"
                return RowTable(item.data, density, theta, v, reduced, item.piece.sign, blank)
            case Quadratic():
                if node.piece not in self.vectors:
                    return self.gaussians[node.piece].table(theta, blank=blank)
                law = self.vectors[node.piece]
                return VectorTable(np.zeros((*law.hidden, law.x.shape[1])) if blank else law.densities(theta, v))
        return None

    def _is_narrow(self, name: str, etas: dict[str, Array]) -> bool:
        """Whether some cell's spread is so far below that of all rows that products of centred statistics would
        cancel.
        """
        return bool(self.pieces[name].piece.shifts) and float(etas[name][..., 0].min()) < -0.5 * NARROW**2

    def _row_table(self, name: str, theta: Theta, v: Array) -> RowTable:
        """A separable piece evaluated row by row: `(x - mu) / sigma` keeps the digits that its statistics lose."""
        if name not in self._row_data:
            piece = replace(self.pieces[name].piece, form="rows")
            self._row_data[name] = self._binder.bind(piece, self.derivation.pieces).data
        density = getattr(self.module, f"density_{self.pieces[name].name}")
        return RowTable(self._row_data[name], density, theta, v, False, 1)

    def _sweep(
        self,
        nodes: tuple[Node, ...],
        tables: dict[int, Any],
        constants: Constants,
        run: Any,
        blocks: Sequence[Block],
    ) -> tuple[Any, dict[str, Any]]:
        sums = {node.number: self.accumulator(node, tables) for node in nodes}
        total: Any = 0.0
        for block in blocks:
            total = total + run(tables, constants, block, sums)
        return self._summed(nodes, tables, total, sums)

    def _condensed_sweep(self, tables: dict[int, Any]) -> tuple[Any, dict[str, Any]] | None:
        """The E-step over the rows that stand for all; None where all are to be summed."""
        found = None if self.condensed is None else self.condensed.sums(tables)
        return None if found is None else self._summed(self.nodes, tables, *found)

    def _summed(
        self, nodes: tuple[Node, ...], tables: dict[int, Any], total: Any, sums: dict[int, Any]
    ) -> tuple[Any, dict[str, Any]]:
        # What is impossible adds up to some multiple of -1e300.
        total = np.where(total <= LOG_IMPOSSIBLE, -np.inf, total)
        found: dict[str, Any] = {}
        for node in nodes:
            own: tuple[Any, Any] = sums.get(node.number), tables[node.number]
            if isinstance(node, CodedLogSumExp):
                found |= coded_statistics(node, *own, self.pieces, self.sizes, self.passes.codes)
            found |= leaf_statistics(node, *own, self.pieces, self.passes.joint)
        return total, found

    def accumulator(self, node: Node, tables: Mapping[int, Any]) -> Any:
        """What a block adds the statistics of a leaf to; None for other nodes."""
        match node:
            case Affine():
                data = self.pieces[node.piece].data
                return np.zeros((*data.hidden, int(np.prod(data.elements)) * data.terms))
            case Take() if isinstance(tables[node.number], RowTable):
                data = self.pieces[node.pieces[0]].data
                return np.zeros((*data.hidden, int(np.prod(data.elements)), int(np.prod(data.codes)), data.terms))
            case Fused():
                return [np.zeros_like(table) for table in tables[node.number].joint]
            case CodedLogSumExp():
                return np.zeros_like(tables[node.number].table)
            case Table() | Take():
                return np.zeros_like(tables[node.number])
            case Quadratic():
                return tables[node.number].accumulator()
            case RowDensity() if node.piece in self.integrals:
                integral = self.integrals[node.piece]
                return np.empty((*integral.hidden, integral.units))
            case RowDensity():
                item = self.pieces[node.piece]
                return np.empty((*item.data.hidden, item.data.rows))
            case Potential():
                rows = self.bound.levels[node.level].size
                return np.empty((*(self.sizes[axis] for axis in node.axes), rows))
        return None


def _pieces_of(node: Node) -> set[str]:
    return {*getattr(node, "pieces", ()), getattr(node, "piece", "")}
