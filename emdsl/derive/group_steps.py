"""Updates of several parameters at once, to read: normal equations, weighted moments, Newton's method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sympy as sp

from emdsl.derive.candidate import Candidate
from emdsl.derive.notation import joined, plain, product, readable, reference, wrapped
from emdsl.derive.pieces import Derived
from emdsl.derive.scopes import Reading, bare_axes, scope_of
from emdsl.derive.simplification import as_written, tidy
from emdsl.ir.derivation import Atom, Design, Vector
from emdsl.ir.expressions import Expression, ParameterRef, walk

#: Before, after, and why it is a maximum.
Reads = tuple[str, str, str]


# --- covariance matrices and mean vectors -----------------------------------------------------------------------------


def gaussian_step(candidate: Candidate, by_name: Mapping[str, Derived], new: frozenset[str], reading: Reading) -> Reads:
    """A mean vector or a covariance matrix that stands in normal laws alone."""
    covariance = candidate.update.rule == "matrix"
    pieces = [by_name[c.piece] for c in candidate.update.contributions]
    if any(piece.piece.arrays is not None for piece in pieces):
        return covariance_with_priors(pieces, new, reading)
    vectors = [piece.piece.vector for piece in pieces if piece.piece.vector is not None]
    parts = [vector.covariance if covariance else vector.mean for vector in vectors]
    references = [part for part in parts if isinstance(part, ParameterRef)]
    element = reference(references[0])
    fixed = [bare_axes(part) for part in references]
    if covariance:
        return _covariance(element, pieces, vectors, fixed, new, reading)
    return _mean(element, pieces, vectors, fixed, candidate, reading)


def _covariance(
    element: str, pieces: Sequence[Derived], vectors: Sequence[Vector], fixed: Sequence[dict[str, str]],
    new: frozenset[str], reading: Reading,
) -> Reads:  # fmt: skip
    units, moments = [], []
    for piece, vector, at in zip(pieces, vectors, fixed, strict=True):
        scope = scope_of(piece.piece, reading.model)
        rest = residual(vector, new)
        units.append(reading.counted(scope, at))
        moments.append(reading.sum_text(scope, at, f"{rest}*{rest}'"))
    n, r = " + ".join(units), " + ".join(moments)
    many = len(units) > 1
    before = f"dQ/d{element}^-1 = ({f'({n})' if many else n}*{element} - R)/2 = 0\nwith R = {r}"
    return before, f"{element} = R/{f'({n})' if many else n}", "Q is concave in the inverse"


def covariance_with_priors(pieces: Sequence[Derived], new: frozenset[str], reading: Reading) -> Reads:
    """A covariance matrix in normal laws and in log-priors, which add to the units and to the moments."""
    units, moments = [], []
    priors = [piece.piece.arrays for piece in pieces if piece.piece.arrays is not None]
    for piece in pieces:
        vector, prior = piece.piece.vector, piece.piece.arrays
        if vector is not None:
            assert isinstance(vector.covariance, ParameterRef)
            scope, at = scope_of(piece.piece, reading.model), bare_axes(vector.covariance)
            rest = residual(vector, new)
            units.append(reading.counted(scope, at))
            moments.append(reading.sum_text(scope, at, f"{rest}*{rest}'"))
        elif prior is not None:
            units += [prior.units] if prior.units else []
            moments += [prior.moment] if prior.moment else []
    element = priors[0].matrix
    n, r = joined(units), joined(moments)
    before = f"dQ/d{element}^-1 = (n*{element} - R)/2 = 0\nwith n = {n}, R = {r}"
    return before, f"{element} = R/n", "Q and the log-prior are concave in the inverse"


def _mean(
    element: str, pieces: Sequence[Derived], vectors: Sequence[Vector], fixed: Sequence[dict[str, str]],
    candidate: Candidate, reading: Reading,
) -> Reads:  # fmt: skip
    weighs = any(_parameters(vector.covariance) & candidate.depends for vector in vectors)
    slopes, left, right = [], [], []
    for piece, vector, at in zip(pieces, vectors, fixed, strict=True):
        scope = scope_of(piece.piece, reading.model)
        inverse, data = f"{reference(vector.covariance)}^-1", reference(vector.variable)
        slopes.append(reading.sum_text(scope, at, f"{inverse}*({data} - {element})"))
        left.append(reading.sum_text(scope, at, inverse) if weighs else reading.counted(scope, at))
        right.append(reading.sum_text(scope, at, f"{inverse}*{data}" if weighs else data))
    before = f"dQ/d{element} = {' + '.join(slopes)} = 0"
    total, sums = " + ".join(left), " + ".join(right)
    if weighs:
        after = f"({total})*{element} = {sums}"
    else:
        after = f"{element} = {sums}/{total}" if len(left) == 1 else f"{element} = ({sums})/({total})"
    return before, after, "Q is a concave quadratic"


def residual(vector: Vector, new: frozenset[str] = frozenset()) -> str:
    """`(x - mu[z])`, or `x` where the mean is 0."""
    mean = vector.mean
    if isinstance(mean, ParameterRef):
        return f"({reference(vector.variable)} - {reference(mean, new=mean.name in new)})"
    shown = readable(mean)
    return reference(vector.variable) if shown == 0 else f"({reference(vector.variable)} - {wrapped(shown)})"


def _parameters(expression: Expression) -> set[str]:
    return {node.name for node in walk(expression) if isinstance(node, ParameterRef)}


# --- linear and Newton groups -----------------------------------------------------------------------------------------


def group_step(candidate: Candidate, new: frozenset[str], reading: Reading) -> Reads:
    """A group through its predictors: normal equations where Q is quadratic in it, else Newton's method."""
    group = set(candidate.update.parameters)
    own = [as_written(piece) for piece in reading.pieces if piece.parameters & group]
    places = [
        (piece, i)
        for piece in own
        for i, atom in enumerate(piece.piece.atoms)
        if any(term.parameter.name in group for term in atom.terms)
    ]
    designs = _designs(places)
    fixed = _common_axes(designs)
    if candidate.update.rule == "linear" and _one_each(places) and not _unread(own):
        return _normal_equations(candidate, places, designs, fixed, new, reading)
    return _newton(candidate, own, places, designs, fixed, new, reading)


def _designs(places: Sequence[tuple[Derived, int]]) -> list[Design]:
    return list(dict.fromkeys(term for piece, i in places for term in piece.piece.atoms[i].terms))


def _common_axes(designs: Sequence[Design]) -> dict[str, str]:
    """The axes that every parameter of the group is told by: there is one system for each of their values."""
    found: dict[str, str] | None = None
    for term in designs:
        over = {binder.name for binder in term.over}
        axes = {axis: text for axis, text in bare_axes(term.parameter).items() if axis not in over}
        found = axes if found is None else {axis: text for axis, text in found.items() if axis in axes}
    return found or {}


def _one_each(places: Sequence[tuple[Derived, int]]) -> bool:
    return len({id(piece) for piece, _ in places}) == len(places)


def _unread(own: Sequence[Derived]) -> bool:
    return any(piece.piece.form in ("gaussian", "stationary", "log-sum-exp", "arrays") for piece in own)


def _is_plain(atom: Atom) -> bool:
    return not atom.is_predictor


def _vectors(designs: Sequence[Design], fixed: Mapping[str, str]) -> list[str]:
    """What `b` and `d` are, and how many systems there are."""
    parameters = ", ".join(reference(term.parameter) for term in designs)
    coefficients = ", ".join("1" if t.coefficient is None else plain(readable(t.coefficient)) for t in designs)
    lines = [f"with b = ({parameters}), d = ({coefficients})"]
    inner = {axis for term in designs for axis in bare_axes(term.parameter)} - set(fixed)
    inner -= {binder.name for term in designs for binder in term.over}
    if fixed:
        lines.append(f"one system for each {', '.join(fixed.values())}")
    elif inner:
        lines.append(f"one system for all {', '.join(sorted(inner))}: d is 0 at the elements of every other one")
    return lines


def _normal_equations(
    candidate: Candidate, places: Sequence[tuple[Derived, int]], designs: Sequence[Design], fixed: Mapping[str, str],
    new: frozenset[str], reading: Reading,
) -> Reads:  # fmt: skip
    single = len(designs) == 1 and designs[0].coefficient is None and not designs[0].over
    name = reference(designs[0].parameter) if single else "b"
    gram, moment, slope = [], [], []
    for piece, i in places:
        names = reading.names(piece, new)
        symbol = piece.atoms[i]
        gradient = sp.diff(piece.quantity, symbol)
        weight = sp.factor_terms(-sp.diff(gradient, symbol))
        response = tidy(sp.cancel(gradient.subs(symbol, 0) / weight))
        others = {s for s, a in zip(piece.atoms, piece.piece.atoms, strict=True) if _names(a) & candidate.depends}
        if not weight.free_symbols & others and len(places) == 1 and _droppable(weight, piece):
            weight = sp.Integer(1)
        scope = scope_of(piece.piece, reading.model)
        shown = {key: _factor(reading, piece, value, names) for key, value in (("w", weight), ("y", response))}
        direct = single and _is_plain(piece.piece.atoms[i])
        d, dd = ("", "") if direct else ("d", "d*d'")
        slope.append(_signed_sum(reading, piece, tidy(gradient), fixed, names, d))
        gram.append(reading.sum_text(scope, fixed, dd, shown["w"]))
        if response != 0:
            moment.append(reading.sum_text(scope, fixed, d, shown["w"], shown["y"]))
    before = f"dQ/d{name} = {joined(slope)} = 0"
    left = gram[0] if len(gram) == 1 else f"({' + '.join(gram)})"
    after = [f"{left}*{name} = {' + '.join(moment) or '0'}"]
    atoms = dict.fromkeys(reading.element(piece.piece.atoms[i]) for piece, i in places)
    if not single and len({piece.piece.atoms[i].terms for piece, i in places}) == 1:
        before += "".join(f"\nwith {m} = b'd" for m in atoms)
        after += _vectors(designs, fixed)
    elif not single:
        names_ = ", ".join(candidate.update.parameters)
        after.append(f"with b = ({names_}), d the coefficients of b in {' and in '.join(atoms)}")
    return before, "\n".join(after), "Q is quadratic, with a Gram matrix that is never negative"


def _signed_sum(
    reading: Reading, piece: Derived, value: Any, fixed: Mapping[str, str], names: Mapping[Any, str], d: str
) -> str:
    negative = not value.is_Add and value.could_extract_minus_sign()
    text = _factor(reading, piece, -value if negative else value, names)
    return ("-" if negative else "") + reading.sum_text(scope_of(piece.piece, reading.model), fixed, d, text)


def _names(atom: Atom) -> set[str]:
    return {term.parameter.name for term in atom.terms}


def _droppable(weight: Any, piece: Derived) -> bool:
    """Whether a weight is the same for all rows, so that it divides out of the equations of a cell."""
    rows = {s for s, k in zip(piece.knowns, piece.piece.knowns, strict=True) if k.by_row}
    return not weight.free_symbols & rows


def _factor(reading: Reading, piece: Derived, value: Any, names: Mapping[Any, str]) -> str:
    return wrapped(reading.shown(piece, value), names)


# --- Newton -----------------------------------------------------------------------------------------------------------


def _normal_derivatives(vector: Vector, *, averaged: bool) -> list[str]:
    """Those of the normal log-density in mean and covariance, which hang on the parameters by the chain rule;
    `averaged`: hidden numbers stand in them.
    """
    x = reference(vector.variable)
    in_mean, in_covariance = "C^-1*r", "C^-1*r*r'*C^-1"
    if averaged:
        in_mean, in_covariance = f"E[{in_mean}]", f"E[{in_covariance}]"
    return [
        f"with m the mean and C the covariance of what is seen of {x}, and r = {x} - m:",
        f"dQ/dm = {in_mean}, dQ/dC = ({in_covariance} - C^-1)/2",
        "E[d2Q] = -dm'*C^-1*dm - trace(C^-1*dC*C^-1*dC)/2 (Fisher scoring)",
    ]


def _newton(
    candidate: Candidate, own: Sequence[Derived], places: Sequence[tuple[Derived, int]], designs: Sequence[Design],
    fixed: Mapping[str, str], new: frozenset[str], reading: Reading,
) -> Reads:  # fmt: skip
    scalar = all(_is_plain(p.piece.atoms[i]) for p, i in places) and len(designs) == 1 and not _unread(own)
    if scalar:
        return _newton_in_one(places, designs[0], fixed, new, reading)
    before: list[str] = []
    for piece in own:
        before += _place_of(piece, reading)
        for i in [i for other, i in places if other is piece]:
            before += _derivatives(piece, i, new, reading)
        if piece.piece.stationary is not None:
            before.append(f"the derivatives of log({reference(piece.piece.stationary)})")
        if piece.piece.vector is not None:
            averaged = bool(scope_of(piece.piece, reading.model).averaged)
            before += _normal_derivatives(piece.piece.vector, averaged=averaged)
        if piece.piece.arrays is not None:
            before.append(f"the derivatives of {piece.piece.arrays.text}")
    after = ["b_new = b - H^-1*g"]
    predictors = [piece.piece.atoms[i] for piece, i in places if piece.piece.atoms[i].is_predictor]
    if len(places) == len(predictors) == 1:
        m = reading.element(predictors[0])
        scope = scope_of(places[0][0].piece, reading.model)
        ranges = ", ".join([scope.units, *scope.hidden, *scope.elements])
        after.append(f"with g = sum({ranges}: dQ/d{m}*d), H = sum({ranges}: d2Q/d{m}^2*d*d')")
        after += _vectors(designs, {})[:1]
    else:
        after.append(f"with b = ({', '.join(candidate.update.parameters)}), g the gradient of Q, H its Hessian:")
        after.append("the sums of the above over all units and cells, through the coefficients of the predictors")
    after.append("the step is halved until Q rises; several steps make one update")
    return "\n".join(before), "\n".join(after), ""


def _place_of(piece: Derived, reading: Reading) -> list[str]:
    scope = scope_of(piece.piece, reading.model)
    held = [*(scope.within.get(axis, axis) for axis in scope.hidden), *scope.elements, *scope.given]
    return [f"in one {', '.join(filter(None, [scope.units or 'element of the prior', *held]))}:"]


def _newton_in_one(
    places: Sequence[tuple[Derived, int]], design: Design, fixed: Mapping[str, str],
    new: frozenset[str], reading: Reading,
) -> Reads:  # fmt: skip
    element = reference(design.parameter)
    slope = bend = sp.Integer(0)
    for piece, i in places:
        names = reading.names(piece, new)
        first = sp.diff(piece.quantity, piece.atoms[i])
        slope += reading.total(piece, tidy(first), fixed, names)
        bend += reading.total(piece, tidy(sp.diff(first, piece.atoms[i])), fixed, names)
    before = f"dQ/d{element} = {reading.plain(slope)} = 0\nd2Q/d{element}^2 = {reading.plain(bend)}"
    after = f"{element}_new = {element} - (dQ/d{element})/(d2Q/d{element}^2)"
    return before, f"{after}\nthe step is halved until Q rises; several steps make one update", ""


def _derivatives(piece: Derived, i: int, new: frozenset[str], reading: Reading) -> list[str]:
    """What one unit and cell adds to gradient and Hessian, in one atom (and it with every later one of the piece)."""
    names = reading.names(piece, new)
    scope = scope_of(piece.piece, reading.model)
    weight = reading.posterior_weight(scope, {})
    atom = names[piece.atoms[i]]
    gradient = sp.diff(piece.quantity, piece.atoms[i])
    if piece.piece.form == "log-sum-exp" and piece.piece.reduced is not None:
        index = piece.piece.reduced
        inner = plain(reading.shown(piece, piece.quantity), names)
        sign = "-" if piece.piece.sign < 0 else ""
        slope = product(weight, *reading.mean(scope, "pi", _factor(reading, piece, tidy(gradient), names)))
        share = f"exp({inner})/sum({index.name} in {index.index_set}: exp({inner}))"
        return [f"dQ/d{atom} = {sign}{slope} with pi = {share}"]
    lines = [f"dQ/d{atom} = {_signed(weight, tidy(gradient), piece, names, reading)}"]
    for j in range(i, len(piece.atoms)):
        second = tidy(sp.diff(gradient, piece.atoms[j]))
        if second != 0:
            below = f"d{atom}^2" if j == i else f"d{atom} d{names[piece.atoms[j]]}"
            lines.append(f"d2Q/{below} = {_signed(weight, second, piece, names, reading)}")
    return lines


def _signed(weight: str, value: Any, piece: Derived, names: Mapping[Any, str], reading: Reading) -> str:
    number, rest = value.as_coeff_Mul()
    sign = "-" if number < 0 else ""
    above, below = sp.fraction(abs(number))
    mean = reading.mean(scope_of(piece.piece, reading.model), _factor(reading, piece, rest, names))
    return sign + product(str(above), weight, *mean, f"1/{below}" if below != 1 else "")


__all__ = ["gaussian_step", "group_step", "residual"]
