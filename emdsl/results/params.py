"""Parameters that are known, for commands that do not estimate them: `--params FILE.json`, a dict, or a fit."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from emdsl.diagnostics.errors import EmmError
from emdsl.ir.model import Columns, Levels, Model
from emdsl.results.given import read_json, read_values


@dataclass(frozen=True)
class KnownParameters:
    """Values by parameter; the labels of index sets that are frozen, and the columns of variables, as far as the
    file knows them (the JSON of a whole fit knows all of them)."""

    values: Mapping[str, Any]
    indexes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)


def known_parameters(given: Any, model: Model, place: str = "params") -> KnownParameters:
    """What the user gave: a dict of the form of `params` in the JSON of a fit, a whole such JSON, a fit, or the path
    of a JSON file. Raises `params-missing` for nothing, and what `read_values` raises."""
    if given is None:
        raise EmmError(
            "params-missing", "the values of the parameters are not given", place=place, help="--params FILE.json"
        )
    if isinstance(given, str | os.PathLike):
        given = read_json(os.fspath(given), place)
    whole = given.to_dict() if hasattr(given, "to_dict") and not isinstance(given, Mapping) else given
    values = read_values(whole, model, place)
    if not (isinstance(whole, Mapping) and isinstance(whole.get("params"), Mapping) and "indexes" in whole):
        return KnownParameters(values, _labels_of(values, model))
    indexes = whole["indexes"]
    columns = whole.get("columns", {})
    if not _is_table_of(indexes, list | tuple) or not _is_table_of(columns, str):
        raise EmmError("bad-values", "`indexes` or `columns` is not what a fit writes", place=place)
    known = {item.name for item in model.index_sets}
    labels = {name: tuple(map(str, found)) for name, found in indexes.items() if name in known}
    return KnownParameters(values, labels, dict(columns))


def _is_table_of(value: Any, kind: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(item, kind) for item in value.values())


def _labels_of(values: Mapping[str, Any], model: Model) -> dict[str, tuple[str, ...]]:
    """The labels of the index sets that only data know, as the nested dicts of the parameters name them."""
    open_sets = {item.name for item in model.index_sets if isinstance(item.source, Levels | Columns)}
    found: dict[str, tuple[str, ...]] = {}
    for parameter in model.parameters:
        inside = values.get(parameter.name)
        for axis in parameter.array_axes:
            if not isinstance(inside, Mapping) or not inside:
                break
            if axis in open_sets and len(inside) > len(found.get(axis, ())):
                found[axis] = tuple(inside)
            inside = next(iter(inside.values()))
    return found
