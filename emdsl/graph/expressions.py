"""Expressions of the syntax tree to expressions of the model graph: names resolved, kinds of value checked."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

from emdsl.diagnostics.errors import EmmError
from emdsl.families.family import BINARY, Value
from emdsl.families.genotype import FIRST, SECOND
from emdsl.graph import cases, functions, probabilities
from emdsl.graph.failures import Consequence, failure, unknown
from emdsl.graph.names import Names, Scope, VariableHead
from emdsl.graph.values import Pair, at, elementwise, fits, scalar
from emdsl.ir.arithmetic import apply
from emdsl.ir.arrays import element
from emdsl.ir.expressions import (
    BinderRef,
    ConstantRef,
    Expression,
    Label,
    Number,
    ParameterRef,
    VariableRef,
    walk,
)
from emdsl.syntax import tree
from emdsl.syntax.printer import print_expr, print_label

#: What a `let` may stand for, in parts, once every name in it is written out.
LARGEST_LET = 5_000

BUILT_IN_NUMBERS = {"pi": math.pi, "inf": math.inf}


def resolve(node: tree.Expr, scope: Scope, names: Names, expect: str | None = None) -> Value | Pair:
    """The value of an expression. `expect`: a label of this index set is wanted, so that bare words may be labels."""
    match node:
        case tree.Num(text):
            return _label(text, expect, node, names) if expect else Value(Number(Fraction(text)))
        case tree.Quoted(text):
            return _quoted(text, expect, node, names)
        case tree.Name():
            return _name(node, scope, names, expect)
        case tree.Unary():
            return _unary(node, scope, names, expect)
        case tree.Binary(op):
            if op in ("==", "!="):
                return _equality(node, scope, names)
            if op in ("<", "<=", ">", ">="):
                return _comparison(node, scope, names)
            left, right = (number(side, scope, names) for side in (node.left, node.right))
            return _folded(op, (left, right), node, names)
        case tree.Call():
            return functions.call(node, scope, names, resolve)
        case tree.Comprehension():
            return functions.comprehension(node, scope, names, resolve)
        case tree.Index():
            return _index(node, scope, names)
        case tree.Case():
            return cases.resolve_case(node, scope, names, expect, resolve, is_word)
        case tree.Probabilities():
            return probabilities.probabilities(node, scope, names, resolve)
        case tree.ListOf():
            raise failure(
                "list-place", "a list stands only after `=` in a `const` or after `init`", node,
                "const name[idx] = [1, 2, 3]",
            )  # fmt: skip


def number(node: tree.Expr, scope: Scope, names: Names) -> Value:
    """The value of an expression that takes part in arithmetic: a number, or an array of numbers."""
    return _as_number(resolve(node, scope, names), node, names)


def _as_number(value: Value | Pair, node: tree.Expr, names: Names) -> Value:
    if isinstance(value, Pair):
        scalar(value, node)
    assert isinstance(value, Value)
    known = None if value.labels in (None, BINARY) else names.static_labels(value.labels or "")
    if known is not None and not all(_is_number(label) for label in known):
        text = print_expr(node)
        raise failure(
            "kind", f"`{text}` is a label of `{value.labels}`, not a number", node,
            f"where({text} == {print_label(known[0])}, 1, 0), or a `case`",
        )  # fmt: skip
    return replace(value, labels=None)


def _is_number(label: str) -> bool:
    try:
        float(label)
    except ValueError:
        return False
    return True


def _folded(op: str, args: tuple[Value, ...], node: tree.Expr, names: Names) -> Value:
    try:
        return elementwise(op, args, node, names)
    except ZeroDivisionError:
        raise failure("division-by-zero", "division by zero", node) from None


def _unary(node: tree.Unary, scope: Scope, names: Names, expect: str | None) -> Value:
    if expect and node.op == "-" and isinstance(node.operand, tree.Num):
        return _label("-" + node.operand.text, expect, node, names)
    operand = number(node.operand, scope, names)
    if node.op == "+":
        return operand
    return _folded("neg" if node.op == "-" else "not", (operand,), node, names)


# --- labels -----------------------------------------------------------------------------------------------------------


def _label(label: str, index_set: str, node: tree.Node, names: Names) -> Value:
    return Value(Label(index_set, names.check_label(label, index_set, node)), labels=index_set)


def _quoted(text: str, expect: str | None, node: tree.Quoted, names: Names) -> Value:
    if expect:
        return _label(text, expect, node, names)
    owners = [name for name, known in names.sizes.items() if known is not None and text in known]
    if len(owners) != 1:
        found = "several index sets have" if owners else "no index set has"
        raise failure("unknown-label", f'{found} the label "{text}"', node)
    return Value(Label(owners[0], text), labels=owners[0])


def is_word(node: tree.Expr, scope: Scope, names: Names) -> bool:
    """Whether a label may be meant: a number, quoted text, or a name that stands for nothing else here."""
    match node:
        case tree.Num() | tree.Quoted():
            return True
        case tree.Unary("-", tree.Num()):
            return True
        case tree.Name(name):
            return _lookup(name, scope, names, node) is None and name not in BUILT_IN_NUMBERS
        case _:
            return False


def _equality(node: tree.Binary, scope: Scope, names: Names) -> Value:
    """`a == b`: labels where one side is finite (the other may be a bare word), numbers otherwise."""
    sides = (node.left, node.right)
    words = tuple(is_word(side, scope, names) for side in sides)
    known = {
        i: resolve(side, scope, names) for i, (side, word) in enumerate(zip(sides, words, strict=True)) if not word
    }
    sets = [_finite_set(value, sides[i]) for i, value in known.items()]
    finite = sets[0] if sets and all(found is not None for found in sets) else None
    if finite is None:
        _ask_for_quotes(sides, sets, names)
        left, right = (number(side, scope, names) for side in sides)
        return _folded(node.op, (left, right), node, names)
    values = [known[i] if i in known else resolve(side, scope, names, finite) for i, side in enumerate(sides)]
    for value, side in zip(values, sides, strict=True):
        if not (isinstance(value, Value) and fits(value, finite, names)):
            raise failure(
                "index-set", f"`{print_expr(node)}` compares labels of `{finite}` with `{print_expr(side)}`", side
            )
    return Value(apply(node.op, *(scalar(value, side) for value, side in zip(values, sides, strict=True))))


def _comparison(node: tree.Binary, scope: Scope, names: Names) -> Value:
    """`a < b`: of two labels of one index set by its order, unless they are numbers; of numbers otherwise."""
    sides = (node.left, node.right)
    words = tuple(is_word(side, scope, names) and not isinstance(side, tree.Num) for side in sides)
    known = {i: resolve(side, scope, names) for i, side in enumerate(sides) if not words[i]}
    sets = [value.labels if isinstance(value, Value) and not value.axes else None for value in known.values()]
    finite = sets[0] if sets and sets[0] is not None and all(found == sets[0] for found in sets) else None
    labels = None if finite in (None, BINARY) else names.static_labels(finite or "")
    by_order = finite not in (None, BINARY) and (labels is None or not all(_is_number(label) for label in labels))
    if finite is None or not by_order or (labels is None and len(known) < 2):
        left, right = (number(side, scope, names) for side in sides)
        return _folded(node.op, (left, right), node, names)
    values = [known[i] if i in known else resolve(side, scope, names, finite) for i, side in enumerate(sides)]
    return Value(apply(node.op, *(scalar(value, side) for value, side in zip(values, sides, strict=True))))


def _ask_for_quotes(sides: tuple[tree.Expr, tree.Expr], sets: list[str | None], names: Names) -> None:
    """A label that is also the name of a number must be quoted where labels are compared."""
    if len(sets) < 2:
        return
    for side, own, other in ((sides[0], sets[0], sets[1]), (sides[1], sets[1], sets[0])):
        known = None if own is not None or other is None else names.static_labels(other)
        if isinstance(side, tree.Name) and side.name in (known or ()):
            raise failure(
                "ambiguous-name", f"`{side.name}` is a label of `{other}`, and the name of a number", side,
                f'"{side.name}" is the label',
            )  # fmt: skip


def _finite_set(value: Value | Pair, node: tree.Expr) -> str | None:
    if isinstance(value, Pair):
        text = print_expr(node)
        raise failure(
            "kind", f"the genotype `{text}` is compared by a `case` or by `copies`", node, f"copies({text}, A)"
        )
    return None if value.axes or value.labels == BINARY else value.labels


# --- names ------------------------------------------------------------------------------------------------------------


def _name(node: tree.Name, scope: Scope, names: Names, expect: str | None) -> Value | Pair:
    value = _lookup(node.name, scope, names, node)
    if expect is None:
        if value is not None:
            return value
        if node.name in BUILT_IN_NUMBERS:
            return Value(Number(BUILT_IN_NUMBERS[node.name]))
        raise _unknown_name(node, scope, names)
    if isinstance(value, Value) and fits(value, expect, names):
        return value
    known = names.static_labels(expect)
    if node.name in (known or ()) or (known is None and value is None):
        return Value(Label(expect, node.name), labels=expect)
    if value is not None:
        raise _wrong_index(node, value, expect)
    if node.name in names.failed:
        raise Consequence(node.name, node)
    if node.name in names.index_sets:
        raise _index_set_as_value(node, expect)
    candidates, listed = (*(known or ()), *names.visible(scope)), ", ".join(known or ())
    message = f"`{node.name}` is neither a label of `{expect}` nor a variable"
    raise unknown("unknown-label", message, node.name, candidates, node, f"the labels of `{expect}`: {listed}")


def _index_set_as_value(node: tree.Name, wanted: str | None) -> EmmError:
    help = f"sum(i in {node.name}: ...)" if wanted is None else f"a variable, bound index or label of `{wanted}`"
    return failure("index-set-as-value", f"`{node.name}` is an index set, not one of its elements", node, help)


def _unknown_name(node: tree.Name, scope: Scope, names: Names) -> EmmError:
    name = node.name
    if name in names.failed:
        return Consequence(name, node)
    if name in names.index_sets:
        return _index_set_as_value(node, None)
    if name in names.families:
        return failure("family-place", f"the distribution `{name}` stands only after `~`", node)
    if name in names.variables:
        _, plate = names.variables[name]
        return failure("out-of-plate", f"`{name}` has one value for each {plate}, and here there is no {plate}", node)
    help = f"declare it: param {name} : real" if scope.locals is None else "a family sees its arguments and constants"
    message = f"there is no parameter, constant or variable `{name}`"
    return unknown("unknown-name", message, name, names.visible(scope), node, help)


def _lookup(name: str, scope: Scope, names: Names, node: tree.Node) -> Value | Pair | None:
    """What the name stands for here; None if it is nothing but, perhaps, a label."""
    if name in scope.binders:
        binder = scope.binders[name]
        return Value(BinderRef(binder), labels=binder.index_set)
    if scope.locals is not None and name in scope.locals:
        return scope.locals[name]
    if scope.locals is None:
        if name in names.lets and names.lets[name][1] is not None:
            return _let(name, scope, names, node)
        head = names.find_variable(name, scope, node)
        if head is not None:
            return variable_value(head)
        if name in names.parameters:
            names.used.add(name)
            parameter = names.parameters[name]
            domain, event = parameter.domain, len(parameter.domain.array_axes)
            axes = parameter.axes + domain.array_axes
            return Value(ParameterRef(name), axes, domain.kind, event=event)
        if name in names.lets:
            return _let(name, scope, names, node)
        if scope.plate is None and name in names.reports:
            return _let(name, scope, names, node)
    if name in names.constants:
        names.used.add(name)
        constant = names.constants[name]
        axes = tuple(axis.index_set for axis in constant.axes)
        return Value(ConstantRef(name), axes, "table" if axes else "number", constant.labels_of)
    return None


def variable_value(head: VariableHead) -> Value | Pair:
    """The current value of a variable."""
    if head.genotype:
        suffixes = [suffix for suffix, _ in head.hidden if suffix in (FIRST, SECOND)]
        if len(suffixes) < 2:
            raise failure(
                "kind", f"the pair `{head.name}` can be observed, not looked at; look at its two labels", head.node
            )
        one, two = (VariableRef(f"{head.name}.{suffix}") for suffix in suffixes)
        return Pair(one, two, head.values or "", head.axes)
    return Value(VariableRef(head.name), head.axes, "table" if head.axes else "number", head.values)


def _let(name: str, scope: Scope, names: Names, node: tree.Node) -> Value | Pair:
    """The value of a `let` (or, in a report, of another report), expanded where it is used."""
    names.used.add(name)
    declaration, plate = names.lets[name] if name in names.lets else (names.reports[name], None)
    if plate not in names.plates_around(scope.plate):
        raise failure(
            "out-of-plate", f"`{name}` has one value for each {plate}", node, f"use it inside `for each {plate}:`"
        )
    with names.expanding(name, node):
        value = let_value(declaration, names.scope_of(plate), names)
    if _size(value) > LARGEST_LET:
        raise failure(
            "expression-too-large", f"`{name}` stands for an expression of more than {LARGEST_LET} parts", node,
            "use fewer names within names: each is written out where it is used",
        )  # fmt: skip
    return value


def _size(value: Value | Pair) -> int:
    """The number of parts of an expression (of both, for a genotype)."""
    return sum(1 for _ in walk((value.one, value.two) if isinstance(value, Pair) else value.expression))


def let_value(declaration: tree.LetDecl | tree.ReportDecl, scope: Scope, names: Names) -> Value | Pair:
    """The value of a `let`: with axes, a table of its expression."""
    inner = replace(scope, owner=declaration.name)
    if not declaration.axes:
        return resolve(declaration.value, inner, names)
    binders = tuple(functions.bind(axis, names) for axis in declaration.axes)
    body = resolve(declaration.value, inner.bind(*binders), names)
    return functions.table(tuple(binder for _, binder in binders), body, declaration)


# --- elements ---------------------------------------------------------------------------------------------------------


def _index(node: tree.Index, scope: Scope, names: Names) -> Value | Pair:
    """`base[i, j]`, each index a label of its axis; fewer indices than axes leave an array."""
    if isinstance(node.base, tree.Call) and node.base.function == "prev":
        inner = print_expr(node.base.arguments[0].value) if node.base.arguments else "x"
        written = ", ".join(print_expr(index) for index in node.indices)
        raise failure("prev", "an element before is `prev` of the element", node, f"prev({inner}[{written}])")
    base = resolve(node.base, scope, names)
    if len(node.indices) > len(base.axes):
        text = print_expr(node.base)
        has = f"has {len(base.axes)} of them" if base.axes else "has none"
        raise failure(
            "indices", f"`{text}` is given {len(node.indices)} indices, and it {has}", node,
            f"{text}[{', '.join(base.axes)}]" if base.axes else text,
        )  # fmt: skip
    for index in node.indices:
        axis = base.axes[0]
        if names.shapes_only:
            base = _element(base, Label(axis, ""))
            continue
        chosen = resolve(index, scope, names, axis)
        if not isinstance(chosen, Value) or not fits(chosen, axis, names):
            raise _wrong_index(index, chosen, axis)
        base = _element(base, chosen.expression)
    return base


def _element(base: Value | Pair, index: Expression) -> Value | Pair:
    if isinstance(base, Value):
        return at(base, index)
    return Pair(element(base.one, (index,)), element(base.two, (index,)), base.labels, base.axes[1:])


def _wrong_index(node: tree.Expr, value: Value | Pair, index_set: str) -> EmmError:
    text = print_expr(node)
    if isinstance(value, Value) and value.labels and not value.axes:
        found = f"a label of `{value.labels}`"
    elif isinstance(value, Pair):
        found = "a genotype"
    else:
        found = "no label" if not value.axes else "an array"
    return failure(
        "index-set", f"a label of `{index_set}` is expected, and `{text}` is {found}", node,
        f"a variable, bound index or label of `{index_set}`",
    )  # fmt: skip
