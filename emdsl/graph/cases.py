"""`case` over values: it becomes a `Choose`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from emdsl.families.family import Value
from emdsl.graph.failures import failure
from emdsl.graph.names import Names, Scope
from emdsl.graph.patterns import Alternative, Subject, atoms, check_complete, expand, first_matches
from emdsl.graph.values import Pair, fits
from emdsl.ir.arithmetic import choose
from emdsl.ir.expressions import Arm, Choose, Expression
from emdsl.syntax import tree
from emdsl.syntax.printer import print_expr

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
    """The value of a case whose arms are numbers, labels, simplexes or other arrays.

    For a shape the first arm stands for all: they are alike, and the subjects may be a variable's own value before.
    """
    if expect is None:
        expect = label_set_of(node, scope, names, words)
    if names.shapes_only and not isinstance(node.arms[0].value, tree.Law):
        return resolve(node.arms[0].value, scope, names, expect)
    subjects = resolve_subjects(node, scope, names, resolve)
    arms = resolve_arms(node, subjects, names)
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
