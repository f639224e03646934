"""NumPy source of one piece's formulas: eta tables, statistics, densities, derivatives, and the sums of an update."""

from __future__ import annotations

import re
from collections.abc import Iterable

from emdsl.ir.derivation import Completion, Piece, Update
from emdsl.ir.identifiers import identifier

_NAME = re.compile(r"[^\W\d]\w*")


def names_in(*sources: str) -> set[str]:
    """Every name that some source texts use."""
    return {name for source in sources for name in _NAME.findall(source)}


def assigned(piece: Piece, used: set[str], *, place: str = "here") -> list[str]:
    """Lines that bind the atoms and knowns that are used; `place` is the bound piece, `flat` the vector of all
    parameters.
    """
    lines = []
    for i, atom in enumerate(piece.atoms):
        if atom.symbol not in used:
            continue
        name = atom.terms[0].parameter.name
        lines.append(f"    {atom.symbol} = {place}.atom({i}, theta, flat)  # {_describe(piece, i, name)}")
    for known in piece.knowns:
        if known.symbol in used:
            lines.append(f"    {known.symbol} = {place}.knowns[{known.symbol!r}]")
    if piece.completion is not None:
        expected = [symbol for symbol in piece.completion.symbols if symbol in used]
        lines += [f"    {symbol} = {place}.knowns[{symbol!r}]" for symbol in expected]
    for shift in piece.shifts:
        for symbol in (shift.centre, shift.scale):
            if symbol in used:
                lines.append(f"    {symbol} = {place}.shifts[{symbol!r}]")
    return lines


def _describe(piece: Piece, i: int, name: str) -> str:
    atom = piece.atoms[i]
    return "predictor" if atom.is_predictor else f"an element of {name} for each cell"


def eta_function(piece: Piece) -> list[str]:
    """`eta_PIECE(theta, flat, here)`: the table `(*cells, terms)` that the statistics are multiplied with."""
    used = names_in(*(term.eta for term in piece.terms))
    lines = [
        f"def eta_{identifier(piece.name)}(theta, flat, here):",
        *assigned(piece, used),
        "    table = np.empty(here.eta_shape)",
    ]
    lines += [f"    table[..., {j}] = {term.eta}  # times {term.statistic}" for j, term in enumerate(piece.terms)]
    lines += ["    if here.outside is not None:", "        table[here.outside] = 0.0", "    return table"]
    return lines


def statistic_function(piece: Piece) -> list[str]:
    """`statistics_PIECE(here)`: the columns `T_j` of a piece, evaluated once when data are bound."""
    used = names_in(*(term.statistic for term in piece.terms), *(shift.base for shift in piece.shifts))
    lines = [f"def statistics_{identifier(piece.name)}(here):", *assigned(piece, used)]
    for shift in piece.shifts:
        lines.append(f"    {shift.symbol} = here.standardised({shift.centre!r}, {shift.scale!r}, {shift.base})")
    lines.append(f"    return ({', '.join(term.statistic for term in piece.terms)},)")
    return lines


def density_function(piece: Piece) -> list[str]:
    """`density_PIECE(theta, flat, here)`: the log-density (or the inner expression of a log-sum-exp) by cell and
    row.
    """
    lines = [f"def density_{identifier(piece.name)}(theta, flat, here):", *assigned(piece, names_in(piece.log_density))]
    return [*lines, f"    return {piece.log_density}"]


def law_functions(piece: Piece) -> list[str]:
    """`law_PIECE(theta, flat, here)`: mean and variance of a hidden number's normal law by cell and row,
    and what its log-density has besides;
    `mean_slopes_` and `variance_slopes_PIECE(theta, flat, here, S)`: their derivatives in the atoms.
    """
    assert piece.law is not None
    lines: list[str] = []
    for kind, arguments, sources in (
        ("law", "theta, flat, here", (piece.law.mean, piece.law.variance, piece.law.constant)),
        ("mean_slopes", "theta, flat, here, S", piece.law.mean_slopes),
        ("variance_slopes", "theta, flat, here, S", piece.law.variance_slopes),
    ):
        lines += [
            f"def {kind}_{identifier(piece.name)}({arguments}):",
            *assigned(piece, names_in(*sources)),
            f"    return ({', '.join(sources)}{',' if len(sources) == 1 else ''})" if sources else "    return ()",
            "",
            "",
        ]
    return lines[:-2]


def derivative_functions(piece: Piece) -> list[str]:
    """`value_`, `gradient_` and `hessian_PIECE(theta, flat, here, S)`: of the piece's part of Q in its atoms."""
    value = piece.log_density
    if piece.form == "separable":
        value = " + ".join(f"S{j} * ({term.eta})" for j, term in enumerate(piece.terms))
    return _derivatives(piece, "", value, piece)


def completion_functions(piece: Piece) -> list[str]:
    """`expected_PIECE(theta, flat, here)`: the expected statistics of the value of which only an event is known; and
    `completed_value_`, `completed_gradient_` and `completed_hessian_PIECE` of the expected log-density.
    """
    found = piece.completion
    assert found is not None
    lines = [
        f"def expected_{identifier(piece.name)}(theta, flat, here):",
        *assigned(piece, names_in(*found.expected)),
        f"    return ({', '.join(found.expected)},)",
        "",
        "",
    ]
    return [*lines, *_derivatives(piece, "completed_", found.log_density, found)]


def _derivatives(piece: Piece, prefix: str, value: str, of: Piece | Completion) -> list[str]:
    name = identifier(piece.name)
    lines: list[str] = []
    for kind, sources in (
        ("value", (value,)),
        ("gradient", of.gradient),
        ("hessian", tuple(source for _, _, source in of.hessian)),
    ):
        lines += [
            f"def {prefix}{kind}_{name}(theta, flat, here, S):",
            *_statistics(piece, sources),
            *assigned(piece, names_in(*sources)),
        ]
        lines += [
            f"    return ({', '.join(sources)}{',' if len(sources) == 1 else ''})" if sources else "    return ()",
            "",
            "",
        ]
    return lines[:-2]


def _statistics(piece: Piece, sources: Iterable[str]) -> list[str]:
    used = names_in(*sources)
    return [f"    S{j} = S[..., {j}]" for j in range(len(piece.terms)) if f"S{j}" in used]


def update_function(update: Update, pieces: dict[str, Piece]) -> list[str]:
    """`update_PARAMETER(theta, flat, S, pieces)`: the accumulators of a simplex or closed-form update, and its
    formula.
    """
    (parameter,) = update.parameters
    count = len(update.contributions[0].sources) if update.contributions else 0
    lines = [f"def update_{identifier(parameter)}(theta, flat, S, pieces):", f'    """{update.rule}: {parameter}."""']
    if not update.contributions:
        # No law looks at it: it stays where it is.
        return [*lines, f"    return theta[{parameter!r}]"]
    started: set[int] = set()
    if update.rule == "bound":
        lines.append(f"    new = np.full(np.shape(theta[{parameter!r}]), np.nan)")
    for contribution in update.contributions:
        piece = pieces[contribution.piece]
        name = identifier(piece.name)
        used = names_in(*contribution.sources)
        lines += [f"    piece = pieces[{piece.name!r}]", *assigned(piece, used, place="piece")]
        if piece.form == "separable":
            lines += [f"    S{j} = S[{piece.name!r}][..., {j}]" for j in range(len(piece.terms)) if f"S{j}" in used]
        else:
            lines.append(f"    weights = piece.row_weights(S[{piece.name!r}])")
        for m, source in enumerate(contribution.sources):
            if source == "0":
                continue
            atom = contribution.atom
            if update.rule == "bound":
                lines.append(f"    new = piece.tightest({atom}, weights, {source}, {update.formula}_, new)")
                continue
            if piece.form != "separable":
                body = f"piece.into({atom}, weights, {source})"
            else:
                inside = f"piece.inside({source})" if piece.guards else source
                body = f"piece.addresses[{atom}].scatter({inside})"
            plus = f"R{m} + " if m in started else ""
            lines.append(f"    R{m} = {plus}{body}  # {name}")
            started.add(m)
    if not update.contributions:
        # No law of these data mentions it.
        return [*lines, f"    return theta[{parameter!r}]"]
    if update.rule == "bound":
        return [*lines, "    return new"]
    for m in range(count):
        if m not in started:
            lines.append(f"    R{m} = 0.0")
    lines.append(f"    return {update.formula if update.rule != 'simplex' else 'R0'}")
    return lines
