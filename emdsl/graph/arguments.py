"""Arguments of a distribution: matched with its signature, resolved, and brought to the kinds that it asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from emdsl.diagnostics.errors import EmmError
from emdsl.families.family import Family, Formal, Value
from emdsl.graph.constants import exact_value, is_whole
from emdsl.graph.expressions import is_word, number, resolve
from emdsl.graph.failures import failure, together, unknown
from emdsl.graph.names import Names, Scope
from emdsl.graph.values import scalar
from emdsl.ir.arrays import substitute
from emdsl.ir.expressions import Binder, BinderRef, Tabulate
from emdsl.syntax import tree
from emdsl.syntax.printer import print_expr


@dataclass(frozen=True)
class Place:
    """Where a law stands: what it draws, as far as arguments depend on it.

    `vector` are the bound indices over the axes of a vector or matrix that is drawn at once; a number that is given for
    a vector may use them. `labels` is the index set of a finite target.
    """

    vector: tuple[Binder, ...] = ()
    labels: str | None = None


def signature(family: Family) -> str:
    """`Name(a, b, c?)`, for messages."""
    formals = ", ".join(f"{formal.name}{'?' if formal.optional else ''}" for formal in family.formals)
    return f"{family.name}({formals})"


def match(node: tree.Call, family: Family) -> dict[str, tree.Expr]:
    """The argument expressions by name."""
    matched: dict[str, tree.Expr] = {}
    names = [formal.name for formal in family.formals]
    positions = iter(names)
    for argument in node.arguments:
        name = argument.name or next(positions, None)
        if name is None:
            raise failure(
                "arguments", f"`{family.name}` takes {len(names)} arguments, found {len(node.arguments)}", node,
                signature(family),
            )  # fmt: skip
        if name not in names:
            raise unknown(
                "arguments", f"`{family.name}` has no argument `{name}`", name, names, argument, signature(family)
            )
        if name in matched:
            raise failure("arguments", f"the argument `{name}` of `{family.name}` is given twice", argument)
        matched[name] = argument.value
    missing = [formal.name for formal in family.formals if not formal.optional and formal.name not in matched]
    if missing:
        raise failure(
            "arguments", f"`{family.name}` lacks its argument{'s' * (len(missing) > 1)} {', '.join(missing)}", node,
            signature(family),
        )  # fmt: skip
    return {name: matched[name] for name in names if name in matched}


def arguments(node: tree.Call, family: Family, scope: Scope, names: Names, place: Place) -> dict[str, Value]:
    """The resolved arguments by name; the errors of all of them are raised at once."""
    matched = match(node, family)
    formals = {formal.name: formal for formal in family.formals}
    found: dict[str, Value] = {}
    errors: list[EmmError] = []
    for name, value in matched.items():
        try:
            found[name] = _argument(value, formals[name], family, scope, names, place)
        except EmmError as error:
            errors.append(error)
    if errors:
        raise together(errors)
    return found


class LazyArguments(Mapping[str, Value]):
    """Arguments that are resolved when they are looked at: a law's support depends on few of them."""

    def __init__(self, node: tree.Call, family: Family, scope: Scope, names: Names) -> None:
        self._matched = match(node, family)
        self._family, self._scope, self._names = family, scope, names

    def __getitem__(self, name: str) -> Value:
        formal = next(formal for formal in self._family.formals if formal.name == name)
        with self._names.looking_at_shapes():
            return _argument(self._matched[name], formal, self._family, self._scope, self._names, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._matched)

    def __len__(self) -> int:
        return len(self._matched)


def _argument(
    node: tree.Expr, formal: Formal, family: Family, scope: Scope, names: Names, place: Place | None
) -> Value:
    if formal.accepts == "value":
        return _any_value(node, scope, names, place)
    found = resolve(node, scope, names) if isinstance(node, tree.Probabilities) else number(node, scope, names)
    assert isinstance(found, Value)
    _check_constant(found, formal, family, node, names)
    match formal.accepts:
        case "number":
            return replace(found, expression=scalar(found, node))
        case "simplex" | "transition":
            return _simplex(found, formal, family, node)
        case "cuts":
            if len(found.axes) != 1 or found.kind not in ("ordered", "table"):
                raise _wrong_kind(node, formal, family, "ordered cut points", "param cuts : ordered[cut]")
            return found
        case "vector" | "matrix":
            return found if place is None else _spread(found, formal, family, node, names, place)


def _any_value(node: tree.Expr, scope: Scope, names: Names, place: Place | None) -> Value:
    word = is_word(node, scope, names)
    labels = place.labels if place is not None else None
    if labels is None and word and not isinstance(node, tree.Num | tree.Unary):
        text = node.text if isinstance(node, tree.Quoted) else print_expr(node)
        labels = scope.declared or names.label_set((text,), scope.owner, node)
    value = resolve(node, scope, names, labels if word else None)
    return Value(scalar(value, node), labels=value.labels)


def _wrong_kind(node: tree.Expr, formal: Formal, family: Family, wanted: str, help: str) -> Exception:
    return failure(
        "argument-kind",
        f"`{formal.name}` of `{family.name}` is {wanted}, which `{print_expr(node)}` is not",
        node,
        help,
    )


def _simplex(found: Value, formal: Formal, family: Family, node: tree.Expr) -> Value:
    least = 2 if formal.accepts == "transition" else 1
    if found.kind not in ("simplex", "table") or len(found.axes) < least:
        wanted = "a transition matrix" if least == 2 else "a simplex"
        axes = "[state]" * (least - 1)
        raise _wrong_kind(
            node, formal, family, wanted, f"param {formal.name}{axes} : simplex[{'state' if axes else 'idx'}]"
        )
    if least == 2 and (len(found.axes) != 2 or found.axes[0] != found.axes[1]):
        raise _wrong_kind(node, formal, family, "a transition matrix", "param A[state] : simplex[state]")
    return found


def _spread(found: Value, formal: Formal, family: Family, node: tree.Expr, names: Names, place: Place) -> Value:
    """A vector or matrix over the target's axis; a number, which may use the current element, stands for a vector."""
    axes = tuple(binder.index_set for binder in place.vector)
    wanted = axes if formal.accepts == "vector" else (axes[0], axes[0])
    if found.axes == wanted:
        return found
    if not found.axes and formal.accepts == "vector":
        binders = tuple(names.fresh(binder.name.partition("#")[0], binder.index_set) for binder in place.vector)
        current = dict(zip(place.vector, map(BinderRef, binders), strict=True))
        return Value(Tabulate(binders, substitute(found.expression, current)), wanted, "table")
    shape = f"a {formal.accepts} over {', '.join(axes)}"
    raise _wrong_kind(node, formal, family, shape, f"{print_expr(node)}[...] with {', '.join(wanted)} left")


def _check_constant(found: Value, formal: Formal, family: Family, node: tree.Expr, names: Names) -> None:
    """A constant argument must lie in the argument's domain."""
    value = None if found.axes else exact_value(found.expression, names)
    if value is None:
        return
    low, high = (None if end is None else exact_value(end, names) for end in (formal.domain.low, formal.domain.high))
    wanted = {
        "interval": (f"between {low} and {high}", (low is None or low <= value) and (high is None or value <= high)),
        "positive": ("positive", value > 0),
        "unit": ("between 0 and 1", 0 <= value <= 1),
        "natural": ("a whole number, 0 or more", value >= 0 and is_whole(value)),
        "integer": ("a whole number", is_whole(value)),
    }.get(formal.domain.kind)
    if wanted is not None and not wanted[1]:
        raise failure(
            "argument-domain",
            f"`{formal.name}` of `{family.name}` must be {wanted[0]}, found {print_expr(node)}",
            node,
            signature(family),
        )
