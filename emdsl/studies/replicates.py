"""Data drawn at known parameters and fitted again: seeds, designs, refits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from emdsl.data.bound import Bound, rows_level
from emdsl.data.reading import read_table
from emdsl.data.table import Column, NumberColumn, Table, TextColumn
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.model import Model
from emdsl.results.result import Fit

#: Called as `progress(stage, iteration, iterate)`.
Progress = Callable[..., None]

#: Rows of a design in which rows that stand for several are repeated.
MOST_ROWS = 10_000_000


def replicate_seed(seed: int, *places: int) -> int:
    """The seed of one replicate: the first word of NumPy's seed sequence of the seed and the replicate's place."""
    return int(np.random.SeedSequence((seed, *places)).generate_state(1)[0])


def staged(progress: Progress | None, stage: str) -> Progress | None:
    """The same display with the stage of the study before that of the fit."""
    if progress is None:
        return None

    def show(inner: str, iteration: int, iterate: Any) -> None:
        progress(f"{stage}, {inner}", iteration, iterate)

    return show


def frozen_labels(bound: Bound) -> dict[str, tuple[str, ...]]:
    """The labels that a refit takes over: of latent counts each data set has its own."""
    return {name: labels for name, labels in bound.indexes.items() if name not in bound.counts}


def unit_table(table: Table, model: Model, bound: Bound) -> Table:
    """The table with a row for every unit, rows that stand for several repeated by their weight, which then is 1.

    Raises `cannot-simulate` where weights are not whole numbers, or not those of the only plate of rows.
    """
    if not bound.weights:
        return table
    weights = next(iter(bound.weights.values()))
    alone = rows_level(model, bound) == 1 and len(bound.weights) == 1
    if not alone or (weights != np.round(weights)).any() or weights.sum() > MOST_ROWS:
        raise EmmError(
            "cannot-simulate", "data cannot be drawn unit by unit: the weights are not counts of rows of one plate",
            help="a table with one row for each unit, and no weights",
        )  # fmt: skip
    times = np.zeros(table.rows, dtype=np.intp)
    times[bound.order] = weights.astype(np.intp)
    names = {bound.columns.get(weight.variable, weight.variable) for weight in model.weights} | {"--weight"}
    columns: dict[str, Column] = {}
    for name in table.names:
        if name in names or name == bound.columns.get("--weight"):
            columns[name] = NumberColumn(np.ones(int(times.sum())))
        else:
            columns[name] = TextColumn(np.repeat(table.text(name), times).tolist())
    return Table(tuple(columns), columns, int(times.sum()), table.source)


def with_drawn(table: Table, drawn: dict[str, list[Any]], model: Model, bound: Bound) -> Table:
    """The table with the observed columns of a model as they were drawn, rows in the order of the table."""
    observed = {v.name for v in model.variables if v.kind == "observed"}
    names = {column for key, column in bound.columns.items() if key.partition(".")[0] in observed}
    new = {name: cells for name, cells in drawn.items() if name in names}
    columns = {**table.columns, **read_table(new).columns}
    return Table((*table.names, *(name for name in new if name not in table)), columns, table.rows, table.source)


def refit(fit: Fit, table: Table, progress: Progress | None) -> Fit:
    """The model of a fit on other data, its labels those of the fit, without standard errors."""
    outcome = fit.outcome
    assert outcome.compiled is not None
    request = replace(outcome.request_for(table), se="none", interval="wald", progress=progress)
    bound = outcome.bound
    return Fit(outcome.compiled.fit_again(table, request, frozen_labels(bound), bound.columns))
