"""Frozen dataclasses to JSON text and back, by the type's name and its fields."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from fractions import Fraction
from typing import Any

from emdsl.ir import derivation, expressions, model

_TYPES: dict[str, type] = {
    name: value
    for module in (expressions, model, derivation)
    for name, value in vars(module).items()
    if isinstance(value, type) and is_dataclass(value)
}
_FIELDS = {name: tuple(field.name for field in fields(kind)) for name, kind in _TYPES.items()}


def encode(value: Any) -> str:
    """JSON text of a dataclass from `emdsl.ir` (and all below it)."""
    return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))


def decode(text: str) -> Any:
    """The value that `encode` wrote. Raises ValueError on any other text."""
    try:
        return _value(json.loads(text))
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"not an encoded derivation: {error}") from error


def _plain(value: Any) -> Any:
    # A tuple is a list headed by "t", a dataclass one headed by its name: both short, and unlike any other value.
    if is_dataclass(value):
        name = type(value).__name__
        return [name, *(_plain(getattr(value, field)) for field in _FIELDS[name])]
    if isinstance(value, tuple):
        return ["t", *map(_plain, value)]
    if isinstance(value, Fraction):
        return ["q", str(value)]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise TypeError(f"cannot encode {type(value).__name__}")


def _value(plain: Any) -> Any:
    if not isinstance(plain, list):
        return plain
    head = plain[0]
    if head == "t":
        return tuple([_value(item) for item in plain[1:]])
    if head == "q":
        return Fraction(plain[1])
    return _TYPES[head](*[_value(item) for item in plain[1:]])
