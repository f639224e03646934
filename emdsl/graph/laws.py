"""Laws: `Normal(mu, s)` or `case k: ...` to what they can give, and to guarded log-densities."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from emdsl.families.family import Family, Support, Target
from emdsl.graph.arguments import LazyArguments, Place, arguments
from emdsl.graph.branches import lift, merge, under
from emdsl.graph.cases import compose, resolve_arms, resolve_subjects
from emdsl.graph.constants import exact_value, is_whole
from emdsl.graph.cuts import Cutting, cut, cuttable, reads_value
from emdsl.graph.expressions import resolve
from emdsl.graph.failures import Consequence, failure, unknown
from emdsl.graph.names import Names, Scope
from emdsl.ir.arithmetic import MINUS_INFINITY, apply
from emdsl.ir.expressions import Apply, Arm, Expression, Number, number
from emdsl.ir.model import Branch, Domain, Guard, When
from emdsl.syntax import tree

#: Which factor of a law: the suffix of the hidden variable drawn (none: the target), and for which units of a chain.
Key = tuple[str, When, int]


def family_of(node: tree.Call, names: Names) -> Family:
    """The distribution that is called."""
    if node.function not in names.families:
        help = "declare it: family " + node.function + "(scale : positive) for x : real:"
        if node.function in names.failed:
            raise Consequence(node.function, node)
        message = f"there is no distribution `{node.function}`"
        raise unknown("unknown-family", message, node.function, names.families, node, help)
    return names.families[node.function]


def laws(law: tree.Law) -> Iterator[tree.Law]:
    """The law itself, or all laws that its cases choose from."""
    if isinstance(law.call, tree.Call):
        yield law
        return
    for arm in law.call.arms:
        if not isinstance(arm.value, tree.Law):
            raise failure("law", "a branch of a case after `~` is a distribution", arm.value, "label -> Normal(0, 1)")
        yield from laws(arm.value)


def called(law: tree.Law, names: Names) -> tuple[tuple[Family, tree.Call], ...]:
    """All families that a law calls."""
    found = []
    for leaf in laws(law):
        assert isinstance(leaf.call, tree.Call)
        found.append((family_of(leaf.call, names), leaf.call))
    return tuple(found)


def event_axes(law: tree.Law, names: Names) -> int:
    """How many axes of its target the law draws at once."""
    counts = {family.event_axes: call for family, call in called(law, names)}
    if len(counts) > 1:
        raise failure("law", "a case cannot mix laws of numbers with laws of vectors", law)
    return next(iter(counts))


# --- support ----------------------------------------------------------------------------------------------------------


def support(law: tree.Law, scope: Scope, names: Names) -> Support:
    """The values that the law gives; a mixture gives those of all its branches."""
    found: list[tuple[Support, tree.Call]] = []
    atoms: list[Expression] = []
    for family, call in called(law, names):
        given = LazyArguments(call, family, scope, names)
        one = family.support(given)
        if one is not None:
            found.append((one, call))
        elif family.atom is not None:
            atoms.append(given[family.atom].expression)
    if not found:
        return Support(Domain("real"))
    total = found[0][0]
    for one, call in found[1:]:
        total = _joined(total, one, call)
    if all(_contains(total.domain, exact_value(atom, names)) for atom in atoms):
        return total
    return replace(total, domain=Domain("real"))


def _contains(domain: Domain, atom: Fraction | float | None) -> bool:
    """Whether an atom surely lies in a domain."""
    match domain.kind:
        case "real" | "finite":
            return True
        case "positive":
            return atom is not None and atom > 0
        case "unit":
            return atom is not None and 0 <= atom <= 1
        case "natural":
            return atom is not None and atom >= 0 and is_whole(atom)
        case "integer":
            return atom is not None and is_whole(atom)
        case _:
            return False


def _joined(one: Support, two: Support, node: tree.Call) -> Support:
    if (one.domain.kind == "finite") != (two.domain.kind == "finite") or one.values != two.values:
        raise failure("law", "the branches of a case give values of different kinds", node)
    if one.hidden != two.hidden or one.joint != two.joint:
        raise failure("law", "the branches of a case draw different hidden variables", node)
    if one.domain == two.domain:
        return one
    kinds = {one.domain.kind, two.domain.kind}
    return replace(one, domain=Domain("integer" if kinds <= {"natural", "integer"} else "real"))


# --- log-densities ----------------------------------------------------------------------------------------------------


def draws(
    law: tree.Law, scope: Scope, names: Names, target: Target, place: Place, cutting: Cutting | None = None
) -> dict[Key, tuple[Branch, ...]]:
    """The factors of the law, each with its branches (not yet lifted). `cutting` is what its modifiers come to."""
    if isinstance(law.call, tree.Call):
        family = family_of(law.call, names)
        given = arguments(law.call, family, scope, names, place)
        if cutting is not None:
            cuttable(family, law.call)
        made = {(draw.suffix, draw.when, draw.lag): draw.branches for draw in family.draws(given, target)}
        if cutting is None:
            return made
        return {
            key: tuple(part for item in items for part in cut(item, family, given, target, cutting, names, law.call))
            for key, items in made.items()
        }
    subjects = resolve_subjects(law.call, scope, names, resolve)
    arms = resolve_arms(law.call, subjects, names)
    flat = tuple(expression for subject in subjects for expression in subject.expressions)
    numbered = compose(flat, tuple(Arm(alternatives, number(i)) for i, alternatives in enumerate(arms)))
    arms_laws = [arm.value for arm in law.call.arms if isinstance(arm.value, tree.Law)]
    inner = [draws(value, scope, names, target, place, cutting) for value in arms_laws]
    if any(set(one) != set(inner[0]) for one in inner):
        raise failure("law", "the branches of a case draw different hidden variables", law)
    merged: dict[Key, list[Branch]] = {key: [] for key in inner[0]}
    for region in lift(Branch((), numbered), names):
        assert isinstance(region.log_density, Number)
        for key, branches in inner[int(region.log_density.value)].items():
            merged[key].extend(_within(branches, region.guards))
    return {key: _apart_from_atoms(branches, target, names, law) for key, branches in merged.items()}


def _within(branches: Sequence[Branch], guards: tuple[Guard, ...]) -> Iterator[Branch]:
    for branch in branches:
        both = merge(guards, branch.guards)
        if both is not None:
            yield replace(under(branch, guards), guards=both)


def _apart_from_atoms(branches: Sequence[Branch], target: Target, names: Names, node: tree.Law) -> tuple[Branch, ...]:
    """In a mixture of atoms and densities a value at an atom belongs to the atom: the densities do not count there."""
    known = [branch for branch in branches if branch.family in names.families]
    discrete = [branch for branch in known if names.families[branch.family].discrete]
    if not discrete or len(discrete) == len(known):
        return tuple(branches)
    atoms = []
    for branch in discrete:
        argument = names.families[branch.family].atom
        if argument is None:
            raise failure("law", "a case cannot mix counts with densities, other than by `Point`", node)
        value: Any = dict(branch.arguments)[argument]
        known_value = exact_value(value, names)
        # no cell holds infinity, and a cell that only bounds the value is no atom
        if value not in atoms and (known_value is None or math.isfinite(known_value)):
            atoms.append(value)
    return tuple(
        replace(branch, log_density=_off(branch, target, atoms))
        if branch not in discrete and reads_value(branch) and atoms
        else branch
        for branch in branches
    )


def _off(branch: Branch, target: Target, atoms: Sequence[Any]) -> Any:
    density = branch.log_density
    for value in atoms:
        density = apply("where", Apply("==", (target.reference, value)), MINUS_INFINITY, density)
    return density
