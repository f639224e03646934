"""A derivation bound to data: the arrays, the plan of the sums, and the generated module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, partial
from math import prod
from typing import Any

import numpy as np

from emdsl.data.bound import Bound
from emdsl.data.counting import unit_weights, weights_between
from emdsl.data.shares import share_of
from emdsl.ir.derivation import Derivation, Integral
from emdsl.ir.identifiers import identifier
from emdsl.plan.binding import PieceBinder
from emdsl.plan.blocks import make_blocks
from emdsl.plan.centred_inputs import centred
from emdsl.plan.coded_sums import coded_data
from emdsl.plan.condensing import is_condensable
from emdsl.plan.counts import counted_variables
from emdsl.plan.crossing import crossed_sum
from emdsl.plan.drawn_sums import drawn_shares_of
from emdsl.plan.elimination import Eliminator, Passes
from emdsl.plan.integrals import BoundIntegral, bind_integral, joined_by_paths, over_all
from emdsl.plan.latent_pieces import VectorPiece
from emdsl.plan.leaves import codes_of
from emdsl.plan.limits import check_array
from emdsl.plan.loading import load_module as load_module  # a stand-alone file puts its own program in this place
from emdsl.plan.maps import bind_map, observed_pairs
from emdsl.plan.matrices import GaussianPiece, bind_gaussian, bind_stationary
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
    Power,
    PrunedLogSumExp,
    Scan,
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
from emdsl.runtime.openings import FirstWindows
from emdsl.runtime.problem import Array
from emdsl.runtime.vector_density import VectorDensity
from emdsl.runtime.vector_points import VectorAtPoints


class Constants(dict[int, Any]):
    """Bound data by number of node; `size` is the length of each axis."""

    size: dict[str, int]

    def copy(self) -> Constants:
        """The same data in a dictionary of its own."""
        found = Constants(self)
        found.size = self.size
        return found


class BoundProgram:
    """What an E-step runs on: pieces with their data, integrals, the nodes of the sums and the module made of them."""

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
        self._bind_pieces(held or {})
        statements = (*derivation.maps, *observed_pairs(derivation.model))
        self.maps = {item.name: bind_map(item, derivation.model, bound) for item in statements}
        self._bind_integrals()
        self._plan_sums(prune, fuse, by_code)
        self.module = load_module(self.source)
        self._bind_statistics()
        #: Of each piece that is completed by expected statistics: their symbols, and what gives them.
        self.completions = {
            name: (item.piece.completion.symbols, getattr(self.module, f"expected_{item.name}"))
            for name, item in self.pieces.items()
            if item.piece.completion is not None
        }
        self.constants = self._constants(self.root)
        self.random_constants = self._constants(self.random_root)
        self._etas = [
            (name, getattr(self.module, f"eta_{item.name}"), item.data)
            for name, item in self.pieces.items()
            if item.piece.form == "separable" and not item.piece.prior
        ]
        self._cut_blocks()
        for method in self.switching:
            method.attach(self)

    @cached_property
    def pooled(self) -> dict[str, Pooled]:
        """Of integrals whose units share precisions, those over a few units in place of all, for sums over all."""
        if self.derivation.model.givens:
            return {}
        found = {n: pooled(i.method, self._unit_weights(i.level)) for n, i in self.integrals.items()}
        return {name: item for name, item in found.items() if item is not None}

    # --- binding ------------------------------------------------------------------------------------------------------

    def _bind_pieces(self, held: Mapping[str, Array]) -> None:
        derivation, bound, batch = self.derivation, self.bound, self.batch
        together = {
            name: [derivation.piece(other) for other in integral.pieces]
            for integral in derivation.integrals
            for name in integral.pieces
        }
        self._binder = PieceBinder(derivation.model, bound, batch, together)
        #: Integrals over some units alone see these as all the data.
        self._binders = {
            group: PieceBinder(derivation.model, share_of(derivation.model, bound, share), batch, together)
            for group, share in bound.shares.items()
        }
        own = {name: item.group for item in derivation.integrals for name in item.pieces}
        self.layout = self._binder.layout
        self.pieces = {
            piece.name: self._binders.get(own.get(piece.name, ""), self._binder).bind(piece, derivation.pieces)
            for piece in derivation.pieces
        }
        #: How the vector that formulas see differs from the parameters: intercepts at the centres of inputs.
        self.centring = None if batch else centred(self.pieces.values(), derivation.model, self.layout, held)
        self.gaussians: dict[str, GaussianPiece] = {}
        self.vectors: dict[str, VectorDensity] = {}
        #: Normal laws of vectors by formulas that look at continuous hidden variables.
        self.point_vectors: dict[str, VectorAtPoints] = {}
        self.stationary = {
            name: bind_stationary(item.piece, item.axes, self._binder)
            for name, item in self.pieces.items()
            if item.piece.stationary is not None
        }

    def _bind_integrals(self) -> None:
        derivation, bound = self.derivation, self.bound
        formulas = load_module(formula_source(derivation))
        self.integrals = {
            integral.name: integral
            for integral in (
                self._integral(item, self._binders.get(item.group, self._binder), formulas)
                for item in joined_by_paths(derivation.integrals, self.pieces, derivation.model, bound)
            )
        }
        #: Integrals across the whole data set: their evidence is a number where no hidden variable is around them.
        self.whole = tuple(item for item in self.integrals.values() if item.level == 0 and not item.axes)
        self.inside = tuple(item for item in self.integrals.values() if item not in self.whole)
        #: Integrals along a chain that finite variables of its own plate switch.
        self.switching = tuple(m for m in (i.method for i in self.integrals.values()) if isinstance(m, SwitchingChain))
        self.in_chain = frozenset(name for method in self.switching for name in method.sizes)
        #: Densities by row and element that one look at all continuous hidden variables takes.
        self.evaluations = sum(
            int(np.prod(piece.bound.data.elements)) * piece.bound.data.rows
            for item in self.integrals.values()
            for piece in item.pieces
        )

    def _plan_sums(self, prune: Choice, fuse: Choice, by_code: bool) -> None:
        """The nodes of the sums over finite hidden variables, and the source of what runs."""
        model, bound = self.derivation.model, self.bound
        apart = self._chained() | set(bound.chosen)
        self.prunings = find_prunings(model, bound, list(self.maps.values()), apart, prune)
        self.passes = Passes(self.prunings, fuse, by_code)
        counts = frozenset(counted_variables(model))
        first = self._eliminator(bound, random=False)
        self.root = first.build()
        self.sizes = first.sizes
        self.random_root = self._eliminator(bound, random=True, without_potential=counts).build()
        self.weighted_root = None if self.batch else self._weighted_root()
        self.source = program_source(self.derivation, self.root, self.random_root, self.weighted_root)
        self.nodes, self.random_nodes = in_order(self.root), in_order(self.random_root)
        level_of = {level.plate: number for number, level in enumerate(bound.levels)}
        #: Name, level and number of values of each finite hidden variable.
        self.latents = [
            (v.name, level_of[v.plate], len(bound.indexes[v.values]))
            for v in model.variables
            if v.kind == "latent" and v.values is not None and not v.components and not is_unseen(v.name)
            and v.name not in bound.chosen
        ]  # fmt: skip
        #: Those that random starts draw: a count begins at its own law, a random one means nothing.
        self.drawn = [item for item in self.latents if item[0] not in counts]
        self._counted = {name for name, item in self.pieces.items() if counts & set(item.axes.hidden)}

    def _eliminator(self, bound: Bound, **options: Any) -> Eliminator:
        return Eliminator(
            self.derivation.model, bound, list(self.pieces.values()), list(self.maps.values()), integrals=self.inside,
            passes=self.passes, in_chain=self.in_chain, **options,
        )  # fmt: skip

    def _weighted_root(self) -> Node | None:
        """The program with a weight for each row, where a few rows may stand for all."""
        if not is_condensable(self.root):
            return None
        plate, weights = self.bound.levels[1].plate or "", unit_weights(self.bound, 1)
        return self._eliminator(replace(self.bound, weights={**self.bound.weights, plate: weights})).build()

    def _cut_blocks(self) -> None:
        cells = max((self.cells(node) for node in self.nodes if node.rows), default=1)
        #: Levels whose units are hidden chains.
        self.scans = {node.level + 1 for node in self.nodes if isinstance(node, Scan)}
        #: Whether hidden variables that all units share are summed out.
        summed = LogSumExp | CodedLogSumExp | PrunedLogSumExp | Crossing
        self.together = any(node.level == 0 and isinstance(node, summed) for node in self.nodes)
        self.blocks = make_blocks(self.bound, cells, self.scans, together=self.together)
        rows = max((size for block in self.blocks for size in block.n), default=0)
        check_array("the largest table of one block of units", (cells, rows), "give the hidden variables fewer values")
        #: Numbers in the largest array over all rows.
        self.largest = cells * self.bound.levels[-1].size

    def _integral(self, integral: Integral, binder: PieceBinder, formulas: Any) -> BoundIntegral:
        found = bind_integral(integral, self.pieces, binder, formulas, partial(weights_between, binder.bound))
        if not integral.group:
            return found
        return over_all(found, self.bound.levels[found.level].size, self.bound.shares[integral.group])

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
