"""Mean vectors and covariance matrices of normal laws that are expressions: one element of each, cut into addends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import sympy as sp

from emdsl.derive.conversion import convert
from emdsl.derive.expressions import has_parameters
from emdsl.derive.printing import source
from emdsl.derive.splitting import split_branch, written_out
from emdsl.derive.symbols import Symbols
from emdsl.ir.arrays import element
from emdsl.ir.derivation import Piece, Vector
from emdsl.ir.expressions import Apply, Binder, BinderRef, Expression, ParameterRef, Reduce, VariableRef, rewrite, walk
from emdsl.ir.latents import continuous_latents, is_continuous
from emdsl.ir.model import Branch, Model


def with_parts(vector: Vector, model: Model, common: dict[str, Any]) -> Vector:
    """The vector with the addends of its mean and covariance, unless both are parameters that closed forms update.

    Where hidden numbers stand in the mean and no parameter, a covariance that is a parameter still has a closed update,
    from the moments of the residual: it then has no addends. A hidden vector is taken off its mean: what is left of it
    is a residual like that of 0.
    """
    hidden = is_continuous(model.variable(vector.variable.name))
    covariances = frozenset({"covariance", "correlation"}) if hidden else frozenset({"covariance"})
    whole = _closes(vector.covariance, covariances, 2, model)
    looks = _looks_at_numbers(common["factor"], model)
    if whole and (hidden or not looks) and _closes(vector.mean, frozenset({"real"}), 1, model):
        return vector
    row, column = Binder(f"{vector.axis} 1", vector.axis), Binder(f"{vector.axis} 2", vector.axis)
    mean = element(vector.mean, (BinderRef(row),))
    moments = whole and looks and not has_parameters(vector.mean)
    return replace(
        vector,
        mean_parts=tuple(
            _parts(Apply("-", (mean, element(vector.variable, (BinderRef(row),)))) if hidden else mean, (row,),
                   model, common)
        ),
        covariance_parts=() if moments else tuple(
            _parts(element(vector.covariance, (BinderRef(row), BinderRef(column))), (row, column), model, common)
        ),
    )  # fmt: skip


def _looks_at_numbers(factor: str, model: Model) -> bool:
    """Whether some branch of a factor looks at hidden numbers, or draws one: all of them are then of one integral."""
    own = next(item for item in model.factors if item.name == factor)
    return any(True for _ in continuous_latents((own.target, own.branches), model))


def _closes(array: Expression, domains: frozenset[str], axes: int, model: Model) -> bool:
    """Whether an argument is a whole slice of a parameter, told by what is hidden alone; a mean may be constant."""
    if axes == 1 and not any(isinstance(node, ParameterRef | VariableRef) for node in walk(array)):
        return True
    if not isinstance(array, ParameterRef):
        return False
    parameter = model.parameter(array.name)
    data = any(isinstance(n, VariableRef) and model.variable(n.name).kind != "latent" for n in walk(array.indices))
    across = {plate.over for plate in model.plates if plate.over is not None}
    by_column = any(isinstance(node, BinderRef) and node.binder in across for node in walk(array.indices))
    whole = len(array.indices) == len(parameter.array_axes) - axes
    return parameter.domain.kind in domains and whole and not data and not by_column


def _parts(body: Expression, binders: tuple[Binder, ...], model: Model, common: dict[str, Any]) -> Iterator[Piece]:
    data = frozenset(v.name for v in model.variables if v.kind != "latent" or is_continuous(v))
    body = rewrite(body, lambda node: written_out(node, model) if _is_softmax(node) else node)
    for part in split_branch(Branch((), body), model):
        assert part.reduced is None, "a log-sum-exp is written out before"
        symbols = Symbols(model, data)
        value = convert(part.expression, symbols, linear=False)
        atoms = tuple(symbols.atom_symbols)
        yield Piece(
            form="rows", atoms=tuple(symbols.atoms), knowns=tuple(symbols.knowns), log_density=source(value),
            gradient=tuple(source(sp.diff(value, atom)) for atom in atoms),
            **{**common, "elements": (*binders, *part.binders), "guards": part.guards, "target": None},
        )  # fmt: skip


def _is_softmax(node: object) -> bool:
    """Whether a node is the log-sum-exp of a softmax in which parameters stand."""
    return isinstance(node, Reduce) and node.op == "logsumexp" and has_parameters(node)
