"""What a plate diagram shows: nodes, the arrows between them, and the plates around them. Nothing of where they stand.

What the compiler adds to a model for itself has a name with a dot, and is drawn as the thing that the user wrote: the
two draws of a genotype are the genotype, the kind of a cell that may hold a bound is the variable of the cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from emdsl.ir.expressions import ConstantRef, ParameterRef, VariableRef, walk
from emdsl.ir.model import Constant, Factor, Map, Model, Parameter, Plate, Variable

#: What a node is. `law` is a `factor` statement, which draws nothing; `condition` a `given`.
Kind = Literal["parameter", "constant", "input", "latent", "observed", "law", "condition"]


@dataclass(frozen=True)
class Node:
    """One thing: its name, the index sets of its array, the plate that it stands in, and whether it is a definition.

    `name` tells it from every other node. A law or a condition has no name of its own, so that its name has a space.
    """

    name: str
    kind: Kind
    plate: str | None
    indices: tuple[str, ...] = ()
    determined: bool = False
    description: str = ""


@dataclass(frozen=True)
class Edge:
    """`target`'s law looks at `source`, `lag` units before. `together`: the two are drawn together, with no arrow."""

    source: str
    target: str
    lag: int = 0
    together: bool = False


@dataclass(frozen=True)
class Box:
    """A plate, or (`elements`) the elements of an index set that hidden variables outside the plates are drawn for.

    `weights` are the columns that say how often a unit counts.
    """

    name: str
    parent: str | None
    ordered: bool = False
    by: str | None = None
    over: str | None = None
    elements: bool = False
    weights: tuple[str, ...] = ()

    @property
    def caption(self) -> str:
        """What stands in its corner."""
        text = self.name.removeprefix(_ELEMENTS) if self.elements else self.name
        text += f" over {self.over}" if self.over else ""
        text += (" in sequence" + (f" by {self.by}" if self.by else "")) * self.ordered
        return text + "".join(f" × {weight}" for weight in self.weights)


@dataclass(frozen=True)
class Diagram:
    """All of it. Boxes are listed outermost first, nodes in order of declaration, edges by their targets."""

    name: str
    description: str
    boxes: tuple[Box, ...]
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def node(self, name: str) -> Node:
        """The node of that name."""
        return next(node for node in self.nodes if node.name == name)

    def box(self, name: str) -> Box:
        """The box of that name."""
        return next(box for box in self.boxes if box.name == name)

    def around(self, plate: str | None) -> tuple[str, ...]:
        """A plate and those around it, outermost first."""
        found: tuple[str, ...] = ()
        while plate is not None:
            found = (plate, *found)
            plate = self.box(plate).parent
        return found

    def parents(self, name: str) -> list[Edge]:
        """The edges that lead to a node."""
        return [edge for edge in self.edges if edge.target == name]


#: The beginning of the name of a box of elements: a plate may have the name of an index set.
_ELEMENTS = "each "


def diagram(model: Model) -> Diagram:
    """The diagram of a model."""
    return _Reader(model).diagram()


class _Reader:
    """Reads a model; `shown_as` is the name under which each variable is drawn."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.shown_as = {variable.name: variable.name.partition(".")[0] for variable in model.variables}

    def diagram(self) -> Diagram:
        model = self.model
        edges = self.ordered(dict.fromkeys(self.edges()))
        laws = [Node(name, "law", item.plate) for name, item in self.laws()]
        texts = [item.text.removeprefix("given ") for item in model.givens]
        found = zip(self.conditions(), texts, strict=True)
        conditions = [Node(name, "condition", plate, description=text) for (name, plate, _), text in found]
        nodes = (*self.parameters(), *self.constants(edges), *self.variables(), *laws, *conditions)
        return Diagram(model.name, model.description, self.boxes(), nodes, edges)

    # --- nodes --------------------------------------------------------------------------------------------------------

    def parameters(self) -> Iterator[Node]:
        for item in self.model.parameters:
            yield Node(item.name, "parameter", None, item.array_axes, description=item.description)

    def constants(self, edges: Sequence[Edge]) -> Iterator[Node]:
        """The constants that some law looks at; others only say how large index sets are."""
        seen = {edge.source for edge in edges}
        for item in self.model.constants:
            if item.name in seen:
                yield Node(item.name, "constant", None, item.axes, description=item.description)

    def variables(self) -> Iterator[Node]:
        determined = {item.target.name for item in self.model.maps}
        for item in self.model.variables:
            if item.kind == "weight" or self.shown_as[item.name] != item.name:
                continue
            kind: Kind = "latent" if item.kind == "latent" else "observed" if item.kind == "observed" else "input"
            plate = item.plate if item.plate is not None else self.elements(item)
            yield Node(item.name, kind, plate, item.axes, item.name in determined, item.description)

    def laws(self) -> list[tuple[str, Factor]]:
        """The `factor` statements, under names that no variable has."""
        return [(f"law {item.name}", item) for item in self.model.factors if item.target is None]

    def conditions(self) -> list[tuple[str, str, Any]]:
        """The conditions under which units are in the data."""
        return [(f"given {at}", item.plate, item.condition) for at, item in enumerate(self.model.givens, start=1)]

    def ordered(self, edges: Iterable[Edge]) -> tuple[Edge, ...]:
        """The edges into each node together, in the order in which what they come from is declared."""
        model = self.model
        named: tuple[Parameter | Constant | Variable, ...] = (*model.parameters, *model.constants, *model.variables)
        place = {item.name: at for at, item in enumerate(named)}
        targets = list(dict.fromkeys(edge.target for edge in edges))
        return tuple(sorted(edges, key=lambda e: (targets.index(e.target), e.together, place[e.source], e.lag)))

    # --- boxes --------------------------------------------------------------------------------------------------------

    def boxes(self) -> tuple[Box, ...]:
        outside = [variable for variable in self.model.variables if variable.plate is None]
        names = dict.fromkeys(self.elements(variable) for variable in outside)
        elements = [Box(name, None, elements=True) for name in names if name is not None]
        return (*elements, *map(self.plate, self.model.plates))

    def plate(self, plate: Plate) -> Box:
        weights = tuple(item.variable for item in self.model.weights if item.plate == plate.name)
        over = plate.over.index_set if plate.over is not None else None
        by = plate.by if plate.by != plate.name else None
        return Box(plate.name, plate.parent, plate.ordered, by, over, weights=weights)

    def elements(self, variable: Variable) -> str | None:
        """The box of a hidden variable outside the plates that is drawn once for each of its elements."""
        own = [item for item in self.model.factors if item.target is not None and item.target.name == variable.name]
        if variable.plate is not None or not variable.axes or not any(item.elements for item in own):
            return None
        return _ELEMENTS + " × ".join(variable.axes)

    # --- edges --------------------------------------------------------------------------------------------------------

    def edges(self) -> Iterator[Edge]:
        model = self.model
        for parameter in model.parameters:
            yield from self.prior(parameter)
        for variable in model.variables:
            yield from self.law_of(variable)
        for name, item in self.laws():
            yield from self.into(name, item.branches)
        for name, _, condition in self.conditions():
            yield from self.into(name, condition)

    def prior(self, parameter: Parameter) -> Iterator[Edge]:
        if parameter.prior is not None:
            for edge in self.into(parameter.name, parameter.prior.log_density):
                if edge.source != parameter.name:
                    yield edge

    def law_of(self, variable: Variable) -> Iterator[Edge]:
        """Edges into a variable: from its laws, from what says which cells hold bounds, from its joint draw."""
        model, name = self.model, self.shown_as[variable.name]
        items: tuple[Factor | Map, ...] = (*model.factors, *model.maps)
        drawn = variable.joint[0] if variable.joint else variable.name
        for item in items:
            if item.target is not None and item.target.name == drawn:
                yield from self.into(name, item.value if isinstance(item, Map) else item.branches, variable.joint)
        if variable.cut is not None:
            yield from self.into(name, (variable.cut.above, variable.cut.below))
        for bound in variable.between or ():
            yield Edge(bound, name)
        if variable.truncated is not None:
            yield from self.into(name, variable.truncated)
        yield from (Edge(drawn, name, together=True) for _ in variable.joint[:1] if drawn != name)

    def into(self, target: str, looked_at: Any, joint: Sequence[str] = ()) -> Iterator[Edge]:
        """Edges from everything that an expression looks at."""
        for node in walk(looked_at):
            match node:
                case ParameterRef(name) | ConstantRef(name):
                    yield Edge(name, target)
                case VariableRef(name, _, lag):
                    source = self.shown_as.get(name)
                    if source is not None and (lag or (source != target and name not in joint)):
                        yield Edge(source, target, lag)
