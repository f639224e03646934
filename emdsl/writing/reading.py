"""The text notation of derivations, read back: formulas as trees, and the words around them.

The stage that derives writes every formula as a line of text (`emdsl.derive.notation`), which stands in goldens and in
the cache. This reads that notation and nothing else. What it cannot read stays text, so that nothing is lost.

    line      = (words | relations)*
    relations = sum (relation sum)*           relation: = == != <= >= < > ~ |, `is proportional to`; in brackets also
                                              `in`, `not in`, `and`, `or`, `->`
    sum       = [-] product ((" + " | " - ") product)*
    product   = power (("*" | "/") power)*
    power     = postfix [^ [-] postfix]
    postfix   = atom ([items] | (items) | ')*
    items     = relations, separated by `,` `|` `;`; what is none of them is words
"""

from __future__ import annotations

import re
from collections.abc import Iterator

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
from emdsl.writing.greek import GREEK_NAMES

_NAME = re.compile(r"[^\W\d]\w*(?:\.\w+)*")
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w.]*[^\W\d])")
_OUTSIDE = re.compile(r" (is proportional to|(?:not )?in(?= \{)|==|!=|<=|>=|=|<|>|~|\|) ")
_INSIDE = re.compile(r" (is proportional to|not in|in|and|or|->|==|!=|<=|>=|=|<|>|~) ")
_DERIVATIVE = re.compile(r"d(2?)([QL])/d(?=[^\W\d])")
_OVER = re.compile(r"(sum) over (\w+): ")
_BARE = re.compile(r"log (?=[Pfg]\()")
_PLACE = re.compile(r" in (?:the first|every later)(?: \d+ of)? \w+")
_BIG = ("sum", "prod", "integral")
_BRACKETS = {"(": ")", "[": "]", "{": "}"}


class NoFormula(Exception):
    """What stands here is no formula."""


def read_formula(text: str) -> Formula | None:
    """The tree of a text that is one formula from end to end; None for any other text."""
    try:
        found, end = _Reader(text, inside=False).relations(0)
    except NoFormula:
        return None
    return found if end == len(text) else None


def formulas_in(text: str) -> Iterator[str | tuple[str, Formula]]:
    """A line as words and formulas in turn, a formula with its own text; put together they are the line."""
    reader, words, at = _Reader(text, inside=False), "", 0
    while at < len(text):
        found = _formula_at(reader, at)
        if found is None:
            end = _end_of_word(text, at)
            words += text[at:end]
        else:
            formula, end = found
            if words:
                yield words
            words = ""
            yield text[at:end], formula
        at = end
    if words:
        yield words


def _end_of_word(text: str, at: int) -> int:
    """Behind the word that begins here and the spaces after it."""
    while at < len(text) and text[at] != " ":
        at += 1
    while at < len(text) and text[at] == " ":
        at += 1
    return at


def _formula_at(reader: _Reader, at: int) -> tuple[Formula, int] | None:
    try:
        formula, end = reader.relations(at)
    except NoFormula:
        return None
    text = reader.text
    ends = end == len(text) or text[end] == " " or (text[end] in ",:;." and text[end + 1 : end + 2] in ("", " "))
    return (formula, end) if ends and is_mathematics(formula) else None


def is_mathematics(formula: Formula) -> bool:
    """Whether it reads as a formula among words: more than a word, a number or something in parentheses."""
    match formula:
        case Name(text):
            return text != "a" and (len(text) == 1 or text in GREEK_NAMES or bool(re.search(r"[._\d]", text)))
        case Number() | Words():
            return False
        case Group(_, items):
            return any(not isinstance(part, Name) and is_mathematics(part) for part in items.parts)
        case _:
            return True


class _Reader:
    """Reads from a place in a text; every method gives what it read and where that ends, or raises `NoFormula`."""

    def __init__(self, text: str, *, inside: bool) -> None:
        self.text = text
        self.relation = _INSIDE if inside else _OUTSIDE
        self.inside = inside

    def relations(self, at: int) -> tuple[Formula, int]:
        first, at = self.sum(at)
        rest: list[tuple[str, Formula]] = []
        while found := self.relation.match(self.text, at):
            try:
                following, end = self.sum(found.end())
            except NoFormula:
                break
            rest.append((found[1], following))
            at = end
        return (Relations(first, tuple(rest)) if rest else first), at

    def sum(self, at: int) -> tuple[Formula, int]:
        sign = "-" if self.text.startswith("-", at) else ""
        first, at = self.product(at + len(sign))
        terms = [(sign, first)]
        while self.text[at : at + 3] in (" + ", " - "):
            try:
                term, end = self.product(at + 3)
            except NoFormula:
                break
            terms.append((self.text[at + 1], term))
            at = end
        return (Sum(tuple(terms)) if sign or len(terms) > 1 else first), at

    def product(self, at: int) -> tuple[Formula, int]:
        first, at = self.power(at)
        rest: list[tuple[str, Formula]] = []
        while found := re.compile(r" \* |\*|/").match(self.text, at):
            factor, at = self.power(found.end())
            rest.append((found[0].strip(), factor))
        while isinstance(first, Transposed) and not rest and _NAME.match(self.text, at):  # b'd
            factor, at = self.power(at)
            rest.append(("", factor))
        return (Product(first, tuple(rest)) if rest else first), at

    def power(self, at: int) -> tuple[Formula, int]:
        base, at = self.postfix(at)
        while self.text.startswith("^", at):
            minus = self.text.startswith("-", at + 1)
            exponent, at = self.postfix(at + 1 + minus)
            base = Power(base, Sum((("-", exponent),)) if minus else exponent)
            base, at = self.transposed(base, at)
        return base, at

    def postfix(self, at: int) -> tuple[Formula, int]:
        found, at = self.atom(at)
        while self.text.startswith("[", at):
            items, at = self.bracketed(at)
            new = self.text.startswith("_new", at)
            found = Indexed(found, items, new)
            at += 4 * new
        return self.transposed(found, at)

    def transposed(self, base: Formula, at: int) -> tuple[Formula, int]:
        if self.text.startswith("'", at) and self.text[at + 1 : at + 2] not in (" ", "'"):
            return Transposed(base), at + 1
        return base, at

    def atom(self, at: int) -> tuple[Formula, int]:
        text = self.text
        if found := _DERIVATIVE.match(text, at):
            return self.derivative(found)
        if found := _OVER.match(text, at):
            body, end = self.product(found.end())
            return Big(found[1], Items((Name(found[2]),)), body, over=True), end
        if found := _BARE.match(text, at):
            argument, end = self.postfix(found.end())
            logarithm = Call("log", Items((argument,)), bare=True)
            if place := _PLACE.match(text, end):
                return Noted(logarithm, place[0]), place.end()
            return logarithm, end
        if text.startswith("1{", at):
            items, end = self.bracketed(at + 1)
            return Indicator(items), end
        if found := _NUMBER.match(text, at):
            return Number(found[0]), found.end()
        if text.startswith("[", at):
            return self.table(at)
        if text[at : at + 1] in ("(", "{"):
            items, end = self.bracketed(at)
            return Group(text[at], items), end
        if found := _NAME.match(text, at):
            return self.named(found[0], found.end())
        raise NoFormula

    def named(self, name: str, at: int) -> tuple[Formula, int]:
        """A name, or what it makes of the brackets behind it."""
        after = self.text[at : at + 1]
        if name in _BIG:
            if after != "(":
                raise NoFormula
            inner, end = self.inner(at)
            range_, body = _divided(inner)
            return Big(name, _items(range_), _whole(body)), end
        if name == "case" and after == "(":
            inner, end = self.inner(at)
            return _case(inner), end
        if after == "(":
            items, end = self.bracketed(at)
            return Call(name, items), end
        if name == "E" and after == "[":
            items, end = self.bracketed(at)
            return Call(name, items), end
        return Name(name), at

    def derivative(self, found: re.Match[str]) -> tuple[Formula, int]:
        second = found[1] == "2"
        variable, at = self.postfix(found.end())
        if not second:  # dQ/dC^-1 is the derivative in the inverse
            while self.text.startswith("^-1", at):
                variable, at = Power(variable, Sum((("-", Number("1")),))), at + 3
            return Derivative(found[2], (variable,)), at
        if self.text.startswith("^2", at):
            return Derivative(found[2], (variable,), second=True, square=True), at + 2
        if not self.text.startswith(" d", at):
            raise NoFormula
        other, at = self.postfix(at + 2)
        return Derivative(found[2], (variable, other), second=True), at

    def table(self, at: int) -> tuple[Formula, int]:
        inner, end = self.inner(at)
        range_, body = _divided(inner)
        return Table(_items(range_), _whole(body)), end

    def bracketed(self, at: int) -> tuple[Items, int]:
        inner, end = self.inner(at)
        return _items(inner), end

    def inner(self, at: int) -> tuple[str, int]:
        """What stands inside the brackets that open here, and the place behind them."""
        open_: list[str] = []
        for place in range(at, len(self.text)):
            character = self.text[place]
            if character in _BRACKETS:
                open_.append(_BRACKETS[character])
            elif open_ and character == open_[-1]:
                open_.pop()
                if not open_:
                    return self.text[at + 1 : place], place + 1
        raise NoFormula


# --- inside brackets --------------------------------------------------------------------------------------------------


def _whole(text: str) -> Formula:
    """A formula inside brackets; what is none is words."""
    if text.startswith("not ") and not isinstance(denied := _whole(text[4:]), Words):
        return Call("not", Items((denied,)), bare=True)
    try:
        found, end = _Reader(text, inside=True).relations(0)
    except NoFormula:
        return Words(text)
    if end == len(text):
        return found
    return Noted(found, text[end:]) if text[end] == " " and is_mathematics(found) else Words(text)


def _items(text: str) -> Items:
    parts, separators = _separated(text, (", ", " | ", "; "))
    return Items(tuple(map(_whole, parts)), tuple(each.strip() for each in separators))


def _divided(text: str) -> tuple[str, str]:
    """The range and the body of `range: body`."""
    parts, _ = _separated(text, (": ",))
    if len(parts) < 2:
        raise NoFormula
    return parts[0], text[len(parts[0]) + 2 :]


def _case(text: str) -> Case:
    subjects, arms = _divided(text)
    found = []
    for arm in _separated(arms, ("; ",))[0]:
        pattern, *value = _separated(arm, (" -> ",))[0]
        if len(value) != 1:
            raise NoFormula
        found.append((_items(pattern), _whole(value[0])))
    return Case(_items(subjects), tuple(found))


def _separated(text: str, separators: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """The text cut at each of the separators outside all brackets, and those separators."""
    parts, found, depth, start, at = [], [], 0, 0, 0
    while at < len(text):
        depth += (text[at] in "([{") - (text[at] in ")]}")
        separator = next((each for each in separators if depth == 0 and text.startswith(each, at)), None)
        if separator is None:
            at += 1
            continue
        parts.append(text[start:at])
        found.append(separator)
        start = at = at + len(separator)
    return [*parts, text[start:]], found
