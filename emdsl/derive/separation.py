"""Log-densities as `sum_j eta_j(parameters) * T_j(data)`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sympy as sp


@dataclass(frozen=True)
class Separated:
    """`sum eta * statistic`; `shifts` are bases that were centred: `(u, centre, scale, base)`."""

    etas: tuple[Any, ...]
    statistics: tuple[Any, ...]
    shifts: tuple[tuple[Any, Any, Any, Any], ...] = ()


def separate(log_density: Any, atoms: frozenset[Any], rows: frozenset[Any]) -> Separated | None:
    """Split by the symbols of `atoms` and of `rows` (numeric data), or None where a term mixes them for good.

    Terms are gathered first by eta (so Bernoulli keeps `log p` and `log(1 - p)`, each with its own statistic, and 0
    times log 0 never arises), then etas whose statistics are proportional are added.
    """
    by_eta: dict[Any, Any] = {}
    for term in sp.Add.make_args(expand(log_density)):
        eta, statistic = term.as_independent(*rows, as_Add=False) if rows else (term, sp.Integer(1))
        if statistic.free_symbols & atoms:
            return None
        number, eta = eta.as_coeff_Mul()
        by_eta[eta] = by_eta.get(eta, sp.Integer(0)) + number * statistic
    by_statistic: dict[Any, Any] = {}
    for eta, statistic in by_eta.items():
        if statistic == 0:
            continue
        factor, key = _normal(statistic)
        by_statistic[key] = by_statistic.get(key, sp.Integer(0)) + factor * eta
    return Separated(tuple(by_statistic.values()), tuple(by_statistic))


def expand(expression: Any) -> Any:
    """Sums of products; logarithms of products, sines and cosines of sums taken apart."""
    taken_apart = sp.expand(expression).replace(sp.log, _log_of_product)
    if taken_apart.has(sp.sin, sp.cos):
        taken_apart = sp.expand_trig(taken_apart)
    return sp.expand(taken_apart)


def _log_of_product(argument: Any) -> Any:
    """log of a product as a sum, as for positive factors: inside a log-density they are. A minus sign stays with the
    factor of unknown sign that makes up for it, as in log(-log(1 - t)).
    """
    coefficient, rest = argument.as_coeff_Mul()
    factors = list(sp.Mul.make_args(rest))
    if coefficient < 0:
        place = next((k for k, factor in enumerate(factors) if not factor.is_positive), 0)
        coefficient, factors[place] = -coefficient, -factors[place]
    total = sp.log(coefficient)
    for factor in factors:
        base, power = factor.as_base_exp()
        total += power * sp.log(base) if not base.is_number else sp.log(factor)
    return total


def _normal(statistic: Any) -> tuple[Any, Any]:
    # Statistics that differ by a number are one.
    first, _ = sp.Add.make_args(statistic)[0].as_coeff_Mul()
    return first, sp.expand(statistic / first)


def centre(log_density: Any, found: Separated, rows: frozenset[Any], fresh: Any) -> Separated:
    """The same separation in centred and scaled statistics, wherever a base (a datum or its logarithm) occurs squared.

    With `g = c + s u`, the eta of `u^k` is the Taylor coefficient `s^k / k! d^k/dg^k log f` at `g = c`, which is
    exact for a polynomial and keeps differences like `mu - c` together: no digits are lost where data lie far from 0.
    """
    base = _quadratic_base(found, rows)
    if base is None:
        return found
    g = sp.Dummy("g", real=True)
    u, c, s = fresh()
    rest_statistics = [t for t in found.statistics if not t.has(base) and t != 1]
    others = sum(
        (e * t for e, t in zip(found.etas, found.statistics, strict=True) if t in rest_statistics), sp.Integer(0)
    )
    polynomial = log_density.subs(base, g) - others
    if polynomial.free_symbols & rows:
        polynomial = log_density.replace(sp.log, _log_of_product).subs(base, g) - others
        if polynomial.free_symbols & rows:
            return found
    etas = [s**k / sp.factorial(k) * sp.diff(polynomial, g, k).subs(g, c) for k in (2, 1, 0)]
    kept = [(e, t) for e, t in zip(found.etas, found.statistics, strict=True) if t in rest_statistics]
    statistics = (u**2, u, sp.Integer(1), *(t for _, t in kept))
    return Separated((*map(sp.sympify, etas), *(e for e, _ in kept)), statistics, ((u, c, s, base),))


def _quadratic_base(found: Separated, rows: frozenset[Any]) -> Any | None:
    for statistic in found.statistics:
        for base in sorted(statistic.atoms(sp.Symbol, sp.log), key=str):
            if not base.free_symbols <= rows or len(base.free_symbols) != 1:
                continue
            if statistic != base**2:
                continue
            powers = {t for t in found.statistics if t.has(base)}
            if powers <= {base, base**2}:
                return base
    return None
