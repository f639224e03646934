"""Statements of plates to variables, factors, maps and weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from emdsl.families.categorical import FINITE
from emdsl.families.family import Target
from emdsl.families.genotype import FIRST, SECOND
from emdsl.graph.arguments import Place
from emdsl.graph.branches import lift, tidy, unite
from emdsl.graph.conditions import given
from emdsl.graph.cuts import Cutting
from emdsl.graph.expressions import number
from emdsl.graph.failures import failure
from emdsl.graph.heads import first_law, map_value, statement_scope
from emdsl.graph.intervals import confined, window
from emdsl.graph.laws import Key, draws, event_axes
from emdsl.graph.modifiers import cutting, warn_of_effects
from emdsl.graph.names import Names, Scope, VariableHead
from emdsl.graph.values import Pair, scalar
from emdsl.ir.expressions import Binder, BinderRef, Expression, ParameterRef, VariableRef, walk
from emdsl.ir.model import CELL_SET, CELL_SUFFIX, Branch, Domain, Factor, Given, Map, Variable, Weight, When
from emdsl.syntax import tree
from emdsl.syntax.printer import print_expr, print_law


@dataclass
class Statements:
    """What the statements of all plates have given so far."""

    names: Names
    variables: list[Variable] = field(default_factory=list)
    factors: list[Factor] = field(default_factory=list)
    maps: list[Map] = field(default_factory=list)
    weights: list[Weight] = field(default_factory=list)
    givens: list[Given] = field(default_factory=list)

    def add(self, node: tree.Statement, plate: str | None) -> None:
        """One statement of a plate (`let` gives nothing by itself)."""
        match node:
            case tree.InputStmt(name):
                self.variables.append(_plain(self.names.head(name, node), node.column, node.description))
            case tree.WeightStmt(name):
                self.variables.append(_plain(self.names.head(name, node), node.column, node.description))
                assert plate is not None, "the grammar has weights in plates only"
                if self.names.plates[plate].ordered:
                    raise failure(
                        "weight-in-chain", f"`{name}` weighs rows of a chain, which has no meaning", node,
                        "put the weight into the plate around the chain",
                    )  # fmt: skip
                self.weights.append(Weight(plate, name))
            case tree.LatentStmt(drawn):
                self._variables(drawn, node)
                with self.names.drawn(*drawn):
                    before = len(self.factors)
                    self._factors(node, plate)
                    self._confine(drawn[0], before, node)
            case tree.ObservedStmt(name):
                if node.others:
                    _check_joint(node)
                self._variables(node.names, node)
                with self.names.drawn(*node.names):
                    if node.law is not None:
                        self._factors(node, plate)
                        warn_of_effects(node, self.factors, self.names)
                    else:
                        self.maps.append(_map(node, plate, self.names))
            case tree.FactorStmt():
                self.factors.append(self._evidence(node, plate))
            case tree.GivenStmt():
                assert plate is not None, "the grammar has `given` in plates only"
                self.givens.append(given(node, plate, self.names))
            case tree.LetDecl() | tree.PlateStmt():
                pass

    def add_plate_columns(self) -> None:
        """The columns of plates that laws look at are inputs, though no statement declares them."""
        made = {variable.name for variable in self.variables}
        for name, (node, _) in self.names.variables.items():
            if name not in made and isinstance(node, tree.InputStmt):
                self.variables.append(_plain(self.names.head(name, node), None, ""))

    def _variables(self, drawn: Iterable[str], node: tree.LatentStmt | tree.ObservedStmt) -> None:
        column = node.column if isinstance(node, tree.ObservedStmt) else None
        for name in drawn:
            head = self.names.head(name, node)
            self.variables.append(_plain(head, column, node.description))
            if isinstance(node, tree.ObservedStmt) and node.between is not None:
                self.variables[-1] = replace(self.variables[-1], between=node.between)
                self._bounds(node.between, head)
            for suffix, values in head.hidden:
                hidden = Variable(f"{name}.{suffix}", "latent", head.plate, head.axes, FINITE, values)
                self.variables.append(hidden)

    def _confine(self, name: str, before: int, node: tree.LatentStmt) -> None:
        """The interval that a hidden number's own law confines it to becomes its domain."""
        here = next(i for i, variable in enumerate(self.variables) if variable.name == name)
        found = confined(self.variables[here], self.factors[before:], node, self.names)
        if found is not None:
            self.variables[here], self.factors[before:] = found

    def _bounds(self, columns: tuple[str, str], head: VariableHead) -> None:
        """The bounds of `between` are inputs, also where they are not declared."""
        for name in columns:
            if name not in self.names.variables and all(variable.name != name for variable in self.variables):
                self.variables.append(Variable(name, "input", head.plate, head.axes, Domain("real")))

    def _factors(self, node: tree.LatentStmt | tree.ObservedStmt, plate: str | None) -> None:
        assert node.law is not None
        names, law = self.names, node.law
        scope, binders = statement_scope(node, plate, names)
        drawn = node.names
        heads = [names.head(name, node) for name in drawn]
        width = event_axes(first_law(law), names)
        if width > len(binders):
            shape = "a vector" if width == 1 else "a matrix"
            raise failure(
                "law",
                f"`{drawn[0]}` has {len(binders) or 'no'} axes, and its law draws {shape}",
                node,
                f"{drawn[0]}[idx] ~ {print_law(law)}",
            )
        elements, vector = binders[: len(binders) - width], binders[len(binders) - width :]
        target = _target(heads, elements, vector, names)
        place = Place(vector, heads[0].values)
        text = f"{_left(drawn, node.axes)}{_between(node)} ~ {print_law(law)}"
        cutting = self._cutting(node, plate, scope, heads[0], target)
        if isinstance(law, tree.ChainLaw):
            first = draws(law.first, scope, names, target, place, cutting)
            after = draws(law.after, scope, names, target, place, cutting)
            self._add_chain(node, plate, elements, target, first, after, text)
            return
        for key, branches in draws(law, scope, names, target, place, cutting).items():
            if key[1] != "always":
                self._check_chain(plate, node)
            lag = self._lag(branches, plate) if key[1] == "always" else 0
            if lag and heads[0].kind == "latent":
                raise failure(
                    "chain", f"the chain `{drawn[0]}` needs a law for its first unit", node,
                    f"{drawn[0]} ~ ... first, {print_law(law)} after",
                )  # fmt: skip
            when: tuple[When, int] = ("after", lag) if lag else (key[1], key[2])
            self._add(plate, elements, target, (key[0], *when), branches, text)

    def _cutting(
        self,
        node: tree.LatentStmt | tree.ObservedStmt,
        plate: str | None,
        scope: Scope,
        head: VariableHead,
        target: Target,
    ) -> Cutting | None:
        """What the modifiers of a statement come to; the variable of its cells is declared."""
        here = next(i for i, variable in enumerate(self.variables) if variable.name == head.name)
        if isinstance(node, tree.LatentStmt):
            inside = window(node, scope, self.names)
            if inside is None:
                return None
            self.variables[here] = replace(self.variables[here], truncated=inside)
            return Cutting(head.domain, truncated=inside)
        made = cutting(node, plate, scope, head, target, self.names)
        if made is None:
            return None
        self.variables[here] = replace(self.variables[here], truncated=made.cutting.truncated)
        if made.cut is not None:
            name = f"{head.name}{CELL_SUFFIX}"
            cells = Variable(name, "input", head.plate, head.axes, FINITE, CELL_SET, cut=made.cut)
            self.variables.append(cells)
        return made.cutting

    def _check_chain(self, plate: str | None, node: tree.Node) -> None:
        if plate is None or not self.names.plates[plate].ordered:
            raise failure(
                "chain", "the law of a chain needs a plate in sequence", node, f"for each {plate or 'row'} in sequence:"
            )

    def _add_chain(
        self,
        node: tree.LatentStmt | tree.ObservedStmt,
        plate: str | None,
        elements: tuple[Binder, ...],
        target: Target,
        first: dict[Key, tuple[Branch, ...]],
        after: dict[Key, tuple[Branch, ...]],
        text: str,
    ) -> None:
        self._check_chain(plate, node)
        if set(first) != set(after) or any(key[1] != "always" for key in first):
            raise failure("chain", "the laws of the first and of the later units are of different kinds", node)
        if any(self._lag(branches, plate) for branches in first.values()):
            raise failure("chain", "the law of the first unit cannot look back", node)
        lag = max(1, *(self._lag(branches, plate) for branches in after.values()))
        for key in first:
            self._add(plate, elements, target, (key[0], "first", lag), first[key], text)
            self._add(plate, elements, target, (key[0], "after", lag), after[key], text)

    def _add(
        self,
        plate: str | None,
        elements: tuple[Binder, ...],
        target: Target,
        key: Key,
        branches: tuple[Branch, ...],
        text: str,
    ) -> None:
        suffix, when, lag = key
        drawn = target.variable()
        if suffix:
            drawn = replace(drawn, name=f"{drawn.name}.{suffix}")
        name = drawn.name if when == "always" else f"{drawn.name} {when}"
        lifted = unite((part for branch in branches for part in lift(branch, self.names)), self.names)
        around = self._around(branches, plate)
        head = target.variable().name
        if around and self.names.heads[head].kind == "latent":
            raise failure(
                "chain", f"`{head}` looks back in the chain `{around[0][0]}` and has no law in its first unit",
                self.names.heads[head].node, f"look at `{head}` by the current {around[0][0]}, or make it observed",
            )  # fmt: skip
        self.factors.append(tidy(Factor(name, plate, elements, drawn, lifted, when, lag, text, around)))

    def _lag(self, branches: Iterable[Branch], plate: str | None) -> int:
        """The longest look back of the branches' log-densities and guards in the chain of a plate."""
        return max((lag for place, lag in self._lags(branches) if place == plate), default=0)

    def _around(self, branches: Iterable[Branch], plate: str | None) -> tuple[tuple[str, int], ...]:
        """The longest look back in the chain of each plate around a plate."""
        longest: dict[str, int] = {}
        for place, lag in self._lags(branches):
            if place is not None and place != plate:
                longest[place] = max(lag, longest.get(place, 0))
        return tuple(longest.items())

    def _lags(self, branches: Iterable[Branch]) -> Iterator[tuple[str | None, int]]:
        for node in walk(tuple(branches)):
            if isinstance(node, VariableRef) and node.lag:
                heads = self.names.heads
                yield heads[node.name if node.name in heads else node.name.rpartition(".")[0]].plate, node.lag

    def _evidence(self, node: tree.FactorStmt, plate: str | None) -> Factor:
        """`factor expr`: a log-density of no variable."""
        count = sum(factor.target is None for factor in self.factors) + 1
        value = scalar(number(node.value, self.names.scope_of(plate), self.names), node.value)
        branch = Branch((), value)
        lag = self._lag((branch,), plate)
        branches = lift(branch, self.names)
        return tidy(
            Factor(
                f"factor {count}", plate, (), None, branches, "after" if lag else "always", lag,
                f"factor {print_expr(node.value)}", self._around((branch,), plate),
            )
        )  # fmt: skip


def _check_joint(node: tree.ObservedStmt) -> None:
    """Several names share a law, and nothing that is about one column."""
    written = ", ".join(node.names)
    if node.law is None or node.column is not None or node.between is not None or node.domain is not None:
        raise failure(
            "law", f"`{written}` are drawn together, by one law over the index sets of all", node,
            f"observed {written} ~ Categorical(p)",
        )  # fmt: skip


def _plain(head: VariableHead, column: str | None, description: str) -> Variable:
    components = tuple(f"{head.name}.{suffix}" for suffix, _ in head.hidden if suffix in (FIRST, SECOND))
    return Variable(
        head.name, head.kind, head.plate, head.axes, head.domain, head.values, column, components, description,
        head.genotype, head.joint,
    )  # fmt: skip


def _target(
    heads: list[VariableHead], elements: tuple[Binder, ...], vector: tuple[Binder, ...], names: Names
) -> Target:
    indices = tuple(BinderRef(binder) for binder in elements)
    references: tuple[VariableRef | ParameterRef, ...] = tuple(VariableRef(head.name, indices) for head in heads)
    axes = tuple(binder.index_set for binder in vector)
    return Target(references, tuple(head.values for head in heads), axes, names.fresh)


def _between(node: tree.LatentStmt | tree.ObservedStmt) -> str:
    between = node.between if isinstance(node, tree.ObservedStmt) else None
    return "" if between is None else f" between {between[0]} and {between[1]}"


def _left(drawn: tuple[str, ...], axes: tuple[tree.AxisBinder, ...]) -> str:
    inside = ", ".join(f"{axis.binder} in {axis.index_set}" if axis.binder else axis.index_set for axis in axes)
    return ", ".join(drawn) + (f"[{inside}]" if inside else "")


def _map(node: tree.ObservedStmt, plate: str | None, names: Names) -> Map:
    """`observed y = value`."""
    assert node.value is not None
    scope, binders = statement_scope(node, plate, names)
    value = map_value(node, scope, names)
    found: Expression | tuple[Expression, Expression]
    found = (value.one, value.two) if isinstance(value, Pair) else value.expression
    parameter = next((item for item in walk(found) if isinstance(item, ParameterRef)), None)
    if parameter is not None:
        raise failure(
            "map", f"what `{node.name}` is given what is hidden cannot depend on the parameter `{parameter.name}`",
            node.value, f"observed {node.name} ~ Normal({print_expr(node.value)}, sd)",
        )  # fmt: skip
    target = VariableRef(node.name, tuple(BinderRef(binder) for binder in binders))
    text = f"{_left((node.name,), node.axes)} = {print_expr(node.value)}"
    return tidy(Map(node.name, plate, binders, target, found, text))
