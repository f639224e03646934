"""Elements of arrays as the user writes them: `tau`, `p.C`, `mu.1.eruptions`, `mu[1, eruptions]`, `p["rs1.2"]`."""

from __future__ import annotations

from dataclasses import dataclass

from emdsl.diagnostics.errors import EmmError


@dataclass(frozen=True)
class Element:
    """A name and the labels of one element; fewer labels than axes stand for a slice, none for the whole array."""

    name: str
    labels: tuple[str, ...] = ()

    def __str__(self) -> str:
        """`p.C`; with brackets and quotes where a label is no word."""
        if all(label.replace("_", "a").isalnum() for label in self.labels):
            return ".".join((self.name, *self.labels))
        return f"{self.name}[{', '.join(map(_quoted, self.labels))}]"


def _quoted(label: str) -> str:
    escaped = label.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def read_element(text: str, place: str = "") -> Element:
    """The element that the whole text names. Raises `bad-element`."""
    element, rest = _scan(text, place)
    if rest:
        raise _bad(text, place)
    return element


def read_assignment(text: str, place: str = "") -> tuple[Element, str]:
    """`ELEMENT=VALUE` as the element and the text of the value. Raises `bad-element` or `bad-assignment`."""
    element, rest = _scan(text, place)
    value = rest.removeprefix("=").strip()
    if not rest.startswith("=") or not value:
        raise EmmError(
            "bad-assignment", f"expected NAME=VALUE, found `{text}`", place=place, help=f"{place} {element}=1".strip()
        )
    return element, value


def _scan(text: str, place: str) -> tuple[Element, str]:
    """The element at the start of the text, and what follows it."""
    end = _until(text, 0, ".[=")
    name = text[:end].strip()
    if not name.isidentifier():
        raise _bad(text, place)
    labels: list[str] = []
    while end < len(text) and text[end] in ".[":
        closing = text[end] == "["
        end += 1
        while True:
            label, end = _label(text, end, ",]" if closing else ".[=", place)
            labels.append(label)
            if not closing:
                break
            if end >= len(text):
                raise _bad(text, place)
            end += 1
            if text[end - 1] == "]":
                break
        end += len(text[end:]) - len(text[end:].lstrip())
    return Element(name, tuple(labels)), text[end:]


def _label(text: str, start: int, stops: str, place: str) -> tuple[str, int]:
    """A label, quoted or not, and where it ends."""
    start += len(text[start:]) - len(text[start:].lstrip())
    if text[start : start + 1] in ('"', "'"):
        return _quoted_label(text, start, place)
    end = _until(text, start, stops)
    label = text[start:end].strip()
    if not label:
        raise _bad(text, place)
    return label, end


def _quoted_label(text: str, start: int, place: str) -> tuple[str, int]:
    label, position = "", start + 1
    while position < len(text) and text[position] != text[start]:
        position += text[position] == "\\"
        label += text[position : position + 1]
        position += 1
    if position >= len(text):
        raise _bad(text, place)
    position += 1
    return label, position + len(text[position:]) - len(text[position:].lstrip())


def _until(text: str, start: int, stops: str) -> int:
    """Where the first of the stopping characters is, else the end."""
    return next((at for at in range(start, len(text)) if text[at] in stops), len(text))


def _bad(text: str, place: str) -> EmmError:
    return EmmError(
        "bad-element",
        f"expected the name of a parameter or of one of its elements, found `{text}`",
        place=place,
        help='sigma, p.C, mu.1.eruptions; a label with odd characters in quotes: p["rs1.2"]',
    )
