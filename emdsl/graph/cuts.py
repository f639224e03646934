"""Censored, grouped and truncated laws: the branches of a factor by what a cell holds.

With D = log P(a <= X <= b) of a law that is truncated to (a, b), a value that was seen counts `log f(x) - D`, one that
is only known to be greater than x counts `log P(x < X <= b) - D`, and so on: first truncated, then censored.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

from emdsl.families.cuttable import Cuttable
from emdsl.families.family import Arguments, Family, Target
from emdsl.graph.constants import exact_value
from emdsl.graph.failures import failure
from emdsl.graph.names import Names
from emdsl.ir.arithmetic import MINUS_INFINITY, ONE, ZERO, apply
from emdsl.ir.expressions import Apply, Expression, Number, VariableRef, walk
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
    """A bound of a law: the values up to `at` are below it, those beyond are above it. `sure`: it lies within the law's
    domain in all data."""

    at: Expression
    sure: bool = False


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
    branch: Branch, family: Family, arguments: Arguments, target: Target, cutting: Cutting, names: Names,
    node: tree.Node,
) -> tuple[Branch, ...]:
    """The branch of a law as one for each kind of cell, each less the logarithm of what truncation leaves."""
    return _Cutter(cuttable(family, node), arguments, cutting, names, node).branches(branch, target)


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

    def branches(self, branch: Branch, target: Target) -> tuple[Branch, ...]:
        left, right = self._window()
        share = self._log_probability(left, right)
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
            before = apply("-", value, ONE) if counts else value
            return (Bound(value, self._inside), None) if kind == ABOVE else (None, Bound(before, self._inside))
        low, high = self.cutting.between
        if counts:
            low, high = apply("-", Apply("ceil", (low,)), ONE), Apply("floor", (high,))
        first = Bound(low, self._inside) if kind in (ABOVE, BETWEEN) else None
        return first, Bound(high, self._inside) if kind in (BELOW, BETWEEN) else None

    def _window(self) -> tuple[Bound | None, Bound | None]:
        """The bounds of the truncation, without those beyond which the law has nothing."""
        if self.cutting.truncated is None:
            return None, None
        low, high = self.cutting.truncated
        ends = exact_value(low, self.names), exact_value(high, self.names)
        if ends[0] is not None and ends[1] is not None and ends[0] >= ends[1] and not self.family.discrete:
            raise failure("truncation", f"nothing lies between {_shown(ends[0])} and {_shown(ends[1])}", self.node)
        if self.family.discrete and self.family.range(self.arguments).kind in ("natural", "integer"):
            low = _whole("ceil", low, ends[0], -1)
            high = _whole("floor", high, ends[1], 0)
        return self._open(Bound(low), lower=True), self._open(Bound(high), lower=False)

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
        return Bound(Apply(op, (one.at, two.at)), one.sure and two.sure)

    # --- probabilities ------------------------------------------------------------------------------------------------

    def _log_probability(self, low: Bound | None, high: Bound | None) -> Expression:
        """log P(low < X <= high)."""
        if low is None:
            return ZERO if high is None else self._below(high)
        if high is None:
            return self._above(low)
        both = (self._below(high), self._below(low), self._above(low), self._above(high))
        return Apply("loginterval", both)

    def _below(self, bound: Bound) -> Expression:
        return self._clipped(self.family.log_below(self.arguments, bound.at), bound, MINUS_INFINITY, ZERO)

    def _above(self, bound: Bound) -> Expression:
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
        """The density, 0 outside of bounds that hidden variables move; data are held to theirs where they are read."""
        if self.cutting.truncated is None:
            return density
        for op, end in zip((">=", "<="), self.cutting.truncated, strict=True):
            if any(isinstance(n, VariableRef) and self.names.heads[n.name].kind == "latent" for n in walk(end)):
                density = apply("where", Apply(op, (target.reference, end)), density, MINUS_INFINITY)
        return density


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
