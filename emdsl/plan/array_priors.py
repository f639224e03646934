"""Pieces as parts of Q: assemblies of what has a formula by cell, and log-priors of whole vectors and matrices."""

from __future__ import annotations

import numpy as np

from emdsl.plan.evaluation import Evaluator
from emdsl.plan.layout import BoundPiece
from emdsl.plan.program import Program
from emdsl.runtime.assembly import Assembly, make_place
from emdsl.runtime.matrix_terms import ArrayPart


def assembly_of(item: BoundPiece, program: Program) -> Assembly:
    """A piece with the places of its atoms among all parameters."""
    piece, data = item.piece, item.data
    value, gradient, hessian = (
        getattr(program.module, f"{kind}_{item.name}") for kind in ("value", "gradient", "hessian")
    )
    return Assembly(
        data=data,
        names=tuple(tuple(term.parameter.name for term in atom.terms) for atom in piece.atoms),
        places=tuple(make_place(data, i, program.layout.offsets) for i in range(len(piece.atoms))),
        formulas=(value, gradient, hessian),
        hessian_entries=tuple((i, j) for i, j, _ in piece.hessian),
        reduced=piece.form == "log-sum-exp",
        sign=piece.sign,
    )


def array_parts(program: Program) -> dict[str, ArrayPart]:
    """The log-priors that are functions of whole arrays, by the name of their piece."""
    found = {}
    evaluator = Evaluator(program.derivation.model, program.bound)
    for name, item in program.pieces.items():
        prior = item.piece.arrays
        if prior is None:
            continue
        cells = item.data.cells
        factor = np.broadcast_to(evaluator.value(prior.coefficient).aligned(item.axes.cells), cells).astype(float)
        if item.data.outside is not None:
            factor = np.where(item.data.outside, 0.0, factor)
        found[name] = ArrayPart(
            data=item.data, function=prior.function, coefficient=factor.reshape(-1),
            arguments=tuple(assembly_of(program.pieces[argument], program) for argument in prior.arguments),
            parameters=frozenset(each for names in prior.parameters for each in names),
        )  # fmt: skip
    return found
