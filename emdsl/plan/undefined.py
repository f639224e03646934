"""Laws that are no number whatever the parameters are: an input or a constant has no logarithm, root or quotient."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from emdsl.data.bound import rows_level
from emdsl.data.table import Table
from emdsl.data.wording import SHOWN
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.expressions import VariableRef, walk
from emdsl.plan.layout import BoundPiece
from emdsl.plan.program import Program
from emdsl.runtime.kernels import LOG_IMPOSSIBLE
from emdsl.runtime.problem import Array


def undefined_law(program: Program, table: Table) -> EmmError | None:
    """The error that names the first such law, with the rows in which it is none; None where there is none."""
    model, bound = program.derivation.model, program.bound
    texts = {factor.name: " ".join(factor.text.split()) for factor in model.factors}
    for item in program.pieces.values():
        for known in _known_values(item):
            units = _undefined_units(known, item, program)
            if units is None:
                continue
            law = texts.get(item.piece.factor, item.piece.factor)
            rows = np.sort(bound.order[units]) if len(units) and item.level == rows_level(model, bound) else None
            return EmmError(
                "undefined-value", f"the law `{law}` is no number, whatever the parameters are",
                place=table.source if rows is None else table.place(rows[:SHOWN]),
                help="an input or a constant has no logarithm, root or quotient there: `where(x > 0, log(x), 0)`",
            )
    return None


def _known_values(item: BoundPiece) -> Iterator[Array]:
    """What a law knows without parameters, `(..., rows or 1)`."""
    for known in item.piece.knowns:
        values = item.data.knowns.get(known.symbol)
        if values is not None:
            yield values if known.by_row else values[..., None]
    for slots in item.data.slots:
        if slots is not None:
            yield _finite(slots.coefficients)
    if item.data.statistics is not None:
        yield _finite(item.data.statistics)


def _finite(values: Array) -> Array:
    """Infinite where a logarithm of 0 stands, which is a large number elsewhere; nothing else is so large."""
    return np.where(np.abs(values) > -LOG_IMPOSSIBLE, np.inf, values)


def _undefined_units(values: Array, item: BoundPiece, program: Program) -> NDArray[np.intp] | None:
    """The units in which some value is none though all data are there (none: in all of them); None where there is no
    such."""
    wrong = ~np.isfinite(values)
    if not wrong.any():
        return None
    rows = item.data.rows
    if values.shape[-1] != rows or rows == 1:
        return np.zeros(0, dtype=np.intp)
    by_row = wrong.reshape(-1, rows).any(axis=0) & ~_missing(item, program)
    return np.flatnonzero(by_row) if by_row.any() else None


def _missing(item: BoundPiece, program: Program) -> NDArray[np.bool_]:
    """The units in which some variable that the law looks at is missing, or to which the law does not apply."""
    rows = item.data.rows
    missing = np.zeros(rows, dtype=bool)
    parts = [known.value for known in item.piece.knowns]
    parts += [term.coefficient for atom in item.piece.atoms for term in atom.terms if term.coefficient is not None]
    names = {node.name for part in parts for node in walk(part) if isinstance(node, VariableRef)}
    for name in names & set(program.bound.values):
        unseen = program.bound.values[name].unseen
        if unseen.shape[-1] == rows:
            missing |= unseen.reshape(-1, rows).any(axis=0)
    if item.data.row_mask is not None:
        missing |= ~item.data.row_mask.reshape(-1, rows).any(axis=0)
    return missing
