"""A derivation as text: its steps under the headings of a textbook."""

from __future__ import annotations

from collections.abc import Sequence

from emdsl.ir.derivation import Derivation, Step
from emdsl.results.unavailable import refuse

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
_INDENT = "    "


class DerivationText:
    """A derivation to read: `print` shows it as text. `steps` are its data."""

    def __init__(self, derivation: Derivation) -> None:
        self.derivation = derivation

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps, each a rule, its subject, the formula before and after, and a note."""
        return self.derivation.steps

    def to_text(self) -> str:
        """The derivation as plain text, without a line end at its end."""
        model = self.derivation.model
        title = model.name + (f": {model.description}" if model.description else "")
        return "\n\n".join([title, *derivation_sections(self.steps)])

    def to_latex(self) -> str:
        """Not in this version: raises `not-available`."""
        raise refuse("a derivation as LaTeX")

    def to_html(self) -> str:
        """Not in this version: raises `not-available`."""
        raise refuse("a derivation as HTML")

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return f"<Derivation of {self.derivation.model.name}: {len(self.steps)} steps>"


def derivation_sections(steps: Sequence[Step]) -> list[str]:
    """The text of each section that has steps, under its heading."""
    named = {rule for _, rules in SECTIONS for rule in rules}
    sections = [(heading, [step for step in steps if step.rule in rules]) for heading, rules in SECTIONS]
    sections.append((M_STEP, [step for step in steps if step.rule not in named]))
    return [_section(heading, found) for heading, found in sections if found]


def _section(heading: str, steps: Sequence[Step]) -> str:
    """A heading and its steps; where they are of several rules, or the M-step's, each says which."""
    told_apart = heading == M_STEP or len({step.rule for step in steps}) > 1
    return "\n".join([heading, "-" * len(heading), *(line for step in steps for line in _step(step, told_apart))])


def _step(step: Step, rule_shown: bool) -> list[str]:
    """The subject, with the rule's name in brackets, and below it before, after and the note."""
    head = " ".join(filter(None, (step.subject, f"[{step.rule}]" if rule_shown else "")))
    body = [*_formula("", step.before), *_formula("=> " if step.before else "", step.after)]
    body += step.note.splitlines()
    return [*([head] if head else []), *((_INDENT if head else "") + line for line in body)]


def _formula(lead: str, formula: str) -> list[str]:
    """A formula of one or more lines, the first behind `lead`."""
    return [(lead if at == 0 else " " * len(lead)) + line for at, line in enumerate(formula.splitlines())]
