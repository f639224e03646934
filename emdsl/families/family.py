"""What a distribution is to the compiler: a signature, a support, and its log-density in elementary operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from emdsl.ir.expressions import Binder, BinderRef, Expression, ParameterRef, VariableRef
from emdsl.ir.model import Branch, Domain, Fact, When


@dataclass(frozen=True)
class Value:
    """A resolved expression and its kind.

    `axes` are the index sets still to be indexed by (none: a scalar). `kind` is the domain of the parameter that it is,
    or an intact slice of, and `event` how many axes (the last ones) one element of that domain takes; "table" for
    constants and computed arrays; "number" for everything else that is scalar. `labels`: the value (or each element of
    the array) is a label of that index set.
    """

    expression: Expression
    axes: tuple[str, ...] = ()
    kind: str = "number"
    labels: str | None = None
    event: int = 0


#: What an argument must be: a number; a vector or matrix over the axes of the target; a simplex or cut points over axes
#: of their own; or any value of the target.
Accepts = Literal["number", "vector", "matrix", "simplex", "cuts", "transition", "value"]


REAL = Domain("real")


@dataclass(frozen=True)
class Formal:
    """A named argument of a family; `domain` bounds what a constant argument may be."""

    name: str
    accepts: Accepts = "number"
    domain: Domain = REAL
    optional: bool = False


@dataclass(frozen=True)
class Support:
    """The values a law gives: a domain; for a finite law the index set; for a joint one an index set for each variable.

    `hidden` are the finite latent variables the law brings along, by suffix and index set.
    """

    domain: Domain
    values: str | None = None
    genotype: bool = False
    joint: tuple[str, ...] = ()
    hidden: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Target:
    """What is drawn: a scalar, or the whole vector or matrix over `axes`; several references are one joint draw."""

    references: tuple[VariableRef | ParameterRef, ...]
    values: tuple[str | None, ...] = (None,)
    axes: tuple[str, ...] = ()
    fresh: Callable[[str, str], Binder] = field(default=lambda name, index_set: Binder(name, index_set))

    @property
    def reference(self) -> VariableRef | ParameterRef:
        """The (first) thing drawn."""
        return self.references[0]

    def variable(self) -> VariableRef:
        """The thing drawn, for laws that only variables have."""
        assert isinstance(self.reference, VariableRef)
        return self.reference

    def over(self, axis: int = 0) -> tuple[Binder, BinderRef]:
        """A new bound index over an axis of the vector."""
        binder = self.fresh(self.axes[axis], self.axes[axis])
        return binder, BinderRef(binder)


@dataclass(frozen=True)
class Draw:
    """One factor of a law: the log-density of the target itself (no suffix), or of a hidden variable."""

    branches: tuple[Branch, ...]
    suffix: str = ""
    when: When = "always"
    lag: int = 0


Arguments = Mapping[str, Value]


class Family(Protocol):
    """A distribution."""

    @property
    def name(self) -> str:
        """Its name in the language."""
        ...

    @property
    def formals(self) -> tuple[Formal, ...]:
        """Its arguments in order."""
        ...

    @property
    def event_axes(self) -> int:
        """0 for a scalar law, 1 for a vector, 2 for a matrix."""
        ...

    @property
    def discrete(self) -> bool:
        """Whether the density is a probability."""
        ...

    @property
    def atom(self) -> str | None:
        """The argument that is the one value of a law without spread, an atom where it is mixed with densities."""
        ...

    def support(self, arguments: Arguments) -> Support | None:
        """The values that it gives (None: those of whatever it is mixed with)."""
        ...

    def draws(self, arguments: Arguments, target: Target) -> tuple[Draw, ...]:
        """The factors of `target` under this law."""
        ...


@runtime_checkable
class Declaring(Protocol):
    """A family written in Python that says its mean, or the law of one element of its vector."""

    def facts(self) -> tuple[Fact, ...]:
        """The facts."""
        ...


def branch(name: str, arguments: Arguments, log_density: Expression) -> Branch:
    """An unconditional branch that remembers the law it was expanded from."""
    return Branch((), log_density, name, tuple((key, value.expression) for key, value in arguments.items()))


#: The index set of Bernoulli variables.
BINARY = "0/1"
