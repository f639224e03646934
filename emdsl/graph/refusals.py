"""What the language has and the engine has no plan for yet. The one list: it is to shrink to nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from emdsl.diagnostics.errors import EmmError
from emdsl.graph.failures import failure
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


def _latent(condition: Callable[[VariableHead], bool]) -> Callable[[Site], tree.Node | None]:
    def place(site: Site) -> tree.Node | None:
        head = site.head
        return site.node if head is not None and head.kind == "latent" and condition(head) else None

    return place




REFUSALS: tuple[Refusal, ...] = (
)


def refused(site: Site) -> Iterator[EmmError]:
    """An error for the first construct of the list that the site uses."""
    for refusal in REFUSALS:
        place = refusal.place(site)
        if place is not None:
            yield failure(CODE, f"{refusal.construct} is part of the language, but cannot be fitted yet", place)
            return
