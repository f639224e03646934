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
    return [name for name in names if any(law.plate == plate and law.at(name, 1) for law in laws(model))]


def posterior_steps(model: Model, reading: Reading) -> Iterator[Step]:
    """One step for the hidden variables of each plate, innermost plate first."""
    inner = ""
    known = laws(model)
    for plate in [*reversed(model.plates), None]:
        name = plate.name if plate is not None else None
        own = [law for law in known if law.plate == name]
        hidden = [v.name for v in hidden_of(name, model)]
        chain = chained(model, name)
        factors = [law.text for law in own] + ([inner] if inner else [])
        if chain and plate is not None:
            yield _chain_step(plate, own, chain, hidden, inner, model, reading)
            seen = ", ".join(_seen_below(plate, model)) or "data"
            inner = f"P({seen} of the whole chain)" if plate.parent else ""
        elif hidden:
            yield _mixture_step(plate, own, hidden, inner, model, reading)
            inner = f"prod({name}: sum({', '.join(hidden)}: {'*'.join(factors)}))" if name else ""
        elif factors:
            inner = f"prod({name}: {'*'.join(factors)})" if name else ""


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


def _mixture_step(
    plate: Plate | None, own: Sequence[Law], hidden: Sequence[str], inner: str, model: Model, reading: Reading
) -> Step:
    touching = [law.text for law in own if any(law.at(name) for name in hidden)]
    product = "*".join([*touching, *([inner] if inner else [])])
    names = ", ".join(hidden)
    seen = ", ".join(_seen_below(plate, model)) or "data"
    before = f"P({names} | {seen}) is proportional to {product}"
    weight = _weighted(plate, model)
    after = f"{reading.weight}[{names}] = {weight}{product}/sum({names}: {product})"
    notes = ["Bayes' rule, in each " + (plate.name if plate else "data set")]
    if len(hidden) > 1:
        notes.append(f"{reading.weight} of some of {names} is the sum over the others")
    if any(item.plate == (plate.name if plate else None) for item in model.maps):
        notes.append("a law that is a deterministic map is 1 where the map gives what is seen, else 0")
    return Step("posterior", names, before, after, "\n".join(notes))


def _chain_step(
    plate: Plate, own: Sequence[Law], chain: Sequence[str], hidden: Sequence[str], inner: str,
    model: Model, reading: Reading,
) -> Step:  # fmt: skip
    states = ", ".join(chain)
    previous = ", ".join(f"prev({n})" for n in chain)
    first = "*".join(law.text for law in own if law.when == "first" and any(law.at(n) for n in chain))
    moving = [law for law in own if law.when == "after" or any(law.at(n, 1) for n in chain)]
    step = "*".join(law.text for law in moving if law.when != "first")
    other = [n for n in hidden if n not in chain]
    emitted = [law.text for law in own if law not in moving and law.when != "first"] + ([inner] if inner else [])
    emission = "*".join(emitted)
    if other:
        emission = f"sum({', '.join(other)}: {emission})"
    a, b, w = reading.forward, reading.backward, reading.weight
    emit = f"{emission}*" if emission else ""
    lines = [
        f"{a}[{states}] = {emit}{first} in the first {plate.name}",
        f"{a}[{states}] = {emit}sum({previous}: {a}[{previous}]*{step}) in every later one",
        f"{b}[{states}] = 1 in the last {plate.name}",
        f"{b}[{previous}] = sum({states}: {step}*{emit}{b}[{states}]) in every earlier one",
        f"{w}[{states}] = {a}[{states}]*{b}[{states}]/sum({states}: {a}[{states}]*{b}[{states}])",
        f"{w}[{previous}, {states}] is proportional to {a}[{previous}]*{step}*{emit}{b}[{states}]",
    ]
    where = f"within each {plate.parent}" if plate.parent else "along the whole chain"
    seen = ", ".join(_seen_below(plate, model)) or "data"
    before = f"P({states} of every {plate.name} | {seen}) is proportional to {first}*prod(later {plate.name}: {step})"
    before += f"*prod({plate.name}: {emission})" if emission else ""
    return Step("posterior", states, before, "\n".join(lines), f"forward and backward recursions, {where}")
