"""Names of the model as identifiers of generated code."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable


def identifier(name: str) -> str:
    """The name with every character that no identifier may hold replaced; Python's normal form (NFKC)."""
    normal = unicodedata.normalize("NFKC", name)
    return "".join(c if f"a{c}".isidentifier() else "_" for c in normal)


def distinct(names: Iterable[str]) -> list[str]:
    """The names with a number behind those whose identifier another one has already: no two share an identifier."""
    taken: set[str] = set()
    found = []
    for name in names:
        unique, count = name, 1
        while identifier(unique) in taken:
            count += 1
            unique = f"{name} {count}"
        taken.add(identifier(unique))
        found.append(unique)
    return found
