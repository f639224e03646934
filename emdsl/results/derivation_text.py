"""A derivation to read: as text, Markdown, LaTeX or a page, all printed from one document."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from emdsl.ir.derivation import Derivation, Step

if TYPE_CHECKING:
    from emdsl.writing.document import Document

#: The formats in which a derivation is written.
FORMATS = ("text", "markdown", "latex", "html")


class DerivationText:
    """A derivation to read: `print` shows it as text, a notebook as formulas. `steps` are its data."""

    def __init__(self, derivation: Derivation) -> None:
        self.derivation = derivation

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps, each a rule, its subject, the formula before and after, and a note."""
        return self.derivation.steps

    @cached_property
    def document(self) -> Document:
        """The derivation as sections, entries and lines, its formulas as trees."""
        from emdsl.writing.document import document

        return document(self.derivation)

    def to_text(self) -> str:
        """The derivation as plain text, without a line end at its end."""
        from emdsl.writing.plain_text import plain_text

        return plain_text(self.document)

    def to_markdown(self) -> str:
        """The derivation as Markdown, its formulas as LaTeX between dollars; without a line end at its end."""
        from emdsl.writing.markdown import markdown

        return markdown(self.document)

    def to_latex(self) -> str:
        """The derivation as an article that compiles by itself (amsmath, graphicx); without a line end at its end."""
        from emdsl.writing.latex_document import latex_document

        return latex_document(self.document)

    def to_html(self) -> str:
        """The derivation as a page that needs nothing from elsewhere; without a line end at its end."""
        from emdsl.writing.web_page import web_page

        return web_page(self.document)

    def written(self, form: str) -> str:
        """The derivation in one of `FORMATS`."""
        return {
            "text": self.to_text, "markdown": self.to_markdown, "latex": self.to_latex, "html": self.to_html,
        }[form]()  # fmt: skip

    def _repr_html_(self) -> str:
        from emdsl.writing.web_page import web_part

        return web_part(self.document)

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return f"<Derivation of {self.derivation.model.name}: {len(self.steps)} steps>"
