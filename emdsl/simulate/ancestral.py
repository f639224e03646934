"""Ancestral sampling: plates from the outermost inwards, in each plate statements in the order of what they look at,
chains from their first units on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emdsl.data.bound import Bound, Level
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.expressions import VariableRef, walk
from emdsl.ir.model import Factor, Map, Model
from emdsl.plan.evaluation import early_units
from emdsl.plan.named import ROW
from emdsl.runtime.problem import Theta
from emdsl.simulate.draws import Drawer, cumulated
from emdsl.simulate.evaluation import Codes, Drawn, as_drawn

#: How often a unit that does not meet the condition of its plate is drawn anew.
MOST_TRIES = 10_000


@dataclass(frozen=True)
class Statement:
    """All that gives one variable (or the variables of a joint draw) its value: its factors, or its map.

    `same` are the variables of its plate that it looks at, `earlier` those whose values before in the chain.
    """

    names: tuple[str, ...]
    factors: tuple[Factor, ...]
    map: Map | None
    same: frozenset[str]
    earlier: frozenset[str]


def simulate(model: Model, bound: Bound, theta: Theta, rng: np.random.Generator) -> Drawn:
    """A value of every variable for every unit of `bound`, whose inputs are taken as they are: `(*elements, units)`,
    codes of finite variables; a genotype is the ordered pair `a*K + b`, `a <= b`.

    Raises `cannot-simulate` for `factor` statements and laws that nobody can draw from.
    """
    for factor in model.factors:
        if factor.target is None:
            raise EmmError(
                "cannot-simulate", f"`{factor.text or 'factor'}` weighs what is drawn and draws nothing, so the model "
                "cannot be simulated", help="write the statement as a law: observed y ~ …",
            )  # fmt: skip
    drawer = Drawer(model, bound, theta, rng, as_drawn(model, bound))
    for level in bound.levels:
        statements = in_order([item for item in _statements(model) if _plate(item, model) == level.plate])
        _draw_level(drawer, level, statements)
        _draw_chosen(drawer, level, statements)
        _pair_genotypes(drawer, level.plate)
    return drawer.drawn


# --- statements -------------------------------------------------------------------------------------------------------


def _statements(model: Model) -> list[Statement]:
    """What is drawn or set in a model, in the order of declaration."""
    factors: dict[str, list[Factor]] = {}
    for factor in model.factors:
        assert factor.target is not None
        factors.setdefault(factor.target.name, []).append(factor)
    found = []
    for name, group in factors.items():
        names = model.variable(name).joint or (name,)
        found.append(_statement(names, tuple(group), None, model))
    found += [_statement((item.target.name,), (), item, model) for item in model.maps]
    return found


def _statement(names: tuple[str, ...], factors: tuple[Factor, ...], map: Map | None, model: Model) -> Statement:
    plate = model.variable(names[0]).plate
    looked_at = [node for node in walk((tuple(f.branches for f in factors), map)) if isinstance(node, VariableRef)]
    here = [node for node in looked_at if model.variable(node.name).plate == plate]
    same = frozenset(node.name for node in here if not node.lag and node.name not in names)
    return Statement(names, factors, map, same, frozenset(node.name for node in here if node.lag))


def _plate(statement: Statement, model: Model) -> str | None:
    return model.variable(statement.names[0]).plate


def in_order(statements: Sequence[Statement]) -> list[Statement]:
    """The statements so that each comes after those that it looks at (the graph has no cycles)."""
    drawn_here = {name for item in statements for name in item.names}
    ordered: list[Statement] = []
    done: set[str] = set()
    waiting = list(statements)
    while waiting:
        ready = next(item for item in waiting if item.same & drawn_here <= done)
        waiting.remove(ready)
        ordered.append(ready)
        done.update(ready.names)
    return ordered


# --- one level --------------------------------------------------------------------------------------------------------


def _draw_level(drawer: Drawer, level: Level, statements: list[Statement]) -> None:
    """Everything of one plate. Only what both looks back and is looked back at is drawn step by step."""
    every = np.arange(level.size)
    before, along, after = _by_time(statements)
    for statement in before:
        _draw(drawer, level, statement, every)
    if len(along) == 1 and _is_finite_chain(drawer, along[0]):
        _finite_chain(drawer, level, along[0])
    elif along:
        _draw_along(drawer, level, along, every)
    for statement in after:
        _draw(drawer, level, statement, every)


def _draw_along(drawer: Drawer, level: Level, statements: list[Statement], units: Codes) -> None:
    """Statements of chains, one step of all chains after the other."""
    position = units - level.starts[level.parent[units]]
    for step in range(int(position.max(initial=-1)) + 1):
        for statement in statements:
            _draw(drawer, level, statement, units[position == step])


def _draw_chosen(drawer: Drawer, level: Level, statements: list[Statement]) -> None:
    """Units that do not meet the condition of their plate are drawn anew, for only those that do are in the data; of a
    chain all its units are.
    """
    conditions = [given for given in drawer.model.givens if given.plate == level.plate]
    chained = any(plate.name == level.plate and plate.ordered for plate in drawer.model.plates)
    wrong = np.arange(level.size if conditions else 0)
    for _ in range(MOST_TRIES):
        met = np.ones(len(wrong), dtype=bool)
        for given in conditions:
            value = drawer.evaluator(given.plate, wrong).value(given.condition)
            met &= np.broadcast_to(value.aligned((ROW,)) != 0, len(wrong))
        wrong = wrong[~met]
        if not len(wrong):
            return
        if chained:
            wrong = np.flatnonzero(np.isin(level.parent, level.parent[wrong]))
            _draw_along(drawer, level, statements, wrong)
            continue
        for statement in statements:
            _draw(drawer, level, statement, wrong)
    raise EmmError(
        "cannot-simulate", f"`{conditions[0].text}` is too rare: {MOST_TRIES} draws of a {level.plate} did not meet it",
        help="give other values with --params",
    )  # fmt: skip


def _by_time(statements: list[Statement]) -> tuple[list[Statement], list[Statement], list[Statement]]:
    """The statements that look at no earlier unit, those that make up the chain, and those that only look at it."""
    looked_back_at = {name for item in statements for name in item.earlier}
    tainted: set[str] = set()
    for item in statements:
        if item.earlier or item.same & tainted:
            tainted.update(item.names)
    needed = set(looked_back_at)
    for item in reversed(statements):
        if needed & set(item.names):
            needed |= item.same
    before = [item for item in statements if not tainted & set(item.names)]
    along = [item for item in statements if tainted & set(item.names) and needed & set(item.names)]
    after = [item for item in statements if tainted & set(item.names) and not needed & set(item.names)]
    return before, along, after


def _draw(drawer: Drawer, level: Level, statement: Statement, units: Codes) -> None:
    """One statement for some units: each factor for those that it is about."""
    if statement.map is not None:
        # Where there is no unit to look back at nothing is shown, and the cell stays empty.
        back = [node for node in walk(statement.map.value) if isinstance(node, VariableRef) and node.lag]
        looks = [(drawer.model.variable(node.name).plate, node.lag) for node in back]
        drawer.map(statement.map, units[_reach(drawer, level, looks, units)])
        return
    position = units - level.starts[level.parent[units]]
    for factor in statement.factors:
        reach = _reach(drawer, level, factor.around, units)
        chosen = units[_applies(factor, position) & reach]
        if len(chosen):
            drawer.factor(factor, chosen)
        if not reach.all():
            _check_given(drawer, statement, units[~reach])
    if any(factor.when == "after" for factor in statement.factors):
        _check_beginnings(drawer, level, statement, units, position)


def _reach(
    drawer: Drawer, level: Level, looks: Iterable[tuple[str | None, int]], units: Codes
) -> NDArray[np.bool_]:  # fmt: skip
    """Whether the chains of some plates reach back as far as is looked at."""
    number = next(k for k, item in enumerate(drawer.bound.levels) if item is level)
    found = np.ones(len(units), dtype=bool)
    for plate, lag in looks:
        found &= ~early_units(plate, lag, drawer.bound, number)[units]
    return found


def _applies(factor: Factor, position: Codes) -> NDArray[np.bool_]:
    """Whether a factor is about the units at these positions of their chains."""
    match factor.when:
        case "first":
            return position < factor.lag
        case "after":
            return position >= factor.lag
        case "always":
            return np.ones(len(position), dtype=bool)


def _check_beginnings(drawer: Drawer, level: Level, statement: Statement, units: Codes, position: Codes) -> None:
    """The first units of a chain without a law for them must be given."""
    if any(factor.when == "first" for factor in statement.factors):
        return
    lag = max(factor.lag for factor in statement.factors)
    _check_given(drawer, statement, units[position < lag])


def _check_given(drawer: Drawer, statement: Statement, units: Codes) -> None:
    """Units without a law must be given a value."""
    for name in statement.names:
        first = drawer.drawn[name][..., units] if name in drawer.drawn else np.array([np.nan])
        size = len(drawer.bound.indexes.get(drawer.model.variable(name).values or "", ()))
        missing = np.isnan(first) if first.dtype.kind == "f" else (first < 0) | (first >= size)
        if missing.any():
            raise EmmError(
                "design-needed", f"the chain of `{name}` has no law for its first unit, so its value there must be "
                "given", help=f"--design FILE with a column {name} that holds the first value of each chain",
            )  # fmt: skip


# --- hidden chains ----------------------------------------------------------------------------------------------------


def _is_finite_chain(drawer: Drawer, statement: Statement) -> bool:
    """Whether a statement is a chain of one finite variable that looks one unit back."""
    (name, *others) = statement.names
    back = {
        node.lag for node in walk(statement.factors) if isinstance(node, VariableRef) and node.lag and node.name == name
    }  # fmt: skip
    plain = not drawer.model.variable(name).axes and not others
    laws = {factor.when for factor in statement.factors}
    finite = drawer.model.variable(name).values is not None
    return finite and plain and back == {1} and laws == {"first", "after"} and statement.earlier == {name}


def _finite_chain(drawer: Drawer, level: Level, statement: Statement) -> None:
    """All chains in lockstep, from the table of transition probabilities: for each state before and each unit."""
    name = statement.names[0]
    lengths = np.diff(level.starts)
    first, after = (next(f for f in statement.factors if f.when == when) for when in ("first", "after"))
    begin = level.starts[:-1][lengths > 0]
    drawer.factor(first, begin)
    later = np.setdiff1d(np.arange(level.size), begin, assume_unique=True)
    if not len(later):
        return
    tried = (VariableRef(name, (), 1), VariableRef(name))
    with np.errstate(all="ignore"):
        ends = cumulated(drawer.probabilities(after, later, tried), after)
    row = np.zeros(level.size, dtype=np.intp)
    if len(ends) > 1:
        row[later] = np.arange(len(later))
    uniform = drawer.rng.random(level.size)
    codes = drawer.drawn[name]
    last = ends.shape[-1] - 1
    for step in range(1, int(lengths.max())):
        units = level.starts[:-1][lengths > step] + step
        passed = uniform[units, None] >= ends[row[units], codes[units - 1]]
        codes[units] = np.minimum(passed.sum(axis=-1), last)


# --- genotypes --------------------------------------------------------------------------------------------------------


def _pair_genotypes(drawer: Drawer, plate: str | None) -> None:
    """A genotype is the unordered pair of its two draws."""
    for variable in drawer.model.variables:
        if variable.plate == plate and len(variable.components) == 2 and variable.components[0] in drawer.drawn:
            one, two = (drawer.drawn[name] for name in variable.components)
            size = len(drawer.bound.indexes[variable.values or ""])
            drawer.drawn[variable.name] = np.minimum(one, two) * size + np.maximum(one, two)


def looks_back_without_law(model: Model) -> Mapping[str, int]:
    """The variables whose first units in a chain have no law, and how many these units are."""
    return {
        item.names[0]: max(factor.lag for factor in item.factors)
        for item in _statements(model)
        if {factor.when for factor in item.factors} == {"after"}
    }
