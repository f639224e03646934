"""A model as one file of Python that fits it where emdsl is absent: what `emdsl compile` writes."""

from __future__ import annotations

import hashlib
from typing import Protocol

from emdsl.ir.derivation import Derivation


class Derived(Protocol):
    """A model that has been derived: its text, the name of its file, and the derivation."""

    @property
    def text(self) -> str: ...

    @property
    def file(self) -> str | None: ...

    @property
    def derivation(self) -> Derivation: ...


def fingerprint(source: str) -> str:
    """What tells one planned program from another."""
    return hashlib.sha256(source.encode()).hexdigest()


def standalone_source(model: Derived) -> str:
    """The file's text, the same for the same model. Raises `EmmError` where the model has no plan."""
    from emdsl.standalone.layout import file_text
    from emdsl.standalone.nominal import nominal_bound

    derivation = model.derivation
    return file_text(model.text, model.file, derivation, nominal_bound(derivation.model))
