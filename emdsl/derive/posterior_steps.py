"""How the posterior of what is hidden comes about, read off the model's structure: mixtures, chains, nested plates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from emdsl.derive.notation import reference
from emdsl.derive.scopes import Reading, weight_names
from emdsl.ir.derivation import Step
from emdsl.ir.expressions import VariableRef, walk
from emdsl.ir.model import Factor, Map, Model, Plate, Variable


@dataclass(frozen=True)
class Law:
    """A factor as a conditional law, `P(z)` or `f(x | z)`: its text, and the variables it looks at, by name and lag."""

    text: str
    plate: str | None
    when: str
    looks_at: frozenset[tuple[str, int]]

    def at(self, name: str, lag: int = 0) -> bool:
        """Whether it looks at a variable, `lag` units before."""
        return (name, lag) in self.looks_at

    def furthest(self, names: Sequence[str]) -> int:
        """How many units before it looks at any of these variables."""
        return max((lag for name, lag in self.looks_at if name in names), default=0)


def law_text(factor: Factor | Map, model: Model) -> str:
    """`P(v | parents)`, or `f(...)` where it is a density; `g(...)` for a factor without a target."""
    body = factor.value if isinstance(factor, Map) else factor.branches
    nodes = list(dict.fromkeys(n for n in walk(body) if isinstance(n, VariableRef)))
    target = factor.target
    drawn = () if target is None else _draws(target, model)
    parents = [reference(n) for n in _parents_first(nodes, model) if n != target and (n.lag or n.name not in drawn)]
    if target is None:
        return f"g({', '.join(parents)})"
    names = ", ".join(drawn) if len(drawn) > 1 else reference(target)
    continuous = model.variable(target.name).domain.kind in ("real", "positive", "unit", "interval")
    density = continuous and isinstance(factor, Factor)
    return f"{'f' if density else 'P'}({names}{' | ' + ', '.join(parents) if parents else ''})"


def _draws(target: VariableRef, model: Model) -> tuple[str, ...]:
    joint = model.variable(target.name).joint
    return joint if joint else (target.name,) if not target.lag else ()


def _parents_first(nodes: Sequence[VariableRef], model: Model) -> list[VariableRef]:
    """Hidden variables before data, each in order of declaration."""
    order = {variable.name: at for at, variable in enumerate(model.variables)}
    return sorted(nodes, key=lambda n: (model.variable(n.name).kind != "latent", order[n.name], -n.lag))


def laws(model: Model) -> tuple[Law, ...]:
    """Every factor and map as a law."""
    found = []
    items: tuple[Factor | Map, ...] = (*model.factors, *model.maps)
    for item in items:
        body = item.value if isinstance(item, Map) else item.branches
        seen = {(n.name, n.lag) for n in walk((item.target, body)) if isinstance(n, VariableRef)}
        when = "always" if isinstance(item, Map) else item.when
        found.append(Law(law_text(item, model), item.plate, when, frozenset(seen)))
    return tuple(found)


def hidden_of(plate: str | None, model: Model) -> list[Variable]:
    """The finite hidden variables of a plate."""
    own = (v for v in model.variables if v.kind == "latent" and v.plate == plate)
    return [variable for variable in own if variable.values is not None and not variable.components]


def chained(model: Model, plate: str | None) -> list[str]:
    """The hidden variables of a plate that look back at themselves."""
    names = [v.name for v in hidden_of(plate, model)]
    return [name for name in names if any(law.plate == plate and law.furthest([name]) for law in laws(model))]


@dataclass(frozen=True)
class Inside:
    """What the plates inside a plate have left: their evidence as a text, and the hidden variables it looks at."""

    evidence: str = ""
    looks_at: frozenset[str] = frozenset()


def posterior_steps(model: Model, reading: Reading, known: Sequence[Law]) -> Iterator[Step]:
    """One step for the finite hidden variables of each plate, innermost plate first. `known` are the laws, those of
    continuous hidden variables integrated out.
    """
    inner = Inside()
    for plate in [*reversed(model.plates), None]:
        name = plate.name if plate is not None else None
        own = [law for law in known if law.plate == name]
        hidden = [v.name for v in hidden_of(name, model)]
        chain = chained(model, name)
        latent = {v.name for v in model.variables if v.kind == "latent"}
        seen = {at for law in own for at, _ in law.looks_at} | inner.looks_at
        outer = tuple(v.name for v in model.variables if v.name in (seen & latent) - set(hidden))
        place = Place(plate, own, tuple(hidden), outer, inner.evidence)
        if chain and plate is not None:
            yield _chain_step(place, chain, model, reading)
            data = ", ".join(_seen_below(plate, model)) or "data"
            evidence = f"P({data} of the whole chain{' | ' if outer else ''}{', '.join(outer)})"
        elif hidden:
            yield _mixture_step(place, model, reading)
            evidence = f"sum({', '.join(hidden)}: {place.product()})"
        else:
            evidence = place.product()
        inner = Inside(_raised(evidence, plate, chain != [], model), frozenset(outer))


def _raised(evidence: str, plate: Plate | None, chain: bool, model: Model) -> str:
    """The evidence of all units of a plate, each to the power of its weight."""
    if plate is None or not evidence or chain:
        return evidence
    own = [item.variable for item in model.weights if item.plate == plate.name]
    if own:
        evidence = f"({evidence})^{own[0]}" if "*" in evidence else f"{evidence}^{own[0]}"
    return f"prod({plate.name}: {evidence})"


@dataclass(frozen=True)
class Place:
    """A plate with its laws and hidden variables; `outer` are those of plates around it that they look at,
    `evidence` is what the plates inside it have left."""

    plate: Plate | None
    own: Sequence[Law]
    hidden: tuple[str, ...]
    outer: tuple[str, ...]
    evidence: str

    def product(self) -> str:
        """All laws times the evidence from inside."""
        return "*".join([*(law.text for law in self.own), *([self.evidence] if self.evidence else [])])

    def touching(self) -> str:
        """The same, without laws in which nothing of this plate is hidden."""
        texts = [law.text for law in self.own if any(law.at(name) for name in self.hidden)]
        return "*".join([*texts, *([self.evidence] if self.evidence else [])])


def _seen_below(plate: Plate | None, model: Model) -> list[str]:
    """The observed variables of a plate and of those inside it."""
    inside = {plate.name} if plate is not None else {item.name for item in model.plates}
    for item in model.plates:
        if item.parent in inside:
            inside.add(item.name)
    return [variable.name for variable in model.variables if variable.kind == "observed" and variable.plate in inside]


def _weighted(plate: Plate | None, model: Model) -> str:
    names = weight_names(plate.name if plate else None, model)
    return "".join(f"{name}*" for name in names)


def _mixture_step(place: Place, model: Model, reading: Reading) -> Step:
    product, names, w = place.touching(), ", ".join(place.hidden), reading.weight
    data = ", ".join([*place.outer, *_seen_below(place.plate, model)]) or "data"
    before = f"P({names} | {data}) is proportional to {product}"
    share = f"{product}/sum({names}: {product})"
    if place.outer:
        given = ", ".join(place.outer)
        weight = _own_weight(place.plate, model)
        after = f"P({names} | {data}) = {share}\n{w}[{given}, {names}] = {weight}{w}[{given}]*P({names} | {data})"
    else:
        after = f"{w}[{names}] = {_weighted(place.plate, model)}{share}"
    notes = ["Bayes' rule, in each " + (place.plate.name if place.plate else "data set")]
    if len(place.hidden) + len(place.outer) > 1:
        notes.append(f"{w} of some of {', '.join([*place.outer, *place.hidden])} is the sum over the others")
    if any(item.plate == (place.plate.name if place.plate else None) for item in model.maps):
        notes.append("a law that is a deterministic map is 1 where the map gives what is seen, else 0")
    return Step("posterior", names, before, after, "\n".join(notes))


def _own_weight(plate: Plate | None, model: Model) -> str:
    names = [item.variable for item in model.weights if plate is not None and item.plate == plate.name]
    return "".join(f"{name}*" for name in names)


def _earlier(names: Sequence[str], lag: int) -> str:
    """`prev(z)` of each, `prev(z, 2)` further back."""
    return ", ".join(f"prev({name})" if lag == 1 else f"prev({name}, {lag})" for name in names)


def _chain_step(place: Place, chain: Sequence[str], model: Model, reading: Reading) -> Step:
    plate = place.plate
    assert plate is not None
    memory = max(law.furthest(chain) for law in place.own)
    states, oldest = ", ".join(chain), _earlier(chain, memory)
    # what the recursions run over: the last `memory` units, seen from this one and from the one before
    window = ", ".join([*(_earlier(chain, lag) for lag in range(memory - 1, 0, -1)), states])
    before_window = ", ".join(_earlier(chain, lag) for lag in range(memory, 0, -1))
    first = "*".join(law.text for law in place.own if law.when == "first" and any(law.at(n) for n in chain))
    moving = [law for law in place.own if law.when == "after" or law.furthest(chain)]
    step = "*".join(law.text for law in moving if law.when != "first")
    emitted = [law.text for law in place.own if law not in moving and law.when != "first"]
    emission = "*".join(emitted + ([place.evidence] if place.evidence else []))
    other = [name for name in place.hidden if name not in chain]
    if other:
        emission = f"sum({', '.join(other)}: {emission})"
    a, b, w = reading.forward, reading.backward, reading.weight
    emit = f"{emission}*" if emission else ""
    given = "".join(f"{name}, " for name in place.outer)
    outer = f"{w}[{', '.join(place.outer)}]*" if place.outer else _weighted(plate, model)
    opened = f"{emit}{first} in the first {plate.name}"
    if memory > 1:
        opened = f"prod(first {memory} of {plate.name}: {emit}{first}) at the last of these"
    lines = [
        f"{a}[{window}] = {opened}",
        f"{a}[{window}] = {emit}sum({oldest}: {a}[{before_window}]*{step}) in every later one",
        f"{b}[{window}] = 1 in the last {plate.name}",
        f"{b}[{before_window}] = sum({states}: {step}*{emit}{b}[{window}]) in every earlier one",
        f"{w}[{given}{window}] = {outer}{a}[{window}]*{b}[{window}]/sum({window}: {a}[{window}]*{b}[{window}])",
        f"{w}[{given}{before_window}, {states}] is proportional to {a}[{before_window}]*{step}*{emit}{b}[{window}]",
    ]
    data = ", ".join([*place.outer, *_seen_below(plate, model)]) or "data"
    before = f"P({states} of every {plate.name} | {data}) is proportional to {first}*prod(later {plate.name}: {step})"
    before += f"*prod({plate.name}: {emission})" if emission else ""
    where = f"within each {plate.parent}" if plate.parent else "along the whole chain"
    return Step("posterior", states, before, "\n".join(lines), f"forward and backward recursions, {where}")
