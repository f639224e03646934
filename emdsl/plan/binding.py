"""Pieces bound to data: their cell axes, the addresses of their parameters, their statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from emdsl.data.bound import Bound, Level
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.derivation import Atom, Known, Piece
from emdsl.ir.expressions import BinderRef, ParameterRef, Position, VariableRef, walk
from emdsl.ir.latents import continuous_latents, is_continuous
from emdsl.ir.model import Model
from emdsl.plan.codes import JointCodes, bind_codes, joint_codes
from emdsl.plan.evaluation import JOINT, Evaluator, axis_of, early_units
from emdsl.plan.layout import Axes, BoundPiece, layout
from emdsl.plan.limits import check_array, check_table
from emdsl.plan.named import POINT, ROW, START, Named, union
from emdsl.plan.openness import open_rows
from emdsl.plan.supports import exclude_impossible, seen_whole
from emdsl.runtime.functions import LOG_ZERO
from emdsl.runtime.pieces import PieceData, Slots
from emdsl.runtime.problem import Array
from emdsl.runtime.scatter import Address, address


class PieceBinder:
    """Binds the pieces of one derivation."""

    def __init__(
        self, model: Model, bound: Bound, batch: int | None = None,
        together: Mapping[str, Sequence[Piece]] | None = None,
    ) -> None:  # fmt: skip
        """`together`: for a piece that looks at continuous hidden variables, all those of its integral."""
        self.together = together or {}
        self.model = model
        self.bound = bound
        self.batch = batch
        self.layout = layout(model, bound, batch)
        self.plain = Evaluator(model, bound)
        self._earlier: frozenset[str] | None = None
        #: Whether continuous hidden variables occur in an item, by its identity (the item is kept with the answer).
        self._pointed: dict[int, tuple[Any, bool]] = {}

    def bind(self, piece: Piece, pieces: Sequence[Piece]) -> BoundPiece:
        """The piece with its axes, addresses, masks and codes (its statistics follow once the program is generated)."""
        level = self._level(piece)
        siblings = [other for other in pieces if other.factor == piece.factor]
        within = self.together.get(piece.name)
        alone = self.by_code_alone(siblings)
        coded = self._coded(piece)
        # Both see the units of this piece's plate; `plain` gives finite data row by row, `evaluator` as axes of codes.
        self.plain = Evaluator(self.model, self.bound, level=level)
        joint = joint_codes(coded, piece.target, self.plain, self.bound.levels[level].size)
        evaluator = Evaluator(self.model, self.bound, coded, level=level, joint={} if joint is None else joint.codes)
        axes = self._axes(piece, coded, siblings if alone else within or (piece,), joint)
        check_table(f"the law of `{piece.factor}`", {axis: axes.sizes[axis] for axis in axes.hidden if axis != START})
        cells = (*axes.shape(axes.cells), max(1, len(piece.terms)))
        check_array(f"the law of `{piece.factor}`, cell by cell,", cells, "index its parameters by smaller sets")
        by_row = piece.form in ("rows", "log-sum-exp")
        addresses: list[Address | None] = []
        slots: list[Slots | None] = []
        for atom in piece.atoms:
            place = None if atom.is_predictor else self.address(atom.terms[0].parameter, axes, evaluator)
            addresses.append(place)
            by_data = place is not None or self._at_points(atom)
            slots.append(None if by_data else self._slots(atom, axes, evaluator))
        data = PieceData(
            name=piece.name, by_row=by_row, hidden=axes.shape(axes.hidden), elements=axes.shape(axes.elements),
            codes=axes.shape(axes.codes), terms=len(piece.terms), rows=self.bound.levels[level].size, level=level,
            addresses=addresses, slots=slots, homes=[self._home(atom) for atom in piece.atoms],
            knowns={k.symbol: self._known(k, axes, evaluator, by_row) for k in piece.knowns if not self._at_points(k)},
        )  # fmt: skip
        if piece.multiplier is not None:
            names = (*axes.hidden, *axes.elements[:-1], ROW)
            # an empty cell does not count, but 0 times NaN would
            data.multiplier = np.nan_to_num(self.plain.value(piece.multiplier).aligned(names))
        exclude_impossible(piece, data, self.model)
        bound = BoundPiece(piece, level, axes, data)
        bound.by_position = piece.when != "always" and not self._of_hidden_chain(piece, pieces)
        bound.carrier = "coded" if coded and alone else ""
        self._guards(bound, evaluator)
        self._carrier(bound, coded, joint)
        return bound

    def _at_points(self, item: Any) -> bool:
        """Whether a continuous hidden variable occurs in it: it then has a value only at points of these."""
        kept = self._pointed.get(id(item))
        if kept is None or kept[0] is not item:
            self._pointed[id(item)] = kept = (item, any(True for _ in continuous_latents(item, self.model)))
        return kept[1]

    def at(self, bound: BoundPiece, drawn: Mapping[Any, Named], points: int | None = None) -> PieceData:
        """The data of a piece with continuous hidden variables at the points `drawn`, whose axis is its last hidden
        one; `points` is their number, for a piece that looks at none of them.
        """
        evaluator = Evaluator(self.model, self.bound, level=bound.level, points=drawn)
        self.plain = evaluator
        if points is None:
            points = max(item.array.shape[item.axes.index(POINT)] for item in drawn.values())
        axes = replace(bound.axes, sizes={**bound.axes.sizes, POINT: points})
        data = bound.data
        knowns = dict(data.knowns)
        for known in bound.piece.knowns:
            if self._at_points(known):
                knowns[known.symbol] = self._known(known, axes, evaluator, True)
        slots = [
            self._slots(atom, axes, evaluator) if self._at_points(atom) else item
            for atom, item in zip(bound.piece.atoms, data.slots, strict=True)
        ]
        addresses = [None if a is None else replace(a, cells=axes.shape(axes.cells)) for a in data.addresses]
        hidden = axes.shape(axes.hidden)
        return replace(data, knowns=knowns, slots=slots, addresses=addresses, hidden=hidden)

    def by_row(self, expression: Any) -> bool:
        """Whether an expression varies by row: data occur in it, or continuous hidden variables."""
        return bool(self._by_row(expression)) or self._at_points(expression)

    def at_columns(
        self, bound: BoundPiece, columns: Mapping[Any, Named], hidden: tuple[int, ...], rows: int
    ) -> PieceData:
        """The data of a piece at `rows` made-up rows: `columns` are the values of all that varies by row."""
        evaluator = Evaluator(self.model, self.bound, level=bound.level, points=columns)
        self.plain = evaluator
        data = bound.data
        knowns = dict(data.knowns)
        for known in bound.piece.knowns:
            if known.by_row:
                knowns[known.symbol] = self._known(known, bound.axes, evaluator, True)
        slots = [
            self._slots(atom, bound.axes, evaluator) if item is not None or self._at_points(atom) else None
            for atom, item in zip(bound.piece.atoms, data.slots, strict=True)
        ]
        for number, shifts in bound.moved.items():
            item = slots[number]
            assert item is not None
            slots[number] = replace(item, coefficients=item.coefficients - shifts[:, None])
        return replace(data, knowns=knowns, slots=slots, row_mask=None, rows=rows, hidden=(*hidden, 1))

    def by_code_alone(self, siblings: Sequence[Piece]) -> bool:
        """Whether all pieces of a factor are tables by the same codes, without statistics that vary by row: missing
        and coarse cells can then be summed over.
        """
        codes = {self._coded(other) for other in siblings}
        constant = all(term.statistic == "1" for other in siblings for term in other.terms)
        same = len(codes) == 1 and len({other.elements for other in siblings}) == 1
        return constant and same and bool(codes.pop()) and all(other.form == "separable" for other in siblings)

    # --- axes ---------------------------------------------------------------------------------------------------------

    def _level(self, piece: Piece) -> int:
        for number, level in enumerate(self.bound.levels):
            if level.plate == piece.plate:
                return number
        raise EmmError("internal", f"no level for plate {piece.plate}")

    def _is_data(self, reference: VariableRef) -> bool:
        return self.model.variable(reference.name).kind != "latent"

    def _finite(self, reference: VariableRef) -> bool:
        return self.model.variable(reference.name).values is not None

    def _coded(self, piece: Piece) -> frozenset[VariableRef | BinderRef]:
        """Finite data whose codes become axes: those that index parameters in a separable piece, and, where no
        statistic varies by row, those that its guards look at.
        """
        if piece.form != "separable" or piece.prior:
            return frozenset()
        found = {r for atom in piece.atoms for term in atom.terms for r in self._by_row(term.parameter.indices)}
        if all(term.statistic == "1" for term in piece.terms):
            found |= self._by_row(piece.guards)
        # of an element that has become that of a plate
        found |= {r for known in piece.knowns if not known.by_row for r in self._by_row(known.value)}
        return frozenset(found)

    def _by_row(self, expression: Any) -> set[VariableRef | BinderRef]:
        """What differs by row in it: finite data, and the element of a plate across columns."""
        across = {plate.over for plate in self.model.plates if plate.over is not None}
        return {
            node
            for node in walk(expression)
            if (isinstance(node, VariableRef) and self._is_data(node))
            or (isinstance(node, BinderRef) and node.binder in across)
        }

    def _axes(
        self, piece: Piece, coded: frozenset[VariableRef | BinderRef], together: Sequence[Piece],
        joint: JointCodes | None,
    ) -> Axes:  # fmt: skip
        hidden: dict[str, None] = {}
        sizes: dict[str, int] = {}
        parts: list[Any] = []
        for other in together:
            parts += [atom.terms for atom in other.atoms] + [known.value for known in other.knowns] + [other.guards]
            parts.append(other.multiplier)
            if other.vector is not None:
                parts += [other.vector.mean, other.vector.covariance]
        if piece.stationary is not None:
            parts.append(piece.stationary)
        for node in walk(tuple(parts)):
            if isinstance(node, VariableRef) and not self._is_data(node):
                values = self.model.variable(node.name).values
                if values is None:
                    continue
                hidden[axis_of(node)] = None
                sizes[axis_of(node)] = len(self.bound.indexes[values])
        order = {v.name: k for k, v in enumerate(self.model.variables)}
        names = sorted(hidden, key=lambda axis: (order[axis.split("@")[0]], -_lag(axis)))
        if self.batch is not None and (
            any(other.atoms for other in together) or piece.vector is not None or piece.stationary is not None
        ):
            names.insert(0, START)
            sizes[START] = self.batch
        if self._at_points((tuple(parts), piece.vector)):
            names.append(POINT)
            sizes[POINT] = 1
        elements = []
        binders = (*piece.elements, *((piece.reduced,) if piece.reduced else ()))
        for binder in binders:
            elements.append(binder.name)
            sizes[binder.name] = len(self.bound.indexes[binder.index_set])
        codes = []
        if joint is not None:
            codes.append(JOINT)
            sizes[JOINT] = joint.size
        for reference in sorted(coded, key=axis_of):
            if joint is not None and reference in joint.codes:
                continue
            codes.append(axis_of(reference))
            sizes[axis_of(reference)] = len(self.bound.indexes[self.plain.index_set(reference)])
        return Axes(tuple(names), tuple(elements), tuple(codes), sizes)

    def _home(self, atom: Atom) -> tuple[tuple[int, ...], int]:
        name = atom.terms[0].parameter.name
        return self.layout.shapes[name], self.layout.offsets[name]

    # --- parameters ---------------------------------------------------------------------------------------------------

    def _flat(self, reference: ParameterRef, evaluator: Evaluator) -> Named:
        shape = self.layout.shapes[reference.name]
        codes = [evaluator.code(index) for index in reference.indices]
        if self.batch is not None:
            codes.insert(0, Named((START,), np.arange(self.batch)))
        axes = union(*(code.axes for code in codes))
        if any(
            isinstance(node, Position) or (isinstance(node, VariableRef) and node.lag)
            for node in walk(reference.indices)
        ):
            # Cut points below the first and above the last level do not exist, nor do labels before a chain began;
            # guards keep these cells out, and masks these rows.
            codes = [Named(c.axes, np.clip(c.array, 0, size - 1)) for c, size in zip(codes, shape, strict=True)]
        full = [np.broadcast_to(c.aligned(axes), self._extent(axes, codes)) for c in codes]
        flat = np.ravel_multi_index(tuple(full), shape) if shape else np.asarray(0)
        return Named(axes, np.asarray(flat, dtype=np.intp))

    def _extent(self, axes: tuple[str, ...], codes: list[Named]) -> tuple[int, ...]:
        return np.broadcast_shapes(*(code.aligned(axes).shape for code in codes))

    def address(self, reference: ParameterRef, axes: Axes, evaluator: Evaluator | None = None) -> Address | None:
        """An address over cells, or None if it varies by row (then it is bound as slots)."""
        flat = self._flat(reference, evaluator or self.plain)
        if ROW in flat.axes:
            return None
        cells = axes.cells
        used = tuple(k for k, axis in enumerate(cells) if axis in flat.axes)
        ordered = flat.aligned(tuple(cells[k] for k in used))
        shape = self.layout.shapes[reference.name]
        return address(reference.name, shape, axes.shape(cells), used, ordered)

    def _slots(self, atom: Atom, axes: Axes, evaluator: Evaluator) -> Slots:
        cells = axes.cells
        positions, coefficients = [], []
        for term in atom.terms:
            offset = self.layout.offsets[term.parameter.name]
            flat = self._flat(term.parameter, evaluator)
            over = tuple(binder.name for binder in term.over)
            value = Named((), np.asarray(1.0)) if term.coefficient is None else evaluator.value(term.coefficient)
            full = (*cells, *over)
            place, number = flat.aligned((*full, ROW)), value.aligned((*full, ROW))
            sizes = [len(self.bound.indexes[binder.index_set]) for binder in term.over]
            # Axes that no index varies with keep length 1: formulas of the predictor are then evaluated once for them.
            lead = place.shape[: len(cells)]
            place = np.broadcast_to(place, (*lead, *sizes, place.shape[-1]))
            number = np.broadcast_to(number, (*number.shape[: len(cells)], *sizes, number.shape[-1]))
            # A value before the chain began: rows that have one do not count, but 0 times NaN would.
            number = np.nan_to_num(number, nan=0.0)
            width = int(np.prod(sizes))
            positions.append(offset + place.reshape(*lead, width, place.shape[-1]))
            coefficients.append(number.reshape(*number.shape[: len(cells)], width, number.shape[-1]))
        by_row = any(place.shape[-1] > 1 for place in positions)
        joined = _concatenate(positions)
        return Slots(joined if by_row else joined[..., 0], _concatenate(coefficients), by_row)

    # --- knowns, guards, statistics
    # --------------------------------------------------------------------------------------

    def _known(self, known: Known, axes: Axes, evaluator: Evaluator, with_rows: bool) -> Array:
        plain = self.plain if known.by_row else evaluator
        value = plain.value(known.value)
        names = (*axes.cells, ROW) if with_rows else (*axes.elements, ROW) if known.by_row else axes.cells
        extra = set(value.axes) - set(names)
        if extra:
            raise EmmError("internal", f"axes {extra} of {known.symbol} are not cell axes")
        # Impossible is -1e300 wherever it may be multiplied: 0 times minus infinity is NaN.
        return np.maximum(np.asarray(value.aligned(names), dtype=np.float64), LOG_ZERO)

    def _guards(self, bound: BoundPiece, evaluator: Evaluator) -> None:
        mask: Named | None = None
        rows: Named | None = None
        for guard in bound.piece.guards:
            value = evaluator.truth(guard)
            if ROW in value.axes:
                rows = value if rows is None else _product(rows, value)
            else:
                mask = value if mask is None else _product(mask, value)
        if mask is not None:
            inside = np.broadcast_to(mask.aligned(bound.axes.cells) != 0, bound.data.cells)
            bound.data.outside = None if inside.all() else ~inside
        bound.data.row_mask = self._row_mask(bound, rows)

    def _row_mask(self, bound: BoundPiece, guard: Named | None) -> Any:
        """`(*elements, rows)`: 1 where the piece applies to a row: it is seen, its guards on data hold, its place in
        the chain fits.
        """
        piece, level = bound.piece, self.bound.levels[bound.level]
        parts: list[Named] = []
        if guard is not None:
            assert not set(guard.axes) - {*bound.axes.elements, ROW}, "cases over hidden and observed are split before"
            parts.append(Named(guard.axes, guard.array != 0))
        # a law that looks at data before the chain began would see missing cells there
        if bound.by_position or (piece.when != "always" and self._looks_at_earlier_data(piece)):
            parts.append(Named((ROW,), self._position(level, piece)))
        parts += [Named((ROW,), ~early_units(plate, lag, self.bound, bound.level)) for plate, lag in piece.around]
        if piece.open is not None:
            parts.append(open_rows(piece, self.plain, bound.axes.elements))
        if piece.target is not None and bound.carrier != "coded" and self._is_data(piece.target):
            vector = self._is_vector(piece.target)
            seen = seen_whole(piece, self.plain, level) if vector else self._seen(piece.target)
            if seen is not None:
                parts.append(seen)
        total = Named((), np.asarray(True))
        for part in parts:
            total = _product(total, part)
        self._check_present(piece, total)
        if total.array.all():
            return None
        return np.asarray(total.aligned((*bound.axes.elements, ROW)), dtype=bool)

    def _check_present(self, piece: Piece, applies: Named) -> None:
        """Everything that the piece looks at, besides its target, has a value wherever the piece applies."""
        values = [known.value for known in piece.knowns if known.by_row]
        values += [t.coefficient for atom in piece.atoms for t in atom.terms if t.coefficient is not None]
        if piece.form in ("rows", "log-sum-exp"):
            values += [index for atom in piece.atoms for t in atom.terms for index in t.parameter.indices]
        for value in values:
            for reference in {node for node in walk(value) if isinstance(node, VariableRef) and self._is_data(node)}:
                self._check_one(reference, applies)

    def _check_one(self, reference: VariableRef, applies: Named) -> None:
        if len(reference.indices) < len(self._variable_axes(reference)):
            return
        finite = self._finite(reference)
        value = self.plain.code(reference) if finite else self.plain.value(reference)
        size = len(self.bound.indexes[self.plain.index_set(reference)]) if finite else 0
        lost = (value.array < 0) | (value.array >= size) if finite else np.isnan(value.array)
        if _product(applies, Named(value.axes, lost)).array.any():
            raise EmmError(
                "not-supported-yet",
                f"`{reference.name}` has missing or coarse cells, and other variables look at it: this has no plan yet",
            )

    def _seen(self, target: VariableRef) -> Named | None:
        """Where the target has a value. Raises EmmError where a cell leaves some values open: only tables by code can
        sum over them.
        """
        if self.model.variable(target.name).between is not None:
            return None  # what its cells hold is a guard
        if not self._finite(target):
            value = self.plain.value(target)
            return None if not np.isnan(value.array).any() else Named(value.axes, ~np.isnan(value.array))
        code = self.plain.code(target)
        size = len(self.bound.indexes[self.plain.index_set(target)])
        seen = (code.array >= 0) & (code.array < size)
        sets = self.bound.values[target.name].sets
        if sets is not None and not sets[np.unique(code.array[code.array >= size]) - size].all():
            raise EmmError(
                "not-supported-yet",
                f"coarse cells of `{target.name}`, whose law depends on other data, have no plan yet",
            )
        return None if seen.all() else Named(code.axes, seen)

    def _is_vector(self, target: VariableRef) -> bool:
        """Whether the law draws several columns together."""
        return not self._finite(target) and len(target.indices) < len(self._variable_axes(target))

    def _variable_axes(self, reference: VariableRef) -> tuple[str, ...]:
        return self.model.variable(reference.name).axes

    def _of_hidden_chain(self, piece: Piece, pieces: Sequence[Piece]) -> bool:
        """Whether a piece is of the law of a finite hidden variable whose earlier values something looks at: its chain
        knows which unit is the first."""
        if piece.target is None or self._is_data(piece.target):
            return False
        target = self.model.variable(piece.target.name)
        if is_continuous(target):
            return False
        drawn = target.joint or (target.name,)
        return not self._looked_back_at(pieces).isdisjoint(drawn)

    def _looks_at_earlier_data(self, piece: Piece) -> bool:
        return any(isinstance(n, VariableRef) and n.lag and self._is_data(n) for n in walk(_parts(piece)))

    def _looked_back_at(self, pieces: Sequence[Piece]) -> frozenset[str]:
        if self._earlier is None:
            found = walk(tuple(map(_parts, pieces)))
            self._earlier = frozenset(n.name for n in found if isinstance(n, VariableRef) and n.lag)
        return self._earlier

    def _position(self, level: Level, piece: Piece) -> Any:
        position = level.position()
        return position < piece.lag if piece.when == "first" else position >= piece.lag

    def _carrier(self, bound: BoundPiece, coded: frozenset[VariableRef | BinderRef], joint: JointCodes | None) -> None:
        piece = bound.piece
        if piece.argument or piece.form == "arrays":
            bound.carrier = "argument" if piece.argument else "arrays"
        elif piece.prior:
            bound.carrier = "prior"
        elif POINT in bound.axes.hidden:
            bound.carrier = "integral"
        elif piece.form == "separable":
            if coded:
                bind_codes(bound, coded, self.plain, joint)
                bound.carrier = "coded"
            elif bound.data.row_mask is None and all(term.statistic == "1" for term in piece.terms):
                bound.carrier = "static"
            else:
                bound.carrier = "affine"
        elif piece.form == "stationary":
            bound.carrier = "static"
        elif piece.vector is not None and piece.vector.by_parts:
            bound.carrier = "vector"
        else:
            bound.carrier = piece.form


def _parts(piece: Piece) -> tuple[Any, ...]:
    """All of a piece that may refer to variables."""
    return piece.atoms, piece.knowns, piece.guards, piece.vector, piece.stationary, piece.multiplier


def _lag(axis: str) -> int:
    return int(axis.split("@")[1]) if "@" in axis else 0


def _product(left: Named, right: Named) -> Named:
    axes = union(left.axes, right.axes)
    return Named(axes, np.asarray((left.aligned(axes) != 0) & (right.aligned(axes) != 0)))


def _concatenate(parts: list[Any]) -> Any:
    """Along the slots (last but one axis), the others broadcast against each other."""
    lead = np.broadcast_shapes(*(part.shape[:-2] for part in parts))
    last = max(part.shape[-1] for part in parts)
    return np.concatenate([np.broadcast_to(p, (*lead, p.shape[-2], last)) for p in parts], axis=-2)
