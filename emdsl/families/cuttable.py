"""Laws of numbers that may be censored, grouped or truncated: the logarithms of the two sides of a bound."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from emdsl.families.family import Arguments
from emdsl.ir.expressions import Expression
from emdsl.ir.model import Domain


@runtime_checkable
class Cuttable(Protocol):
    """A law that can be cut: an atom, or one with a distribution function. Counts are cut at whole numbers."""

    @property
    def name(self) -> str:
        """Its name in the language."""
        ...

    @property
    def discrete(self) -> bool:
        """Whether a value is inside `X <= bound` with a probability of its own."""
        ...

    @property
    def has_distribution_function(self) -> bool:
        """Whether it is known what lies below a bound."""
        ...

    def range(self, arguments: Arguments) -> Domain:
        """The domain that its values lie in."""
        ...


@runtime_checkable
class Distributed(Cuttable, Protocol):
    """A law that says what lies on either side of a bound."""

    def log_below(self, arguments: Arguments, at: Expression) -> Expression:
        """log P(X <= at)."""
        ...

    def log_above(self, arguments: Arguments, at: Expression) -> Expression:
        """log P(X > at)."""
        ...
