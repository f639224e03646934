"""How nodes are lettered: Greek letters for their names, index sets below the line, and how wide that is."""

from __future__ import annotations

from dataclasses import dataclass

from emdsl.drawing.diagram import Node
from emdsl.writing.greek import GREEK_LETTERS

#: Sizes of letters, in pixels: names, index sets, captions of plates.
NAME_SIZE, INDEX_SIZE, CAPTION_SIZE = 15, 10.5, 12
_BY_NAME = {name: letter for letter, name in GREEK_LETTERS.items()}
_NARROW, _WIDE = frozenset("fijlrtI.,:;'|!() []"), frozenset("mwMWQOGD@%")


@dataclass(frozen=True)
class Letters:
    """A name and what stands below the line behind it."""

    name: str
    below: str = ""

    @property
    def width(self) -> float:
        """In pixels, for any of the usual fonts: rather too much than too little."""
        return width(self.name, NAME_SIZE) + width(self.below, INDEX_SIZE)


def letters(node: Node) -> Letters:
    """What is written at a node."""
    if node.kind in ("law", "condition"):
        return Letters("given" if node.kind == "condition" else "factor")
    head, _, tail = node.name.partition("_")
    name, below = (head, tail) if tail and head in _BY_NAME else (node.name, "")
    return Letters(_BY_NAME.get(name, name), ", ".join(filter(None, (below, *node.indices))))


def width(text: str, size: float) -> float:
    """The width of a text in pixels, of letters of this size."""
    ems = sum(0.36 if each in _NARROW else 0.9 if each in _WIDE or ord(each) > 0x2E80 else 0.63 for each in text)
    return ems * size
