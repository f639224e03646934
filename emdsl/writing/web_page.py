"""A derivation as HTML: one page that needs nothing from elsewhere, its formulas in MathML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape

from emdsl.writing.document import Code, Document, Entry, Line, Mathematics, Part
from emdsl.writing.formula import Formula
from emdsl.writing.latex_formula import latex

#: The style of what `web_sections` writes, inside an element of the class `emdsl-derivation`.
STYLE = """
.emdsl-derivation { max-width: 62rem; margin: 0 auto; padding: 0 1rem; color: #1c2733; background: #fff;
  font: 15px/1.5 system-ui, "Helvetica Neue", Arial, sans-serif; }
.emdsl-derivation h1 { font-size: 1.6em; margin: 1.2em 0 0; }
.emdsl-derivation .subtitle { color: #55606e; margin: 0 0 1.5em; }
.emdsl-derivation h2 { font-size: 1.15em; margin: 1.8em 0 .6em; padding-bottom: .2em;
  border-bottom: 1px solid #d5dbe3; }
.emdsl-derivation h3 { font-size: 1em; margin: 1em 0 .2em; }
.emdsl-derivation h3 small { font-weight: normal; color: #55606e; margin-left: .5em; }
.emdsl-derivation .line { display: flex; align-items: baseline; overflow: auto hidden; padding: .15em 0 .15em 1.6em; }
.emdsl-derivation .line > span { white-space: pre; }
.emdsl-derivation .arrow { flex: none; width: 1.6em; margin-left: -1.6em; color: #7a8696; text-align: center; }
.emdsl-derivation .note { padding-left: 1.6em; margin: .15em 0; color: #55606e; font-size: .93em; }
.emdsl-derivation code { font: .93em ui-monospace, "DejaVu Sans Mono", monospace; background: #f2f5f8;
  padding: .1em .35em; border-radius: .25em; }
.emdsl-derivation math { display: inline math; math-style: normal; flex: none; font-size: 1.08em;
  font-family: "Latin Modern Math", "STIX Two Math", "Cambria Math", math; }
.emdsl-derivation mi[class="name"] { font-style: italic; }
.emdsl-derivation .note math { font-size: 1em; }
"""


def web_page(document: Document) -> str:
    """A whole page."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8"/>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>\n'
        f"<title>{escape(document.title)}</title>\n</head>\n<body>\n{web_part(document)}\n</body>\n</html>"
    )


def web_part(document: Document) -> str:
    """The document as a part of some page, with its own style."""
    lines = ['<div class="emdsl-derivation">', f"<style>{STYLE}</style>", f"<h1>{escape(document.name)}</h1>"]
    if document.description:
        lines.append(f'<p class="subtitle">{escape(document.description)}</p>')
    return "\n".join([*lines, web_sections(document), "</div>"])


def web_sections(document: Document, level: int = 2) -> str:
    """The sections alone, under headings of this level, without a title and without the style."""
    lines: list[str] = []
    for section in document.sections:
        lines.append(f"<h{level}>{escape(section.heading)}</h{level}>")
        for entry in section.entries:
            lines += _entry(entry, level + 1)
    return "\n".join(lines)


def _entry(entry: Entry, level: int) -> Iterator[str]:
    if entry.subject or entry.rule:
        rule = f"<small>{escape(entry.rule)}</small>" if entry.rule else ""
        yield f"<h{level}>{escape(entry.subject)}{rule}</h{level}>"
    for line in entry.lines:
        yield _line(line)


def _line(line: Line) -> str:
    inner = "".join(map(_part, line.parts))
    if line.kind == "note":
        return f'<p class="note">{inner}</p>'
    arrow = f'<span class="arrow">{"⇒" if line.opens else ""}</span>' if line.arrow else ""
    return f'<div class="line">{arrow}{inner}</div>'


def _part(part: Part) -> str:
    match part:
        case Mathematics(text, formula):
            return mathml(formula, text)
        case Code(text):
            return f"<code>{escape(text)}</code>"
        case _:
            return f"<span>{escape(part.text)}</span>"


def mathml(formula: Formula, text: str) -> str:
    """The formula in MathML; `text` is what is read where MathML is not.

    Texts of the model do not pass through the converter: it gets numbers for them, which are replaced afterwards.
    """
    from latex2mathml.converter import convert

    texts: list[tuple[str, bool]] = []

    def numbered(text: str, italic: bool) -> str:
        texts.append((text, italic))
        return f"\\text{{{len(texts) - 1}}}"

    def replaced(found: re.Match[str]) -> str:
        text, italic = texts[int(found[1])]
        written = escape(text).replace(" ", "\N{NO-BREAK SPACE}")
        return f'<mi class="name">{written}</mi>' if italic else f"<mtext>{written}</mtext>"

    converted = convert(latex(formula, numbered), display="block")
    written = re.sub(r"<mtext>(\d+)</mtext>", replaced, converted)
    return written.replace("<math ", f'<math alttext="{escape(text)}" ', 1)
