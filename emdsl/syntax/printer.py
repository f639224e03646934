"""Tree to text, in the one layout: `parse(print_module(module)) == module`.

Blocks are indented by four spaces; a plate and a family have an empty line around them, and so have the groups of
declarations of one kind; operators of sums and weaker ones have spaces, `*`, `/` and `^` none; parentheses stand only
where the tree needs them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import assert_never

from emdsl.syntax import tree

INDENTATION = "    "
_NAME = re.compile(r"[^\W\d²³¹⁰⁴-⁹][^\W²³¹⁰⁴-⁹]*")  # as in the grammar
_NUMBER = re.compile(r"-?[0-9]{1,50}(\.[0-9]{1,50})?")
_BINDING = {
    "or": 1, "and": 2, "not": 3, "==": 4, "!=": 4, "<": 4, "<=": 4, ">": 4, ">=": 4, "+": 5, "-": 5, "*": 6, "/": 6,
    "^": 8,
}  # fmt: skip
_COMPARISON, _SIGN, _POWER, _ATOM = 4, 7, 8, 9


def print_module(module: tree.Module) -> str:
    """The module as text that ends with a line end (nothing for a module without declarations)."""
    lines: list[str] = []
    previous: tree.Declaration | None = None
    for declaration in module.declarations:
        if previous is not None and _apart(previous, declaration):
            lines.append("")
        lines += print_statement(declaration)
        previous = declaration
    return "".join(f"{line}\n" for line in lines)


def _apart(before: tree.Declaration, after: tree.Declaration) -> bool:
    """Whether an empty line stands between two declarations."""
    blocks = (tree.PlateStmt, tree.FamilyDecl)
    return type(before) is not type(after) or isinstance(before, blocks) or isinstance(after, blocks)


def print_statement(node: tree.Declaration | tree.Statement) -> list[str]:
    """The lines of one declaration or statement, the first one not indented."""
    match node:
        case tree.PlateStmt():
            return _plate(node)
        case tree.FamilyDecl():
            return _family(node)
        case tree.LetDecl(name, axes, value, description):
            return _valued(f"let {name}{_axes(axes)} =", value, description)
        case tree.ReportDecl(name, axes, value, description):
            return _valued(f"report {name}{_axes(axes)} =", value, description)
        case tree.FactorStmt(value, description):
            return _valued("factor", value, description)
        case tree.LatentStmt(names, axes, law, domain, description):
            return _valued(f"latent {', '.join(names)}{_axes(axes)}{_typed(domain)} ~", law, description)
        case tree.ObservedStmt(value=None, law=law) if law is not None:
            return _valued(f"{_observed(node)} ~", law, node.description)
        case tree.ObservedStmt(value=value):
            assert value is not None, "an observed variable has a law or a value"
            return _valued(f"{_observed(node)} =", value, node.description)
        case _:
            return [_line(node)]


_OneLine = (
    tree.ModelDecl | tree.ConstDecl | tree.IndexDecl | tree.ParamDecl | tree.OrderDecl | tree.InputStmt
    | tree.WeightStmt | tree.GivenStmt
)  # fmt: skip


def _line(node: _OneLine) -> str:
    """A declaration that is never more than one line."""
    match node:
        case tree.ModelDecl(name):
            head = f"model {name}"
        case tree.ConstDecl(name, axes, labels_of, value):
            head = f"const {name}{_axes(axes)}{f' : {labels_of}' if labels_of else ''}"
            head += f" = {print_expr(value)}" if value is not None else ""
        case tree.IndexDecl(name, source):
            head = f"index {name} = {_source(source)}"
        case tree.ParamDecl(name, axes, domain, prior, init, only):
            head = f"param {name}{_axes(axes)} : {print_domain(domain)}"
            head += f" ~ {print_law(prior)}" if prior is not None else ""
            head += f" init {print_expr(init)}" if init is not None else ""
            head += f" only {print_expr(only)}" if only is not None else ""
        case tree.OrderDecl(index_set, key):
            head = f"order {index_set} by {print_expr(key)}"
        case tree.InputStmt(name, axes, domain, column):
            head = f"input {name}{_axes(axes)}{_typed(domain)}{_from(column)}"
        case tree.WeightStmt(name, column):
            head = f"weight {name}{_from(column)}"
        case tree.GivenStmt(condition):
            head = f"given {print_expr(condition)}"
        case _:
            assert_never(node)
    return head + _described(node.description)


def _plate(node: tree.PlateStmt) -> list[str]:
    head = f"for each {node.name}"
    head += f" over {node.over}" if node.over is not None else ""
    head += " in sequence" if node.ordered else ""
    head += f" by {_word(node.by)}" if node.by is not None else ""
    body = [line for statement in node.body for line in print_statement(statement)]
    return [f"{head}:{_described(node.description)}", *_indented(body)]


def _family(node: tree.FamilyDecl) -> list[str]:
    parameters = ", ".join(f"{p.name} : {print_domain(p.domain)}" for p in node.parameters)
    head = f"family {node.name}({parameters}) for {node.variable} : {print_domain(node.domain)}:"
    body = [line for name, value in node.definitions for line in _valued(f"{name} =", value, "")]
    return [head + _described(node.description), *_indented(body)]


def _observed(node: tree.ObservedStmt) -> str:
    between = f" between {_word(node.between[0])} and {_word(node.between[1])}" if node.between else ""
    return f"observed {', '.join(node.names)}{_axes(node.axes)}{_typed(node.domain)}{_from(node.column)}{between}"


def _valued(head: str, value: tree.Expr | tree.Law | tree.ChainLaw, description: str) -> list[str]:
    """`head value "description"`, a `case` with its arms on lines of their own."""
    match value:
        case tree.Case() | tree.Law(call=tree.Case()):
            block = value if isinstance(value, tree.Case) else value.call
            assert isinstance(block, tree.Case)
            return _case(head, block, description)
        case tree.ChainLaw(first, tree.Law(call=tree.Case() as block)):
            return _case(f"{head} {print_law(first)} first,", block, description)
        case tree.Law() | tree.ChainLaw():
            return [f"{head} {print_law(value)}{_described(description)}"]
        case _:
            return [f"{head} {print_expr(value)}{_described(description)}"]


def _case(head: str, block: tree.Case, description: str) -> list[str]:
    """`head case subjects:` and the arms, their arrows under each other."""
    subjects = ", ".join(print_expr(subject) for subject in block.subjects)
    patterns = [print_alternatives(arm.alternatives) for arm in block.arms]
    width = max(len(pattern) for pattern in patterns)
    arms = [
        line
        for pattern, arm in zip(patterns, block.arms, strict=True)
        for line in _valued(f"{pattern:<{width}} ->", arm.value, "")
    ]
    return [f"{head} case {subjects}:{_described(description)}", *_indented(arms)]


def _indented(lines: Iterable[str]) -> list[str]:
    return [INDENTATION + line for line in lines]


# --- parts of declarations --------------------------------------------------------------------------------------------


def _axes(axes: Sequence[tree.AxisBinder]) -> str:
    if not axes:
        return ""
    return "[" + ", ".join(f"{a.binder} in {a.index_set}" if a.binder else a.index_set for a in axes) + "]"


def print_domain(domain: tree.DomainExpr) -> str:
    """`real`, `interval(0, 1)`, `simplex[state]`."""
    arguments = f"({', '.join(map(print_expr, domain.arguments))})" if domain.arguments else ""
    return f"{domain.name}{arguments}{_axes(domain.axes)}"


def _typed(domain: tree.DomainExpr | None) -> str:
    return "" if domain is None else f" : {print_domain(domain)}"


def _from(column: str | None) -> str:
    return "" if column is None else f" from {quoted(column)}"


def _described(description: str) -> str:
    return f" {quoted(description)}" if description else ""


def _source(source: tree.LabelList | tree.RangeOf | tree.LevelsOf | tree.ColumnsOf) -> str:
    match source:
        case tree.LabelList(labels):
            return "{" + ", ".join(map(_pattern, labels)) + "}"
        case tree.RangeOf(low, high):
            left, right = _operand(low, 5), _operand(high, 5)
            between = " .. " if left.endswith(".") or right.startswith(".") else ".."
            return f"{left}{between}{right}"
        case tree.LevelsOf(columns):
            return "levels" + (f"({', '.join(map(_word, columns))})" if columns else "")
        case tree.ColumnsOf(patterns):
            return "columns" + (f"({', '.join(map(_word, patterns))})" if patterns else "")
        case _:
            assert_never(source)


def quoted(text: str) -> str:
    """A text in double quotes."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _word(text: str) -> str:
    """A column's name: bare where it is a name, else quoted."""
    return text if _NAME.fullmatch(text) else quoted(text)


def print_label(label: str) -> str:
    """A label: bare where it is a name or a plain number, else quoted."""
    return label if label != "_" and (_NAME.fullmatch(label) or _NUMBER.fullmatch(label)) else quoted(label)


def print_alternatives(alternatives: Sequence[Sequence[tree.Pattern]]) -> str:
    """`a, b | c, d`."""
    return " | ".join(", ".join(map(_pattern, row)) for row in alternatives)


def _pattern(pattern: tree.Pattern) -> str:
    match pattern:
        case tree.LabelPattern(label, is_quoted):
            return quoted(label) if is_quoted else label
        case tree.AnyPattern():
            return "_"
        case tree.PairPattern(left, right):
            return f"{_pattern(left)}/{_pattern(right)}"
        case _:
            assert_never(pattern)


# --- laws -------------------------------------------------------------------------------------------------------------


def print_law(law: tree.Law | tree.ChainLaw) -> str:
    """A law on one line; a `case` is shown as `case v: p -> law; ...`, which is only to be read."""
    match law:
        case tree.ChainLaw(first, after):
            return f"{print_law(first)} first, {print_law(after)} after"
        case tree.Law(call, modifiers):
            return " ".join([print_expr(call), *map(_modifier, modifiers)])
        case _:
            assert_never(law)


def _modifier(modifier: tree.Modifier) -> str:
    match modifier:
        case tree.Censored(side, unless):
            return f"censored {side} unless {print_expr(unless)}"
        case tree.Truncated(low, high):
            return f"truncated to ({print_expr(low)}, {print_expr(high)})"
        case tree.UpTo(bound):
            return f"up to {print_expr(bound)}"
        case _:
            assert_never(modifier)


# --- expressions ------------------------------------------------------------------------------------------------------


def print_expr(expr: tree.Expr) -> str:
    """An expression on one line, with the fewest parentheses."""
    match expr:
        case tree.Num(text) | tree.Name(text):
            return text
        case tree.Quoted(text):
            return quoted(text)
        case tree.Unary(op, operand):
            return f"not {_operand(operand, 3)}" if op == "not" else f"{op}{_operand(operand, _SIGN)}"
        case tree.Binary(op, left, right):
            return _binary(op, left, right)
        case tree.Call(function, arguments):
            shown = (f"{a.name}={print_expr(a.value)}" if a.name else print_expr(a.value) for a in arguments)
            return f"{function}({', '.join(shown)})"
        case tree.Comprehension(function, binder, index_set, body):
            return f"{function}({binder} in {index_set}: {print_expr(body)})"
        case tree.Index(base, indices):
            return f"{_operand(base, _ATOM)}[{', '.join(map(print_expr, indices))}]"
        case tree.ListOf(items):
            return f"[{', '.join(map(print_expr, items))}]"
        case tree.Probabilities(entries):
            return "{" + ", ".join(f"{print_label(e.label)}: {print_expr(e.value)}" for e in entries) + "}"
        case tree.Case(subjects, arms):
            branches = "; ".join(f"{print_alternatives(arm.alternatives)} -> {_arm(arm.value)}" for arm in arms)
            return f"case {', '.join(map(print_expr, subjects))}: {branches}"
        case _:
            assert_never(expr)


def _arm(value: tree.Expr | tree.Law) -> str:
    return print_law(value) if isinstance(value, tree.Law) else print_expr(value)


def _binary(op: str, left: tree.Expr, right: tree.Expr) -> str:
    level = _BINDING[op]
    if op == "^":  # binds right, and its exponent may have a sign
        return f"{_operand(left, _ATOM)}^{_operand(right, _SIGN)}"
    beside = level + 1 if level == _COMPARISON else level  # comparisons do not chain
    between = op if op in "*/" else f" {op} "
    return f"{_operand(left, beside)}{between}{_operand(right, level + 1)}"


def _operand(expr: tree.Expr, least: int) -> str:
    """An operand where everything that binds less than `least` takes parentheses."""
    text = print_expr(expr)
    return f"({text})" if binding(expr) < least else text


def binding(expr: tree.Expr) -> int:
    """How strongly the outermost operator of an expression binds."""
    match expr:
        case tree.Unary(op):
            return 3 if op == "not" else _SIGN
        case tree.Binary(op):
            return _BINDING[op]
        case _:
            return _ATOM
