"""Trees at random, of every kind that the parser makes."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, TypeVar

from emdsl.syntax import tree

T = TypeVar("T")

#: Words of the language among them: wherever the grammar has a name, they are names.
NAMES = [
    "x",
    "mu",
    "μ",
    "重み",
    "_a",
    "weight",
    "first",
    "count",
    "model",
    "in",
    "for",
    "index",
    "to",
    "up",
    "by",
    "each",
]
NUMBERS = ["0", "3", "01", "0.5", ".5", "2.", "1e-3", "2.5E+3"]
LABELS = [*NAMES, "-1", "0.5", "01"]
CHARACTERS = "ab_ -/*#\"\\'(){}[],:|.²é1٣\u00a0重\U0001f98b"
OPERATORS: Any = ("+", "-", "*", "/", "^", "==", "!=", "<", "<=", ">", ">=", "and", "or")


class Trees:
    """Draws trees; `depth` bounds how deep expressions, branches and plates nest."""

    def __init__(self, seed: int, depth: int = 3) -> None:
        self.random = Random(seed)
        self.depth = depth

    # --- small parts ---

    def name(self) -> str:
        return self.random.choice(NAMES)

    def text(self) -> str:
        return "".join(self.random.choices(CHARACTERS, k=self.random.randrange(6)))

    def column(self) -> str:
        return self.name() if self.random.random() < 0.5 else self.text()

    def maybe(self, draw: Callable[[], T]) -> T | None:
        return draw() if self.random.random() < 0.4 else None

    def several(self, draw: Callable[[], T], least: int = 1, most: int = 3) -> tuple[T, ...]:
        return tuple(draw() for _ in range(self.random.randint(least, most)))

    def one_of(self, *draws: Callable[[], Any]) -> Any:
        """What one of the ways gives, each as likely as the others."""
        return self.random.choice(draws)()

    def deeper(self, draw: Callable[[], T], shallow: Callable[[], T]) -> T:
        """`draw` one level down, or `shallow` at the bottom."""
        if self.depth <= 0:
            return shallow()
        self.depth -= 1
        drawn = draw()
        self.depth += 1
        return drawn

    # --- expressions ---

    def expression(self) -> tree.Expr:
        return self.deeper(lambda: self.one_of(self.atom, self.compound, self.compound), self.atom)

    def atom(self) -> tree.Expr:
        return self.one_of(
            lambda: tree.Num(self.random.choice(NUMBERS)),
            lambda: tree.Name(self.name()),
            lambda: tree.Quoted(self.text()),
        )

    def compound(self) -> tree.Expr:
        return self.one_of(
            lambda: tree.Unary(self.random.choice(("-", "+", "not")), self.expression()),
            lambda: tree.Binary(self.random.choice(OPERATORS), self.expression(), self.expression()),
            lambda: tree.Binary(self.random.choice(OPERATORS), self.expression(), self.expression()),
            self.call, self.comprehension, self.element,
            lambda: tree.ListOf(self.several(self.expression)),
            lambda: tree.Probabilities(self.several(lambda: tree.Entry(self.column(), self.expression()))),
        )  # fmt: skip

    def call(self) -> tree.Call:
        return tree.Call(self.name(), self.several(lambda: tree.Argument(self.expression(), self.maybe(self.name)), 0))

    def comprehension(self) -> tree.Comprehension:
        return tree.Comprehension(self.name(), self.name(), self.name(), self.expression())

    def element(self) -> tree.Index:
        base: tree.Expr = self.one_of(lambda: tree.Name(self.name()), self.call, self.comprehension)
        return tree.Index(base, self.several(self.expression))

    # --- patterns, branches, laws ---

    def label(self) -> tree.LabelPattern:
        if self.random.random() < 0.5:
            return tree.LabelPattern(self.random.choice(LABELS))
        return tree.LabelPattern(self.text(), quoted=True)

    def side(self) -> tree.LabelPattern | tree.AnyPattern:
        return self.one_of(self.label, tree.AnyPattern)

    def pattern(self) -> tree.Pattern:
        return self.one_of(self.side, lambda: tree.PairPattern(self.side(), self.side()))

    def case(self, value: Callable[[], tree.Expr | tree.Law], nested: Callable[[], tree.Expr | tree.Law]) -> tree.Case:
        subjects = self.several(self.expression, 1, 2)

        def arm() -> tree.CaseArm:
            rows = self.several(lambda: tuple(self.pattern() for _ in subjects))
            return tree.CaseArm(rows, self.deeper(lambda: self.one_of(value, nested), value))

        return tree.Case(subjects, self.several(arm))

    def expression_case(self) -> tree.Case:
        return self.case(self.expression, self.expression_case)

    def body(self) -> tree.Expr:
        return self.one_of(self.expression, self.expression, self.expression_case)

    def modifier(self) -> tree.Modifier:
        return self.one_of(
            lambda: tree.Censored(self.random.choice(("above", "below")), self.expression()),
            lambda: tree.Truncated(self.expression(), self.expression()),
            lambda: tree.UpTo(self.expression()),
        )

    def law(self) -> tree.Law:
        return tree.Law(self.call(), self.several(self.modifier, 0, 2))

    def law_case(self) -> tree.Law:
        return tree.Law(self.case(self.law, self.law_case))

    def drawn(self) -> tree.Law | tree.ChainLaw:
        return self.one_of(
            self.law, self.law_case, lambda: tree.ChainLaw(self.law(), self.one_of(self.law, self.law_case))
        )

    # --- declarations and statements ---

    def axes(self, least: int = 0) -> tuple[tree.AxisBinder, ...]:
        return self.several(lambda: tree.AxisBinder(self.name(), self.maybe(self.name)), least, 2)

    def domain(self) -> tree.DomainExpr:
        if self.random.random() < 0.5:
            return tree.DomainExpr(self.name(), self.several(self.expression, 0, 2))
        return tree.DomainExpr(self.name(), axes=self.axes(1))

    def source(self) -> tree.LabelList | tree.RangeOf | tree.LevelsOf | tree.ColumnsOf:
        return self.one_of(
            lambda: tree.LabelList(self.several(self.label)),
            lambda: tree.RangeOf(self.expression(), self.expression()),
            lambda: tree.LevelsOf(self.several(self.column, 0)),
            lambda: tree.ColumnsOf(self.several(self.column, 0)),
        )

    def let(self) -> tree.LetDecl:
        return tree.LetDecl(self.name(), self.axes(), self.body(), self.text())

    def latent(self) -> tree.LatentStmt:
        names = self.several(self.name, 1, 2)
        return tree.LatentStmt(names, self.axes(), self.drawn(), self.maybe(self.domain), self.text())

    def observed(self) -> tree.ObservedStmt:
        law, value = (self.drawn(), None) if self.random.random() < 0.6 else (None, self.body())
        return tree.ObservedStmt(
            self.name(), self.axes(), law, value, self.maybe(self.domain), self.maybe(self.column),
            self.maybe(lambda: (self.column(), self.column())), self.text(),
            self.several(self.name, 1, 2) if self.random.random() < 0.2 else (),
        )  # fmt: skip

    def plate(self) -> tree.PlateStmt:
        ordered = self.random.random() < 0.5
        by = self.maybe(self.column) if ordered else None
        return tree.PlateStmt(
            self.name(), self.several(self.statement), self.maybe(self.name), ordered, by, self.text()
        )

    def statement(self) -> tree.Statement:
        simple: tuple[Callable[[], tree.Statement], ...] = (
            lambda: tree.InputStmt(
                self.name(), self.axes(), self.maybe(self.domain), self.maybe(self.column), self.text()
            ),
            lambda: tree.WeightStmt(self.name(), self.maybe(self.column), self.text()),
            lambda: tree.FactorStmt(self.body(), self.text()),
            lambda: tree.GivenStmt(self.expression(), self.text()),
            self.latent, self.observed, self.let,
        )  # fmt: skip
        return self.deeper(lambda: self.one_of(*simple, self.plate), lambda: self.one_of(*simple))

    def family(self) -> tree.FamilyDecl:
        parameters = self.several(lambda: tree.FamilyParameter(self.name(), self.domain()), 0)
        definitions = self.several(lambda: (self.name(), self.body()))
        return tree.FamilyDecl(self.name(), parameters, self.name(), self.domain(), definitions, self.text())

    def declaration(self) -> tree.Declaration:
        return self.one_of(
            lambda: tree.ConstDecl(
                self.name(), self.axes(), self.maybe(self.name), self.maybe(self.expression), self.text()
            ),
            lambda: tree.IndexDecl(self.name(), self.source(), self.text()),
            lambda: tree.ParamDecl(
                self.name(), self.axes(), self.domain(), self.maybe(self.law), self.maybe(self.expression),
                self.maybe(self.expression), self.text(),
            ),
            lambda: tree.ReportDecl(self.name(), self.axes(), self.body(), self.text()),
            lambda: tree.OrderDecl(self.name(), tree.Name(self.name()), self.text()),
            lambda: tree.OrderDecl(
                self.name(), tree.Index(tree.Name(self.name()), self.several(self.expression)), self.text()
            ),
            self.let, self.latent, self.family, self.plate, self.plate,
        )  # fmt: skip

    def module(self) -> tree.Module:
        heading = self.maybe(lambda: tree.ModelDecl(self.name(), self.text()))
        rest = self.several(self.declaration, 0)
        return tree.Module((heading, *rest) if heading is not None else rest)
