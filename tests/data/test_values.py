"""Cells to codes and numbers, their domains, and the whole of `bind`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emdsl.data.binding import BindOptions, bind
from emdsl.data.bound import Bound
from emdsl.data.reading import read_table
from emdsl.data.summary import bound_summary
from emdsl.ir.expressions import ConstantRef, ParameterRef, number
from emdsl.ir.model import Constant, Domain, Model, Plate, Variable, Weight
from tests.data.graphs import (
    INTEGER,
    NATURAL,
    POSITIVE,
    REAL,
    UNIT,
    columns,
    failure,
    failures,
    finite,
    given,
    graph,
    labels,
    levels,
    observed,
    rows,
    weight,
)

ALLELE = labels("allele", "A", "B", "O")
SHAPE = labels("shape", "round", "flat", "a|b", "x/y")


def bound(model: Model, data: Any, **options: Any) -> Bound:
    return bind(model, read_table(data), BindOptions(**options))


def allowed(found: Bound, name: str) -> list[list[str]]:
    """What each cell of a finite variable allows, in words."""
    values = found.values[name]
    variable_labels = next(iter(found.indexes.values()))
    size = len(variable_labels)
    genotype = values.sets is not None and values.sets.shape[1] == size**2 and size > 1
    result = []
    for code in map(int, values.array.reshape(-1)):
        count = size**2 if genotype else size
        if code < count:
            members: list[int] = [code]
        else:
            assert values.sets is not None
            members = np.flatnonzero(values.sets[code - count]).tolist()
        result.append([variable_labels[m] if not genotype else
                       f"{variable_labels[m // size]}{variable_labels[m % size]}" for m in members])  # fmt: skip
    return result


# --- finite variables -------------------------------------------------------------------------------------------------


def test_labels_and_coarse_cells() -> None:
    model = rows(finite("y", "shape"), index_sets=(SHAPE,))
    cells = ["flat", "round|flat", "a|b", "x/y|round", None, "flat | round", "flat|flat", "a|b"]
    found = bound(model, {"y": cells})
    assert allowed(found, "y") == [
        ["flat"], ["round", "flat"], ["a|b"], ["round", "x/y"], ["round", "flat", "a|b", "x/y"],
        ["round", "flat"], ["flat"], ["a|b"],
    ]  # fmt: skip
    assert found.values["y"].array.dtype == np.intp
    assert found.missing == {"y": 1}


def test_without_coarse_cells_there_are_no_sets() -> None:
    assert bound(rows(finite("y", "shape"), index_sets=(SHAPE,)), {"y": ["flat", "round"]}).values["y"].sets is None


def test_genotypes() -> None:
    model = rows(finite("g", "allele", genotype=True), index_sets=(ALLELE,))
    found = bound(model, {"g": ["A/B", "B/A", "O/O", "A/_", "_/_", None, "B/O|O/O", "A / O"]})
    values = found.values["g"]
    codes = values.array.tolist()
    assert codes[:3] == [1, 1, 8]
    assert codes[7] == 2
    assert values.sets is not None
    assert values.sets.shape == (3, 9)
    assert np.all(values.sets.reshape(3, 3, 3) == values.sets.reshape(3, 3, 3).transpose(0, 2, 1))
    words = allowed(found, "g")
    assert words[3] == ["AA", "AB", "AO", "BA", "OA"]
    assert len(words[4]) == 9
    assert codes[4] == codes[5]
    assert words[6] == ["BO", "OB", "OO"]
    assert found.missing == {"g": 1}


def test_genotypes_known_by_their_draws() -> None:
    model = rows(finite("g", "allele", components=("g.1", "g.2")), index_sets=(ALLELE,))
    assert bound(model, {"g": ["O/B"]}).values["g"].array.tolist() == [5]


@pytest.mark.parametrize(
    "cells",
    [[0, 1, None], ["0", "1", "NA"], ["false", "true", None], ["FALSE", "True", ""], [0.0, 1.0, None],
     ["0.0", "1.0", ""], [False, True, None]],
)  # fmt: skip
def test_zero_and_one(cells: list[Any]) -> None:
    found = bound(rows(finite("y", "0/1")), {"y": cells})
    assert found.values["y"].array.tolist() == [0, 1, 2]
    assert found.indexes == {"0/1": ("0", "1")}


def test_arrays_share_their_sets() -> None:
    model = rows(finite("y", "0/1", axes=("item",)), index_sets=(labels("item", "a", "b", "c"),))
    found = bound(model, {"a": [0, None], "b": ["0|1", 1], "c": [None, None]})
    assert found.values["y"].array.tolist() == [[0, 2], [2, 1], [2, 2]]
    assert found.values["y"].sets is not None
    assert found.values["y"].sets.tolist() == [[True, True]]
    assert found.missing == {"a": 1, "c": 2}


def test_inputs_may_be_finite() -> None:
    model = rows(finite("g", "shape", kind="input"), index_sets=(SHAPE,))
    assert bound(model, {"g": ["flat", "a|b"]}).values["g"].array.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("variable", "cells", "code", "message", "place", "help"),
    [
        (finite("y", "shape"), ["flat", "falt", "round", "falt"], "unknown-label", "`falt` is not a label of `shape`",
         "the data, rows 2, 4, column y", "did you mean `flat`?; its labels are round, flat, a|b, x/y"),
        (finite("y", "shape"), ["flat", "u", "v", "flat"], "unknown-label", "`u`, `v` are not labels of `shape`",
         "the data, rows 2, 3, column y", "its labels are round, flat, a|b, x/y"),
        (finite("y", "shape"), ["flat", "flat|u", "flat", "flat"], "unknown-label",
         "`u`, in `flat|u`, is not a label of `shape`", "the data, row 2, column y",
         "its labels are round, flat, a|b, x/y"),
        (finite("y", "shape"), ["flat|", "flat", "flat", "flat"], "unknown-label",
         "`flat|` leaves one of its alternatives empty", "the data, row 1, column y",
         "its labels are round, flat, a|b, x/y"),
        (finite("y", "allele", genotype=True), ["A/B", "A", "AB", "A/X"], "unknown-label",
         "expected genotypes of `allele`, such as `A/O`, found `A`, `AB`, `A/X`", "the data, rows 2, 3, 4, column y",
         "its labels are A, B, O"),
        (finite("y", "0/1"), [0, 1, 2, 1], "unknown-label", "expected 0 or 1, `false` or `true`, found `2`",
         "the data, row 3, column y", ""),
        (finite("y", "shape", kind="input"), ["flat", "flat|round", "flat", "flat"], "coarse-input",
         "an input must be known: expected one value, found `flat|round`", "the data, row 2, column y",
         "declare `y` observed and give it a law"),
        (finite("y", "shape", kind="input"), ["flat", None, "flat", None], "missing-cell",
         "the input `y` may not be empty in column `y`", "the data, rows 2, 4, column y",
         "leave the rows out, or give `y` a law: observed y ~ …"),
    ],
)  # fmt: skip
def test_cells_refused(variable: Variable, cells: list[Any], code: str, message: str, place: str, help: str) -> None:
    error = failure(lambda: bound(rows(variable, index_sets=(SHAPE, ALLELE)), {"y": cells}))
    assert (error.code, error.message, error.place, error.help) == (code, message, place, help)


# --- numbers ----------------------------------------------------------------------------------------------------------


def test_numbers_and_missing_cells() -> None:
    found = bound(rows(observed("y"), given("x")), {"y": ["1", "NA", "2.5"], "x": [0, 1, 2]})
    np.testing.assert_array_equal(found.values["y"].array, [1, np.nan, 2.5])
    assert found.values["x"].array.dtype == np.float64
    assert found.missing == {"y": 1}


@pytest.mark.parametrize(
    ("domain", "kind", "good", "bad", "words"),
    [
        (REAL, "observed", [-1.5, 0], ["inf"], "finite numbers"),
        (POSITIVE, "observed", [0.1], [0.0, -1], "numbers above 0"),
        (UNIT, "observed", [0.1, 0.9], [0.0, 1, 2], "numbers between 0 and 1, both left out"),
        (UNIT, "input", [0, 0.5, 1], [-0.5, 1.5], "numbers from 0 to 1"),
        (INTEGER, "observed", [-3, 0, 4], [0.5], "whole numbers"),
        (NATURAL, "observed", [0, 4], [-1, 0.5], "whole numbers, 0 or more"),
        (Domain("interval", low=number(-1), high=ConstantRef("K")), "observed", [-1, 0, 4], [-2, 4.5],
         "numbers from -1 to 4"),
        (Domain("interval", low=number(0)), "input", [0, 4], [-2], "numbers from 0 to inf"),
        (Domain("interval", low=ParameterRef("a"), high=number(9)), "observed", [-2, 4.5], [10],
         "numbers from -inf to 9"),
    ],
)  # fmt: skip
def test_domains(domain: Domain, kind: Any, good: list[float], bad: list[Any], words: str) -> None:
    model = rows(Variable("y", kind, "row", (), domain), constants=(Constant("K", value=number(4)),))
    assert bound(model, {"y": [float(x) for x in good]}).values["y"].array.tolist() == good
    for value in bad:
        cells = [float(x) for x in (*good, value)]
        error = failure(partial(bound, model, {"y": cells}))
        shown = f"{float(value):g}"
        assert (error.code, error.message) == ("outside-support", f"expected {words} in column `y`, found `{shown}`")
        assert error.place == f"the data, row {len(good) + 1}, column y"


def test_shares() -> None:
    model = rows(Variable("s", "input", "row", (), Domain("simplex", ("allele",))), index_sets=(ALLELE,))
    found = bound(model, {"A": [0.2, 1], "B": [0.3, 0], "O": [0.5, 0]})
    assert found.values["s"].array.shape == (3, 2)
    error = failure(lambda: bound(model, {"A": [0.2, 0.9], "B": [0.3, 0.2], "O": [0.5, 0]}))
    assert (error.message, error.place) == (
        "expected shares that sum to 1 in the columns A, B, O, all of them or none", "the data, row 2",
    )  # fmt: skip
    error = failure(lambda: bound(model, {"A": [1.2, 0.9], "B": [0.3, 0.2], "O": [0.5, 0]}))
    assert error.message == "expected shares from 0 to 1 in column `A`, found `1.2`"


def test_intervals() -> None:
    model = rows(observed("x", between=("lo", "hi")), given("lo"), given("hi"))
    found = bound(model, {"lo": [1, None, 3, None, 5], "hi": [2, 2, None, None, 5]})
    assert found.values["lo"].array.tolist() == [1, -np.inf, 3, -np.inf, 5]
    assert found.values["hi"].array.tolist() == [2, 2, np.inf, np.inf, 5]
    np.testing.assert_array_equal(found.values["x"].array, [np.nan] * 4 + [5])
    assert found.missing == {"x": 1}
    assert found.columns == {"lo": "lo", "hi": "hi"}
    error = failure(lambda: bound(model, {"lo": [1, 3, 4], "hi": [2, 2, 1]}))
    assert (error.code, error.message, error.place) == (
        "bounds-crossed", "the lower bound in column `lo` is above the upper bound in `hi`", "the data, rows 2, 3",
    )  # fmt: skip


# --- the whole --------------------------------------------------------------------------------------------------------

MOTHS = graph(
    plates=(Plate("moth"),),
    index_sets=(labels("allele", "C", "I", "T"), labels("phenotype", "carbonaria", "insularia", "typica")),
    variables=(
        Variable("count", "weight", "moth", (), REAL),
        finite("genotype.1", "allele", "moth", kind="latent"),
        finite("genotype", "allele", "moth", kind="latent", components=("genotype.1", "genotype.2")),
        finite("phenotype", "phenotype", "moth"),
    ),
    weights=(Weight("moth", "count"),),
)


def test_the_peppered_moth(tmp_path: Path) -> None:
    path = tmp_path / "moths.csv"
    path.write_text("phenotype,count\ncarbonaria,85\ninsularia,196\ntypica,341\n")
    found = bind(MOTHS, read_table(path))
    assert found.values["phenotype"].array.tolist() == [0, 1, 2]
    assert found.weights["moth"].tolist() == [85, 196, 341]
    assert found.columns == {"count": "count", "phenotype": "phenotype"}
    assert found.rows == 3
    assert found.warnings == ()
    assert bound_summary(found) == [
        f"3 rows in {path}",
        "plate `moth`: 3 units",
        "`count`: column count",
        "`phenotype`: column phenotype",
        "labels of `allele`: C, I, T",
        "labels of `phenotype`: carbonaria, insularia, typica",
    ]


def test_all_errors_at_once_with_their_places(tmp_path: Path) -> None:
    path = tmp_path / "moths.csv"
    path.write_text("phenotype,count\ncarbonaria,85\ninsularla,\ntypica,341\n")
    found = failures(lambda: bind(MOTHS, read_table(path)))
    assert [(item.code, item.message, item.place) for item in found] == [
        ("missing-cell", "the weight `count` may not be empty in column `count`",
         f"{path}, row 2 (line 3), column count"),
        ("unknown-label", "`insularla` is not a label of `phenotype`",
         f"{path}, row 2 (line 3), column phenotype"),
    ]  # fmt: skip


def test_a_column_of_a_latent_variable_is_not_read() -> None:
    model = rows(observed("y"), finite("z", "shape", kind="latent"), index_sets=(SHAPE,))
    assert bound(model, {"y": [1], "z": ["flat"]}).warnings == (
        "the column `z` is not read, as `z` is latent; if its values are known, write: observed z",
    )


def test_an_empty_column_is_warned_of() -> None:
    assert bound(rows(observed("y"), observed("x")), {"y": [1, 2], "x": [None, None]}).warnings == (
        "every cell of `x` is empty",
    )


def test_summary() -> None:
    model = graph(
        plates=(Plate("visit"), Plate("roll", "visit")),
        index_sets=(columns("dim"), levels("face", "face")),
        variables=(observed("x", plate="roll", axes=("dim",)), finite("face", "face", "roll")),
    )
    data = {"visit": [1, 1, 2], "a": [1.5, 2.5, None], "b": [1, 2, 3], "face": ["1", "2", "6"]}
    assert bound_summary(bound(model, data | {"w": [1, 2, 2]}, weight="w")) == [
        "3 rows in the data",
        "plate `visit`: 2 units, told apart by column visit",
        "plate `roll`: 3 units",
        "`x`: columns a, b",
        "`face`: column face",
        "`--weight`: column w, a weight of `roll`",
        "`dim` took every numeric column left over: a, b",
        "labels of `dim`: a, b",
        "labels of `face`: 1, 2, 6",
        "column a: 1 missing cell",
    ]


def test_labels_as_numbers() -> None:
    found = bound(rows(finite("y", "k"), index_sets=(labels("k", "0", "1.5"), SHAPE)), {"y": ["0"]})
    numbers = found.labels_as_numbers("k")
    assert numbers is not None
    assert numbers.tolist() == [0, 1.5]
    assert found.labels_as_numbers("shape") is None


def test_one_row() -> None:
    found = bound(rows(observed("y"), weight("w"), weights=(Weight("row", "w"),)), {"y": [1], "w": [2]})
    assert found.levels[1].size == 1
    assert found.weights["row"].tolist() == [2]
