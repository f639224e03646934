"""What EM expects of a value of which only an event A is known (censored, grouped): the statistics of its whole law.

With the log-density `sum_j eta_j(theta) T_j(y) + A(theta)` of the value and the log-probability of the event, both
derived, Fisher's identity `d log P / d theta = J' E[T | event] + dA/d theta`, `J = d eta / d theta`, gives E[T | event]
wherever J is square and regular: no integral is taken (Efron 1977 on the identity; Dempster, Laird and Rubin 1977 on
its use). Q is then that of values that are seen, and its updates stay what they are.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sympy as sp

from emdsl.derive.deadline import DeadlineExceeded, deadline
from emdsl.derive.notation import plain, readable
from emdsl.derive.pieces import Derived
from emdsl.derive.printing import source
from emdsl.ir.derivation import Atom, Completion, Known, Step
from emdsl.ir.expressions import ConstantRef, VariableRef, walk
from emdsl.ir.latents import continuous_latents
from emdsl.ir.model import CELL_SUFFIX, SEEN, Guard, Model

SECONDS = 2.0


@dataclass(frozen=True)
class Completed:
    """A piece of a cut law: `stored` as the program has it, `read` as the rules of the M-step see it, expected
    statistics being known; `statistics` lists each as written with its formula.
    """

    stored: Derived
    read: Derived
    statistics: tuple[tuple[str, str], ...]


#: Why a law whose expected statistics are closed is climbed as it is: the fit of a regression with three in four values
#: censored takes 5 iterations in place of 17, the same digits, while a mixture takes a third of the time with them.
ALONE = (
    "its expected statistics are closed, but nothing else is hidden: Newton's method on the observed-data likelihood "
    "comes to the same maximum in fewer steps"
)


@dataclass(frozen=True)
class Completions:
    """The cut laws that are completed, and why others are not, by name of their pieces."""

    kept: Mapping[str, Completed]
    why: Mapping[str, str]

    def stored(self, piece: Derived) -> Derived:
        """A piece as the program has it."""
        found = self.kept.get(piece.piece.name)
        return piece if found is None else found.stored

    def read(self, piece: Derived) -> Derived:
        """A piece as the rules of the M-step see it."""
        found = self.kept.get(piece.piece.name)
        return piece if found is None else found.read

    def steps(self) -> tuple[Step, ...]:
        """One step for each cut law: what is expected, or why the observed-data likelihood is climbed."""
        found = []
        for item in self.kept.values():
            lines = "\n".join(f"{text} = {formula}" for text, formula in item.statistics)
            said = "by Fisher's identity, P the probability of the event: Q is that of values that are seen"
            subject, before = item.stored.piece.factor, "expected statistics of a cut value"
            found.append(Step("completion", subject, before, lines, said))
        reasons: dict[str, list[str]] = {}
        for name, reason in self.why.items():
            reasons.setdefault(reason, []).append(name.partition("#")[0])
        for reason, names in reasons.items():
            text = "the M-step climbs the observed-data likelihood of cut values, row by row"
            found.append(Step("completion", ", ".join(dict.fromkeys(names)), "", text, reason))
        return tuple(found)


def completed(pieces: Sequence[Derived], model: Model) -> dict[str, Completed | str]:
    """For each piece that holds the logarithm of an event's probability and does not separate, its completion by name,
    or why there is none.
    """
    found: dict[str, Completed | str] = {}
    for piece in pieces:
        kind = _cell_kind(piece)
        if kind is None or kind == SEEN or piece.piece.form != "rows" or not piece.atoms:
            continue
        seen = next((p for p in pieces if _cell_kind(p) == SEEN and _beside(p, piece)), None)
        try:
            with deadline(SECONDS):
                found[piece.piece.name] = _completed(piece, seen, model, kind)
        except DeadlineExceeded:
            found[piece.piece.name] = "the search for its expected statistics took too long"
    return found


def _cell_kind(piece: Derived) -> str | None:
    """What the cells of a piece hold, where its guards say so."""
    for guard in piece.piece.guards:
        if isinstance(guard, Guard) and getattr(guard.variable, "name", "").endswith(CELL_SUFFIX):
            return guard.labels[0] if len(guard.labels) == 1 else None
    return None


def _beside(seen: Derived, piece: Derived) -> bool:
    """Whether both are of one law, but for what a cell holds."""

    def rest(item: Derived) -> tuple[Any, ...]:
        return tuple(
            guard for guard in item.piece.guards
            if not getattr(getattr(guard, "variable", None), "name", "").endswith(CELL_SUFFIX)
        )  # fmt: skip

    same = seen.piece.factor == piece.piece.factor and seen.piece.elements == piece.piece.elements
    return same and rest(seen) == rest(piece) and seen.piece.when == piece.piece.when


def _completed(piece: Derived, seen: Derived | None, model: Model, kind: str) -> Completed | str:
    if seen is None or seen.piece.form not in ("rows", "separable"):
        return "its law is not one log-density"
    if any(True for _ in continuous_latents((piece.piece.knowns, piece.piece.atoms), model)):
        return "it looks at hidden numbers, which are integrated out"
    merged = _merged(piece, seen)
    if merged is None:
        return "its value stands in no symbol of its own"
    atoms, knowns, values, density = merged
    split = _exponential(density, list(values), set(atoms))
    if split is None:
        return "its law is no exponential family"
    etas, statistics, constant = split
    used = [a for a in atoms if a in density.free_symbols]
    if len(used) != len(statistics):
        return f"its law has {len(statistics)} statistics and {len(used)} parameters"
    jacobian = sp.Matrix([[sp.diff(eta, atom) for atom in used] for eta in etas])
    if not _regular(jacobian):
        return "its statistics do not determine its parameters"
    # The slopes of the log-probability stay whole: expanded, their exponentials would overflow.
    slopes = {sp.Dummy(f"dlog P/d{atom.name}", real=True): sp.diff(piece.quantity, atom) for atom in used}
    right = sp.Matrix([slope - sp.diff(constant, atom) for slope, atom in zip(slopes, used, strict=True)])
    expected = [_shortest(value) for value in jacobian.T.LUsolve(right)]
    taken = {symbol.name for symbol in (*atoms, *knowns)}
    names = [_free(f"expected{j + 1}", taken) for j in range(len(statistics))]
    symbols = [sp.Symbol(name, real=True) for name in names]
    quantity = sum((eta * t for eta, t in zip(etas, symbols, strict=True)), constant)
    return _built(piece, (atoms, knowns), (values, statistics, kind), (names, symbols, expected), slopes, quantity)


def _built(
    piece: Derived, known_of: tuple[dict[Any, Atom], dict[Any, Known]],
    what: tuple[Mapping[Any, Known], Sequence[Any], str],
    found: tuple[Sequence[str], Sequence[Any], Sequence[Any]], slopes: Mapping[Any, Any], quantity: Any,
) -> Completed:  # fmt: skip
    atoms, knowns = known_of
    values, statistics, kind = what
    names, symbols, expected = found
    order = tuple(atoms)
    extra = ("0",) * (len(order) - len(piece.piece.atoms))
    completion = Completion(
        tuple(names), tuple(source(value.xreplace(slopes)) for value in expected), source(quantity),
        tuple(source(sp.diff(quantity, atom)) for atom in order),
        tuple(
            (i, j, source(bend)) for i in range(len(order)) for j in range(i, len(order))
            if (bend := sp.diff(quantity, order[i], order[j])) != 0
        ),
    )  # fmt: skip
    base = replace(
        piece.piece, atoms=tuple(atoms.values()), knowns=tuple(knowns.values()), completion=completion,
        gradient=(*piece.piece.gradient, *extra),
    )  # fmt: skip
    stored = replace(piece, piece=base, atoms=order, knowns=tuple(knowns))
    written = {symbol: readable(known.value) for symbol, known in values.items()}
    name = "" if base.target is None else base.target.name
    texts = [f"E[{plain(t.xreplace(written))} | {name} {kind}]" for t in statistics]
    added = tuple(Known(name, ConstantRef(text), True) for name, text in zip(names, texts, strict=True))
    read = replace(
        stored, piece=replace(base, knowns=(*base.knowns, *added)), knowns=(*stored.knowns, *symbols),
        quantity=quantity,
    )  # fmt: skip
    shown = {s: readable(known.value) for s, known in knowns.items()}
    shown |= {s: sp.Symbol(s.name, real=True) for s in slopes}
    lines = tuple((text, plain(value.xreplace(shown))) for text, value in zip(texts, expected, strict=True))
    return Completed(stored, read, lines)


def _shortest(value: Any) -> Any:
    """The shorter of two equal forms."""
    return min((sp.expand(value), sp.cancel(sp.together(value))), key=sp.count_ops)


def _regular(matrix: Any) -> bool:
    """Whether a matrix has an inverse, told at a random point."""
    rng = random.Random(1)
    place = {symbol: sp.Float(rng.uniform(0.3, 0.7)) for symbol in sorted(matrix.free_symbols, key=str)}
    value = sp.N(matrix.subs(place).det())
    return bool(value.is_number and value.is_finite and abs(value) > 1e-9)


def _merged(piece: Derived, seen: Derived) -> tuple[dict[Any, Atom], dict[Any, Known], dict[Any, Known], Any] | None:
    """Atoms and knowns of both pieces together in the symbols of the first, the symbols in which the value stands, and
    the density of a value that is seen; None where the value has no symbol, or enters a predictor.
    """
    atoms = dict(zip(piece.atoms, piece.piece.atoms, strict=True))
    knowns = dict(zip(piece.knowns, piece.piece.knowns, strict=True))
    taken = {symbol.name for symbol in (*atoms, *knowns)}
    changed: dict[Any, Any] = {}
    values: dict[Any, Known] = {}
    for symbol, atom in zip(seen.atoms, seen.piece.atoms, strict=True):
        if _looks_at(atom.terms, seen.piece.target):
            return None
        same = next((s for s, own in atoms.items() if own.terms == atom.terms), None)
        if same is None:
            name = _free(symbol.name, taken)
            same = sp.Symbol(name, **symbol.assumptions0)
            atoms[same] = Atom(name, atom.terms)
        changed[symbol] = same
    for symbol, known in zip(seen.knowns, seen.piece.knowns, strict=True):
        if _looks_at(known.value, seen.piece.target):
            changed[symbol] = sp.Dummy(symbol.name, **symbol.assumptions0)
            values[changed[symbol]] = known
            continue
        same = next((s for s, own in knowns.items() if own.value == known.value), None)
        if same is None:
            name = _free(symbol.name, taken)
            same = sp.Symbol(name, **symbol.assumptions0)
            knowns[same] = Known(name, known.value, known.by_row)
        changed[symbol] = same
    return (atoms, knowns, values, seen.raw.xreplace(changed)) if values else None


def _looks_at(value: Any, target: Any) -> bool:
    return any(node == target for node in walk(value))


def _free(wanted: str, taken: set[str]) -> str:
    name, count = wanted, 1
    while name in taken:
        count += 1
        name = f"{wanted}_{count}"
    taken.add(name)
    return name


def _exponential(density: Any, values: Sequence[Any], atoms: set[Any]) -> tuple[list[Any], list[Any], Any] | None:
    """`sum eta_j T_j + constant` of a log-density: etas and statistics in which parameters stand, and what is the same
    for every value (a factor of the value alone is left out); None where they do not come apart.
    """
    gathered: dict[Any, Any] = {}
    constant = sp.Integer(0)
    for term in sp.Add.make_args(sp.expand(sp.expand_log(sp.expand(density)))):
        eta, statistic = term.as_independent(*values, as_Add=False)
        if statistic.free_symbols & atoms:
            return None
        if not eta.free_symbols & atoms and statistic != 1:
            continue  # the base measure: the same at every theta
        if statistic == 1:
            constant += eta
        else:
            gathered[statistic] = gathered.get(statistic, sp.Integer(0)) + eta
    kept = {statistic: eta for statistic, eta in gathered.items() if sp.expand(eta) != 0}
    return [sp.factor_terms(eta) for eta in kept.values()], list(kept), constant


def waits_for_others(piece: Derived, model: Model) -> bool:
    """Whether finite hidden variables choose the parameters of a piece, so that EM has more to wait for than its cut
    values.
    """
    parts = (piece.piece.atoms, piece.piece.knowns, piece.piece.guards)
    return any(isinstance(node, VariableRef) and model.variable(node.name).kind == "latent" for node in walk(parts))
