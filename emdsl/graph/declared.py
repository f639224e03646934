"""Scalar distributions declared in the language: the built-in ones and a user's own, with the same rights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from emdsl.families.family import BINARY, Arguments, Draw, Formal, Support, Target, Value, branch
from emdsl.families.registry import BUILT_IN, scalar_declarations
from emdsl.graph.domains import domain_of
from emdsl.graph.expressions import number, resolve
from emdsl.graph.failures import failure
from emdsl.graph.names import Names, Scope
from emdsl.graph.values import Pair, scalar
from emdsl.ir.arithmetic import ONE, apply, log_of
from emdsl.ir.expressions import Apply, Expression, Number, ParameterRef, VariableRef
from emdsl.ir.model import Domain, Fact, Sampler
from emdsl.syntax import tree
from emdsl.syntax.parser import parse

#: Definitions a family may have; `logpdf` or `logpmf` it must have.
DEFINITIONS = ("logpdf", "logpmf", "cdf", "logcdf", "logsf", "mean", "sample")
#: Random numbers that `sample` may use, each use a new draw: uniform on (0, 1), standard normal, exponential of rate 1.
RANDOM = ("uniform", "normal", "exponential")


@dataclass(frozen=True)
class DeclaredFamily:
    """`family Name(par : domain, ...) for x : domain:`."""

    declaration: tree.FamilyDecl
    formals: tuple[Formal, ...]
    domain: Domain
    names: Names
    event_axes: int = 0
    atom: str | None = None

    @property
    def name(self) -> str:
        """As declared."""
        return self.declaration.name

    @property
    def definitions(self) -> Mapping[str, tree.Expr]:
        """What it defines, by name."""
        return dict(self.declaration.definitions)

    @property
    def discrete(self) -> bool:
        """Whether it defines `logpmf`."""
        return "logpmf" in self.definitions

    def support(self, arguments: Arguments) -> Support:
        """Its variable's domain."""
        return Support(self.domain, BINARY if self.domain.kind == "finite" else None)

    def draws(self, arguments: Arguments, target: Target) -> tuple[Draw, ...]:
        """One factor: its log-density at the target."""
        density = self.define("logpmf" if self.discrete else "logpdf", arguments, target.reference)
        return (Draw((branch(self.name, arguments, density),)),)

    def define(self, definition: str, arguments: Arguments, at: Expression) -> Expression:
        """One of its definitions with the arguments and a value put in."""
        node = self.definitions[definition]
        values = {**arguments, self.declaration.variable: Value(at)}
        return scalar(number(node, Scope(locals=values), self.names), node)

    @property
    def has_distribution_function(self) -> bool:
        """Whether it defines `cdf`, or both of `logcdf` and `logsf`."""
        return "cdf" in self.definitions or {"logcdf", "logsf"} <= set(self.definitions)

    def range(self, arguments: Arguments) -> Domain:
        """Its variable's domain."""
        return self.domain

    def log_below(self, arguments: Arguments, at: Expression) -> Expression:
        """`logcdf`, or the logarithm of `cdf`."""
        if "logcdf" in self.definitions:
            return self.define("logcdf", arguments, at)
        return log_of(self.define("cdf", arguments, at))

    def log_above(self, arguments: Arguments, at: Expression) -> Expression:
        """`logsf`, or the logarithm of what `cdf` lacks to 1."""
        if "logsf" in self.definitions:
            return self.define("logsf", arguments, at)
        return log_of(complement(self.define("cdf", arguments, at)))


def complement(probability: Expression) -> Expression:
    """`1 - p`; of `1 - q` it is `q`, and of a choice it is a choice."""
    match probability:
        case Apply("-", (Number(one), other)) if one == 1:
            return other
        case Apply("where", (condition, yes, no)):
            return apply("where", condition, complement(yes), complement(no))
        case _:
            return apply("-", ONE, probability)


def sampler(family: DeclaredFamily) -> Sampler | None:
    """What the family says of how to draw from it."""
    if "sample" not in family.definitions:
        return None
    names = (*(formal.name for formal in family.formals), *RANDOM)
    node = family.definitions["sample"]
    value = number(node, Scope(locals={name: Value(VariableRef(name)) for name in names}), family.names)
    return Sampler(family.name, scalar(value, node))


def facts(family: DeclaredFamily) -> tuple[Fact, ...]:
    """The mean and the distribution function that the family declares."""
    variable = family.declaration.variable
    names = (*(formal.name for formal in family.formals), variable)
    scope = Scope(locals={name: Value(VariableRef(name)) for name in names})
    found: list[Fact] = []
    if "mean" in family.definitions:
        node = family.definitions["mean"]
        found.append(Fact(family.name, "mean", scalar(number(node, scope, family.names), node)))
    for name in ("cdf", "logcdf"):
        if name in family.definitions:
            node = family.definitions[name]
            value = scalar(number(node, scope, family.names), node)
            value = value if name == "cdf" else Apply("exp", (value,))
            found.append(Fact(family.name, "cdf", value, variable))
            break
    return tuple(found)


def declare(node: tree.FamilyDecl, names: Names) -> DeclaredFamily:
    """The family of a declaration, its definitions checked."""
    definitions = dict(node.definitions)
    for name, expression in node.definitions:
        if name not in DEFINITIONS:
            raise failure("family", f"a family does not define `{name}`", expression, " or ".join(DEFINITIONS))
    if len({"logpdf", "logpmf"} & set(definitions)) != 1:
        raise failure("family", f"the family `{node.name}` needs one of `logpdf` and `logpmf`", node, "logpdf = ...")
    formals = tuple(Formal(item.name, domain=_scalar_domain(item.domain, names)) for item in node.parameters)
    seen = [*(item.name for item in node.parameters), node.variable]
    twice = next((name for i, name in enumerate(seen) if name in seen[:i]), None)
    if twice is not None:
        raise failure("duplicate-name", f"the family `{node.name}` has two arguments `{twice}`", node)
    domain = _scalar_domain(node.domain, names)
    if ("logpmf" in definitions) != (domain.kind in ("natural", "integer", "finite")):
        wanted = "natural, integer or binary" if "logpmf" in definitions else "real, positive, unit or an interval"
        defined = "logpmf" if "logpmf" in definitions else "logpdf"
        raise failure(
            "family", f"a family with `{defined}` has values that are {wanted}, not {node.domain.name}", node.domain
        )
    return DeclaredFamily(node, formals, domain, names)


def check(family: DeclaredFamily) -> None:
    """Raise where a definition uses what a family cannot see."""
    placeholders = {formal.name: Value(ParameterRef(formal.name)) for formal in family.formals}
    for name, node in family.declaration.definitions:
        seen = dict(placeholders)
        if name == "sample":
            seen.update({random: Value(ParameterRef(random)) for random in RANDOM})
        elif name != "mean":
            seen[family.declaration.variable] = Value(ParameterRef(family.declaration.variable))
        value = resolve(node, Scope(locals=seen), family.names)
        if isinstance(value, Pair) or value.axes:
            scalar(value, node)


def _scalar_domain(node: tree.DomainExpr, names: Names) -> Domain:
    domain = domain_of(node, names)
    if domain.axes:
        raise failure("family", "the arguments and the variable of a family are single numbers", node, "real")
    return domain


@cache
def _scalar_trees() -> tuple[tree.FamilyDecl, ...]:
    module = parse(scalar_declarations(), "scalar.emm")
    return tuple(item for item in module.declarations if isinstance(item, tree.FamilyDecl))


def add_built_in(names: Names) -> None:
    """The distributions of the language."""
    own = Names({}, names.head_of)
    for family in BUILT_IN:
        names.families[family.name] = family
    for node in _scalar_trees():
        names.families[node.name] = declare(node, own)
