"""Observed finite variables with open cells become hidden, where their law alone cannot sum such cells out.

A cell that leaves a value open, missing or coarse, is one more hidden variable, of which the cell is a deterministic
observation: it says in which set the value lies. That is exact whatever else looks at the variable: other laws, cases,
the next unit of a chain (Little & Rubin 2002, chapter 13).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from emdsl.data.bound import Bound, Values
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.derivation import Derivation, Piece
from emdsl.ir.expressions import Apply, ConstantRef, VariableRef, walk
from emdsl.ir.model import Domain, Factor, Map, Model, Variable
from emdsl.plan.binding import PieceBinder
from emdsl.plan.copies import references


def with_hidden_cells(derivation: Derivation, bound: Bound, names: frozenset[str]) -> tuple[Derivation, Bound]:
    """The derivation with these observed variables hidden, and their cells observations of them."""
    if not names:
        return derivation, bound
    variables: list[Variable] = []
    values = dict(bound.values)
    maps = [_constraint(item) if item.target.name in names else item for item in derivation.maps]
    for variable in derivation.model.variables:
        if variable.name not in names:
            variables.append(variable)
            continue
        _check_first_units(variable, derivation.model, bound)
        shown = shown_name(variable.name)
        variables += [replace(variable, kind="latent", column=None), replace(variable, name=shown, joint=())]
        values[shown] = values.pop(variable.name)
        cell = Map(shown, variable.plate, (), VariableRef(shown), VariableRef(variable.name))
        maps.append(cell)
        if any(item.target.name == holding_name(variable.name) for item in maps):
            # what a deterministic observation shows is hidden with it, and the two agree
            variables.append(replace(variable, name=holding_name(variable.name), domain=Domain("real"), values=None))
            size = bound.levels[bound.level_of(variable.plate)].size
            values[holding_name(variable.name)] = Values(np.ones(size))
    model = replace(derivation.model, variables=tuple(variables), maps=tuple(maps))
    # What has become hidden is no column any more, whose moments could be taken once.
    pieces = tuple(
        replace(piece, quadratic=False) if any(node.name in names for node in references(piece)) else piece
        for piece in derivation.pieces
    )
    return replace(derivation, model=model, pieces=pieces, maps=tuple(maps)), replace(bound, values=values)


def shown_name(name: str) -> str:
    """What the cells of a variable that has become hidden are called; no variable of a text has a space in its name."""
    return f"{name} as seen"


def holding_name(name: str) -> str:
    """What is observed to be 1 where a hidden variable has the value that a deterministic observation gives it."""
    return f"{name} as defined"


def _constraint(item: Map) -> Map:
    assert not isinstance(item.value, tuple), "nothing looks at a pair"
    agree = Apply("==", (VariableRef(item.target.name), item.value))
    return replace(item, target=VariableRef(holding_name(item.target.name)), value=agree)


def undecided(derivation: Derivation, bound: Bound) -> frozenset[str]:
    """The finite observed variables that have cells which must be hidden variables."""
    model = derivation.model
    seen = looked_at(derivation)
    found = set()
    for variable in model.variables:
        if variable.kind != "observed" or variable.values is None or variable.genotype or variable.components:
            continue
        if variable.name not in bound.values:
            continue
        missing, coarse = _open_cells(variable, bound)
        seen_elsewhere = (missing or coarse) and (variable.name in seen or variable.joint)
        no_place = missing and _looks_up(variable.name, derivation)
        if seen_elsewhere or no_place or (coarse and not _by_code_alone(variable.name, derivation, bound)):
            found.add(variable.name)
    # the variables of a joint draw have one law, which looks at all of them
    joint = {name for name in found for name in model.variable(name).joint}
    return frozenset(found | joint)


def _open_cells(variable: Variable, bound: Bound) -> tuple[bool, bool]:
    """Whether some cell is missing, and whether some cell lists part of the values."""
    values = bound.values[variable.name]
    codes = np.asarray(values.array)
    size = len(bound.indexes[variable.values or ""])
    beyond = np.unique(codes[codes >= size]) - size
    whole = np.zeros(0, dtype=bool) if values.sets is None else np.asarray(values.sets)[beyond].all(axis=-1)
    return bool((codes < 0).any() or whole.any()), bool((~whole).any())


def looked_at(derivation: Derivation) -> set[str]:
    """Variables that something other than their own law looks at."""
    model = derivation.model
    found: set[str] = set()
    for piece in derivation.pieces:
        found |= {node.name for node in references(piece) if not _own(node, piece, model)}
    for part in (*(item.value for item in derivation.maps), *(item.condition for item in model.givens)):
        found |= {node.name for node in walk(part) if isinstance(node, VariableRef)}
    return found


def _own(node: VariableRef, piece: Piece, model: Model) -> bool:
    target = piece.target
    if target is None or node.name != target.name or node.lag:
        return False
    # the law of a vector looks at all its elements
    return node.indices[: len(target.indices)] == target.indices


def _looks_up(name: str, derivation: Derivation) -> bool:
    """Whether a number by row is looked up in a table by the value itself: a missing cell has no place there."""
    own = (piece for piece in derivation.pieces if piece.target is not None and piece.target.name == name)
    tables = (node for piece in own for known in piece.knowns for node in walk(known.value))
    return any(
        isinstance(index, VariableRef) and index.name == name
        for table in tables if isinstance(table, ConstantRef)
        for index in table.indices
    )  # fmt: skip


def _by_code_alone(name: str, derivation: Derivation, bound: Bound) -> bool:
    binder = PieceBinder(derivation.model, bound)
    own = [piece for piece in derivation.pieces if piece.target is not None and piece.target.name == name]
    groups: dict[str, list[Piece]] = {}
    for piece in own:
        groups.setdefault(piece.factor, []).append(piece)
    return all(binder.by_code_alone(group) for group in groups.values())


def _check_first_units(variable: Variable, model: Model, bound: Bound) -> None:
    """Where a chain has no law for its first units, which it conditions on, these must be known."""
    own = [factor for factor in model.factors if factor.target is not None and _draws(factor, variable)]
    if not own or any(factor.when != "after" for factor in own):
        return
    lag = max(factor.lag for factor in own)
    level = bound.levels[bound.level_of(variable.plate)]
    first = np.arange(level.size) - level.starts[level.parent] < lag
    codes = np.asarray(bound.values[variable.name].array)[..., first]
    if ((codes < 0) | (codes >= len(bound.indexes[variable.values or ""]))).any():
        raise EmmError(
            "missing-cell",
            f"the first cells of a chain of `{variable.name}` are conditioned on, so they may not be empty or coarse",
            help=f"give the first unit a law: observed {variable.name} ~ D1 first, D2 after",
        )


def _draws(factor: Factor, variable: Variable) -> bool:
    assert factor.target is not None
    name = factor.target.name
    return variable.name == name or variable.name.startswith(f"{name}[")
