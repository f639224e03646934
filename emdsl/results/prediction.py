"""Predictions as tables: one for each plate that observed variables live in, one row for each unit.

An observed number `y` gives the columns `y` (its expected value), `low(y)` and `high(y)`, a finite one `y` (its most
probable value), `P(y=a)` for each of its values and `mean(y)` where these are numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emdsl.data.ahead import chain_plate, with_units_ahead
from emdsl.data.bound import Bound
from emdsl.data.reading import read_table
from emdsl.data.table import Table
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.model import Model
from emdsl.results.options import Spell, share, whole_number
from emdsl.results.posterior import Columns, cells, first_rows, free_name, identity

if TYPE_CHECKING:
    from emdsl.compiler import CompiledModel
    from emdsl.predict.prediction import Prediction
    from emdsl.predict.predictor import Predicted
    from emdsl.request import FitRequest
    from emdsl.results.params import KnownParameters
    from emdsl.results.result import Fit

Tables = dict[str, Columns]


@dataclass(frozen=True)
class Asked:
    """What is asked of a prediction: the level of intervals, how many units ahead of each chain (0: those of the data),
    and whether what is hidden in a chain is known from its past alone."""

    level: float = 0.95
    ahead: int = 0
    filtered: bool = False


def asked(chosen: Mapping[str, Any], spell: Spell = str) -> Asked:
    """The options checked. Raises `bad-option`."""
    ahead = whole_number(spell("ahead"), chosen.get("ahead"), 1, optional=True)
    level = share(spell("level"), chosen.get("level", 0.95))
    filtered = bool(chosen.get("filtered"))
    if filtered and chosen.get("smoothed"):
        raise EmmError(
            "bad-option", f"expected one of `{spell('smoothed')}` and `{spell('filtered')}`, found both",
            place=spell("filtered"), help=f"leave out {spell('smoothed')}",
        )  # fmt: skip
    return Asked(level, ahead or 0, filtered)


def known_prediction(
    compiled: CompiledModel, data: Any, known: KnownParameters, request: FitRequest, wanted: Asked, spell: Spell = str
) -> tuple[Tables, tuple[str, ...]]:
    """The tables for data at known parameters, and the notes."""
    table = read_table(data, request.na)
    bound = compiled.bind_again(table, request, known.indexes, known.columns)
    bound, seen = _ahead(compiled, table, bound, request, wanted, known.columns, spell)
    theta = compiled.known_parameters(bound, known.values)
    return _tables(compiled, bound, theta, request, wanted, seen, bound.warnings)


def fit_prediction(fit: Fit, data: Any, wanted: Asked) -> tuple[Tables, tuple[str, ...]]:
    """The tables for the data of a fit, or for new data, and the notes. Labels are those of the fit."""
    outcome = fit.outcome
    compiled, request, bound = outcome.compiled, outcome.request, outcome.bound
    assert compiled is not None
    if data is None:
        if wanted.ahead:
            raise EmmError(
                "data-needed", "what lies ahead is predicted from a table, and the fit does not keep its own",
                place="ahead", help="fit.predict(data, ahead=3)",
            )  # fmt: skip
        return _tables(compiled, bound, outcome.state.theta, request, wanted, None, ())
    table = read_table(data, request.na)
    request, again = outcome.request_for(table), outcome.bound_again(table)
    again, seen = _ahead(compiled, table, again, request, wanted, bound.columns, str)
    return _tables(compiled, again, outcome.state.theta, request, wanted, seen, again.warnings)


def _ahead(
    compiled: CompiledModel, table: Table, bound: Bound, request: FitRequest, wanted: Asked,
    columns: Mapping[str, str], spell: Spell,
) -> tuple[Bound, int | None]:  # fmt: skip
    """The data with the units ahead, and how many rows there were; None where nothing lies ahead."""
    if not wanted.ahead:
        return bound, None
    longer = with_units_ahead(compiled.model, table, bound, wanted.ahead, spell("ahead"))
    return compiled.bind_again(longer, request, bound.indexes, {**columns, **bound.columns}), table.rows


def _tables(
    compiled: CompiledModel, bound: Bound, theta: Any, request: FitRequest, wanted: Asked, seen: int | None,
    warnings: tuple[str, ...],
) -> tuple[Tables, tuple[str, ...]]:  # fmt: skip
    if wanted.filtered and not any(plate.ordered for plate in compiled.model.plates):
        chain_plate(compiled.model, "filtered")
    bound = replace(bound, seed=request.seed)
    here = compiled.as_asked(bound, request)
    found = here.predict(bound, theta, level=wanted.level, filtered=wanted.filtered)
    return prediction_tables(compiled.model, bound, found, seen), (*warnings, *found.notes)


def prediction_tables(model: Model, bound: Bound, prediction: Prediction, seen: int | None = None) -> Tables:
    """The tables by plate, outermost first, units in the order of the data; with `seen` rows only the units behind
    them."""
    tables: Tables = {}
    for number, level in enumerate(bound.levels):
        found = [item for item in prediction.variables if item.level == number]
        first = first_rows(model, bound, number) if found else np.zeros(0, dtype=np.intp)
        order = np.argsort(first, kind="stable")
        order = order[first[order] >= (seen or 0)]
        if not found or (seen is not None and not len(order)):
            continue
        columns = {name: cells(values[order]) for name, values in identity(model, bound, number).items()}
        for item in found:
            for name, values in _columns(item).items():
                columns[free_name(name, columns)] = cells(values[order])
        tables[level.plate or ""] = columns
    return tables


def _columns(item: Predicted) -> dict[str, NDArray[Any]]:
    """The columns of one variable, in the order of the units."""
    found: dict[str, NDArray[Any]] = {}
    if item.probabilities is None:
        assert item.expected is not None and item.low is not None and item.high is not None
        return {item.name: item.expected, f"low({item.name})": item.low, f"high({item.name})": item.high}
    labels = np.array([*item.labels, None], dtype=object)
    impossible = np.isnan(item.probabilities).any(axis=0)
    best = np.where(impossible, -1, np.argmax(np.nan_to_num(item.probabilities), axis=0))
    found[item.name] = labels[best]
    for label, shares in zip(item.labels, item.probabilities, strict=True):
        found[f"P({item.name}={label})"] = shares
    if item.expected is not None:
        found[f"mean({item.name})"] = item.expected
    return found
