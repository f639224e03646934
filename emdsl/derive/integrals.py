"""How continuous hidden variables are integrated out: recognised from the log-joint, whatever family it comes from.

Variables that some law looks at together are one integral. Where the log-joint is quadratic in them, it is Gaussian;
where it is linear in a few functions of one variable whose exponential has a known integral (a conjugate kernel), the
integral is closed; otherwise it is taken by quadrature.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import sympy as sp

from emdsl.derive.deadline import DeadlineExceeded, deadline
from emdsl.derive.degrees import degree
from emdsl.derive.pieces import Derived
from emdsl.derive.printing import source
from emdsl.derive.separation import expand
from emdsl.ir.derivation import Integral
from emdsl.ir.expressions import Apply, VariableRef, walk
from emdsl.ir.latents import WHOLE, is_continuous
from emdsl.ir.model import Factor, Model

#: The functions of one variable that span a conjugate kernel, and the name of the law that it makes.
KERNELS: tuple[tuple[str, str, frozenset[str]], ...] = (
    ("gamma", "positive", frozenset({"log(u)", "u"})),
    ("inverse gamma", "positive", frozenset({"log(u)", "1/u"})),
    ("generalised inverse Gaussian", "positive", frozenset({"log(u)", "u", "1/u"})),
    ("beta", "unit", frozenset({"log(u)", "log1p(-u)"})),
)
SECONDS_A_KERNEL = 2.0


def integrals(model: Model, pieces: Sequence[Derived]) -> tuple[Integral, ...]:
    """One integral for each group of continuous hidden variables that some law ties together."""
    found = []
    for names in components(model):
        hidden = frozenset(names)
        own = tuple(p.piece.name for p in pieces if not p.piece.prior and looks_at(_factor(p, model), hidden))
        found.append(_integral(names, own, model, pieces))
    return tuple(found)


def on_nodes(model: Model, names: Sequence[str], pieces: Sequence[Derived]) -> tuple[Integral, ...]:
    """The integrals over hidden variables that are summed over grids."""
    found = []
    for name in names:
        hidden = frozenset({name})
        own = tuple(p.piece.name for p in pieces if not p.piece.prior and looks_at(_factor(p, model), hidden))
        found.append(Integral((name,), own, "grid"))
    return tuple(found)


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
    if len(names) == 1 and not lag and not model.variable(names[0]).axes:
        basis = _basis(names[0], [piece for piece in pieces if piece.piece.name in own])
        if basis is not None:
            found = _kernel(basis, model.variable(names[0]).domain.kind)
            if found is not None:
                return Integral(names, own, "kernel", kernel=found[0], basis=found[1])
    whole = all(model.variable(name).domain.kind in WHOLE for name in names)
    return Integral(names, own, "sum" if whole else "quadrature", lag=lag)


def _kernel(basis: frozenset[str], domain: str) -> tuple[str, tuple[str, ...]] | None:
    for name, wanted, functions in KERNELS:
        if domain == wanted and basis <= functions:
            return name, tuple(sorted(functions))
    return None


def _basis(name: str, pieces: Sequence[Derived]) -> frozenset[str] | None:
    """The functions of the variable that the log-joint is linear in, or None where it is not linear in a few."""
    found: set[str] = set()
    for piece in pieces:
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


def _functions(log_density: sp.Expr, symbol: sp.Symbol) -> set[str] | None:
    u = sp.Symbol("u", positive=True)
    found: set[str] = set()
    for term in sp.Add.make_args(expand(log_density)):
        _, part = term.as_independent(symbol, as_Add=False)
        if part == 1:
            continue
        if part.free_symbols != {symbol}:
            return None
        found.add(source(part.subs(symbol, u)).replace(" ", ""))
    return found


def _is(value: object, name: str) -> bool:
    return isinstance(value, VariableRef) and value.name == name


def _inside(value: object, name: str) -> bool:
    return any(_is(node, name) for node in walk(value))
