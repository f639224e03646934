"""The options of a fit, checked: the same for the command line and for Python."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from emdsl.data.wording import did_you_mean, shortened
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.model import Model
from emdsl.results.given import read_values
from emdsl.results.unavailable import refuse_options

if TYPE_CHECKING:
    from emdsl.request import FitRequest

#: How the user writes the name of an option: `max_iter` or `--max-iter`.
Spell = Callable[[str], str]

DEFAULTS: Mapping[str, Any] = {
    "set": None, "const": None, "columns": None, "map": None, "weight": None, "init": None, "fix": None,
    "starts": None, "seed": 0, "tol": 1e-10, "max_iter": 10_000, "accelerate": "auto", "se": "auto", "level": 0.95,
    "executor": "auto", "scheduler": None, "chunk_rows": None, "checkpoint": None, "plan": "auto", "interval": "wald",
    "na": None, "bootstrap_repeats": 200, "progress": None,
}  # fmt: skip

#: Options that are one of several words.
CHOICES: Mapping[str, tuple[str, ...]] = {
    "accelerate": ("auto", "squarem", "anderson", "newton", "none"),
    "plan": ("auto", "exact", "quadrature", "monte-carlo"),
    "interval": ("wald", "profile"),
    "se": ("auto", "louis", "observed", "sem", "opg", "sandwich", "bootstrap", "none"),
    "executor": ("auto", "serial", "threads", "dask"),
}

#: Whole numbers and the least that each may be.
COUNTS: Mapping[str, int] = {"starts": 1, "seed": 0, "max_iter": 0, "chunk_rows": 1, "bootstrap_repeats": 2}


def cli_spelling(name: str) -> str:
    """`--max-iter` of `max_iter`."""
    return "--" + name.replace("_", "-")


def fit_request(model: Model, given: Mapping[str, Any], spell: Spell = str) -> FitRequest:
    """The request for a fit, every option checked. Raises `unknown-option`, `bad-option`, `not-available` and what
    `read_values` raises."""
    from emdsl.request import FitRequest

    for name in given:
        if name not in DEFAULTS:
            raise EmmError(
                "unknown-option", f"there is no option `{spell(name)}`", help=did_you_mean(name, DEFAULTS)
            )  # fmt: skip
    values = {**DEFAULTS, **given}
    for name, words in CHOICES.items():
        _check_word(spell(name), values[name], words)
    refuse_options(values, spell)
    for name, least in COUNTS.items():
        values[name] = whole_number(spell(name), values[name], least, optional=DEFAULTS[name] is None)
    values["tol"] = _number(spell("tol"), values["tol"], "0 or more", lambda tol: 0 <= tol < math.inf)
    values["level"] = share(spell("level"), values["level"])
    for name in ("set", "const", "map"):
        values[name] = _mapping(spell(name), values[name])
    columns = _mapping(spell("columns"), values["columns"])
    values["columns"] = {name: word_list(spell("columns"), words) for name, words in columns.items()}
    values["na"] = word_list(spell("na"), values["na"])
    if values["weight"] is not None and not isinstance(values["weight"], str):
        raise _bad(spell("weight"), "the name of a column", values["weight"])
    if values["progress"] is not None and not callable(values["progress"]):
        raise _bad(spell("progress"), "a function of the stage, the iteration and the iterate", values["progress"])
    for name in ("init", "fix"):
        values[name] = read_values(values[name], model, spell(name))
    served = {field.name for field in fields(FitRequest)}
    return FitRequest(**{name: value for name, value in values.items() if name in served})


def _check_word(option: str, value: Any, words: Sequence[str]) -> None:
    if value not in words:
        near = did_you_mean(value, words) if isinstance(value, str) else ""
        raise _bad(option, f"one of {', '.join(words)}", value, near)


def whole_number(option: str, value: Any, least: int, *, optional: bool) -> int | None:
    """The value as a whole number, None where that is allowed. Raises `bad-option`."""
    if value is None and optional:
        return None
    number = _from_text(value)
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if isinstance(number, bool) or not hasattr(number, "__index__") or int(number) < least:
        raise _bad(option, f"a whole number, {least} or more", value)
    return int(number)


def share(option: str, value: Any) -> float:
    """The value as a number between 0 and 1. Raises `bad-option`."""
    return _number(option, value, "between 0 and 1", lambda number: 0 < number < 1)


def _number(option: str, value: Any, expected: str, holds: Callable[[float], bool]) -> float:
    number = _from_text(value)
    if isinstance(number, bool) or not hasattr(number, "__float__") or not holds(float(number)):
        raise _bad(option, f"a number {expected}", value)
    return float(number)


def _from_text(value: Any) -> Any:
    """The number that a text of the command line spells, else the value itself."""
    if not isinstance(value, str):
        return value
    for read in (int, float):
        try:
            return read(value)
        except ValueError:
            continue
    return value


def comma_separated(text: str) -> tuple[str, ...]:
    """The words between commas; a word with a comma in it stands in double quotes."""
    return tuple(word.strip() for word in next(csv.reader([text], skipinitialspace=True), []))


def _mapping(option: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise _bad(option, "a dict by name", value)
    return {str(key): item for key, item in value.items()}


def word_list(option: str, value: Any) -> tuple[str, ...]:
    """Words between commas, or a list of words."""
    words = () if value is None else comma_separated(value) if isinstance(value, str) else value
    if not isinstance(words, Sequence) or not all(isinstance(word, str) for word in words):
        raise _bad(option, "words", value)
    return tuple(words)


def _bad(option: str, expected: str, found: Any, near: str = "") -> EmmError:
    shown = shortened(found if isinstance(found, str) else repr(found))
    return EmmError("bad-option", f"expected {expected}, found `{shown}`", place=option, help=near)
