"""The M-step: which rule gives each group of parameters, tried in the order of `RULES`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sympy as sp

from emdsl.derive.array_updates import covariance_with_prior, stays_quadratic, whole_parameters
from emdsl.derive.bounds import BOUND, bound_rule
from emdsl.derive.candidate import Candidate, in_order
from emdsl.derive.deadline import DeadlineExceeded, deadline
from emdsl.derive.pieces import Derived
from emdsl.derive.printing import source
from emdsl.derive.separation import expand
from emdsl.derive.solving import solve_stationarity
from emdsl.ir.derivation import Contribution, Rule, Update
from emdsl.ir.expressions import Expression, ParameterRef, walk
from emdsl.ir.model import Model, Parameter

#: The time that one rule may take with one group of parameters.
SECONDS_A_RULE = 2.0


#: A rule: the candidate it makes for a parameter with the pieces it occurs in, or why there is none.
TriedRule = Callable[[Parameter, list[Derived], Model], Candidate | str]


def derive_updates(
    pieces: Sequence[Derived], model: Model, refused: Mapping[str, str] | None = None
) -> tuple[Candidate, ...]:
    """One candidate for each group of parameters, in the order in which the M-step runs them.

    `refused` names parameters whose rule without iteration is not to be used, each with the reason.
    """
    groups: list[Candidate] = []
    open_names: list[str] = []
    reasons: dict[str, str] = dict(refused or {})
    for parameter in model.parameters:
        own = [piece for piece in pieces if parameter.name in piece.parameters]
        found = None
        for rule in RULES if parameter.name not in reasons else ():
            outcome = _in_time(rule, parameter, own, model)
            if isinstance(outcome, Candidate):
                found = outcome
                break
            if outcome:
                reasons[parameter.name] = outcome
            if outcome.startswith(BOUND):
                break
        if found is not None:
            groups.append(found)
        else:
            open_names.append(parameter.name)
    groups, joined = _absorb(groups, open_names, pieces)
    for names in joined:
        groups.append(_iterative(names, pieces, model, reasons, refused or {}))
    return in_order(groups)


def _in_time(rule: TriedRule, parameter: Parameter, own: list[Derived], model: Model) -> Candidate | str:
    """What a rule says, or that it took too long: then the next one is tried."""
    try:
        with deadline(SECONDS_A_RULE):
            return rule(parameter, own, model)
    except DeadlineExceeded:
        return "the search for a closed form took too long"


# --- simplex ----------------------------------------------------------------------------------------------------------


def simplex_rule(parameter: Parameter, own: list[Derived], model: Model) -> Candidate | str:
    """Q is a sum of counts times logarithms of the elements: the share of the counts maximises it (Lagrange)."""
    if parameter.domain.kind != "simplex":
        return ""
    contributions: list[Contribution] = []
    depends: set[str] = set()
    for piece in own:
        positions = piece.atoms_of(parameter.name)
        if piece.piece.form == "stationary":
            return "the stationary law depends on it"
        if piece.piece.form == "arrays":
            return "its prior is about a whole vector or matrix"
        if piece.piece.form == "gaussian":
            return "it stands inside the mean or covariance of a normal law"
        if not _only_bare(piece, parameter.name):
            return "it enters through a predictor"
        symbols = [piece.atoms[i] for i in positions]
        for i in positions:
            count = sp.simplify(sp.expand(piece.atoms[i] * sp.diff(piece.quantity, piece.atoms[i])))
            if count.free_symbols & set(symbols) or piece.piece.form == "log-sum-exp":
                return "Q is not linear in the logarithms of its elements"
            contributions.append(Contribution(piece.piece.name, i, (source(count),)))
            depends |= _parameters_in(count, piece)
    over_rows = any(piece.piece.form == "rows" for piece in own)
    update = Update("simplex", (parameter.name,), tuple(contributions), over_rows=over_rows)
    return Candidate(update, frozenset(depends))


# --- closed form ------------------------------------------------------------------------------------------------------


def closed_form_rule(parameter: Parameter, own: list[Derived], model: Model) -> Candidate | str:
    """The derivative of Q in one element has a root in closed form, all else given."""
    if parameter.domain.kind not in ("real", "positive", "unit", "interval") or not own:
        return _TIED.get(parameter.domain.kind, "") if own else ""
    found: list[tuple[Derived, int, dict[Any, Any]]] = []
    x = sp.Symbol("x_", positive=True) if parameter.domain.kind in ("positive", "unit") else sp.Symbol("x_", real=True)
    for piece in own:
        if piece.piece.form == "arrays":
            return "its prior is about a whole vector or matrix"
        if piece.piece.form == "gaussian":
            return ""
        if not _only_bare(piece, parameter.name) or piece.piece.form == "log-sum-exp":
            return "it enters through a predictor"
        positions = piece.atoms_of(parameter.name)
        for i in positions:
            derivative = sp.diff(piece.quantity, piece.atoms[i])
            if any(sp.diff(derivative, piece.atoms[j]) != 0 for j in positions if j != i):
                return "two of its elements stand in one term"
            found.append((piece, i, by_basis(piece, i, x)))
    found = without_common_factor(found)
    basis = tuple(dict.fromkeys(v for _, _, terms in found for v in terms))
    if any(v.free_symbols - {x} for v in basis):
        return "it stands in one term with other parameters"
    accumulators = tuple(sp.Symbol(f"R{m}", real=True) for m in range(len(basis)))
    solution = solve_stationarity(x, basis, accumulators)
    if solution is None:
        return "its stationarity has no closed form"
    contributions = tuple(
        Contribution(piece.piece.name, i, tuple(source(terms.get(v, sp.Integer(0))) for v in basis))
        for piece, i, terms in found
    )
    depends: set[str] = set()
    for piece, _, terms in found:
        for value in terms.values():
            depends |= _parameters_in(value, piece)
    over_rows = any(piece.piece.form == "rows" for piece, _, _ in found)
    update = Update("closed form", (parameter.name,), contributions, source(solution), over_rows=over_rows)
    equation = found if len(found) == 1 else None
    return Candidate(update, frozenset(depends - {parameter.name}), equation, solution)


#: Why no element of a domain can be updated by itself.
_TIED = {
    "contrast": "its first element is held at 0", "ordered": "its elements are ordered",
    "covariance": "its elements make one matrix", "correlation": "its elements make one matrix",
}  # fmt: skip


def by_basis(piece: Derived, i: int, x: Any) -> dict[Any, Any]:
    """dQ/dx as `sum u v(x)`, keyed by v. A term is expanded only if it does not factor as it stands, so that
    residuals like `(centre - mu)^2` stay whole.
    """
    symbol = piece.atoms[i]
    terms: dict[Any, Any] = {}
    for statistic in piece.statistics or (sp.Integer(1),):
        eta = sp.diff(piece.quantity, statistic) if piece.statistics else piece.quantity
        for term in _factored(sp.diff(eta, symbol), symbol):
            rest, power = term.as_independent(symbol, as_Add=False)
            number, power = power.as_coeff_Mul()
            key = power.subs(symbol, x)
            terms[key] = terms.get(key, sp.Integer(0)) + number * rest * statistic
    return {key: sp.factor_terms(value) for key, value in terms.items() if value != 0}


def _factored(derivative: Any, symbol: Any) -> list[Any]:
    found = []
    for term in sp.Add.make_args(derivative):
        _, power = term.as_independent(symbol, as_Add=False)
        if power.free_symbols <= {symbol}:
            found.append(term)
        else:
            found.extend(sp.Add.make_args(expand(term)))
    return found


_Found = list[tuple[Derived, int, dict[Any, Any]]]


def without_common_factor(found: _Found) -> _Found:
    """Divide an equation by a factor in other parameters that is the same for every cell summed into one element.

    Only then: with a factor that varies among the cells, dropping it cell by cell would pool them wrongly.
    """
    if len(found) != 1:
        return found
    piece, i, terms = found[0]
    others = {symbol for j, symbol in enumerate(piece.atoms) if j != i}
    values = list(terms.values())
    if not values:
        return found
    _, factor = sp.factor_terms(values[0]).as_independent(*others, as_Add=False)
    factor = sp.Mul(*[f for f in sp.Mul.make_args(factor) if not f.is_Add])
    used = factor.free_symbols & others
    if not used:
        return found
    divided = {key: sp.expand(value / factor) for key, value in terms.items()}
    if any(value.free_symbols & used for value in divided.values()):
        return found
    own = piece.piece.atoms[i].terms[0].parameter.indices
    for symbol in used:
        atom = piece.piece.atoms[piece.atoms.index(symbol)]
        if atom.is_predictor or not _within(atom.terms[0].parameter.indices, own):
            return found
    return [(piece, i, {key: sp.factor_terms(value) for key, value in divided.items()})]


def _within(inner: Sequence[Expression], outer: Sequence[Expression]) -> bool:
    """Whether inner indices are fixed once the outer ones are."""
    return all(index in outer or not _varies(index) for index in inner)


def _varies(index: Expression) -> bool:
    return any(type(node).__name__ in ("VariableRef", "BinderRef") for node in walk(index))


# --- matrix -----------------------------------------------------------------------------------------------------------


def matrix_rule(parameter: Parameter, own: list[Derived], model: Model) -> Candidate | str:
    """Means and covariances that occur in Gaussian pieces alone: weighted means, and residual moments R / n."""
    covariance = parameter.domain.kind == "covariance"
    if covariance and any(piece.piece.arrays is not None for piece in own):
        return covariance_with_prior(parameter, own)
    if not own or any(piece.piece.form != "gaussian" for piece in own):
        return ""
    vectors = [piece.piece.vector for piece in own if piece.piece.vector is not None]
    if any(vector.by_parts for vector in vectors):
        return "the mean or covariance of a normal law is an expression"
    covariance = parameter.domain.kind == "covariance"
    for vector in vectors:
        part = vector.covariance if covariance else vector.mean
        if not isinstance(part, ParameterRef) or part.name != parameter.name:
            return "it stands inside a larger expression of a normal law"
    if not covariance and parameter.domain.kind != "real":
        return "its domain is restricted"
    depends: set[str] = set()
    for vector in vectors:
        other = vector.mean if covariance else vector.covariance
        names = {n.name for n in walk(other) if isinstance(n, ParameterRef)}
        if covariance or not _drops_out(vector.mean, vector.covariance, len(vectors)):
            depends |= names
    contributions = tuple(Contribution(piece.piece.name, 0, ()) for piece in own)
    rule: Rule = "matrix" if covariance else "linear"
    return Candidate(Update(rule, (parameter.name,), contributions, formula="gaussian"), frozenset(depends))


def _drops_out(mean: Expression, covariance: Expression, pieces: int) -> bool:
    return (
        pieces == 1
        and isinstance(mean, ParameterRef)
        and isinstance(covariance, ParameterRef)
        and _within(covariance.indices, mean.indices)
    )


#: The rules that need no iteration, in the order in which they are tried.
RULES: tuple[TriedRule, ...] = (
    simplex_rule,
    bound_rule,
    closed_form_rule,
    matrix_rule,
)


# --- groups that are iterated -----------------------------------------------------------------------------------------


def _iterative(
    names: list[str], pieces: Sequence[Derived], model: Model, reasons: dict[str, str], refused: Mapping[str, str]
) -> Candidate:
    group = set(names)
    own = [piece for piece in pieces if piece.parameters & group]
    quadratic = all(model.parameter(name).domain.kind in ("real", "contrast") for name in names)
    quadratic = quadratic and not group & set(refused)
    over_rows = False
    depends: set[str] = set()
    for piece in own:
        members = [s for s, a in zip(piece.atoms, piece.piece.atoms, strict=True) if _in_group(a, group)]
        quadratic = quadratic and piece.piece.form not in ("log-sum-exp", "stationary", "gaussian")
        quadratic = quadratic and stays_quadratic(piece, group)
        depends |= whole_parameters(piece)
        quadratic = quadratic and not any(
            sp.diff(piece.quantity, a, b).free_symbols & set(members) for a in members for b in members
        )
        over_rows = over_rows or piece.piece.form in ("rows", "log-sum-exp")
        try:
            with deadline(SECONDS_A_RULE):
                depends |= _weights(piece, members, len(own))
        except DeadlineExceeded:
            depends |= piece.parameters
    rule: Rule = "linear" if quadratic else "newton"
    why = "; ".join(f"{name}: {reasons[name]}" for name in names if name in reasons)
    held = tuple(name for name in names if reasons.get(name, "").startswith(BOUND))
    update = Update(rule, tuple(names), over_rows=over_rows, reason=why, held=held)
    return Candidate(update, frozenset(depends - group))


def _weights(piece: Derived, members: list[Any], own: int) -> set[str]:
    """Parameters that the group's equations depend on: all in the gradient, but for a factor that every equation
    shares and that is the same for all cells of a group's element.
    """
    gradient = [sp.factor(sp.diff(piece.quantity, member)) for member in members]
    others = set(piece.atoms) - set(members)
    if own == 1 and gradient:
        _, factor = gradient[0].as_independent(*others, as_Add=False)
        used = factor.free_symbols & others
        designs = [t.parameter.indices for m in members for t in piece.piece.atoms[piece.atoms.index(m)].terms]
        weights = [piece.piece.atoms[piece.atoms.index(symbol)] for symbol in used]
        local = all(
            not atom.is_predictor and all(_within(atom.terms[0].parameter.indices, indices) for indices in designs)
            for atom in weights
        )
        divided = [sp.simplify(entry / factor) for entry in gradient]
        if local and not factor.free_symbols & set(members) and not any(e.free_symbols & used for e in divided):
            gradient = divided
    names: set[str] = set()
    for entry in gradient:
        names |= _parameters_in(entry, piece)
    return names


def _in_group(atom: Any, group: set[str]) -> bool:
    return any(term.parameter.name in group for term in atom.terms)


def _absorb(
    closed: list[Candidate], open_names: list[str], pieces: Sequence[Derived]
) -> tuple[list[Candidate], list[list[str]]]:
    """Join open parameters that share a piece, and with them closed ones whose update needs an open one's value."""
    parent = {name: name for name in open_names}

    def find(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    kept = list(closed)
    while True:
        moved = [
            c for c in kept if len(c.update.parameters) == 1 and c.depends & set(parent) and _scalar_pieces(c, pieces)
        ]
        moved = [c for c in moved if not _triangular(c, parent, pieces)]
        if not moved:
            break
        for candidate in moved:
            kept.remove(candidate)
            parent[candidate.update.parameters[0]] = candidate.update.parameters[0]
    for piece in pieces:
        names = sorted(piece.parameters & set(parent))
        for name in names[1:]:
            parent[find(name)] = find(names[0])
    groups: dict[str, list[str]] = {}
    for name in parent:
        groups.setdefault(find(name), []).append(name)
    return kept, list(groups.values())


def _scalar_pieces(candidate: Candidate, pieces: Sequence[Derived]) -> bool:
    return candidate.update.rule == "closed form"


def _triangular(candidate: Candidate, open_names: dict[str, str], pieces: Sequence[Derived]) -> bool:
    """Whether the open parameters that it needs do not need it: they can then simply be updated first."""
    name = candidate.update.parameters[0]
    for piece in pieces:
        if name not in piece.parameters or not (piece.parameters & set(open_names)):
            continue
        members = [s for s, a in zip(piece.atoms, piece.piece.atoms, strict=True) if _in_group(a, set(open_names))]
        quadratic = all(
            not (sp.diff(piece.quantity, a, b).free_symbols & set(members)) for a in members for b in members
        )
        if not quadratic:
            return False
    return True


def _parameters_in(expression: Any, piece: Derived) -> set[str]:
    names: set[str] = set()
    for symbol, atom in zip(piece.atoms, piece.piece.atoms, strict=True):
        if symbol in expression.free_symbols:
            names |= {term.parameter.name for term in atom.terms}
    return names


def _only_bare(piece: Derived, parameter: str) -> bool:
    """Whether the parameter occurs in the piece as bare elements alone."""
    return not any(
        atom.is_predictor and any(term.parameter.name == parameter for term in atom.terms) for atom in piece.piece.atoms
    )
