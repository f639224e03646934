"""The logarithms of distribution functions of `emdsl.runtime.tails` as SymPy functions.

What SymPy sees of one is its name: its derivatives are functions of their own, `slope_NAME(i, ...)` and
`bend_NAME(i, j, ...)`, which are numbers at run time.
"""

from __future__ import annotations

from typing import Any

import sympy as sp


class Tail(sp.Function):
    """The logarithm of a distribution function."""

    def fdiff(self, argindex: int = 1) -> Any:
        """Its slope in that argument."""
        return SLOPES[self.func](argindex - 1, *self.args)


class Slope(sp.Function):
    """The derivative of one in argument `args[0]`."""

    def fdiff(self, argindex: int = 2) -> Any:
        """Its bend in both arguments, the smaller one first."""
        i, j = sorted((int(self.args[0]), argindex - 2))
        return BENDS[self.func](i, j, *self.args[1:])


class Bend(sp.Function):
    """The second derivative of one in arguments `args[0]` and `args[1]`."""


#: By their name, in models and in generated code alike.
TAILS: dict[str, Any] = {
    name: type(name, (Tail,), {"__doc__": f"`{name}` of `emdsl.runtime.tails`."})
    for name in ("log_gammap", "log_gammaq", "log_betainc", "log_student", "log_laplace", "log_betabinomial")
}
SLOPES: dict[Any, Any] = {tail: type(f"slope_{tail.__name__}", (Slope,), {}) for tail in TAILS.values()}
BENDS: dict[Any, Any] = {SLOPES[tail]: type(f"bend_{tail.__name__}", (Bend,), {}) for tail in TAILS.values()}

#: Every function with the name that it has in generated code.
NAMES: dict[Any, str] = {kind: kind.__name__ for kind in (*TAILS.values(), *SLOPES.values(), *BENDS.values())}
