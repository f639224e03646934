"""Codes of the rows of a table by code: products of several finite data, coarse and missing cells."""

from __future__ import annotations

from typing import Any

import numpy as np

from emdsl.diagnostics.errors import EmmError
from emdsl.ir.expressions import BinderRef, VariableRef
from emdsl.plan.evaluation import Evaluator, axis_of
from emdsl.plan.layout import BoundPiece
from emdsl.plan.named import ROW


def bind_codes(bound: BoundPiece, coded: frozenset[VariableRef | BinderRef], plain: Evaluator) -> None:
    """One code for each row (and element): the position in the product of the code axes, and beyond it the rows
    of `sets`, for coarse and missing cells of the target.
    """
    references = sorted(coded, key=axis_of)
    sizes = [bound.axes.sizes[axis_of(r)] for r in references]
    target = bound.piece.target
    total = int(np.prod(sizes))
    columns = [_element_codes(r, bound, plain) for r in references]
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
    references: list[VariableRef | BinderRef],
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
            elif isinstance(reference, BinderRef) or target is None or reference.name != target.name or reference.lag:
                raise EmmError(
                    "not-supported-yet",
                    f"`{axis_of(reference)}` has missing or coarse cells, and other variables look at it: "
                    "this has no plan yet",
                )
            else:
                given = plain.bound.values[reference.name].sets
                allowed[:] = True if given is None or value < 0 else given[value - size]
            masks.append(allowed)
        product = masks[0]
        for allowed in masks[1:]:
            product = np.logical_and.outer(product, allowed)
        sets[number] = product.ravel()
    code = code.copy()
    code[~regular] = total + inverse.ravel()
    return code, sets
