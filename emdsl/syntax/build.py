"""Reductions of the grammar to nodes of the tree; a method for each rule of `emm.lark`.

Lark calls a method with everything that the rule matched, tokens included, while it parses: there is no second pass and
no recursion. What is not a node yet (a prior, an initial value, a description) travels as a `Piece` to its declaration.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from emdsl.diagnostics.errors import EmmError
from emdsl.syntax import tree
from emdsl.syntax.patterns import Branches, expand
from emdsl.syntax.pieces import (
    Block,
    Child,
    Piece,
    body_of,
    check_number,
    columns_of,
    is_token,
    law_of,
    nodes_of,
    piece,
    pieces_of,
    place_of,
    span_of,
    unquote,
    words_of,
)  # fmt: skip


class TreeBuilder:
    """The reductions. The names are those of the grammar's rules and aliases."""

    # --- the file and its declarations ---

    def start(self, children: list[Child]) -> tree.Module:
        return tree.Module(nodes_of(children), span=span_of(children))

    def model(self, children: list[Child]) -> tree.ModelDecl:
        description = pieces_of(children).get("description", "")
        return tree.ModelDecl(str(children[1]), description, span=span_of(children))

    def const(self, children: list[Child]) -> tree.ConstDecl:
        p = pieces_of(children)
        return tree.ConstDecl(
            str(children[1]), p.get("axes", ()), p.get("labels_of"), p.get("value"), p.get("description", ""),
            span=span_of(children),
        )  # fmt: skip

    def labels_of(self, children: list[Child]) -> Piece:
        return Piece("labels_of", str(children[1]), span_of(children))

    value = piece("value")
    prior = piece("prior")
    init = piece("init")
    only = piece("only")
    values = piece("values")

    def description(self, children: list[Child]) -> Piece:
        return Piece("description", unquote(children[0]), span_of(children))

    def index_set(self, children: list[Child]) -> tree.IndexDecl:
        description = pieces_of(children).get("description", "")
        return tree.IndexDecl(str(children[1]), nodes_of(children)[0], description, span=span_of(children))

    def label_list(self, children: list[Child]) -> tree.LabelList:
        return tree.LabelList(nodes_of(children), span=span_of(children))

    def range_of(self, children: list[Child]) -> tree.RangeOf:
        return tree.RangeOf(children[0], children[2], span=span_of(children))

    def levels_of(self, children: list[Child]) -> tree.LevelsOf:
        return tree.LevelsOf(pieces_of(children).get("column_list", ()), span=span_of(children))

    def columns_of(self, children: list[Child]) -> tree.ColumnsOf:
        return tree.ColumnsOf(pieces_of(children).get("column_list", ()), span=span_of(children))

    def column_list(self, children: list[Child]) -> Piece:
        return Piece("column_list", columns_of(children), span_of(children))

    def column(self, children: list[Child]) -> Piece:
        word = children[0]
        return Piece("column", unquote(word) if is_token(word, "STRING") else str(word), span_of(children))

    def param(self, children: list[Child]) -> tree.ParamDecl:
        p = pieces_of(children)
        return tree.ParamDecl(
            str(children[1]), p.get("axes", ()), nodes_of(children)[0], p.get("prior"), p.get("init"), p.get("only"),
            p.get("description", ""), span=span_of(children),
        )  # fmt: skip

    def domain(self, children: list[Child]) -> tree.DomainExpr:
        axes = pieces_of(children).get("axes", ())
        return tree.DomainExpr(str(children[0]), nodes_of(children), axes, span=span_of(children))

    def axes(self, children: list[Child]) -> Piece:
        return Piece("axes", nodes_of(children), span_of(children))

    def axis(self, children: list[Child]) -> tree.AxisBinder:
        *binder, index_set = words_of(children)
        return tree.AxisBinder(index_set, binder[0] if binder else None, span=span_of(children))

    def let(self, children: list[Child]) -> tree.LetDecl:
        p = pieces_of(children)
        return tree.LetDecl(
            str(children[1]), p.get("axes", ()), body_of(children, p), p.get("description", ""), span=span_of(children)
        )

    def report(self, children: list[Child]) -> tree.ReportDecl:
        p = pieces_of(children)
        return tree.ReportDecl(
            str(children[1]), p.get("axes", ()), body_of(children, p), p.get("description", ""), span=span_of(children)
        )

    def order(self, children: list[Child]) -> tree.OrderDecl:
        description = pieces_of(children).get("description", "")
        return tree.OrderDecl(str(children[1]), children[3], description, span=span_of(children))

    def family(self, children: list[Child]) -> tree.FamilyDecl:
        name, variable = words_of(children)
        parts = nodes_of(children)
        parameters = tuple(part for part in parts if isinstance(part, tree.FamilyParameter))
        domain = next(part for part in parts if isinstance(part, tree.DomainExpr))
        definitions = tuple(c.value for c in children if isinstance(c, Piece) and c.kind == "definition")
        texts = [c.value for c in children if isinstance(c, Piece) and c.kind == "description"]
        return tree.FamilyDecl(
            name, parameters, variable, domain, definitions, texts[0] if texts else "", span=span_of(children)
        )

    def family_parameter(self, children: list[Child]) -> tree.FamilyParameter:
        return tree.FamilyParameter(str(children[0]), children[2], span=span_of(children))

    def definition(self, children: list[Child]) -> Piece:
        return Piece("definition", (str(children[0]), body_of(children, pieces_of(children))), span_of(children))

    # --- plates and statements ---

    def plate(self, children: list[Child]) -> tree.PlateStmt:
        p = pieces_of(children)
        ordered, by = p.get("sequence", (False, None))
        return tree.PlateStmt(
            str(children[2]), nodes_of(children), p.get("over"), ordered, by, p.get("description", ""),
            span=span_of(children),
        )  # fmt: skip

    def over(self, children: list[Child]) -> Piece:
        return Piece("over", str(children[1]), span_of(children))

    def sequence(self, children: list[Child]) -> Piece:
        return Piece("sequence", (True, next(iter(columns_of(children)), None)), span_of(children))

    def input(self, children: list[Child]) -> tree.InputStmt:
        p = pieces_of(children)
        return tree.InputStmt(
            str(children[1]), p.get("axes", ()), p.get("values"), p.get("from_column"), p.get("description", ""),
            span=span_of(children),
        )  # fmt: skip

    def weight(self, children: list[Child]) -> tree.WeightStmt:
        p = pieces_of(children)
        return tree.WeightStmt(str(children[1]), p.get("from_column"), p.get("description", ""), span=span_of(children))

    def latent(self, children: list[Child]) -> tree.LatentStmt:
        p = pieces_of(children)
        return tree.LatentStmt(
            words_of(children), p.get("axes", ()), law_of(children, p), p.get("values"), p.get("description", ""),
            span=span_of(children),
        )  # fmt: skip

    def observed(self, children: list[Child]) -> tree.ObservedStmt:
        p = pieces_of(children)
        drawn = any(is_token(c, "TILDE") for c in children)
        return tree.ObservedStmt(
            str(children[1]), p.get("axes", ()), law_of(children, p) if drawn else None,
            None if drawn else body_of(children, p), p.get("values"), p.get("from_column"), p.get("between"),
            p.get("description", ""), words_of(children)[1:], span=span_of(children),
        )  # fmt: skip

    def factor(self, children: list[Child]) -> tree.FactorStmt:
        p = pieces_of(children)
        return tree.FactorStmt(body_of(children, p), p.get("description", ""), span=span_of(children))

    def given(self, children: list[Child]) -> tree.GivenStmt:
        description = pieces_of(children).get("description", "")
        return tree.GivenStmt(children[1], description, span=span_of(children))

    def from_column(self, children: list[Child]) -> Piece:
        return Piece("from_column", columns_of(children)[0], span_of(children))

    def between(self, children: list[Child]) -> Piece:
        return Piece("between", columns_of(children), span_of(children))

    # --- laws ---

    def law(self, children: list[Child]) -> tree.Law:
        return tree.Law(children[0], tuple(children[1:]), span=span_of(children))

    def chain(self, children: list[Child]) -> tree.ChainLaw:
        return tree.ChainLaw(children[0], children[3], span=span_of(children))

    def chain_case(self, children: list[Child]) -> Piece:
        block: Block = children[3]
        law = tree.Law(block.case, span=block.span)
        chain = tree.ChainLaw(children[0], law, span=span_of(children))
        return Piece("chain_case", (chain, block.description), chain.span)

    def censored(self, children: list[Child]) -> tree.Censored:
        return tree.Censored(cast(Any, str(children[1])), children[3], span=span_of(children))

    def truncated(self, children: list[Child]) -> tree.Truncated:
        return tree.Truncated(children[3], children[5], span=span_of(children))

    def up_to(self, children: list[Child]) -> tree.UpTo:
        return tree.UpTo(children[2], span=span_of(children))

    # --- case ---

    def case(self, children: list[Child]) -> Block:
        subjects = next(c.value for c in children if isinstance(c, Piece) and c.kind == "subjects")
        arms = tuple(
            replace(arm, alternatives=expand(branches, len(subjects)))
            for arm, branches in (c.value for c in children if isinstance(c, Piece) and c.kind == "arm")
        )
        description = next((c.value for c in children if isinstance(c, Piece) and c.kind == "description"), "")
        span = span_of(children)
        return Block(tree.Case(subjects, arms, span=span), description, span)

    law_case = case

    def subjects(self, children: list[Child]) -> Piece:
        return Piece("subjects", nodes_of(children), span_of(children))

    def arm(self, children: list[Child]) -> Piece:
        branches, value = children[0], children[2]
        if isinstance(value, Block):
            if value.description:
                raise EmmError(
                    "misplaced-description", "a branch has no description", span=value.span,
                    help="put it at the end of the declaration's first line",
                )  # fmt: skip
            value = tree.Law(value.case, span=value.span) if self._is_law(value.case) else value.case
        return Piece("arm", (tree.CaseArm((), value, span=span_of(children)), branches), span_of(children))

    law_arm = arm

    @staticmethod
    def _is_law(case: tree.Case) -> bool:
        return isinstance(case.arms[0].value, tree.Law)

    def alternatives(self, children: list[Child]) -> Branches:
        match children:
            case [tree.LabelPattern("else" as word, False)]:
                raise EmmError(
                    "foreign-syntax", f"`{word}` is no pattern: everything else is `_`", span=children[0].span,
                    help=f'write `_ -> ...`, or `"{word}"` for a label of that name',
                )  # fmt: skip
        parts = (str(c) if isinstance(c, str) else c for c in children if c not in ("(", ")"))
        return Branches(tuple(parts), span_of(children))

    def pair(self, children: list[Child]) -> tree.PairPattern:
        return tree.PairPattern(children[0], children[2], span=span_of(children))

    def any(self, children: list[Child]) -> tree.AnyPattern:
        return tree.AnyPattern(span=span_of(children))

    def label(self, children: list[Child]) -> tree.LabelPattern:
        quoted = is_token(children[0], "STRING")
        text = unquote(children[0]) if quoted else "".join(children)
        if is_token(children[-1], "NUMBER"):
            check_number(children[-1])
        return tree.LabelPattern(text, quoted, span=span_of(children))

    # --- expressions ---

    def binary(self, children: list[Child]) -> tree.Binary:
        left, op, right = children
        return tree.Binary(cast(Any, str(op)), left, right, span=span_of(children))

    def unary(self, children: list[Child]) -> tree.Unary:
        return tree.Unary(cast(Any, str(children[0])), children[1], span=span_of(children))

    def grouped(self, children: list[Child]) -> tree.Expr:
        return cast(tree.Expr, replace(children[1], span=span_of(children)))

    def number(self, children: list[Child]) -> tree.Num:
        check_number(children[0])
        return tree.Num(str(children[0]), span=span_of(children))

    def name(self, children: list[Child]) -> tree.Name:
        return tree.Name(str(children[0]), span=span_of(children))

    def quoted(self, children: list[Child]) -> tree.Quoted:
        return tree.Quoted(unquote(children[0]), span=span_of(children))

    def call(self, children: list[Child]) -> tree.Call:
        return tree.Call(str(children[0]), nodes_of(children), span=span_of(children))

    def argument(self, children: list[Child]) -> tree.Argument:
        name = str(children[0]) if is_token(children[0], "NAME") else None
        return tree.Argument(children[-1], name, span=span_of(children))

    def comprehension(self, children: list[Child]) -> tree.Comprehension:
        function, body = str(children[0]), children[-2]
        binders = [c for c in children if isinstance(c, tree.AxisBinder)]
        if len(binders) > 1 and function not in ("sum", "prod"):
            raise EmmError(
                "one-binder", f"`{function}` runs over one index set", span=span_of(binders),
                help=f"write `{function}({binders[0].binder} in {binders[0].index_set}: ...)`",
            )  # fmt: skip
        for binder in reversed(binders):
            body = tree.Comprehension(function, str(binder.binder), binder.index_set, body, span=span_of(children))
        return cast(tree.Comprehension, body)

    binder = axis

    def index(self, children: list[Child]) -> tree.Index:
        base, *indices = children
        if is_token(base, "NAME"):
            base = tree.Name(str(base), span=place_of(base))
        return tree.Index(base, nodes_of(indices), span=span_of(children))

    def list_of(self, children: list[Child]) -> tree.ListOf:
        return tree.ListOf(nodes_of(children), span=span_of(children))

    def probabilities(self, children: list[Child]) -> tree.Probabilities:
        return tree.Probabilities(nodes_of(children), span=span_of(children))

    def entry(self, children: list[Child]) -> tree.Entry:
        return tree.Entry(children[0].label, children[2], span=span_of(children))
