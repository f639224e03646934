"""What the language has and the engine has no plan for yet. The one list: it is to shrink to nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from emdsl.diagnostics.errors import EmmError
from emdsl.graph.failures import failure
from emdsl.graph.laws import laws
from emdsl.graph.names import Names, VariableHead
from emdsl.ir.model import Factor, Map
from emdsl.syntax import tree

CODE = "not-supported-yet"


@dataclass(frozen=True)
class Site:
    """What may be refused: a statement, or the head of a latent variable, with the factors and maps so far."""

    node: tree.Node
    plate: str | None
    head: VariableHead | None
    names: Names
    maps: tuple[Map, ...]
    factors: tuple[Factor, ...]


@dataclass(frozen=True)
class Refusal:
    """A construct: what it is called, and the place where a site uses it (None: it does not)."""

    construct: str
    place: Callable[[Site], tree.Node | None]


def _modifier(kind: type[tree.Modifier]) -> Callable[[Site], tree.Node | None]:
    def place(site: Site) -> tree.Node | None:
        if site.head is not None or not isinstance(site.node, tree.LatentStmt | tree.ObservedStmt):
            return None
        written = site.node.law
        parts = (written.first, written.after) if isinstance(written, tree.ChainLaw) else (written,)
        found = (law for part in parts if part is not None for law in laws(part))
        modifiers = [modifier for part in parts if part is not None for modifier in part.modifiers]
        modifiers += [modifier for law in found for modifier in law.modifiers]
        return next((modifier for modifier in modifiers if isinstance(modifier, kind)), None)

    return place


def _latent(condition: Callable[[VariableHead], bool]) -> Callable[[Site], tree.Node | None]:
    def place(site: Site) -> tree.Node | None:
        head = site.head
        return site.node if head is not None and head.kind == "latent" and condition(head) else None

    return place


def _given_in_chain(site: Site) -> tree.Node | None:
    plate = site.names.plates.get(site.plate or "")
    return site.node if isinstance(site.node, tree.GivenStmt) and plate is not None and plate.ordered else None


def _cut_latent(site: Site) -> tree.Node | None:
    found = (_modifier(kind)(site) for kind in (tree.Censored, tree.Truncated))
    return next((node for node in found if node is not None and isinstance(site.node, tree.LatentStmt)), None)


REFUSALS: tuple[Refusal, ...] = (
    Refusal("a latent integer that may be negative", _latent(lambda head: head.domain.kind == "integer")),
    Refusal(
        "a latent variable outside every plate",
        _latent(lambda head: head.plate is None and head.domain.kind == "finite"),
    ),
    Refusal("a latent variable that is truncated or censored", _cut_latent),
    Refusal("`given` in a chain", _given_in_chain),
)


def refused(site: Site) -> Iterator[EmmError]:
    """An error for the first construct of the list that the site uses."""
    for refusal in REFUSALS:
        place = refusal.place(site)
        if place is not None:
            yield failure(CODE, f"{refusal.construct} is part of the language, but cannot be fitted yet", place)
            return
