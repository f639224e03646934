"""Hidden shares that sum to 1: their integral is closed where the log-joint is linear in their logarithms; otherwise
they are summed over nodes (`emdsl.derive.share_nodes`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy as sp

from emdsl.derive.pieces import Derived
from emdsl.derive.separation import expand
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.derivation import SHARES, Integral
from emdsl.ir.expressions import VariableRef, walk
from emdsl.ir.model import Model, Variable


def shares(names: tuple[str, ...], own: tuple[str, ...], model: Model, pieces: Sequence[Derived]) -> Integral:
    """The closed integral over hidden shares. Raises `no-closed-shares`, with the reason, where it has none."""
    why = why_open(names, own, model, pieces)
    if why:
        raise no_plan(names[0], why)
    (name,) = names
    kept = tuple(piece.piece.name for piece in pieces if piece.piece.name in own and _occurs(piece, name))
    return Integral(names, kept, "kernel", kernel=SHARES, basis=("log(u)",))


def no_plan(name: str, why: str) -> EmmError:
    """The error for hidden shares that are neither integrated in closed form nor summed over nodes."""
    return EmmError(
        "no-closed-shares", f"the integral over the hidden shares `{name}` has no closed form, and no other plan yet: "
        f"{why}", help=f"make the shares a parameter: param {name}[…] : simplex[…], with a prior where there is one",
    )  # fmt: skip


def why_open(names: tuple[str, ...], own: tuple[str, ...], model: Model, pieces: Sequence[Derived]) -> str:
    """Why the integral over hidden shares, and what is tied to them, has no closed form; empty where it has one."""
    if len(names) > 1:
        return f"a law ties {' and '.join(f'`{name}`' for name in names)} together"
    (name,) = names
    for piece in pieces:
        if piece.piece.name not in own or not _occurs(piece, name):
            continue
        below = _hidden_inside(piece, model.variable(name), model)
        if below is not None:
            return f"`{below}`, hidden in a plate inside theirs, depends on them together with data"
        array = _hidden_array(piece, model)
        if array is not None:
            return f"all elements of the hidden `{array}` depend on them together"
        if not _is_log_linear(piece, name):
            return f"the law of `{piece.piece.factor}` looks at them other than by their logarithms"
    return ""


def _occurs(piece: Derived, name: str) -> bool:
    return any(
        isinstance(node, VariableRef) and node.name == name for node in walk((piece.piece.atoms, _looked(piece)))
    )


def _looked(piece: Derived) -> tuple[Any, ...]:
    return piece.piece.knowns, piece.piece.guards, piece.piece.vector


def _hidden_inside(piece: Derived, variable: Variable, model: Model) -> str | None:
    """A finite hidden variable that the piece looks at and that belongs to a plate inside that of the shares."""
    around = _plates_around(variable.plate, model)
    for node in walk((piece.piece.atoms, _looked(piece))):
        if isinstance(node, VariableRef):
            other = model.variable(node.name)
            if other.kind == "latent" and other.values is not None and other.plate not in around:
                return other.name
    return None


def _hidden_array(piece: Derived, model: Model) -> str | None:
    """An array of finite hidden variables that the piece looks at: in a closed form all its elements would be tied."""
    for node in walk((piece.piece.atoms, _looked(piece))):
        if isinstance(node, VariableRef):
            other = model.variable(node.name)
            if other.kind == "latent" and other.values is not None and other.axes:
                return other.name
    return None


def _plates_around(plate: str | None, model: Model) -> set[str | None]:
    parent = {item.name: item.parent for item in model.plates}
    found: set[str | None] = {None}
    while plate is not None:
        found.add(plate)
        plate = parent[plate]
    return found


def _is_log_linear(piece: Derived, name: str) -> bool:
    if piece.piece.form != "rows":
        return False
    raw, logarithms = expand(piece.raw), []
    for known, symbol in zip(piece.piece.knowns, piece.knowns, strict=True):
        if not _mentions(known.value, name):
            continue
        if not isinstance(known.value, VariableRef) or known.value.lag:
            return False
        logarithm = sp.Symbol(f"log_{symbol.name}_", real=True)
        raw = raw.subs(sp.log(symbol), logarithm)
        logarithms.append((symbol, logarithm))
    if any(_mentions(atom.terms, name) for atom in piece.piece.atoms) or _mentions(piece.piece.guards, name):
        return False
    inner = {item for pair in logarithms for item in pair}
    slopes = [sp.diff(raw, logarithm) for _, logarithm in logarithms]
    return not any(raw.has(symbol) for symbol, _ in logarithms) and not any(s.free_symbols & inner for s in slopes)


def _mentions(value: Any, name: str) -> bool:
    return any(isinstance(node, VariableRef) and node.name == name for node in walk(value))
