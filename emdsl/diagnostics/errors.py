"""Errors as values, and the exceptions that carry them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from emdsl.diagnostics.spans import Span


@dataclass(frozen=True)
class Diagnostic:
    """One error or warning.

    `code` is stable (`unknown-name`); `message` says what was expected and found, lower case, no full stop; `span` is
    its place in the model's text, `place` its place elsewhere (`moths.csv, row 3, column count`); `label` stands behind
    the caret; `help` is what the user may type.
    """

    code: str
    message: str
    span: Span | None = None
    help: str = ""
    label: str = ""
    place: str = ""
    severity: str = "error"


class EmmError(Exception):
    """The model, the data or the command is wrong.

    `diagnostics` holds every error found at that stage, first one first.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        span: Span | None = None,
        help: str = "",
        label: str = "",
        place: str = "",
        others: Sequence[Diagnostic] = (),
    ) -> None:
        super().__init__(message)
        self.diagnostics: tuple[Diagnostic, ...] = (
            Diagnostic(code, message, span, help, label, place),
            *others,
        )
        self.source: str | None = None
        self.file: str | None = None

    @classmethod
    def of(cls, diagnostics: Sequence[Diagnostic]) -> EmmError:
        """One exception for all the errors of a stage (at least one)."""
        first = diagnostics[0]
        return cls(
            first.code, first.message, span=first.span, help=first.help, label=first.label, place=first.place,
            others=diagnostics[1:],
        )  # fmt: skip

    @property
    def code(self) -> str:
        """The stable code of the first error."""
        return self.diagnostics[0].code

    @property
    def message(self) -> str:
        """What was expected and found."""
        return self.diagnostics[0].message

    @property
    def span(self) -> Span | None:
        """The first error's place in the model's text."""
        return self.diagnostics[0].span

    @property
    def help(self) -> str:
        """What the user may type instead."""
        return self.diagnostics[0].help

    def in_text(self, source: str, file: str | None = None) -> EmmError:
        """The same error, knowing the text that its spans point into."""
        self.source, self.file = source, file
        return self

    def __str__(self) -> str:
        from emdsl.diagnostics.render import render

        return render(self.diagnostics, self.source, self.file)


class FitError(Exception):
    """A fit that failed. `state` is the last state of the fit, as far as it came (its `to_dict()` can be printed)."""

    def __init__(self, message: str, state: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.state = state
