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


class log1mexp(sp.Function):
    """log(1 - exp(-h)) for h > 0, without cancellation."""

    def fdiff(self, argindex: int = 1) -> Any:
        """exp(-h) / (1 - exp(-h)), in logarithms."""
        return sp.exp(-self.args[0] - log1mexp(self.args[0]))


class log_add(sp.Function):
    """log(exp(u) + exp(v)), without overflow."""

    def fdiff(self, argindex: int = 1) -> Any:
        """The share of one term."""
        return sp.exp(self.args[argindex - 1] - self)


class log_subtract(sp.Function):
    """log(exp(u) - exp(v)), without overflow."""

    def fdiff(self, argindex: int = 1) -> Any:
        """The signed share of one term."""
        return (1 if argindex == 1 else -1) * sp.exp(self.args[argindex - 1] - self)


class log_interval(sp.Function):
    """log(F(b) - F(a)), of log F(b), log F(a), log S(a) and log S(b).

    Its derivatives are functions of the four and of theirs: written out they would repeat each of them many times.
    """

    def _eval_derivative(self, s: Any) -> Any:
        slopes = [argument.diff(s) for argument in self.args]
        return interval_slope(*self.args, *slopes) if any(slopes) else sp.Integer(0)


class interval_slope(sp.Function):
    """The derivative of `log_interval`, of its arguments and their derivatives."""

    def _eval_derivative(self, s: Any) -> Any:
        logarithms, slopes = self.args[:4], self.args[4:]
        others = [argument.diff(s) for argument in logarithms]
        bends = [slope.diff(s) for slope in slopes]
        return interval_bend(*logarithms, *slopes, *others, *bends) if any(others) else sp.Integer(0)


class interval_bend(sp.Function):
    """The second derivative of `log_interval`, of its arguments, their derivatives in both and their second ones."""


class at_most(sp.Function):
    """1 where x <= y, else 0: a step, whose derivative is 0 where it has one."""

    def fdiff(self, argindex: int = 1) -> Any:
        """0."""
        return sp.Integer(0)


class below(at_most):
    """1 where x < y, else 0."""


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
