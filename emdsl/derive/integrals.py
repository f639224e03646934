"""How continuous hidden variables are integrated out: recognised from the log-joint, whatever family it comes from.

Variables that some law looks at together are one integral. Where the log-joint is quadratic in them, it is Gaussian;
where it is linear in a few functions of one variable whose exponential has a known integral (a conjugate kernel), the
integral is closed; otherwise it is taken by quadrature.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import sympy as sp

from emdsl.derive.deadline import DeadlineExceeded, deadline
from emdsl.derive.pieces import Derived
from emdsl.derive.separation import expand
from emdsl.derive.shares import shares
from emdsl.derive.vector_powers import powers_of_vector
from emdsl.ir.degrees import degree
from emdsl.ir.derivation import INTERVAL, Integral, Placing
from emdsl.ir.expressions import Apply, Expression, VariableRef, walk
from emdsl.ir.latents import WHOLE, is_continuous, is_shares
from emdsl.ir.model import Factor, Model

#: The logarithms that a log-joint may be linear in, besides powers.
LOG, LOG_REST = "log(u)", "log(1 - u)"
SECONDS_A_KERNEL = 2.0

#: Domains that bound a number.
BOUNDED = ("positive", "unit", "interval")


def integrals(model: Model, pieces: Sequence[Derived]) -> tuple[Integral, ...]:
    """One integral for each group of continuous hidden variables that some law ties together."""
    found = []
    for names in components(model):
        own = own_pieces(names, model, pieces)
        if any(is_shares(model.variable(name), model) for name in names):
            found.append(shares(names, own, model, pieces))
        else:
            found.append(_integral(names, own, model, pieces))
    return tuple(found)


def own_pieces(names: tuple[str, ...], model: Model, pieces: Sequence[Derived]) -> tuple[str, ...]:
    """The pieces of the laws that look at these hidden variables."""
    # what separates holds no hidden number: it counts in each unit, whatever that is
    laws = [p for p in pieces if not p.piece.prior and p.piece.form != "separable"]
    return tuple(p.piece.name for p in laws if looks_at(_factor(p, model), frozenset(names)))


def on_nodes(
    model: Model, name: str, pieces: Sequence[Derived], placing: Placing, value: Expression | None
) -> Integral:
    """The integral over a hidden variable that is summed over a grid, or over draws."""
    hidden = frozenset({name})
    own = tuple(p.piece.name for p in pieces if not p.piece.prior and looks_at(_factor(p, model), hidden))
    lags = (n.lag for f in model.factors for n in walk(f) if isinstance(n, VariableRef) and n.name == name)
    if placing == "draws":
        return Integral((name,), own, "monte-carlo", placing=placing)
    return Integral((name,), own, "grid", lag=max(lags), placing=placing, value=value)


def _factor(piece: Derived, model: Model) -> Factor:
    return next(factor for factor in model.factors if factor.name == piece.piece.factor)


def looks_at(factor: Factor, names: frozenset[str]) -> bool:
    """Whether a factor looks at some of these variables, or draws one."""
    return any(isinstance(node, VariableRef) and node.name in names for node in walk((factor.target, factor.branches)))


def components(model: Model) -> Iterator[tuple[str, ...]]:
    """Continuous hidden variables that some law ties together."""
    names = [variable.name for variable in model.variables if is_continuous(variable)]
    group = {name: {name} for name in names}
    for factor in model.factors:
        together = [name for name in names if looks_at(factor, frozenset({name}))]
        merged = set().union(*(group[name] for name in together)) if together else set()
        for name in merged:
            group[name] = merged
    seen: set[str] = set()
    for name in names:
        if name not in seen:
            seen |= group[name]
            yield tuple(other for other in names if other in group[name])


def _integral(names: tuple[str, ...], own: tuple[str, ...], model: Model, pieces: Sequence[Derived]) -> Integral:
    hidden = frozenset(names)
    factors = [factor for factor in model.factors if looks_at(factor, hidden)]
    highest = max(degree(branch.log_density, hidden) for factor in factors for branch in factor.branches)
    lag = max(node.lag for f in factors for node in walk(f) if isinstance(node, VariableRef) and node.name in hidden)
    real = all(model.variable(name).domain.kind == "real" for name in names)
    if highest <= 2 and real:
        return Integral(names, own, "gaussian", lag=lag)
    if highest <= 2 and not lag and _one_bounded(names, model):
        return Integral(names, own, "kernel", kernel=INTERVAL, basis=("u", "u^2"))
    if len(names) == 1 and not lag and not model.variable(names[0]).axes:
        basis = _basis(names[0], [piece for piece in pieces if piece.piece.name in own])
        if basis is not None:
            found = _kernel(basis, model.variable(names[0]).domain.kind)
            if found is not None:
                kernel, power = found
                texts = tuple(sorted(map(_text, basis)))
                return Integral(names, own, "kernel", kernel=kernel, basis=texts, power=power)
    whole = all(model.variable(name).domain.kind in WHOLE for name in names)
    return Integral(names, own, "sum" if whole else "quadrature", lag=lag)


def _one_bounded(names: tuple[str, ...], model: Model) -> bool:
    """Whether all hidden numbers of a unit are real but for a single one that lies in an interval."""
    variables = [model.variable(name) for name in names]
    bounded = [variable for variable in variables if variable.domain.kind != "real"]
    plates = {variable.plate for variable in variables}
    return len(bounded) == 1 and len(plates) == 1 and bounded[0].domain.kind in BOUNDED and not bounded[0].axes


#: A function of one variable: a logarithm, or a power of it.
_Function = str | Fraction


def _kernel(basis: frozenset[_Function], domain: str) -> tuple[str, Fraction] | None:
    """The law whose density is the exponential of a sum of these functions, and the power of the variable that it is
    the law of; None where its integral is not known.
    """
    powers = sorted(item for item in basis if isinstance(item, Fraction))
    if domain == "unit" and not powers:
        return "beta", Fraction(1)
    if domain != "positive" or LOG_REST in basis:
        return None
    match powers:
        case []:
            return "gamma", Fraction(1)
        case [c] if c == -1:
            return "inverse gamma", Fraction(1)
        case [c]:
            return "gamma", c
        case [low, high] if low == -high:
            return "generalised inverse Gaussian", high
        case [low, high] if high == 2 * low:
            return "modified half-normal", low
        case [low, high] if low == 2 * high:
            return "modified half-normal", high
    return None


def _text(function: _Function) -> str:
    if isinstance(function, str):
        return function
    return (
        "u" if function == 1 else f"u^{function}" if function.denominator == 1 and function > 0 else f"u^({function})"
    )


def _basis(name: str, pieces: Sequence[Derived]) -> frozenset[_Function] | None:
    """The functions of the variable that the log-joint is linear in, or None where it is not linear in a few."""
    found: set[_Function] = set()
    for piece in pieces:
        if piece.piece.vector is not None:
            of_vector = powers_of_vector(piece.piece.vector, name)
            if of_vector is None:
                return None
            found |= {LOG, *of_vector[1]} if of_vector[0] else of_vector[1]
            continue
        symbol = sp.Symbol("hidden_", positive=True)
        raw = _unbundled(piece, name, symbol)
        if raw is None or piece.piece.form != "rows":
            return None
        try:
            with deadline(SECONDS_A_KERNEL):
                functions = _functions(raw, symbol)
        except DeadlineExceeded:
            return None
        if functions is None:
            return None
        found |= functions
    return frozenset(found)


def _unbundled(piece: Derived, name: str, symbol: sp.Symbol) -> sp.Expr | None:
    """The log-density in the variable itself, which may stand in a known together with a factor of data; None where it
    stands in one in another way.
    """
    raw = piece.raw
    for known, bundle in zip(piece.piece.knowns, piece.knowns, strict=True):
        if not _inside(known.value, name):
            continue
        if not _is_multiple(known.value, name):
            return None
        raw = raw.subs(
            bundle, symbol if _is(known.value, name) else symbol * sp.Symbol(f"times_{bundle}", positive=True)
        )
    for atom, predictor in zip(piece.piece.atoms, piece.atoms, strict=True):
        inside = [term.coefficient for term in atom.terms if _inside(term.coefficient, name)]
        if any(not _is_multiple(coefficient, name) for coefficient in inside):
            return None
        if inside:
            raw = raw.subs(predictor, sp.Symbol(f"rest_{predictor}") + symbol * sp.Symbol(f"slope_{predictor}"))
    return raw


def _is_multiple(value: object, name: str) -> bool:
    """Whether a value is the variable, or the variable times one that is free of it."""
    if isinstance(value, Apply) and value.op == "*":
        one, other = value.args
        return (_is(one, name) and not _inside(other, name)) or (_is(other, name) and not _inside(one, name))
    return _is(value, name)


def _functions(log_density: sp.Expr, symbol: sp.Symbol) -> set[_Function] | None:
    found: set[_Function] = set()
    for term in sp.Add.make_args(expand(log_density)):
        _, part = term.as_independent(symbol, as_Add=False)
        if part == 1:
            continue
        base, power = part.as_base_exp()
        if part == sp.log(symbol):
            found.add(LOG)
        elif part == sp.log(1 - symbol):
            found.add(LOG_REST)
        elif base == symbol and isinstance(power, sp.Rational):
            found.add(Fraction(int(power.p), int(power.q)))
        else:
            return None
    return found


def _is(value: object, name: str) -> bool:
    return isinstance(value, VariableRef) and value.name == name


def _inside(value: object, name: str) -> bool:
    return any(_is(node, name) for node in walk(value))
