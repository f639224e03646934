"""A derivation as Markdown, its formulas as LaTeX between dollars."""

from __future__ import annotations

import re
from collections.abc import Iterator

from emdsl.writing.document import Code, Document, Entry, Line, Mathematics, Part
from emdsl.writing.latex_formula import latex

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|$~!&])")
#: What makes a list, a quotation or a heading at the beginning of a line.
_OPENING = re.compile(r"^(\d+)([.)])|^([-+=])")


def markdown(document: Document) -> str:
    """The whole document, without a line end at its end."""
    blocks = [f"# {_escaped(document.name)}"]
    if document.description:
        blocks.append(_line_start(_escaped(document.description)))
    for section in document.sections:
        blocks.append(f"## {_escaped(section.heading)}")
        for entry in section.entries:
            blocks += _entry(entry)
    return "\n\n".join(blocks)


def _entry(entry: Entry) -> Iterator[str]:
    head = [f"**{_escaped(entry.subject)}**"] * bool(entry.subject) + [f"*{_escaped(entry.rule)}*"] * bool(entry.rule)
    if head:
        yield " ".join(head)
    for line in entry.lines:
        yield _line(line)


def _line(line: Line) -> str:
    """A formula alone is displayed; among words it stands in the line."""
    match line.parts:
        case (Mathematics(_, formula),) if line.displayed:
            arrow = r"\Rightarrow\quad " if line.arrow and line.opens else ""
            return f"$$\n{arrow}{latex(formula)}\n$$"
    arrow = r"$\Rightarrow$ " if line.arrow and line.opens else ""
    return _line_start(arrow + "".join(map(_part, line.parts)))


def _part(part: Part) -> str:
    match part:
        case Mathematics(_, formula):
            return f"$\\displaystyle {latex(formula)}$"
        case Code(text):
            fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
            return f"{fence} {text} {fence}" if "`" in text else f"`{text}`"
        case _:
            return r" $\qquad$ " if part.text.isspace() and len(part.text) > 1 else _escaped(part.text)


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)


def _line_start(text: str) -> str:
    return _OPENING.sub(lambda found: f"{found[1]}\\{found[2]}" if found[1] else f"\\{found[3]}", text)
