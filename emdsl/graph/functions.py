"""The functions of the language: elementary ones, and those that look at genotypes, chains, vectors and index sets."""

from __future__ import annotations

from collections.abc import Callable

from emdsl.diagnostics.errors import EmmError
from emdsl.families.family import BINARY, Value
from emdsl.graph.constants import exact_value, is_whole
from emdsl.graph.failures import failure, unknown
from emdsl.graph.names import Names, Scope, VariableHead
from emdsl.graph.values import Pair, at, elementwise, fits, map_choice, scalar
from emdsl.ir.arithmetic import ZERO, apply
from emdsl.ir.arrays import substitute
from emdsl.ir.expressions import (
    OPERATIONS,
    Binder,
    BinderRef,
    Expression,
    ParameterRef,
    Reduce,
    Stationary,
    Tabulate,
    VariableRef,
    add,
)
from emdsl.syntax import tree
from emdsl.syntax.printer import print_expr

Resolver = Callable[[tree.Expr, Scope, Names, str | None], Value | Pair]

#: Elementary functions that a model may call; the other operations have their own signs or are made by families.
ELEMENTARY = (
    "exp", "log", "log1p", "sqrt", "abs", "sin", "cos", "logistic", "logit", "Phi", "probit", "lgamma", "besseli0",
    "min", "max", "where", "floor", "ceil",
    "logaddexp", "logsubexp", "log_gammap", "log_gammaq", "log_betainc", "log_student", "log_betabinomial",
    "log_laplace",
)  # fmt: skip
COMPREHENSIONS = ("sum", "prod", "softmax")


def call(node: tree.Call, scope: Scope, names: Names, resolve: Resolver) -> Value | Pair:
    """The value of a call of a function."""
    special = SPECIAL.get(node.function)
    if special is None and node.function not in ELEMENTARY:
        raise _unknown_function(node, names)
    named = next((argument for argument in node.arguments if argument.name is not None), None)
    if named is not None:
        raise failure("argument-name", f"the function `{node.function}` takes its arguments by position", named)
    if special is not None:
        least, most, handler = special
        _check_count(node, least, most)
        return handler(node, scope, names, resolve)
    count = OPERATIONS[node.function]
    _check_count(node, count, count)
    arguments = tuple(_number(argument.value, scope, names, resolve) for argument in node.arguments)
    return elementwise(node.function, arguments, node, names)


def _unknown_function(node: tree.Call, names: Names) -> EmmError:
    if node.function in names.families:
        return failure("family-place", f"the distribution `{node.function}` stands only after `~`", node)
    if node.function in COMPREHENSIONS:
        return failure(
            "function-arity", f"`{node.function}` runs over an index set", node, f"{node.function}(i in idx: ...)"
        )
    known = (*ELEMENTARY, *SPECIAL, *COMPREHENSIONS)
    return unknown("unknown-function", f"there is no function `{node.function}`", node.function, known, node)


def _check_count(node: tree.Call, least: int, most: int) -> None:
    found = len(node.arguments)
    if not least <= found <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        raise failure(
            "function-arity",
            f"`{node.function}` takes {wanted} argument{'' if most == 1 else 's'}, found {found}",
            node,
        )


def _number(node: tree.Expr, scope: Scope, names: Names, resolve: Resolver) -> Value:
    """An operand of arithmetic; `resolve` of `+x` is the check that `x` is one."""
    value = resolve(tree.Unary("+", node, span=node.span), scope, names, None)
    assert isinstance(value, Value)
    return value


# --- index sets -------------------------------------------------------------------------------------------------------


def bind(axis: tree.AxisBinder, names: Names) -> tuple[str, Binder]:
    """The name by which an axis's element goes, and its bound index."""
    index_set = names.index_set(axis.index_set, axis)
    name = axis.binder or index_set
    return name, names.fresh(name, index_set)


def comprehension(node: tree.Comprehension, scope: Scope, names: Names, resolve: Resolver) -> Value:
    """`sum(i in idx: e)`, `prod(...)`, and `softmax(...)`, a simplex."""
    if node.function not in COMPREHENSIONS:
        message = f"no function `{node.function}` runs over an index set"
        raise unknown("unknown-function", message, node.function, COMPREHENSIONS, node, "sum, prod or softmax")
    binder = names.fresh(node.binder, names.index_set(node.index_set, node))
    if node.function == "softmax" and names.shapes_only:  # what it sums may look at the variable's own value before
        return Value(Tabulate((binder,), ZERO), (node.index_set,), "simplex", event=1)
    body = _number(node.body, scope.bind((node.binder, binder)), names, resolve)
    expression = scalar(body, node.body)
    if node.function != "softmax":
        return Value(Reduce(node.function, binder, expression))
    other = names.fresh(node.binder, node.index_set)
    total = Reduce("logsumexp", binder, expression)
    share = apply("exp", apply("-", substitute(expression, {binder: BinderRef(other)}), total))
    return Value(Tabulate((other,), share), (node.index_set,), "simplex", event=1)


def table(binders: tuple[Binder, ...], body: Value | Pair, node: tree.LetDecl | tree.ReportDecl) -> Value:
    """The array of a `let` or `report` with axes."""
    if isinstance(body, Pair):
        raise failure("kind", f"`{node.name}` cannot be an array of genotypes", node)
    axes = tuple(binder.index_set for binder in binders) + body.axes
    return Value(Tabulate(binders, body.expression), axes, "table", body.labels)


def _dot(node: tree.Call, scope: Scope, names: Names, resolve: Resolver) -> Value:
    """`dot(a, b)`: the sum of products over the one index set of both vectors."""
    left, right = (_number(argument.value, scope, names, resolve) for argument in node.arguments)
    for value, argument in zip((left, right), node.arguments, strict=True):
        if len(value.axes) != 1:
            found = f"has {len(value.axes)} index sets" if value.axes else "is a single number"
            raise failure("indices", f"`dot` takes vectors, and `{print_expr(argument.value)}` {found}", argument.value)
    if left.axes != right.axes:
        raise failure(
            "indices", f"`dot` takes two vectors over one index set, found {left.axes[0]} and {right.axes[0]}", node
        )
    binder = names.fresh(left.axes[0], left.axes[0])
    factors = (at(value, BinderRef(binder)).expression for value in (left, right))
    return Value(Reduce("sum", binder, apply("*", *factors)))


def _stationary(node: tree.Call, scope: Scope, names: Names, resolve: Resolver) -> Value:
    """`stationary(A)`: the simplex `s` with `s A = s`."""
    argument = node.arguments[0].value
    matrix = resolve(argument, scope, names, None)
    if not (
        isinstance(matrix, Value)
        and isinstance(matrix.expression, ParameterRef)
        and len(matrix.axes) == 2
        and matrix.axes[0] == matrix.axes[1]
        and matrix.kind == "simplex"
    ):
        raise failure(
            "kind", f"`stationary` takes a transition matrix, which `{print_expr(argument)}` is not", argument,
            "param A[state] : simplex[state]",
        )  # fmt: skip
    binder = names.fresh(matrix.axes[1], matrix.axes[1])
    probability = Stationary(matrix.expression, BinderRef(binder))
    return Value(Tabulate((binder,), probability), (matrix.axes[1],), "simplex", event=1)


# --- genotypes --------------------------------------------------------------------------------------------------------


def _copies(node: tree.Call, scope: Scope, names: Names, resolve: Resolver) -> Value:
    """`copies(g, A)`: how many alleles `A` the genotype `g` holds."""
    genotype_node, allele_node = (argument.value for argument in node.arguments)
    genotype = resolve(genotype_node, scope, names, None)
    if not isinstance(genotype, Pair) or genotype.axes:
        raise failure(
            "kind", f"`copies` looks at a genotype, which `{print_expr(genotype_node)}` is not", genotype_node
        )
    allele = scalar(resolve(allele_node, scope, names, genotype.labels), allele_node)
    return Value(add(*(apply("==", draw, allele) for draw in (genotype.one, genotype.two))))


def _pair(node: tree.Call, scope: Scope, names: Names, resolve: Resolver) -> Pair:
    """`pair(a, b)`: the unordered genotype of two labels."""
    found: list[Value] = []
    for argument in node.arguments:
        value = resolve(argument.value, scope, names, found[0].labels if found else None)
        if not isinstance(value, Value) or value.labels in (None, BINARY) or value.axes:
            raise failure("kind", f"`pair` takes labels, and `{print_expr(argument.value)}` is none", argument.value)
        found.append(value)
    one, two = found
    assert one.labels is not None and two.labels is not None
    if not fits(two, one.labels, names):
        raise failure("index-set", f"`pair` takes labels of one index set, found {one.labels} and {two.labels}", node)
    return Pair(one.expression, two.expression, one.labels)


# --- chains -----------------------------------------------------------------------------------------------------------


def _prev(node: tree.Call, scope: Scope, names: Names, resolve: Resolver) -> Value | Pair:
    """`prev(v)`, `prev(v, lag)`, `prev(x[j])`: the value one or more units before in the chain of `v`'s plate."""
    inner = node.arguments[0].value
    name = inner.base if isinstance(inner, tree.Index) else inner
    with names.drawn():
        head = names.find_variable(name.name, scope, name) if isinstance(name, tree.Name) else None
    if head is None:
        raise failure("prev", f"`prev` takes a variable, which `{print_expr(inner)}` is not", inner, "prev(v)")
    _check_chain(head, names, node)
    lag = _lag(node, scope, names, resolve)
    with names.drawn():
        value = resolve(inner, scope, names, None)
    if isinstance(value, Pair):
        one, two = (_earlier(side, lag) for side in (value.one, value.two))
        return Pair(one, two, value.labels, value.axes)
    return Value(_earlier(value.expression, lag), value.axes, value.kind, value.labels)


def _earlier(variable: Expression, lag: int) -> Expression:
    """The variable (or the one that a choice of elements gives) `lag` units before; what indexes it stays as it is."""

    def before(chosen: Expression) -> Expression:
        assert isinstance(chosen, VariableRef), "the value of a variable's name is a reference to it"
        return VariableRef(chosen.name, chosen.indices, lag)

    return map_choice(variable, before)


def _check_chain(head: VariableHead, names: Names, node: tree.Node) -> None:
    if head.plate is None or not names.plates[head.plate].ordered:
        plate = head.plate or "row"
        raise failure(
            "prev",
            f"`{head.name}` is not in a chain, so there is none before it",
            node,
            f"for each {plate} in sequence:",
        )


def _lag(node: tree.Call, scope: Scope, names: Names, resolve: Resolver) -> int:
    if len(node.arguments) == 1:
        return 1
    argument = node.arguments[1].value
    value = resolve(argument, scope, names, None)
    lag = exact_value(value.expression, names) if isinstance(value, Value) else None
    if lag is None or lag < 1 or not is_whole(lag):
        raise failure("prev", "the lag of `prev` is a whole number, 1 or more", argument, "prev(v, 2)")
    return int(lag)


Handler = Callable[[tree.Call, Scope, Names, Resolver], Value | Pair]

#: Functions with rules of their own: least and most arguments, and what they are.
SPECIAL: dict[str, tuple[int, int, Handler]] = {
    "copies": (2, 2, _copies),
    "dot": (2, 2, _dot),
    "pair": (2, 2, _pair),
    "prev": (1, 2, _prev),
    "stationary": (1, 1, _stationary),
}
