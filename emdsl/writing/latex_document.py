"""A derivation as an article in LaTeX."""

from __future__ import annotations

from collections.abc import Iterator

from emdsl.writing.document import Code, Document, Entry, Line, Mathematics, Part
from emdsl.writing.latex_formula import escaped, latex

_PREAMBLE = r"""\documentclass[a4paper,10pt]{article}
\usepackage[utf8]{inputenc}
\usepackage[margin=2cm]{geometry}
\usepackage{amsmath,amssymb}
\usepackage{graphicx}
\raggedright
\frenchspacing
\setlength{\parindent}{0pt}
\setlength{\parskip}{4pt plus 2pt}
% a formula that is wider than the line (less the arrow before it) is scaled to that
\newsavebox{\formulabox}
\newcommand{\formula}[1]{\sbox{\formulabox}{$\displaystyle #1$}%
  \ifdim\wd\formulabox>.94\linewidth\resizebox{.94\linewidth}{!}{\usebox{\formulabox}}\else\usebox{\formulabox}\fi}
\newcommand{\entry}[2]{\medskip\textbf{#1}\enspace\textit{#2}\par}"""


def latex_document(document: Document) -> str:
    """The whole document, which compiles by itself."""
    title = escaped(document.name)
    subtitle = rf"\\ \large {escaped(document.description)}" if document.description else ""
    lines = [_PREAMBLE, rf"\title{{{title}{subtitle}}}", r"\author{}", r"\date{}", r"\begin{document}", r"\maketitle"]
    for section in document.sections:
        lines.append(rf"\section*{{{escaped(section.heading)}}}")
        for entry in section.entries:
            lines += _entry(entry)
    return "\n".join([*lines, r"\end{document}"])


def _entry(entry: Entry) -> Iterator[str]:
    if entry.subject or entry.rule:
        yield rf"\entry{{{escaped(entry.subject)}}}{{{escaped(entry.rule)}}}"
    for line in entry.lines:
        yield _line(line) + r"\par"


def _line(line: Line) -> str:
    lead = "" if not line.arrow else r"$\Rightarrow$\enspace " if line.opens else r"\phantom{$\Rightarrow$}\enspace "
    return lead + "".join(map(_part, line.parts))


def _part(part: Part) -> str:
    match part:
        case Mathematics(_, formula):
            return rf"\formula{{{latex(formula)}}}"
        case Code(text):
            return rf"\texttt{{{escaped(text)}}}"
        case _:
            return r"\qquad " if part.text.isspace() and len(part.text) > 1 else escaped(part.text)
