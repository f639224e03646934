"""Values of parameters that the user gives, for `init` and `fix`: numbers, dicts by label, arrays, files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from emdsl.data.numerals import numeral
from emdsl.data.sources import existing, refusing_unreadable
from emdsl.data.wording import did_you_mean, plain, shortened
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.model import Model
from emdsl.results.elements import Element, read_assignment, read_element

#: What may be given for a parameter: a number, a dict by label of such, or a list (or array) in the order of the axes.
Given = Any


def read_values(given: Any, model: Model, place: str) -> dict[str, Given]:
    """What the user gave for parameters, by name: a dict as below, a fit, or the path of a JSON file.

    The dict is of the form of `params` in the JSON of a fit; a whole fit's JSON is taken too, and a key may name one
    element (`p.C`). Raises `unknown-parameter`, `bad-values` and what `read_json` raises.
    """
    if given is None:
        return {}
    if isinstance(given, str | os.PathLike):
        given = read_json(os.fspath(given), place)
    given = getattr(given, "params", given)
    if not isinstance(given, Mapping):
        raise EmmError(
            "bad-values", f"expected values by the names of parameters, found {_kind(given)}", place=place,
            help='{"p": {"C": 0.2}}',
        )  # fmt: skip
    known = {parameter.name for parameter in model.parameters}
    if isinstance(given.get("params"), Mapping) and "params" not in known:
        given = given["params"]
    values: dict[str, Given] = {}
    for key, value in given.items():
        add(values, read_element(str(key), place), _plain(value, str(key), place), place)
    check_names(values, model, place)
    return values


def read_assignments(texts: Sequence[str], model: Model, place: str) -> dict[str, Given]:
    """The same from the command line: each text is `NAME=VALUE` or the name of a JSON file. Later ones win."""
    values: dict[str, Given] = {}
    for text in texts:
        if text.endswith(".json") and ("=" not in text or Path(text).exists()):
            for name, value in read_values(text, model, place).items():
                add(values, Element(name), value, place)
        elif "=" not in text and ("." in text or "/" in text):
            raise EmmError(
                "bad-assignment", f"expected NAME=VALUE or the name of a .json file, found `{shortened(text)}`",
                place=place, help=f"{place} p.C=0.2, or {place} start.json",
            )  # fmt: skip
        else:
            element, value_text = read_assignment(text, place)
            add(values, element, read_value(value_text, str(element), place), place)
    check_names(values, model, place)
    return values


def add(values: dict[str, Given], element: Element, value: Given, place: str) -> None:
    """Put the value of one element, of a slice or of a whole parameter among the values; dicts are merged."""
    path = (element.name, *element.labels)
    inside: Any = values
    for step in path[:-1]:
        inside = inside.setdefault(step, {})
        if not isinstance(inside, dict):
            raise EmmError(
                "bad-values", f"`{element}` is given, and also `{element.name}` as a whole", place=place,
                help=f"give `{element.name}` either as a whole or by element",
            )  # fmt: skip
    before = inside.get(path[-1])
    if isinstance(before, dict) and isinstance(value, Mapping):
        for label, part in value.items():
            add(before, Element(label), part, place)
    else:
        inside[path[-1]] = value


def check_names(values: Mapping[str, Given], model: Model, place: str) -> None:
    """Every name is a parameter of the model; else `unknown-parameter`."""
    known = [parameter.name for parameter in model.parameters]
    for name in values:
        if name in known:
            continue
        if any(constant.name == name for constant in model.constants):
            raise EmmError(
                "unknown-parameter", f"`{name}` is a constant, not a parameter", place=place, help=f"--set {name}=3"
            )
        parts = (did_you_mean(name, known), f"the parameters are {plain(known)}" if known else "it has no parameters")
        raise EmmError(
            "unknown-parameter", f"the model has no parameter `{shortened(name)}`", place=place,
            help="; ".join(part for part in parts if part),
        )  # fmt: skip


def read_value(text: str, name: str, place: str) -> Given:
    """A number (`0.2`, `1/3`), or an array as JSON: `[0.2, 0.8]`, `{"C": 0.2}`. Raises `not-a-number`, `bad-json`."""
    if text.startswith(("[", "{")):
        return _plain(parse_json(text, place), name, place)
    top, slash, bottom = text.partition("/")
    number = numeral(text)
    if slash and top.strip().lstrip("+-").isdecimal() and bottom.strip().isdecimal() and int(bottom) != 0:
        number = float(Fraction(int(top), int(bottom)))
    if number is None:
        raise EmmError(
            "not-a-number", f"expected a number for `{name}`, found `{shortened(text)}`", place=place,
            help=f"{place} {name}=0.5",
        )  # fmt: skip
    return number


def read_json(path: str, place: str) -> Any:
    """The value in a JSON file. Raises `no-such-file`, `unreadable-file`, `bad-json`."""
    file = existing(Path(path).expanduser())
    with refusing_unreadable(path):
        raw = file.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise EmmError("bad-json", "the text is not UTF-8", place=path, help="save the file in UTF-8") from error
    return parse_json(text, path)


def parse_json(text: str, place: str) -> Any:
    """JSON, without the words `NaN` and `Infinity` that it does not have. Raises `bad-json`."""
    try:
        return json.loads(text, parse_constant=_refuse_word)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        message = f"this is not JSON: {error.msg[:1].lower()}{error.msg[1:]} ({where})"
        raise EmmError("bad-json", message, place=place) from error
    except (_Word, RecursionError) as error:
        what = f"`{error}` is no number" if isinstance(error, _Word) else "it nests too deep"
        raise EmmError("bad-json", f"this is not JSON: {what}", place=place, help="null stands for no value") from error


class _Word(ValueError):
    """A word that Python's reader of JSON takes for a number."""


def _refuse_word(word: str) -> float:
    raise _Word(word)


def _plain(value: Any, name: str, place: str) -> Given:
    """The value with text as keys and Python's or NumPy's numbers as floats; None stands for an element not given."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part, f"{name}.{key}", place) for key, part in value.items()}
    if value is None or isinstance(value, float):
        return value
    if isinstance(value, int | Fraction) and not isinstance(value, bool):
        return _as_float(value, name, place)
    if isinstance(value, list | tuple):
        return [_plain(part, name, place) for part in value]
    listed = getattr(value, "tolist", None)  # arrays, NumPy's numbers, data frames' columns
    if listed is not None:
        return _plain(listed(), name, place)
    raise EmmError("not-a-number", f"expected numbers for `{name}`, found {_kind(value)}", place=place)


def _as_float(value: int | Fraction, name: str, place: str) -> float:
    try:
        return float(value)
    except OverflowError as error:
        raise EmmError("not-a-number", f"the number for `{name}` is too large", place=place) from error


def _kind(value: Any) -> str:
    match value:
        case str():
            return f"`{shortened(value)}`"
        case bool():
            return "true" if value else "false"
        case list() | tuple():
            return "a list"
        case None | int() | float():
            return "null" if value is None else f"`{value}`"
        case _:
            return f"a {type(value).__name__}"
