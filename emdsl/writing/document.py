"""A derivation as a document: sections, entries, lines, and in these words, formulas and text of the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from emdsl.ir.derivation import Derivation, Step
from emdsl.writing.formula import Formula
from emdsl.writing.reading import formulas_in

#: The sections in order: the heading, and the rules of the steps that stand under it. Every other rule is the M-step's.
SECTIONS = (
    ("Complete-data log-likelihood", ("complete-data log-likelihood",)),
    ("Its terms", ("log-density", "predictor", "prior")),
    ("Parameters and data apart", ("separation",)),
    ("Posterior of what is hidden (E-step)", ("posterior",)),
    ("Units that are not in the data (E-step)", ("selection",)),
    ("Expected statistics (E-step)", ("statistics",)),
    ("Q, the expected complete-data log-likelihood", ("Q",)),
)
M_STEP = "M-step"
#: Rules whose `before` is the statement of the model that they are about.
_STATEMENTS = ("log-density", "prior")


@dataclass(frozen=True)
class Prose:
    """Words."""

    text: str


@dataclass(frozen=True)
class Mathematics:
    """A formula: as text, and as the tree that other notations are written from."""

    text: str
    formula: Formula


@dataclass(frozen=True)
class Code:
    """Text of the model."""

    text: str


Part = Prose | Mathematics | Code


@dataclass(frozen=True)
class Line:
    """One line of an entry. `opens`: the first of its kind, the others go on with what it says.

    `result` is what follows from the lines before, behind an arrow where there are any; `note` is a remark.
    """

    parts: tuple[Part, ...]
    kind: Literal["before", "result", "note"]
    opens: bool = True
    arrow: bool = False

    @property
    def text(self) -> str:
        """The line as text."""
        return "".join(part.text for part in self.parts)

    @property
    def displayed(self) -> bool:
        """Whether it holds a formula and is no remark."""
        return self.kind != "note" and any(isinstance(part, Mathematics) for part in self.parts)


@dataclass(frozen=True)
class Entry:
    """A step: what it is about, the name of its rule where that is to be told, and its lines."""

    subject: str
    rule: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Section:
    """A heading and the steps under it."""

    heading: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Document:
    """A whole derivation."""

    name: str
    description: str
    sections: tuple[Section, ...]

    @property
    def title(self) -> str:
        """The model's name and what it says of itself."""
        return self.name + (f": {self.description}" if self.description else "")

    def formulas(self) -> Iterator[Mathematics]:
        """All formulas, in order."""
        for section in self.sections:
            for entry in section.entries:
                for line in entry.lines:
                    yield from (part for part in line.parts if isinstance(part, Mathematics))


def document(derivation: Derivation) -> Document:
    """The document of a derivation."""
    model = derivation.model
    return Document(model.name, model.description, sections(derivation.steps))


def sections(steps: Sequence[Step]) -> tuple[Section, ...]:
    """Each section that has steps."""
    named = {rule for _, rules in SECTIONS for rule in rules}
    found = [(heading, [step for step in steps if step.rule in rules]) for heading, rules in SECTIONS]
    found.append((M_STEP, [step for step in steps if step.rule not in named]))
    return tuple(_section(heading, own) for heading, own in found if own)


def _section(heading: str, steps: Sequence[Step]) -> Section:
    """Where steps are of several rules, or the M-step's, each says which."""
    told_apart = heading == M_STEP or len({step.rule for step in steps}) > 1
    return Section(heading, tuple(_entry(step, told_apart) for step in steps))


def _entry(step: Step, rule_shown: bool) -> Entry:
    before, after = step.before.splitlines(), step.after.splitlines()
    statement = step.rule in _STATEMENTS
    lines = [Line((Code(text),) if statement else parts(text), "before", at == 0) for at, text in enumerate(before)]
    lines += [Line(parts(text), "result", at == 0, arrow=bool(before)) for at, text in enumerate(after)]
    lines += [Line(parts(text), "note") for text in step.note.splitlines()]
    return Entry(step.subject, step.rule if rule_shown else "", tuple(lines))


def parts(text: str) -> tuple[Part, ...]:
    """A line taken apart into words and formulas."""
    return tuple(Prose(each) if isinstance(each, str) else Mathematics(*each) for each in formulas_in(text))
