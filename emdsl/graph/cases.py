"""`case` over values, and `{label: probability}`: both become a `Choose`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

from emdsl.families.family import Value
from emdsl.graph.failures import failure
from emdsl.graph.names import Names, Scope
from emdsl.graph.patterns import ANY, Alternative, Subject, atoms, check_complete, expand, first_matches
from emdsl.graph.values import Pair, fits, scalar
from emdsl.ir.arithmetic import ONE, ZERO, choose
from emdsl.ir.expressions import Arm, BinderRef, Choose, Expression, LabelPattern, Number, Tabulate
from emdsl.syntax import tree
from emdsl.syntax.printer import print_expr, print_label

Resolver = Callable[[tree.Expr, Scope, Names, str | None], Value | Pair]


def resolve_subjects(node: tree.Case, scope: Scope, names: Names, resolve: Resolver) -> tuple[Subject, ...]:
    """What the case looks at; every subject must be finite."""
    subjects = []
    for subject in node.subjects:
        value, text = resolve(subject, scope, names, None), print_expr(subject)
        if isinstance(value, Pair):
            subjects.append(Subject((value.one, value.two), value.labels, text))
            continue
        if value.labels is None or value.axes:
            raise failure(
                "case-subject", f"a case looks at values of finite variables, which `{text}` is not", subject,
                f"where({text} > 0, a, b)",
            )  # fmt: skip
        subjects.append(Subject((value.expression,), value.labels, text))
    return tuple(subjects)


def resolve_arms(node: tree.Case, subjects: Sequence[Subject], names: Names) -> tuple[tuple[Alternative, ...], ...]:
    """The alternatives of every arm over the flattened subjects; together they cover every value."""
    arms = tuple(expand(arm, subjects, names) for arm in node.arms)
    flat = [subject for subject in subjects for _ in subject.expressions]
    spaces = [
        atoms(subject.index_set, [alternative[i] for arm in arms for alternative in arm], names)
        for i, subject in enumerate(flat)
    ]
    check_complete(node, first_matches(arms, spaces), spaces, subjects, names)
    return arms


def resolve_case(
    node: tree.Case, scope: Scope, names: Names, expect: str | None, resolve: Resolver, words: Callable[..., bool]
) -> Value | Pair:
    """The value of a case whose arms are numbers, labels, simplexes or other arrays."""
    subjects = resolve_subjects(node, scope, names, resolve)
    arms = resolve_arms(node, subjects, names)
    if expect is None:
        expect = label_set_of(node, scope, names, words)
    values = []
    for arm in node.arms:
        assert not isinstance(arm.value, tree.Law), "a law stands only in the case of a law"
        value = resolve(arm.value, scope, names, expect)
        if isinstance(value, Pair):
            raise failure(
                "kind", "a branch of a case cannot be a genotype", arm.value, "pair(case v: ..., case v: ...)"
            )
        values.append(value)
    for (_, before), (arm, after) in pairwise(zip(node.arms, values, strict=True)):
        _check_alike(before, after, arm, names)
    flat = tuple(expression for subject in subjects for expression in subject.expressions)
    chosen = compose(flat, tuple(Arm(a, v.expression) for a, v in zip(arms, values, strict=True)))
    kinds = {value.kind for value in values}
    event = values[0].event if len({value.event for value in values}) == 1 else 0
    return Value(chosen, values[0].axes, kinds.pop() if len(kinds) == 1 else "table", values[0].labels, event)


def _check_alike(before: Value, after: Value, arm: tree.CaseArm, names: Names) -> None:
    assert not isinstance(arm.value, tree.Law)
    if before.axes != after.axes:
        raise failure("case-kinds", "the branches of a case are arrays over different index sets", arm.value)
    if before.labels != after.labels and not (before.labels and fits(after, before.labels, names)):
        raise failure(
            "case-kinds", "the branches of a case are partly labels and partly numbers", arm.value,
            f'"{print_expr(arm.value)}" in quotes, if a label is meant',
        )  # fmt: skip


def compose(subjects: tuple[Expression, ...], arms: tuple[Arm, ...]) -> Expression:
    """The choice; a subject that is itself a choice of labels is chosen first."""
    at = next((i for i, subject in enumerate(subjects) if isinstance(subject, Choose)), None)
    if at is None:
        return choose(subjects, arms)
    inner = subjects[at]
    assert isinstance(inner, Choose)
    return Choose(
        inner.subjects,
        tuple(
            Arm(arm.alternatives, compose((*subjects[:at], arm.value, *subjects[at + 1 :]), arms)) for arm in inner.arms
        ),
    )


# --- the labels of arms -----------------------------------------------------------------------------------------------


def leaves(node: tree.Expr) -> tuple[tree.Expr, ...]:
    """The values that an expression may take: those of all arms, or itself."""
    if not isinstance(node, tree.Case):
        return (node,)
    return tuple(leaf for arm in node.arms if not isinstance(arm.value, tree.Law) for leaf in leaves(arm.value))


def label_set_of(node: tree.Expr, scope: Scope, names: Names, words: Callable[..., bool]) -> str | None:
    """The index set of the labels that stand in the arms, if any: the declared one (`: idx`), or the one they imply."""
    found = leaves(node)
    texts = [_word(leaf) for leaf in found]
    labels = [text for leaf, text in zip(found, texts, strict=True) if text is not None and words(leaf, scope, names)]
    if scope.declared is not None:
        return scope.declared
    if not any(not isinstance(leaf, tree.Num | tree.Unary) for leaf in found if _word(leaf) in labels):
        return None  # numbers are numbers, unless `: idx` says that they are labels
    return names.label_set(tuple(dict.fromkeys(labels)), scope.owner, node)


def _word(node: tree.Expr) -> str | None:
    match node:
        case tree.Num(text) | tree.Quoted(text):
            return text
        case tree.Name(name):
            return name
        case tree.Unary("-", tree.Num(text)):
            return "-" + text
        case _:
            return None


# --- maps of probabilities --------------------------------------------------------------------------------------------


def probabilities(node: tree.Probabilities, scope: Scope, names: Names, resolve: Resolver) -> Value:
    """`{a: 1/2, b: theta/4}`: a simplex over the index set of its labels; labels of the set that are left out have 0."""
    labels = tuple(entry.label for entry in node.entries)
    twice = next((entry for i, entry in enumerate(node.entries) if entry.label in labels[:i]), None)
    if twice is not None:
        raise failure("duplicate-label", f"the label `{twice.label}` stands twice", twice)
    if scope.declared is not None:
        index_set = scope.declared
        for entry in node.entries:
            names.check_label(entry.label, index_set, entry)
    else:
        index_set = names.label_set(labels, scope.owner, node)
    inner = replace(scope, declared=None)
    values = [scalar(resolve(entry.value, inner, names, None), entry.value) for entry in node.entries]
    _check_sum(node, values)
    binder = names.fresh(index_set, index_set)
    arms = [Arm(((LabelPattern((label,)),),), value) for label, value in zip(labels, values, strict=True)]
    if set(names.static_labels(index_set) or ()) != set(labels):
        arms.append(Arm(((ANY,),), ZERO))
    return Value(Tabulate((binder,), choose((BinderRef(binder),), tuple(arms))), (index_set,), "simplex", event=1)


def _check_sum(node: tree.Probabilities, values: Sequence[Expression]) -> None:
    exact = [value.value for value in values if isinstance(value, Number)]
    if any(value < 0 for value in exact):
        raise failure("probabilities", "a probability is negative", node)
    total = sum(Fraction(value) for value in exact)
    if len(exact) == len(values) and total != ONE.value:
        shown = ", ".join(
            f"{print_label(entry.label)}: ({print_expr(entry.value)})/({total})" for entry in node.entries
        )
        raise failure("probabilities", f"the probabilities sum to {total}, not to 1", node, f"{{{shown}}}")
    if len(exact) < len(values) and total > 1:
        raise failure("probabilities", f"the probabilities that are numbers sum to {total} already, more than 1", node)
