"""Choices lifted out of log-densities into guarded branches, and binders given their final names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from emdsl.families.family import BINARY
from emdsl.graph.names import Names
from emdsl.graph.patterns import ANY, Alternative, Atoms, Box, atoms, boxes, first_matches
from emdsl.ir.expressions import (
    AnyPattern,
    Arm,
    Binder,
    BinderRef,
    Choose,
    ConstantRef,
    Expression,
    LabelPattern,
    Reduce,
    Tabulate,
    VariableRef,
    rewrite,
    walk,
)
from emdsl.ir.model import CELL_SET, CELL_SUFFIX, Branch, Guard

Subjects = tuple[VariableRef | BinderRef | ConstantRef, ...]
T = TypeVar("T")


def values_of(subject: Expression, names: Names) -> str:
    """The index set that a finite expression takes its values in."""
    match subject:
        case BinderRef(binder):
            return binder.index_set
        case ConstantRef(name):
            return names.constants[name].labels_of or BINARY
        case VariableRef(name):
            if name in names.heads:
                return names.heads[name].values or BINARY
            if name.endswith(CELL_SUFFIX):
                return CELL_SET
            whole, _, suffix = name.rpartition(".")
            return dict(names.heads[whole].hidden)[suffix]
        case _:
            raise TypeError(f"not finite: {type(subject).__name__}")


def guards(box: Box, subjects: Subjects, spaces: Sequence[Atoms]) -> tuple[Guard, ...]:
    """The guards that hold in a box; subjects that the box does not restrict have none."""
    found = []
    for chosen, subject, space in zip(box, subjects, spaces, strict=True):
        if chosen == frozenset(space.all):
            continue
        if Atoms.REST in chosen and space.rest is None:
            found.append(Guard(subject, tuple(a for a in space.named if a not in chosen), negated=True))
        else:
            labels = tuple(a for a in space.named if a in chosen)
            found.append(Guard(subject, labels + (space.rest or () if Atoms.REST in chosen else ())))
    return tuple(found)


def split(
    arms: Sequence[tuple[Alternative, ...]], subjects: Subjects, names: Names
) -> tuple[tuple[tuple[Guard, ...], int], ...]:
    """Disjoint guarded regions, each with the number of the arm that it falls to."""
    spaces = [
        atoms(values_of(subject, names), [alternative[i] for arm in arms for alternative in arm], names)
        for i, subject in enumerate(subjects)
    ]
    table = first_matches(arms, spaces)
    regions: list[tuple[tuple[Guard, ...], int]] = []
    for number in range(len(arms)):
        cells = [cell for cell, arm in table.items() if arm == number]
        regions.extend((guards(box, subjects, spaces), number) for box in boxes(cells))
    return tuple(regions)


def lift(branch: Branch, names: Names) -> tuple[Branch, ...]:
    """The branch as several without a `Choose`, except over indices that are bound inside its log-density."""
    choice = _liftable(branch.log_density)
    if choice is None:
        return (branch,)
    regions = split([arm.alternatives for arm in choice.arms], choice.subjects, names)  # type: ignore[arg-type]
    lifted: list[Branch] = []
    for new, _ in regions:
        both = merge(branch.guards, new)
        if both is not None:
            lifted.extend(lift(replace(under(branch, new), guards=both), names))
    return unite(lifted, names)


def _liftable(density: Expression) -> Choose | None:
    inner = {node.binder for node in walk(density) if isinstance(node, Reduce)}
    inner |= {binder for node in walk(density) if isinstance(node, Tabulate) for binder in node.binders}
    for node in walk(density):
        if isinstance(node, Choose) and not any(
            isinstance(below, BinderRef) and below.binder in inner for below in walk(node.subjects)
        ):
            return node
    return None


def under(item: T, known: Sequence[Guard]) -> T:
    """The item with every choice that the guards decide made."""

    def rule(node: Any) -> Any:
        return _decide(node, known) if isinstance(node, Choose) else node

    changed: T = rewrite(item, rule)
    return changed


def _decide(choice: Choose, known: Sequence[Guard]) -> Expression:
    arms: list[Arm] = []
    for arm in choice.arms:
        kept = [_restrict(alternative, choice.subjects, known) for alternative in arm.alternatives]
        alternatives = tuple(alternative for alternative in kept if alternative is not None)
        if not alternatives:
            continue
        if any(all(isinstance(p, AnyPattern) for p in alternative) for alternative in alternatives):
            if not arms:
                return arm.value
            arms.append(Arm((tuple(ANY for _ in choice.subjects),), arm.value))
            break
        arms.append(Arm(alternatives, arm.value))
    # arms that all give one value need no choice: what is left of them covers everything that the guards allow
    if all(arm.value == arms[0].value for arm in arms):
        return arms[0].value
    return Choose(choice.subjects, tuple(arms))


def _restrict(alternative: Alternative, subjects: tuple[Expression, ...], known: Sequence[Guard]) -> Alternative | None:
    """The alternative where the guards hold; None where it cannot match."""
    restricted: list[LabelPattern | AnyPattern] = []
    for pattern, subject in zip(alternative, subjects, strict=True):
        for guard in known:
            if guard.variable != subject or isinstance(pattern, AnyPattern) or guard.position:
                continue
            left = tuple(label for label in pattern.labels if (label in guard.labels) != guard.negated)
            if not left:
                return None
            pattern = ANY if not guard.negated and set(guard.labels) <= set(left) else LabelPattern(left)
        restricted.append(pattern)
    return tuple(restricted)


def merge(old: Sequence[Guard], new: Sequence[Guard]) -> tuple[Guard, ...] | None:
    """Both sets of guards; None if they exclude each other."""
    merged = list(old)
    for guard in new:
        at = next((i for i, g in enumerate(merged) if g.variable == guard.variable and not g.position), None)
        if at is None or guard.position:
            merged.append(guard)
            continue
        both = _intersection(merged[at], guard)
        if not both.labels and not both.negated:
            return None
        merged[at] = both
    return tuple(merged)


def _intersection(one: Guard, two: Guard) -> Guard:
    if one.negated and two.negated:
        return replace(one, labels=tuple(dict.fromkeys(one.labels + two.labels)))
    if one.negated:
        one, two = two, one
    return replace(one, labels=tuple(label for label in one.labels if (label in two.labels) != two.negated))


def unite(branches: Iterable[Branch], names: Names) -> tuple[Branch, ...]:
    """Branches that differ only in the labels of one guard made one; a guard that lets every label pass is left out."""
    united: list[Branch] = []
    for branch in branches:
        for i, earlier in enumerate(united):
            guard = _union(earlier, branch)
            if guard is not None:
                united[i] = replace(earlier, guards=guard)
                break
        else:
            united.append(branch)
    return tuple(replace(b, guards=tuple(g for g in b.guards if not _always(g, names))) for b in united)


def _always(guard: Guard, names: Names) -> bool:
    known = names.static_labels(values_of(guard.variable, names))
    return known is not None and not guard.negated and not guard.position and set(known) <= set(guard.labels)


def _union(one: Branch, two: Branch) -> tuple[Guard, ...] | None:
    if replace(one, guards=()) != replace(two, guards=()) or len(one.guards) != len(two.guards):
        return None
    differing = [i for i, (a, b) in enumerate(zip(one.guards, two.guards, strict=True)) if a != b]
    if len(differing) != 1:
        return None
    a, b = one.guards[differing[0]], two.guards[differing[0]]
    if a.variable != b.variable or a.negated or b.negated or a.position or b.position:
        return None
    joined = list(one.guards)
    joined[differing[0]] = replace(a, labels=a.labels + b.labels)
    return tuple(joined)


def tidy(item: T) -> T:
    """The item with its bound indices under names that are unique in it: `dim`, `dim_2`."""
    binders = list(dict.fromkeys(node for node in walk(item) if isinstance(node, Binder)))
    taken = {binder.name for binder in binders if "#" not in binder.name}
    final: dict[Binder, Binder] = {}
    for binder in binders:
        if "#" not in binder.name:
            continue
        base = binder.name.partition("#")[0]
        name, number = base, 1
        while name in taken:
            number += 1
            name = f"{base}_{number}"
        taken.add(name)
        final[binder] = Binder(name, binder.index_set)
    changed: T = rewrite(item, lambda node: final.get(node, node) if isinstance(node, Binder) else node)
    return changed
