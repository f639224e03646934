"""Observed numbers with open cells: the model graph in which these cells are hidden.

A cell that is empty, or holds a bound, leaves its value open: it is one more hidden number (Little & Rubin 2002,
chapter 8). Every law that looks at such a variable is there twice: as it stands for the rows in which all that it looks
at is known, and for the others with the hidden value in the place of the cell. There a cell that is known all the same
is a number that the hidden value has for certain; this is seen to when data are bound.

Where an open cell meets what is hidden by itself, an effect of its unit, whole units are told apart, since their hidden
numbers are one integral: those without open cells keep the integral that they have in complete data.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from emdsl.derive.integrals import components, integrals, looks_at
from emdsl.derive.pieces import Derived
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.derivation import Integral
from emdsl.ir.expressions import VariableRef, rewrite, walk
from emdsl.ir.latents import is_continuous
from emdsl.ir.model import CELL_SUFFIX, SEEN, Branch, Domain, Factor, Guard, Model, Openness, Variable
from emdsl.ir.open_cells import mask_name, missing_name


@dataclass(frozen=True)
class Opening:
    """The whole model, the part of it that stands for known cells, and that for open ones."""

    whole: Model
    known: Model
    hidden: Model
    names: tuple[str, ...]

    def integrals(self, pieces: list[Derived]) -> tuple[Integral, ...]:
        """The integrals of both parts: a hidden number that open cells meet has one in each."""
        of_hidden = [p for p in pieces if p.piece.open is not None and p.piece.open.hidden]
        of_known = [p for p in pieces if p not in of_hidden]
        found = []
        for integral in integrals(self.known, of_known):
            own = [p.piece.open for p in of_known if p.piece.name in integral.pieces and p.piece.open is not None]
            by_unit = next((item for item in own if not item.cells), None)
            found.append(replace(integral, open=by_unit))
        opened = {missing_name(name) for name in self.names}
        for integral in integrals(self.hidden, of_hidden):
            if opened & set(integral.latents):
                where = _by_unit(integral.latents, self.hidden, hidden=True)
                found.append(replace(integral, open=where))
        return tuple(found)


def opening(model: Model, names: Iterable[str]) -> Opening:
    """The model with the open cells of these observed numbers hidden. Raises `not-supported-yet` for a variable that
    has no law of numbers.
    """
    chosen = tuple(names)
    for name in chosen:
        _check_law(name, model)
    variables = [*model.variables]
    for name in chosen:
        variables += [_hidden_cells(model.variable(name)), _mask(model.variable(name))]
    copies = {factor.name: _copy(factor, chosen) for factor in model.factors}
    everything = replace(model, variables=tuple(variables), factors=tuple(copies.values()))
    opened = {missing_name(name) for name in chosen}
    kept: list[Factor] = []
    hidden: list[Factor] = []
    groups = [group for group in components(everything) if opened & set(group)]
    for factor in model.factors:
        copy = copies[factor.name]
        group = next((group for group in groups if looks_at(copy, frozenset(group))), None)
        if group is None:
            kept.append(factor)
            continue
        if set(group) <= opened:
            cells = tuple(dict.fromkeys(_references(factor, chosen)))
            where = Openness(chosen, hidden=False, cells=cells)
        else:
            where = _by_unit(group, everything, hidden=False)
        kept.append(replace(factor, open=where))
        hidden.append(replace(copy, open=replace(where, hidden=True)))
    return Opening(
        replace(everything, factors=(*kept, *hidden)), _part(everything, kept), _part(everything, hidden), chosen
    )


def _part(model: Model, factors: list[Factor]) -> Model:
    """The model of some factors, without the hidden numbers that none of them looks at."""
    looked_at = {node.name for node in walk(tuple(factors)) if isinstance(node, VariableRef)}
    variables = tuple(v for v in model.variables if not is_continuous(v) or v.name in looked_at)
    return replace(model, variables=variables, factors=tuple(factors))


def _by_unit(group: tuple[str, ...], model: Model, *, hidden: bool) -> Openness:
    """The units that hold these hidden numbers: of the outermost of their plates, of the plate around a chain, or the
    whole data set.
    """
    names = tuple(model.variable(name).cell_of for name in group if model.variable(name).cell_of)
    plates = {model.variable(name).plate for name in group}
    looking = [factor for factor in model.factors if looks_at(factor, frozenset(group))]
    lagged = any(isinstance(n, VariableRef) and n.lag and n.name in group for f in looking for n in walk(f))
    if None in plates or (lagged and len(plates) > 1):
        return Openness(names, hidden)
    outermost = next(item for item in model.plates if item.name in plates)
    return Openness(names, hidden, plate=outermost.parent if lagged else outermost.name)


def _hidden_cells(variable: Variable) -> Variable:
    return replace(
        variable, name=missing_name(variable.name), kind="latent", column=None, between=None, truncated=None,
        cell_of=variable.name,
    )  # fmt: skip


def _mask(variable: Variable) -> Variable:
    return Variable(mask_name(variable.name), "input", variable.plate, variable.axes, Domain("real"))


def _copy(factor: Factor, names: tuple[str, ...]) -> Factor:
    """The factor with the hidden values in the place of the cells; a law that is cut by what a cell holds is the one of
    a value."""
    renamed = {name: missing_name(name) for name in names}

    def change(node: Any) -> Any:
        if isinstance(node, VariableRef) and node.name in renamed:
            return replace(node, name=renamed[node.name])
        return node

    own = factor.target.name if factor.target is not None and factor.target.name in renamed else ""
    branches = tuple(
        replace(branch, guards=_without_cell(branch, own)) for branch in factor.branches if _of_value(branch, own)
    )
    copy: Factor = rewrite(replace(factor, branches=branches), change)
    return replace(copy, name=f"{factor.name} of open cells")


def _is_cell(guard: Guard, own: str) -> bool:
    return isinstance(guard.variable, VariableRef) and guard.variable.name == f"{own}{CELL_SUFFIX}"


def _of_value(branch: Branch, own: str) -> bool:
    return all(guard.labels == (SEEN,) for guard in branch.guards if own and _is_cell(guard, own))


def _without_cell(branch: Branch, own: str) -> tuple[Guard, ...]:
    return tuple(guard for guard in branch.guards if not (own and _is_cell(guard, own)))


def _references(factor: Factor, names: tuple[str, ...]) -> list[VariableRef]:
    return [
        node for node in walk((factor.target, factor.branches)) if isinstance(node, VariableRef) and node.name in names
    ]


def _check_law(name: str, model: Model) -> None:
    """An open cell has a value to be hidden only where a law draws it."""
    if any(factor.target is not None and factor.target.name == name for factor in model.factors):
        return
    raise EmmError(
        "not-supported-yet",
        f"`{name}` has open cells, and other laws look at it, but it is defined by what is hidden: this has no plan "
        "yet",
    )
