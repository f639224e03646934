"""Censored, grouped and truncated laws: the branches of a factor by what a cell holds.

With D = log P(a <= X <= b) of a law that is truncated to (a, b), a value that was seen counts `log f(x) - D`, one that
is only known to be greater than x counts `log P(x < X <= b) - D`, and so on: first truncated, then censored.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import reduce
from typing import Any

from emdsl.families.cuttable import Cuttable, Distributed
from emdsl.families.family import Arguments, Family, Target
from emdsl.graph.constants import exact_value
from emdsl.graph.failures import failure
from emdsl.graph.names import Names, VariableHead
from emdsl.ir.arithmetic import MINUS_INFINITY, ONE, ZERO, apply
from emdsl.ir.expressions import Apply, Expression, Number, ParameterRef, VariableRef, walk
from emdsl.ir.model import ABOVE, BELOW, BETWEEN, CELL_SUFFIX, CELLS, SEEN, Branch, Domain, Guard
from emdsl.syntax import tree


@dataclass(frozen=True)
class Cutting:
    """What the modifiers of a statement come to.

    `cell` says what a cell holds (None: only truncated), one of `kinds`. `between` are the bounds of grouped data.
    `domain` is that of the whole law.
    """

    domain: Domain
    cell: VariableRef | None = None
    kinds: tuple[str, ...] = ()
    between: tuple[Expression, Expression] | None = None
    truncated: tuple[Expression, Expression] | None = None


@dataclass(frozen=True)
class Bound:
    """A bound of a law. `sure`: it lies within the law's domain in all data. `closed`: the value at the bound is
    inside, which matters to an atom alone; `parts` are the bounds that this one is the closest of."""

    at: Expression
    sure: bool = False
    closed: bool = False
    parts: tuple[Bound, ...] = ()


def cuttable(family: Family, node: tree.Node) -> Cuttable:
    """The law as one that can be cut. Raises where it has no distribution function."""
    if isinstance(family, Cuttable) and getattr(family, "domain", None) != Domain("finite"):
        if family.has_distribution_function:
            return family
        raise failure(
            "no-cdf", f"`{family.name}` has no distribution function, so it cannot be censored, grouped or truncated",
            node, "a family of your own may say it: cdf = ...",
        )  # fmt: skip
    raise failure(
        "no-cdf", f"`{family.name}` is no law of numbers in order, so it cannot be censored, grouped or truncated", node
    )


def cut(
    branch: Branch,
    family: Family,
    arguments: Arguments,
    target: Target,
    cutting: Cutting,
    names: Names,
    node: tree.Node,
) -> tuple[Branch, ...]:
    """The branch of a law as one for each kind of cell, each less the logarithm of what truncation leaves."""
    atom = None if family.atom is None else arguments[family.atom].expression
    return _Cutter(cuttable(family, node), arguments, cutting, names, node, atom).branches(branch, target)


def reads_value(branch: Branch) -> bool:
    """Whether a branch is about cells that hold the value itself."""
    kinds = [guard.labels for guard in branch.guards if set(guard.labels) <= set(CELLS) and _is_cell(guard)]
    return all(SEEN in labels for labels in kinds)


def _is_cell(guard: Guard) -> bool:
    return isinstance(guard.variable, VariableRef) and guard.variable.name.endswith(CELL_SUFFIX)


@dataclass(frozen=True)
class _Cutter:
    family: Cuttable
    arguments: Arguments
    cutting: Cutting
    names: Names
    node: tree.Node
    atom: Expression | None = None

    def branches(self, branch: Branch, target: Target) -> tuple[Branch, ...]:
        left, right = self._window()
        # an atom within the bounds is what it was, one outside of them has no probability at all
        share = ZERO if self.atom is not None else self._log_probability(left, right)
        seen = self._less(self._within(branch.log_density, target), share)
        cell = self.cutting.cell
        if cell is None:
            return (replace(branch, log_density=seen),)
        found = [replace(branch, guards=(Guard(cell, (SEEN,)),), log_density=seen)]
        for kind in self.cutting.kinds:
            if kind == SEEN:
                continue
            low, high = self._bounds(kind, target.reference)
            probability = self._log_probability(self._latest(low, left), self._earliest(high, right))
            density = self._less(probability, share)
            found.append(replace(branch, guards=(Guard(cell, (kind,)),), log_density=density))
        return tuple(found)

    def _less(self, density: Expression, share: Expression) -> Expression:
        return density if share == ZERO else apply("-", density, share)

    # --- bounds -------------------------------------------------------------------------------------------------------

    @property
    def _inside(self) -> bool:
        """Whether data that lie within the domain of the whole law lie within that of this branch."""
        return self.family.range(self.arguments) == self.cutting.domain

    def _bounds(self, kind: str, value: Expression) -> tuple[Bound | None, Bound | None]:
        """Between what a cell of this kind says that the value lies: above the one bound, up to the other."""
        counts = self.family.discrete and self.cutting.domain.kind in ("natural", "integer")
        if self.cutting.between is None:
            if kind == ABOVE:
                return Bound(value, self._inside), None
            before = apply("-", value, ONE) if counts else value
            return None, Bound(before, self._inside, closed=counts)
        low, high = self.cutting.between
        if counts:
            low, high = apply("-", Apply("ceil", (low,)), ONE), Apply("floor", (high,))
        first = Bound(low, self._inside, closed=not counts) if kind in (ABOVE, BETWEEN) else None
        return first, Bound(high, self._inside, closed=True) if kind in (BELOW, BETWEEN) else None

    def _window(self) -> tuple[Bound | None, Bound | None]:
        """The bounds of the truncation, without those beyond which the law has nothing."""
        if self.cutting.truncated is None:
            return None, None
        low, high = self.cutting.truncated
        ends = exact_value(low, self.names), exact_value(high, self.names)
        if ends[0] is not None and ends[1] is not None and ends[0] >= ends[1] and not self.family.discrete:
            raise failure("truncation", f"nothing lies between {_shown(ends[0])} and {_shown(ends[1])}", self.node)
        counts = self.family.discrete and self.family.range(self.arguments).kind in ("natural", "integer")
        moving = next((item for end in (low, high) for item in walk(end) if isinstance(item, ParameterRef)), None)
        if counts and moving is not None:
            raise failure(
                "truncation", f"the likelihood of a count moves by steps with its bounds, and `{moving.name}` is a "
                "parameter", self.node, f"const {moving.name} = …",
            )  # fmt: skip
        if counts:
            low = _whole("ceil", low, ends[0], -1)
            high = _whole("floor", high, ends[1], 0)
        atom = None if self.atom is None else exact_value(self.atom, self.names)
        if atom is not None and any(end is not None for end in ends):
            outside = (ends[0] is not None and atom < ends[0]) or (ends[1] is not None and atom > ends[1])
            if outside:
                raise failure("truncation", f"the law `{self.family.name}` has nothing within these bounds", self.node)
        left, right = Bound(low, closed=not counts), Bound(high, closed=True)
        return self._open(left, lower=True), self._open(right, lower=False)

    def _open(self, bound: Bound, *, lower: bool) -> Bound | None:
        """None for a bound that surely lies at or beyond the end of the law."""
        at = exact_value(bound.at, self.names)
        if at is None:
            return bound
        ends = [None if end is None else exact_value(end, self.names) for end in self._ends()]
        low = -math.inf if ends[0] is None else ends[0]
        high = math.inf if ends[1] is None else ends[1]
        if (at < low or (at == low and not self.family.discrete)) if lower else at >= high:
            return None
        if at >= high if lower else (at < low or (at == low and not self.family.discrete)):
            raise failure("truncation", f"the law `{self.family.name}` has nothing within these bounds", self.node)
        known = (end is None or value is not None for end, value in zip(self._ends(), ends, strict=True))
        return replace(bound, sure=all(known))

    def _ends(self) -> tuple[Expression | None, Expression | None]:
        """Where the law begins and ends."""
        domain = self.family.range(self.arguments)
        match domain.kind:
            case "positive" | "natural":
                return ZERO, None
            case "unit":
                return ZERO, ONE
            case "interval":
                return domain.low, domain.high
            case _:
                return None, None

    def _latest(self, one: Bound | None, two: Bound | None) -> Bound | None:
        return self._joined("max", one, two)

    def _earliest(self, one: Bound | None, two: Bound | None) -> Bound | None:
        return self._joined("min", one, two)

    def _joined(self, op: str, one: Bound | None, two: Bound | None) -> Bound | None:
        if one is None or two is None:
            return one or two
        return Bound(Apply(op, (one.at, two.at)), one.sure and two.sure, parts=(one, two))

    # --- probabilities ------------------------------------------------------------------------------------------------

    def _log_probability(self, low: Bound | None, high: Bound | None) -> Expression:
        """log P(low < X <= high); of an atom, whether it lies within."""
        if self.atom is not None:
            return self._holds_atom(self.atom, low, high)
        if low is None:
            return ZERO if high is None else self._below(high)
        if high is None:
            return self._above(low)
        both = (self._below(high), self._below(low), self._above(low), self._above(high))
        return Apply("loginterval", both)

    @staticmethod
    def _holds_atom(atom: Expression, low: Bound | None, high: Bound | None) -> Expression:
        conditions = []
        for bound, strict, closed in ((low, ">", ">="), (high, "<", "<=")):
            for part in (bound.parts or (bound,)) if bound is not None else ():
                conditions.append(Apply(closed if part.closed else strict, (atom, part.at)))
        if not conditions:
            return ZERO
        inside = reduce(lambda one, two: Apply("and", (one, two)), conditions)
        return apply("where", inside, ZERO, MINUS_INFINITY)

    def _inside_domain(self, bound: Bound) -> Bound:
        """A bound with parameters, drawn back into the law's domain where it may leave it: without a step, whose slope
        nobody could climb.
        """
        if bound.sure or not any(isinstance(item, ParameterRef) for item in walk(bound.at)):
            return bound
        at, (low, high) = bound.at, self._ends()
        domain = None
        if isinstance(at, ParameterRef) and len(at.indices) == len(self.names.parameters[at.name].axes):
            domain = self.names.parameters[at.name].domain.kind
        if low is not None and not (low == ZERO and domain in ("positive", "unit")):
            at = Apply("max", (at, low))
        if high is not None and not (high == ONE and domain == "unit"):
            at = Apply("min", (at, high))
        return replace(bound, at=at, sure=True)

    def _below(self, bound: Bound) -> Expression:
        assert isinstance(self.family, Distributed)
        bound = self._inside_domain(bound)
        return self._clipped(self.family.log_below(self.arguments, bound.at), bound, MINUS_INFINITY, ZERO)

    def _above(self, bound: Bound) -> Expression:
        assert isinstance(self.family, Distributed)
        bound = self._inside_domain(bound)
        return self._clipped(self.family.log_above(self.arguments, bound.at), bound, ZERO, MINUS_INFINITY)

    def _clipped(self, logarithm: Expression, bound: Bound, before: Expression, behind: Expression) -> Expression:
        """The logarithm of a probability where the bound may lie outside the law's domain, `before` or `behind` it."""
        if bound.sure:
            return logarithm
        low, high = self._ends()
        if high is not None:
            logarithm = apply("where", Apply("<", (bound.at, high)), logarithm, behind)
        if low is not None:
            logarithm = apply("where", Apply(">=" if self.family.discrete else ">", (bound.at, low)), logarithm, before)
        return logarithm

    def _within(self, density: Expression, target: Target) -> Expression:
        """The density, 0 outside of bounds that hidden variables move, and outside of those of a hidden count; data are
        held to theirs where they are read, and a hidden number to the interval that it is integrated over.
        """
        if self.cutting.truncated is None or (self._hidden(target) and self.cutting.domain.kind != "finite"):
            return density
        heads, of_count = self.names.heads, self._hidden(target)
        for op, end in zip((">=", "<="), self.cutting.truncated, strict=True):
            moves = (isinstance(n, ParameterRef) or _is_latent(n, heads) for n in walk(end))
            if of_count or any(moves):
                density = apply("where", Apply(op, (target.reference, end)), density, MINUS_INFINITY)
        return density

    def _hidden(self, target: Target) -> bool:
        name = getattr(target.reference, "name", "")
        return name in self.names.heads and self.names.heads[name].kind == "latent"


def _is_latent(node: Any, heads: Mapping[str, VariableHead]) -> bool:
    return isinstance(node, VariableRef) and heads[node.name].kind == "latent"


def _whole(op: str, bound: Expression, known: Fraction | float | None, shift: int) -> Expression:
    """The last whole number before a lower bound (`ceil`, -1), or the last one up to an upper bound (`floor`, 0)."""
    if isinstance(known, Fraction):
        return Number(Fraction((math.ceil(known) if op == "ceil" else math.floor(known)) + shift))
    if known is not None:
        return Number(known)
    whole = Apply(op, (bound,))
    return apply("+", whole, Number(Fraction(shift))) if shift else whole


def _shown(value: Fraction | float) -> str:
    return str(value)


__all__ = ["Cutting", "cut", "cuttable", "reads_value"]
