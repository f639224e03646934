"""Several models of the same data side by side."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emdsl.data.bound import Bound
from emdsl.data.reading import read_table
from emdsl.data.table import Table
from emdsl.diagnostics.errors import EmmError, FitError
from emdsl.ir.model import Model as Graph
from emdsl.results import face
from emdsl.results.face import Model
from emdsl.results.options import Spell, fit_request, whole_number, word_list
from emdsl.results.result import Fit
from emdsl.studies.candidates import Candidate, candidates
from emdsl.studies.comparable import Explained, check_comparable, explained
from emdsl.studies.criteria import Row, best
from emdsl.studies.likelihood_ratio import LikelihoodRatioTest, check_testable, left_out, tests_of
from emdsl.studies.replicates import staged
from emdsl.version import VERSION

#: Tests between neighbours; a chi-square p-value would be wrong for numbers of classes.
TESTS = ("bootstrap",)
#: Replicates of a bootstrap test.
REPEATS = 99


@dataclass(frozen=True)
class Comparison:
    """The rows of a comparison in the order asked for, and the tests of neighbours. `source` names the data, `seed` is
    that of starts and replicates."""

    rows: tuple[Row, ...]
    tests: tuple[LikelihoodRatioTest, ...]
    source: str
    data_rows: int
    explained: Explained
    seed: int
    notes: tuple[str, ...] = ()

    @property
    def fits(self) -> dict[str, Fit]:
        """The fits that there are, by name."""
        return {row.name: row.fit for row in self.rows if row.fit is not None}

    @property
    def best(self) -> dict[str, str | None]:
        """For each criterion the name of the best model; fits that failed or did not converge are left out."""
        return best(self.rows)

    @property
    def converged(self) -> bool:
        """Whether there is a fit of every model that converged, or did as it was told."""
        return all(row.is_done for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """What `emdsl compare` prints as JSON."""
        return {
            "data": {"source": self.source, "rows": self.data_rows, "columns": sorted(self.explained.columns)},
            "version": VERSION,
            "seed": self.seed,
            "models": [row.to_dict() for row in self.rows],
            "best": self.best,
            "tests": [test.to_dict() for test in self.tests],
            "notes": list(self.notes),
        }

    @property
    def table(self) -> Any:
        """One row for each model: a data frame (a dict of columns without pandas)."""
        from emdsl.results.frames import frame

        rows = [row.to_dict() for row in self.rows]
        names = (
            "loglik", "parameters", "aic", "bic", "icl", "entropy", "relative_entropy", "converged", "error"
        )  # fmt: skip
        return frame({"name": [row["name"] for row in rows], **{key: [row[key] for row in rows] for key in names}})

    def __str__(self) -> str:
        from emdsl.studies.comparison_text import comparison_text

        return comparison_text(self)


def compare(
    data: Any,
    *models: Model | Fit | str | os.PathLike[str],
    set: Mapping[str, Any] | None = None,
    test: str | None = None,
    repeats: int = REPEATS,
    seed: int = 0,
    progress: Callable[..., None] | None = None,
    **given: Any,
) -> Comparison:
    """Models (or their files) fitted to the same data, and fits of these data, side by side.

    `set` may give several values of a constant, `{"K": range(1, 7)}` or `{"K": "1..6"}`: a model is then fitted with
    each of them (with each combination, where several constants have several). `test="bootstrap"` tests each fit
    against its neighbour, by `repeats` data sets drawn from the smaller one. The other options are those of
    `Model.fit`; an option that names something concerns the models that have it. `data` may be None where all are fits
    and nothing is tested. Raises `not-comparable` where observed columns or numbers of rows differ, and what
    `Model.fit` raises, but for a fit that fails: it is a row with its reason.
    """
    items = [face.load(item) if isinstance(item, str | os.PathLike) else item for item in models]
    options = {**given, "seed": seed}
    if set is not None:
        options["set"] = set
    chosen = {"test": test, "repeats": repeats}
    return compare_with(data, items, chosen, {**options, "progress": progress})


def compare_with(
    data: Any, items: Sequence[Model | Fit], chosen: Mapping[str, Any], given: Mapping[str, Any], spell: Spell = str
) -> Comparison:
    """The same with the options as dicts: `chosen` are `test` and `repeats`, `given` those of a fit."""
    tested, repeats = _tested(chosen, spell)
    found = candidates(items, given, spell)
    if tested and len(found) < 2:
        raise EmmError(
            "bad-option", "a test is of one model against another, found one model", place=spell("test"),
            help="several models, or several values of a constant as in K=1..3",
        )  # fmt: skip
    seed = whole_number(spell("seed"), given.get("seed", 0), 0, optional=False)
    assert seed is not None
    table = _table(data, found, given, tested, spell)
    bounds = [_bound(item, table, spell) for item in found]
    told = [explained(item.name, _graph(item), bound) for item, bound in zip(found, bounds, strict=True)]
    check_comparable(told)
    if tested and table is not None:
        for item, bound in zip(found, bounds, strict=True):
            check_testable(item.name, _graph(item), table, bound)
    progress = given.get("progress")
    rows = [_row(item, table, progress, spell) for item in found]
    tests: Mapping[int, LikelihoodRatioTest] = {}
    if tested and table is not None:
        tests = tests_of(rows, table, repeats=repeats, seed=seed, progress=progress)
    fits = [row.fit.outcome.bound for row in rows if row.fit is not None]
    source, size = (table.source, table.rows) if table is not None else (fits[0].source, fits[0].rows)
    notes = tuple(left_out(rows)) if tested else ()
    return Comparison(tuple(rows), tuple(tests.values()), source, size, told[0], seed, notes)


def _tested(chosen: Mapping[str, Any], spell: Spell) -> tuple[bool, int]:
    """Whether neighbours are tested, and with how many replicates."""
    test = chosen.get("test")
    if test is not None and test not in TESTS:
        raise EmmError(
            "bad-option", f"expected one of {', '.join(TESTS)}, found `{test}`", place=spell("test"),
            help="a chi-square p-value would be wrong for numbers of classes",
        )  # fmt: skip
    repeats = whole_number(spell("repeats"), chosen.get("repeats", REPEATS), 1, optional=False)
    assert repeats is not None
    return test is not None, repeats


def _table(data: Any, found: Sequence[Candidate], given: Mapping[str, Any], tested: bool, spell: Spell) -> Table | None:
    """The data, read once. Raises `data-needed` where something is to be fitted and there are none."""
    if data is None:
        if tested or any(item.fit is None for item in found):
            what = "a test draws data" if tested else "a model is to be fitted"
            raise EmmError("data-needed", f"{what}, so the data must be given", place=spell("data"))
        return None
    return read_table(data, word_list(spell("na"), given.get("na")))


def _graph(item: Candidate) -> Graph:
    return item.model.compiled.model


def _bound(item: Candidate, table: Table | None, spell: Spell) -> Bound:
    """The data as a model sees them, known before anything is fitted."""
    if item.fit is not None:
        return item.fit.outcome.bound
    compiled = item.model.compiled
    return compiled.bind(table, fit_request(compiled.model, item.given, spell))


def _row(item: Candidate, table: Table | None, progress: Any, spell: Spell) -> Row:
    """The row of one model, fitted where it has not been."""
    model = item.model.name
    if item.fit is not None:
        return Row(item.name, model, item.setting, item.fit)
    options = {"se": "none", **item.given, "progress": staged(progress, item.name)}
    try:
        return Row(item.name, model, item.setting, item.model.fit_with(table, options, spell))
    except FitError as error:
        return Row(item.name, model, item.setting, None, error.message)
    except EmmError as error:
        if error.code != "impossible-data":
            raise
        return Row(item.name, model, item.setting, None, error.message)
