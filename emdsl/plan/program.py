"""The E-step of a program over blocks, over a few rows that stand for all, and under random responsibilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from emdsl.plan.bound_program import BoundProgram, Constants
from emdsl.plan.coded_sums import coded_statistics, coded_sums
from emdsl.plan.condensing import CondensedSums, condensed_sums
from emdsl.plan.leaves import coded_table, codes_of, leaf_statistics, static_table
from emdsl.plan.narrow_laws import too_narrow
from emdsl.plan.nodes import Affine, CodedLogSumExp, Fused, Node, Potential, Quadratic, RowDensity, Table, Take
from emdsl.runtime.carriers import Block, RowTable
from emdsl.runtime.functions import LOG_ZERO
from emdsl.runtime.fused import fused_tables
from emdsl.runtime.integrals.points import PointWeights
from emdsl.runtime.kernels import LOG_IMPOSSIBLE
from emdsl.runtime.pieces import PieceData
from emdsl.runtime.problem import Array, Theta
from emdsl.runtime.residuals import SeenMoments
from emdsl.runtime.vector_density import VectorTable

#: A spread this many times below the pooled one is narrow: squares of standardised columns then lose half their digits.
NARROW = 1e4


class Program(BoundProgram):
    """The E-step of one model on one data set. Pure in theta; scratch is its own."""

    @cached_property
    def condensed(self) -> CondensedSums | None:
        """Sums over a few rows in place of all, where rows differ in one number; None: they are taken over all."""
        return None if self.weighted_root is None else condensed_sums(self, self.weighted_root)

    @cached_property
    def _row_data(self) -> dict[str, PieceData]:
        """Separable pieces bound to be evaluated row by row, as they are asked for."""
        return {}

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
