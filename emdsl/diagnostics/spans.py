"""Places in a model's text."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Span:
    """Characters `start` to `end` of the text (end exclusive); `line` and `column` count from 1."""

    start: int
    end: int
    line: int
    column: int

    def to(self, other: Span) -> Span:
        """The span from the beginning of this one to the end of `other`."""
        return Span(self.start, max(self.end, other.end), self.line, self.column)


#: Where there is no text: built-in names and options of the command line.
NOWHERE = Span(0, 0, 0, 0)
