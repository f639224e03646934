"""A derivation as plain text."""

from __future__ import annotations

from collections.abc import Iterator

from emdsl.writing.document import Document, Entry, Section

_INDENT, _ARROW = "    ", "=> "


def plain_text(document: Document) -> str:
    """The whole document, without a line end at its end."""
    return "\n\n".join([document.title, *map(section_text, document.sections)])


def section_text(section: Section) -> str:
    """A heading, underlined, and its entries."""
    lines = (line for entry in section.entries for line in _entry(entry))
    return "\n".join([section.heading, "-" * len(section.heading), *lines])


def _entry(entry: Entry) -> Iterator[str]:
    """The subject, with the rule's name in brackets, and below it the lines."""
    head = " ".join(filter(None, (entry.subject, f"[{entry.rule}]" if entry.rule else "")))
    if head:
        yield head
    for line in entry.lines:
        lead = "" if not line.arrow else _ARROW if line.opens else " " * len(_ARROW)
        yield (_INDENT if head else "") + lead + line.text
