"""Units that were never seen, because a condition had to hold for a unit to be in the data (`given`).

A unit's likelihood is divided by `P = P(condition)`. EM completes the data by the units that were passed over before
the one seen: their number is geometric with mean `(1 - P)/P`, and each of them follows the model given that the
condition fails (Dempster, Laird & Rubin 1977, section 4.2). So every M-step stays what it is, with more expected
counts, and the likelihood never falls.

Of a unit that was not seen only that is completed which the condition depends on; the rest adds nothing to the score.
Everything drawn in the unit gets a copy, hidden; its copies of the laws are pieces like any other. What is around the
unit is common to the units seen and unseen.

A chain is in the data because all of its units meet the condition: it is the chains that were passed over, those in
which some unit fails it. One more hidden variable of each unit says whether one has failed so far; that of the last
unit is known. Units that a chain without first law is conditioned on are those of the chain that was seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.data.bound import Bound, Level, Values
from emdsl.data.index_sets import BINARY
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.derivation import Derivation, Piece
from emdsl.ir.expressions import Apply, Expression, VariableRef, number, rewrite, walk
from emdsl.ir.model import Domain, Given, Map, Model, Variable
from emdsl.plan.copies import references, with_pieces
from emdsl.plan.evaluation import Evaluator
from emdsl.plan.named import ROW
from emdsl.plan.unrolling import is_chosen

#: What the names of copies end with; no variable of a text has a space in its name.
_UNSEEN = " unseen"


def is_unseen(name: str) -> bool:
    """Whether a hidden variable belongs to units that were never seen."""
    return name.endswith(_UNSEEN)


def chosen_by(derivation: Derivation) -> Iterator[str]:
    """The variables that the conditions of units depend on, through all laws of their units."""
    for given in derivation.model.givens:
        yield from _drawn(given, derivation)


def with_unseen(derivation: Derivation, bound: Bound) -> tuple[Derivation, Bound]:
    """The derivation with a copy of what the condition of each plate depends on, and no conditions left."""
    model = derivation.model
    if not model.givens:
        return derivation, bound
    parts: dict[str, list[Piece]] = {}
    variables = list(model.variables)
    maps = list(derivation.maps)
    values = dict(bound.values)
    for given in _joined(model.givens):
        names = _drawn(given, derivation)
        _check(names, given, derivation)
        copied = {name: name + _UNSEEN for name in names}
        for name in names:
            variable = model.variable(name)
            joint = tuple(copied.get(other, other) for other in variable.joint)
            variables.append(replace(variable, name=copied[name], kind="latent", joint=joint, components=()))
        for piece in derivation.pieces:
            if piece.target is not None and piece.target.name in copied:
                parts.setdefault(piece.name, [piece]).append(_copy(piece, copied))
        condition = Apply("!=", (given.condition, number(0)))
        met = _through_maps(condition, derivation, copied)
        level = bound.levels[bound.level_of(given.plate)]
        said = [Said("", condition, np.ones(level.size))]
        if any(plate.name == given.plate and plate.ordered for plate in model.plates):
            failed = VariableRef(f"{given.plate} failed{_UNSEEN}")
            variables.append(Variable(failed.name, "latent", given.plate, (), Domain("finite"), BINARY))
            said += [*_failed_so_far(met, failed, level), *_known_first(names, copied, derivation, bound, level)]
        else:
            said.append(Said(_UNSEEN, met, np.zeros(level.size)))
        for item in said:
            name = f"{given.plate} given{item.suffix}"
            domain = Domain("real" if item.values is None else "finite")
            variables.append(Variable(name, "observed", given.plate, (), domain, item.values))
            values[name] = Values(item.truth)
            maps.append(Map(name, given.plate, (), VariableRef(name), item.value, given.text))
    changed = replace(model, variables=tuple(variables), maps=tuple(maps), givens=())
    found = with_pieces(derivation, parts)
    indexes = {BINARY: ("0", "1"), **bound.indexes}
    return replace(found, model=changed, maps=tuple(maps)), replace(bound, values=values, indexes=indexes)


@dataclass(frozen=True)
class Said:
    """What is known of the units of a plate: the number `truth` `(units,)` that `value` is, NaN where nothing is said;
    or its label in `values`, -1 where nothing is said. The name of what says so ends with `suffix`.
    """

    suffix: str
    value: Expression
    truth: NDArray[Any]
    values: str | None = None


def _failed_so_far(met: Expression, failed: VariableRef, level: Level) -> Iterator[Said]:
    """`failed` is 1 from the first unit of a chain on that does not meet the condition; of the last unit it is known
    to be 1.
    """
    first, last = _ends(level)
    fails = Apply("==", (met, number(0)))
    before = Apply("or", (replace(failed, lag=1), fails))
    yield Said(f" first{_UNSEEN}", Apply("==", (failed, fails)), np.where(first, 1.0, np.nan))
    yield Said(f" after{_UNSEEN}", Apply("==", (failed, before)), np.where(first, np.nan, 1.0))
    yield Said(f" last{_UNSEEN}", failed, np.where(last, 1.0, np.nan))


def _ends(level: Level) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The first and the last units of chains."""
    units = np.arange(level.size)
    return units == level.starts[level.parent], units == level.starts[level.parent + 1] - 1


def _known_first(
    names: tuple[str, ...], copied: dict[str, str], derivation: Derivation, bound: Bound, level: Level
) -> Iterator[Said]:
    """The units that have no law, which a chain is conditioned on, are the same in the chains that were not seen."""
    position = np.arange(level.size) - level.starts[level.parent]
    for name in names:
        own = [p for p in derivation.pieces if p.target is not None and p.target.name == name]
        if not own or any(piece.when != "after" for piece in own):
            continue
        known = position < max(piece.lag for piece in own)
        codes = np.where(known, np.asarray(bound.values[name].array), -1)
        yield Said(f" {name}{_UNSEEN}", VariableRef(copied[name]), codes, derivation.model.variable(name).values)


def _copy(piece: Piece, copied: dict[str, str]) -> Piece:
    renamed: Piece = _renamed(piece, copied)
    return replace(renamed, name=piece.name + _UNSEEN, factor=piece.factor + _UNSEEN)


def _renamed(node: Any, copied: dict[str, str]) -> Any:
    def rule(item: Any) -> Any:
        return replace(item, name=copied[item.name]) if isinstance(item, VariableRef) and item.name in copied else item

    return rewrite(node, rule)


def _joined(givens: Iterable[Given]) -> Iterator[Given]:
    """One condition for each plate."""
    plates: dict[str, list[Given]] = {}
    for given in givens:
        plates.setdefault(given.plate, []).append(given)
    for plate, group in plates.items():
        condition = group[0].condition
        for other in group[1:]:
            condition = Apply("and", (condition, other.condition))
        yield Given(plate, condition, "; ".join(given.text for given in group))


# --- what a condition depends on --------------------------------------------------------------------------------------


def _drawn(given: Given, derivation: Derivation) -> tuple[str, ...]:
    """The variables of the unit that a condition depends on and that some law draws, in the order of the model."""
    model = derivation.model
    maps = {item.target.name: item for item in derivation.maps}
    found: set[str] = set()
    waiting = [node.name for node in walk(given.condition) if isinstance(node, VariableRef)]
    while waiting:
        name = waiting.pop()
        variable = model.variable(name)
        around = variable.plate != given.plate or is_chosen(name)
        if name in found or around or variable.kind in ("input", "weight"):
            continue
        found.add(name)
        waiting += variable.joint
        if name in maps:
            waiting += [node.name for node in walk(maps[name].value) if isinstance(node, VariableRef)]
        for piece in derivation.pieces:
            if piece.target is not None and piece.target.name == name:
                waiting += [node.name for node in references(piece)]
    return tuple(v.name for v in model.variables if v.name in found and v.name not in maps)


def _through_maps(condition: Expression, derivation: Derivation, copied: dict[str, str]) -> Expression:
    """The condition of an unseen unit: deterministic observations written out, all else by its copy."""
    maps = {item.target: item.value for item in derivation.maps}

    def rule(node: Any) -> Any:
        if isinstance(node, VariableRef) and node in maps:
            value = maps[node]
            assert not isinstance(value, tuple), "nothing looks at a pair"
            return rewrite(value, rule)
        return node

    found: Expression = _renamed(rewrite(condition, rule), copied)
    return found


def _check(names: tuple[str, ...], given: Given, derivation: Derivation) -> None:
    """Raises EmmError where the probability of the condition is no finite sum.

    What a `factor` says is evidence about units that are in the data: it has no part in that probability.
    """
    for name in names:
        if derivation.model.variable(name).values is None:
            raise EmmError(
                "not-supported-yet", f"`{given.text}` depends on the number `{name}`, so its probability is no sum "
                "over labels, and the integral is not known",
                help=f"if units are as they are given `{name}`, make it an input",
            )  # fmt: skip


def check_conditions(model: Model, bound: Bound) -> None:
    """Raises EmmError where a unit whose cells are known does not meet the condition of its plate."""
    for given in model.givens:
        _check_data(given, model, bound)


def _check_data(given: Given, model: Model, bound: Bound) -> None:
    level = bound.level_of(given.plate)
    evaluator = Evaluator(model, bound, level=level)
    value = evaluator.value(given.condition)
    if set(value.axes) - {ROW}:
        return  # about the hidden draws of a genotype
    failed = np.broadcast_to(value.aligned((ROW,)) == 0, bound.levels[level].size).copy()
    for node in walk(given.condition):
        if isinstance(node, VariableRef) and model.variable(node.name).values is not None:
            code = evaluator.code(node).array
            known = (code >= 0) & (code < len(bound.indexes[evaluator.index_set(node)]))
            failed &= np.broadcast_to(known, (*known.shape[:-1], len(failed))).reshape(-1, len(failed)).all(axis=0)
    units = np.flatnonzero(failed)
    if len(units):
        first = units[:1]
        for item in bound.levels[level + 1 :]:
            if item.size:
                first = item.starts[first]
        row = int(bound.order[first[0]]) + 1 if first[0] < len(bound.order) else 0
        count = f"{len(units)} of {len(failed)} units of `{given.plate}`, first in row {row},"
        raise EmmError(
            "not-given", f"{count} do not meet `{given.text}`, so they could not be in the data", place=bound.source,
            help="leave them out, or leave out the line",
        )  # fmt: skip
