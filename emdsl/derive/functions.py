"""SymPy functions whose logarithms would overflow or cancel if they were written out, with their derivatives."""

from __future__ import annotations

from typing import Any

import sympy as sp


class logistic(sp.Function):
    """1 / (1 + exp(-x))."""

    def fdiff(self, argindex: int = 1) -> Any:
        """logistic' = logistic(x) logistic(-x)."""
        return logistic(self.args[0]) * logistic(-self.args[0])


class log_logistic(sp.Function):
    """log(logistic(x)), without underflow."""

    def fdiff(self, argindex: int = 1) -> Any:
        """The derivative is logistic(-x)."""
        return logistic(-self.args[0])


class Phi(sp.Function):
    """The standard normal distribution function."""

    def fdiff(self, argindex: int = 1) -> Any:
        """The standard normal density."""
        return sp.exp(-(self.args[0] ** 2) / 2) / sp.sqrt(2 * sp.pi)


class log_Phi(sp.Function):
    """log(Phi(x)), without underflow."""

    def fdiff(self, argindex: int = 1) -> Any:
        """phi / Phi, in logarithms."""
        return sp.exp(-(self.args[0] ** 2) / 2 - log_Phi(self.args[0])) / sp.sqrt(2 * sp.pi)


class probit(sp.Function):
    """The inverse of Phi."""

    def fdiff(self, argindex: int = 1) -> Any:
        """1 / phi(probit(p))."""
        return sp.exp(probit(self.args[0]) ** 2 / 2) * sp.sqrt(2 * sp.pi)


class lgamma_step(sp.Function):
    """lgamma(x + h) - lgamma(x), as one function of x and h: the two logarithms cancel where x is large."""


class polygamma_step(sp.Function):
    """polygamma(n, x + h) - polygamma(n, x), likewise."""


class log_i0(sp.Function):
    """The logarithm of the modified Bessel function I0."""

    def fdiff(self, argindex: int = 1) -> Any:
        """I1 / I0."""
        return i1_over_i0(self.args[0])


class i1_over_i0(sp.Function):
    """A(k) = I1(k) / I0(k), the mean resultant length of a von Mises law."""

    def fdiff(self, argindex: int = 1) -> Any:
        """A' = 1 - A / k - A^2 (Mardia & Jupp 2000, equation A.14)."""
        x = self.args[0]
        return 1 - i1_over_i0(x) / x - i1_over_i0(x) ** 2
