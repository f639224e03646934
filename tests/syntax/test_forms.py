"""What each form of the language becomes."""

from __future__ import annotations

import pytest

from emdsl.diagnostics.errors import EmmError
from emdsl.syntax import tree
from emdsl.syntax.parser import parse
from emdsl.syntax.printer import print_expr
from emdsl.syntax.tree import Binary, Call, Comprehension, LabelPattern, Name, Num, PairPattern, Unary


def only(text: str) -> tree.Declaration:
    (declaration,) = parse(text).declarations
    return declaration


def value(text: str) -> tree.Expr:
    declaration = only(f"let q = {text}")
    assert isinstance(declaration, tree.LetDecl)
    return declaration.value


def statement(text: str) -> tree.Statement:
    indented = text.replace("\n", "\n    ")
    plate = only(f"for each row:\n    {indented}\n")
    assert isinstance(plate, tree.PlateStmt)
    (inner,) = plate.body
    return inner


def alternatives(subjects: str, pattern: str) -> tuple[tuple[tree.Pattern, ...], ...]:
    declaration = only(f"let q = case {subjects}:\n  {pattern} -> 1")
    assert isinstance(declaration, tree.LetDecl)
    assert isinstance(declaration.value, tree.Case)
    (arm,) = declaration.value.arms
    return arm.alternatives


a, b, c, x = Name("a"), Name("b"), Name("c"), Name("x")


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("-x^2", Unary("-", Binary("^", x, Num("2")))),
        ("x^-2^a", Binary("^", x, Unary("-", Binary("^", Num("2"), a)))),
        ("a^b^c", Binary("^", a, Binary("^", b, c))),
        ("a - b - c", Binary("-", Binary("-", a, b), c)),
        ("a/b*c", Binary("*", Binary("/", a, b), c)),
        ("-a*b", Binary("*", Unary("-", a), b)),
        ("a + b*c", Binary("+", a, Binary("*", b, c))),
        ("(a + b)*c", Binary("*", Binary("+", a, b), c)),
        ("not a == b", Unary("not", Binary("==", a, b))),
        ("a or b and not c", Binary("or", a, Binary("and", b, Unary("not", c)))),
        ("a + b <= c", Binary("<=", Binary("+", a, b), c)),
        ("sum(i in idx: i)", Comprehension("sum", "i", "idx", Name("i"))),
        ("prod(i in s, j in t: 1)", Comprehension("prod", "i", "s", Comprehension("prod", "j", "t", Num("1")))),
        ("f(a, sd=b,)", Call("f", (tree.Argument(a), tree.Argument(b, "sd")))),
        ("prev(x[a], 2)", Call("prev", (tree.Argument(tree.Index(x, (a,))), tree.Argument(Num("2"))))),
        ('{a: 1, "b c": x, -1: 0}', tree.Probabilities((
            tree.Entry("a", Num("1")), tree.Entry("b c", x), tree.Entry("-1", Num("0"))))),
        ('"AB+"', tree.Quoted("AB+")),
        (r'"a \"b\" \\ \n"', tree.Quoted(r'a "b" \ \n')),
        ("stationary(A)[a]", tree.Index(Call("stationary", (tree.Argument(Name("A")),)), (a,))),
        ("9^9^9^9", Binary("^", Num("9"), Binary("^", Num("9"), Binary("^", Num("9"), Num("9"))))),
        ("x₀", Name("x₀")),
    ],
)  # fmt: skip
def test_expressions(text: str, meaning: tree.Expr) -> None:
    assert value(text) == meaning


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("((a))", "a"),
        ("(a+b)-(c)", "a + b - c"),
        ("a-(b-c)", "a - (b - c)"),
        ("(a*b)/c", "a*b/c"),
        ("a/(b*c)", "a/(b*c)"),
        ("(-a)^2", "(-a)^2"),
        ("-(a^2)", "-a^2"),
        ("(a^b)^c", "(a^b)^c"),
        ("a^(b^c)", "a^b^c"),
        ("a*(-b)", "a*-b"),
        ("(a<b)==c", "(a < b) == c"),
        ("not (a and b)", "not (a and b)"),
        ("(not a) and b", "not a and b"),
        ("(not a)+b", "(not a) + b"),
        ("{'_': 1}".replace("'", '"'), '{"_": 1}'),
    ],
)
def test_parentheses_are_the_fewest(text: str, printed: str) -> None:
    assert print_expr(value(text)) == printed


def test_a_range_is_no_decimal_number() -> None:
    assert only("index k = 1..3") == tree.IndexDecl("k", tree.RangeOf(Num("1"), Num("3")))
    assert only("index k = 0.. 2*K") == tree.IndexDecl(
        "k", tree.RangeOf(Num("0"), Binary("*", Num("2"), Name("K")))
    )  # fmt: skip


def test_labels_keep_their_text() -> None:
    declaration = only('index s = {fair, "AB+", -1, 0.5, 01, - 2}')
    assert isinstance(declaration, tree.IndexDecl)
    assert isinstance(declaration.source, tree.LabelList)
    assert [label.label for label in declaration.source.labels] == ["fair", "AB+", "-1", "0.5", "01", "-2"]
    assert [label.quoted for label in declaration.source.labels] == [False, True, False, False, False, False]


A, B, C = LabelPattern("A"), LabelPattern("B"), LabelPattern("C")
anything = tree.AnyPattern()


@pytest.mark.parametrize(
    ("subjects", "pattern", "meaning"),
    [
        ("g", "A/_", ((PairPattern(A, anything),),)),
        ("g", "_/_ | A/B", ((PairPattern(anything, anything),), (PairPattern(A, B),))),
        ("g", "-1 | 0.5", ((LabelPattern("-1"),), (LabelPattern("0.5"),))),
        ("g", '"A/B"/C', ((PairPattern(LabelPattern("A/B", quoted=True), C),),)),
        ("g, h", "A, B | B, C", ((A, B), (B, C))),
        ("g, h", "A | B, C", ((A, C), (B, C))),
        ("g, h", "A, B | C", ((A, B), (A, C))),
        ("g, h", "(A, B) | (B, _)", ((A, B), (B, anything))),
        ("g, h", "(A | B), C", ((A, C), (B, C))),
        ("g, h", "_", ((anything, anything),)),
        ("g", "else | A", ((LabelPattern("else"),), (A,))),
    ],
)
def test_patterns(subjects: str, pattern: str, meaning: tuple[tuple[tree.Pattern, ...], ...]) -> None:
    assert alternatives(subjects, pattern) == meaning


def test_pieces_of_a_parameter_come_in_any_order() -> None:
    wanted = only('param p[i in s] : simplex[j in s] ~ Dirichlet(1) init 1/2 only j >= i "p"')
    assert only('param p[i in s] : simplex[j in s] "p" only j >= i init 1/2 ~ Dirichlet(1)') == wanted
    assert isinstance(wanted, tree.ParamDecl)
    assert wanted.domain == tree.DomainExpr("simplex", (), (tree.AxisBinder("s", "j"),))
    assert wanted.description == "p"


def test_pieces_of_an_observed_variable_come_in_any_order() -> None:
    wanted = statement('observed y : grade from "Y" between lo and "h i" ~ F(a)')
    assert statement('observed y between lo and "h i" from "Y" : grade ~ F(a)') == wanted
    assert isinstance(wanted, tree.ObservedStmt)
    assert (wanted.column, wanted.between) == ("Y", ("lo", "h i"))


def test_a_chain_law() -> None:
    stated = statement("latent v ~ Normal(0, 1) first, Normal(prev(v), q) up to 3 after")
    assert isinstance(stated, tree.LatentStmt)
    assert isinstance(stated.law, tree.ChainLaw)
    assert stated.law.after.modifiers == (tree.UpTo(Num("3")),)


def test_after_is_optional_behind_a_case() -> None:
    law = "latent v ~ F(0) first, case prev(v):\n    _ -> F(1)"
    assert statement(law) == statement(f"{law}\nafter")


def test_the_description_of_a_block_ends_its_first_line() -> None:
    mapped = statement('observed y = case g: "as seen"\n    _ -> 1')
    assert isinstance(mapped, tree.ObservedStmt)
    assert mapped.description == "as seen"
    drawn = statement('latent v ~ F(0) first, case prev(v): "state"\n    _ -> F(1)')
    assert isinstance(drawn, tree.LatentStmt)
    assert drawn.description == "state"


def test_plates() -> None:
    plate = only('for each t over occ in sequence by "day": "visits"\n    weight w')
    assert plate == tree.PlateStmt("t", (tree.WeightStmt("w"),), "occ", True, "day", "visits")


def test_a_text_may_be_a_label_or_a_description() -> None:
    assert only('let q = "AB+" "the group"') == tree.LetDecl("q", (), tree.Quoted("AB+"), "the group")


def test_spans_lead_to_the_text() -> None:
    text = "model M\n\nlet q = (a + b)*f(x)  # here\n"
    declaration = parse(text).declarations[1]
    assert isinstance(declaration, tree.LetDecl)
    product = declaration.value
    assert isinstance(product, Binary)
    assert text[product.left.span.start : product.left.span.end] == "(a + b)"
    assert text[product.right.span.start : product.right.span.end] == "f(x)"
    assert text[declaration.span.start : declaration.span.end] == "let q = (a + b)*f(x)"
    assert (product.right.span.line, product.right.span.column) == (3, 17)


@pytest.mark.parametrize("text", ["let q = case", "let q = not", "let q = 1 +", "param x : real init"])
def test_reserved_words_and_unfinished_lines_are_errors(text: str) -> None:
    with pytest.raises(EmmError):
        parse(text)
