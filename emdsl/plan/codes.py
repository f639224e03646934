"""Codes of the rows of a table by code: products of several finite data, coarse and missing cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.diagnostics.errors import EmmError
from emdsl.ir.expressions import BinderRef, VariableRef
from emdsl.plan.evaluation import Evaluator, axis_of
from emdsl.plan.layout import BoundPiece
from emdsl.plan.limits import product
from emdsl.plan.named import ROW

#: So many combinations of levels, and more than there are rows, get no table: those that occur are numbered instead.
MOST_COMBINATIONS = 1 << 16


@dataclass(frozen=True)
class JointCodes:
    """Combinations of the levels of several finite data that occur: `codes` of each datum, `(combinations,)`; which
    combination each row has, `(rows,)`."""

    codes: Mapping[VariableRef | BinderRef, NDArray[np.intp]]
    rows: NDArray[np.intp]

    @property
    def size(self) -> int:
        """How many there are."""
        return len(next(iter(self.codes.values())))


def joint_codes(
    coded: frozenset[VariableRef | BinderRef], target: VariableRef | None, plain: Evaluator, rows: int
) -> JointCodes | None:
    """The finite data but the target as one code, where the product of their levels is far beyond the rows; None where
    a table of all combinations will do, or a cell says less than one level.
    """
    others = sorted((r for r in coded if target is None or not same_variable(r, target)), key=axis_of)
    sizes = [len(plain.bound.indexes[plain.index_set(r)]) for r in others]
    if len(others) < 2 or product(sizes) <= max(rows, MOST_COMBINATIONS):
        return None
    columns = [plain.code(reference) for reference in others]
    if any(column.axes != (ROW,) for column in columns):
        return None
    if any(((c.array < 0) | (c.array >= size)).any() for c, size in zip(columns, sizes, strict=True)):
        return None
    key, place = np.unique(np.stack([column.array for column in columns]), axis=1, return_inverse=True)
    return JointCodes(dict(zip(others, key.astype(np.intp), strict=True)), place.ravel().astype(np.intp))


def same_variable(reference: VariableRef | BinderRef, target: VariableRef) -> bool:
    """Whether a reference is to the target itself, not to an earlier value of it."""
    return isinstance(reference, VariableRef) and reference.name == target.name and not reference.lag


def bind_codes(
    bound: BoundPiece, coded: frozenset[VariableRef | BinderRef], plain: Evaluator, joint: JointCodes | None = None
) -> None:
    """One code for each row (and element): the position in the product of the code axes, and beyond it the rows
    of `sets`, for coarse and missing cells of the target.
    """
    references: list[VariableRef | BinderRef | None] = [
        r for r in sorted(coded, key=axis_of) if joint is None or r not in joint.codes
    ]
    sizes = [bound.axes.sizes[axis_of(r)] for r in references if r is not None]
    target = bound.piece.target
    columns = [_element_codes(r, bound, plain) for r in references if r is not None]
    if joint is not None:
        references, sizes = [None, *references], [joint.size, *sizes]
        columns = [joint.rows.reshape((1,) * len(bound.axes.elements) + (-1,)), *columns]
    total = int(np.prod(sizes))
    mask = bound.data.row_mask
    shape = np.broadcast_shapes(*(c.shape for c in columns), () if mask is None else mask.shape)
    columns = [np.broadcast_to(c, shape) for c in columns]
    applies = np.ones(shape, dtype=bool) if mask is None else np.broadcast_to(mask, shape)
    inside = [(column >= 0) & (column < size) for size, column in zip(sizes, columns, strict=True)]
    regular = ~applies | np.logical_and.reduce(inside)
    safe = [np.clip(column, 0, size - 1) for size, column in zip(sizes, columns, strict=True)]
    code = np.ravel_multi_index(tuple(safe), tuple(sizes))
    if not regular.all():
        open_target = target if bound.carrier == "coded" else None
        code, bound.data.sets = _coarse(plain, references, columns, sizes, regular, code, total, open_target)
    if not applies.all() and all(term.statistic == "1" for term in bound.piece.terms):
        # Rows that the piece does not apply to look up a column of zeros behind everything else.
        bound.data.blank = True
        code = np.where(applies, code, total + (0 if bound.data.sets is None else len(bound.data.sets)))
    count = int(np.prod(bound.data.elements))
    full = np.broadcast_to(code, (*bound.data.elements, bound.data.rows))
    bound.data.code = np.ascontiguousarray(full.reshape(count, bound.data.rows), dtype=np.intp)
    bound.data.columns = total + (0 if bound.data.sets is None else len(bound.data.sets)) + bound.data.blank


def _element_codes(reference: VariableRef | BinderRef, bound: BoundPiece, plain: Evaluator) -> Any:
    value = plain.code(reference)
    return value.aligned((*bound.axes.elements, ROW))


def _coarse(
    plain: Evaluator,
    references: list[VariableRef | BinderRef | None],
    columns: list[Any],
    sizes: list[int],
    regular: Any,
    code: Any,
    total: int,
    target: VariableRef | None,
) -> tuple[Any, Any]:
    """Codes and sets for the rows that are not `regular`: which products of values they allow. Only the target's own
    cells may be open.
    """
    key = np.stack([column[~regular] for column in columns], axis=-1)
    distinct, inverse = np.unique(key, axis=0, return_inverse=True)
    sets = np.zeros((len(distinct), total), dtype=bool)
    for number, row in enumerate(distinct):
        masks = []
        for reference, size, value in zip(references, sizes, row, strict=True):
            allowed = np.zeros(size, dtype=bool)
            if 0 <= value < size:
                allowed[value] = True
            elif reference is None or target is None or not same_variable(reference, target):
                assert reference is not None, "a joint code is one of those that occur"
                raise EmmError(
                    "not-supported-yet",
                    f"`{axis_of(reference)}` has missing or coarse cells, and other variables look at it: "
                    "this has no plan yet",
                )
            else:
                given = plain.bound.values[target.name].sets
                allowed[:] = True if given is None or value < 0 else given[value - size]
            masks.append(allowed)
        allowed_codes = masks[0]
        for allowed in masks[1:]:
            allowed_codes = np.logical_and.outer(allowed_codes, allowed)
        sets[number] = allowed_codes.ravel()
    code = code.copy()
    code[~regular] = total + inverse.ravel()
    return code, sets
