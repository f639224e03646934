"""Formulas as LaTeX: `sum(i in allele: n[i]*log(p[i]))` is `\\sum_{i \\in allele} n_{i}\\,\\log p_{i}`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import assert_never

from emdsl.writing.formula import (
    Big,
    Call,
    Case,
    Derivative,
    Formula,
    Group,
    Indexed,
    Indicator,
    Items,
    Name,
    Noted,
    Number,
    Power,
    Product,
    Relations,
    Sum,
    Table,
    Transposed,
    Words,
)
from emdsl.writing.greek import GREEK_LETTERS, GREEK_NAMES

#: How a text of several letters is set: a name (`italic`) or words.
Setting = Callable[[str, bool], str]

_RELATIONS = {
    "=": "=", "==": "=", "!=": r"\neq", "<=": r"\leq", ">=": r"\geq", "<": "<", ">": ">", "~": r"\sim", "|": r"\mid",
    "is proportional to": r"\propto", "in": r"\in", "not in": r"\notin", "and": r"\wedge", "or": r"\vee",
    "->": r"\to",
}  # fmt: skip
_OPERATORS = {"sum": r"\sum", "prod": r"\prod", "integral": r"\int"}
_FUNCTIONS = {
    "log": r"\log", "exp": r"\exp", "sin": r"\sin", "cos": r"\cos", "tan": r"\tan", "min": r"\min", "max": r"\max",
    "lgamma": r"\log\Gamma", "det": r"\det", "Phi": r"\Phi", "besseli0": "I_{0}", "besseli1": "I_{1}",
}  # fmt: skip
_ESCAPES = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}",
}  # fmt: skip


def escaped(text: str) -> str:
    """Words as LaTeX sets them, whatever their characters are."""
    return "".join(_ESCAPES.get(character, character) for character in text)


def set_as_text(text: str, italic: bool) -> str:
    """Names in italics, words as they are."""
    return (r"\textit{" if italic else r"\text{") + escaped(text) + "}"


def latex(formula: Formula, setting: Setting = set_as_text) -> str:
    """The formula in LaTeX's mathematics, for amsmath."""
    return _Printer(setting).show(formula)


class _Printer:
    """Prints formulas; `setting` says how texts of several letters are written."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    def show(self, formula: Formula) -> str:
        match formula:
            case Name(text):
                return self.indexed(text, "")
            case Number(text):
                return _number(text)
            case Words(text):
                return self.setting(text, False)
            case Items():
                return self.items(formula)
            case Call():
                return self.call(formula)
            case Indexed(Name(text), items, new):
                return self.indexed(text + ("_new" if new else ""), self.items(items))
            case Indexed(base, items, _):
                return f"{{{self.show(base)}}}_{{{self.items(items)}}}"
            case Noted(inner, words):
                return f"{self.show(inner)}{self.setting(words, False)}"
            case Indicator(items):
                return r"\mathbf{1}" + _fenced(r"\{", self.items(items), r"\}")
            case Group("(", items):
                return _fenced("(", self.items(items), ")")
            case Group(_, items):
                return _fenced(r"\{", self.items(items), r"\}")
            case Transposed(base):
                return f"{{{self.show(base)}}}^{{\\top}}"
            case Power(base, exponent):
                shown, above = self.show(base), self.show(_bare(exponent))
                return f"{shown}^{{{above}}}" if _takes_exponent(base) else f"{{{shown}}}^{{{above}}}"
            case Product(first, rest):
                return self.product(first, rest)
            case Sum(terms):
                return self.sum(terms)
            case Relations(first, rest):
                return self.show(first) + "".join(f" {_RELATIONS[sign]} {self.show(each)}" for sign, each in rest)
            case Big():
                return self.big(formula)
            case Table(items, body):
                return f"{_fenced('[', self.show(body), ']')}_{{{self.items(items)}}}"
            case Case(subjects, arms):
                lines = r" \\ ".join(f"{self.show(value)} & {self.items(pattern)}" for pattern, value in arms)
                return rf"\left({self.items(subjects)}: \begin{{cases}}{lines}\end{{cases}}\right)"
            case Derivative():
                return self.derivative(formula)
            case _:
                assert_never(formula)

    # --- names --------------------------------------------------------------------------------------------------------

    def indexed(self, name: str, items: str) -> str:
        """A name with its indices; what it says of itself (`mu_new`, `topic_2`, `N_first`) stands beside its letter."""
        above = ""
        if name.endswith("_new") and len(name) > 4:
            name, above = name.removesuffix("_new"), f"^{{{self.setting('new', False)}}}"
        core, below = _core_and_index(name)
        shown = [self.index(part) for part in below] + ([items] if items else [])
        place = r",\,".join(shown)
        return self.letter(core) + above + (f"_{{{place}}}" if shown else "")

    def index(self, text: str) -> str:
        return text if text.isascii() and text.isdigit() else self.setting(text, False)

    def letter(self, text: str) -> str:
        """A name without index: a letter, Greek by its name, or a word."""
        if text == "inf":
            return r"\infty"
        if text in GREEK_NAMES:
            return rf"\{text}"
        if text in GREEK_LETTERS:
            return rf"\{GREEK_LETTERS[text]}"
        return text if len(text) == 1 and text.isascii() and text.isalpha() else self.setting(text, True)

    # --- what has brackets --------------------------------------------------------------------------------------------

    def items(self, items: Items) -> str:
        marks = {",": r",\, ", "|": r" \mid ", ";": r";\; "}
        text = self.show(items.parts[0])
        for separator, part in zip(items.separators, items.parts[1:], strict=True):
            text += marks[separator] + self.show(part)
        return text

    def call(self, call: Call) -> str:
        name, items = call.function, call.items
        inner = self.items(items)
        match name, len(items.parts):
            case "sqrt", 1:
                return rf"\sqrt{{{inner}}}"
            case "abs" | "size", 1:
                return _fenced("|", inner, "|")
            case "not", _:
                return rf"\neg {inner}" if call.bare else rf"\neg{_fenced('(', inner, ')')}"
            case "where", 3:
                condition, value, other = map(self.show, items.parts)
                if_, else_ = self.setting("if ", False), self.setting("otherwise", False)
                return rf"\begin{{cases}}{value} & {if_}{condition} \\ {other} & {else_}\end{{cases}}"
            case "E", _:
                return rf"\operatorname{{E}}{_fenced('[', inner, ']')}"
        head = _FUNCTIONS.get(name) or (name if len(name) == 1 else self.function(name))
        return f"{head} {inner}" if call.bare else head + _fenced("(", inner, ")")

    def function(self, name: str) -> str:
        """The name of a function: upright."""
        return self.letter(name) if name in GREEK_NAMES else self.setting(name, False)

    def big(self, big: Big) -> str:
        range_ = self.items(big.items)
        body = self.show(big.body)
        if isinstance(big.body, Sum):
            body = _fenced("(", body, ")")
        if big.operator == "integral":
            return rf"\int {body}\,\mathrm{{d}}{range_}"
        return rf"{_OPERATORS[big.operator]}\limits_{{{range_}}} {body}"

    # --- arithmetic ---------------------------------------------------------------------------------------------------

    def sum(self, terms: tuple[tuple[str, Formula], ...]) -> str:
        text = ""
        for at, (sign, term) in enumerate(terms):
            text += (sign if at == 0 else f" {sign} ") + self.show(term)
        return text

    def product(self, first: Formula, rest: tuple[tuple[str, Formula], ...]) -> str:
        """Factors side by side; what stands before a `/` is its numerator."""
        text, factors = "", [first]
        for operator, factor in rest:
            if operator == "/":
                above = self.factors(text, factors, whole=True)
                text, factors = rf"\frac{{{above}}}{{{self.show(_bare(factor))}}}", []
            else:
                factors.append(factor)
        return self.factors(text, factors)

    def factors(self, text: str, factors: list[Formula], *, whole: bool = False) -> str:
        """Some factors behind the text of earlier ones; `whole`: nothing stands beside them."""
        if whole and not text and len(factors) == 1:
            return self.show(_bare(factors[0]))
        for at, factor in enumerate(factors):
            shown = self.show(factor)
            if isinstance(factor, Big) and at < len(factors) - 1:
                shown = _fenced("(", shown, ")")
            between = "" if not text else r" \cdot " if isinstance(factor, Number) else r"\,"
            if at and isinstance(factors[at - 1], Number) and not isinstance(factor, Number):
                between = ""
            text += between + shown
        return text

    def derivative(self, formula: Derivative) -> str:
        power = "^{2}" if formula.second else ""
        below = [rf"\partial {self.show(variable)}" for variable in formula.variables]
        if formula.square:
            below = [rf"\partial {self.show(Power(formula.variables[0], Number('2')))}"]
        together = r"\,".join(below)
        return rf"\frac{{\partial{power} {formula.function}}}{{{together}}}"


def _fenced(opening: str, inner: str, closing: str) -> str:
    """In brackets, which grow with what is taller than a line."""
    if any(command in inner for command in (r"\frac", r"\sum", r"\prod", r"\int", r"\begin")):
        return rf"\left{opening}{inner}\right{closing}"
    return opening + inner + closing


def _bare(formula: Formula) -> Formula:
    """Without parentheses around the whole, where a fraction or an exponent holds it together."""
    match formula:
        case Group("(", Items((inner,), ())):
            return inner
        case _:
            return formula


def _takes_exponent(base: Formula) -> bool:
    """Whether an exponent may stand beside it: nothing is above the line yet."""
    match base:
        case Name(text) | Indexed(Name(text)):
            return not text.endswith("_new") and not getattr(base, "new", False)
        case Number() | Group():
            return True
        case _:
            return False


def _core_and_index(name: str) -> tuple[str, tuple[str, ...]]:
    """`topic_2`, `genotype.1`, `m1` and `sd_plate` of a letter: what stands below the line. Other names stay whole."""
    if found := re.fullmatch(r"(.+?)[_.](\d+)", name):
        return found[1], (found[2],)
    if found := re.fullmatch(r"([^\W\d_])(\d+)", name):
        return found[1], (found[2],)
    head, _, tail = name.partition("_")
    if tail and (len(head) == 1 or head in GREEK_NAMES):
        return head, (tail,)
    return name, ()


def _number(text: str) -> str:
    mantissa, _, exponent = text.partition("e")
    if not exponent:
        return text
    power = f"10^{{{int(exponent)}}}"
    return power if mantissa == "1" else rf"{mantissa} \cdot {power}"
