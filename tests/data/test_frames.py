"""Tables in memory: dicts, record arrays, pandas, polars and pyarrow."""

from __future__ import annotations

import datetime
import decimal
from functools import partial
from typing import Any

import numpy as np
import pytest

from emdsl.data.reading import read_table
from emdsl.data.table import Table
from tests.data.graphs import failure


def text(table: Table, name: str) -> list[str | None]:
    found: list[str | None] = table.text(name).tolist()
    return found


@pytest.mark.parametrize(
    ("values", "expected", "numeric"),
    [
        ([1, 2, 3], ["1", "2", "3"], True),
        ([1.0, 2.5, None], ["1", "2.5", None], True),
        ([1, None, float("nan")], ["1", None, None], True),
        (["01", "1", "a"], ["01", "1", "a"], False),
        (["1", "NA", ""], ["1", None, None], True),
        (["1", 1, None], ["1", "1", None], True),
        ([True, None, False], ["true", None, "false"], True),
        (np.array([1.5, np.nan, -0.0]), ["1.5", None, "0"], True),
        (np.array([True, False, True]), ["true", "false", "true"], True),
        (np.array([2**60, 2**60 + 1, 0]), [str(2**60), str(2**60 + 1), "0"], True),
        (np.array(["x", "NA", "y"]), ["x", None, "y"], False),
        (np.ma.masked_array([1, 2, 3], mask=[False, True, False]), ["1", None, "3"], True),
        (np.array(["2020-01-02", "NaT"], dtype="datetime64[D]"), ["2020-01-02", None], False),
        ([datetime.datetime(2020, 1, 2), datetime.datetime(2020, 1, 2, 3), None],
         ["2020-01-02", "2020-01-02T03:00:00", None], False),
        ([decimal.Decimal("1.50"), decimal.Decimal("2"), None], ["1.5", "2", None], True),
        ((1, 2, 3), ["1", "2", "3"], True),
        ([None, None, None], [None, None, None], False),
    ],
)  # fmt: skip
def test_columns_of_a_dict(values: Any, expected: list[str | None], numeric: bool) -> None:
    table = read_table({"v": values, "w": [0] * len(values)})
    assert text(table, "v") == expected
    assert table.is_numeric("v") == numeric


def test_words_for_missing_are_missing_in_numbers_too() -> None:
    table = read_table({"v": np.array([-9, 1]), "w": ["-9", "x"]}, na=["-9"])
    assert text(table, "v") == [None, "1"]
    assert text(table, "w") == [None, "x"]


def test_the_word_none_is_a_label() -> None:
    assert text(read_table({"v": ["None", "null"]}), "v") == ["None", "null"]


def test_a_record_array() -> None:
    records = np.array([(1, "a"), (2, "b")], dtype=[("x", "i8"), ("s", "U3")])
    table = read_table(records)
    assert table.names == ("x", "s")
    assert text(table, "s") == ["a", "b"]


@pytest.mark.parametrize(
    ("data", "code", "message", "help"),
    [
        ({"x": [1, 2], "y": [1]}, "unequal-columns", "the columns differ in length: `x` has 2, `y` has 1", ""),
        ({"x": 3}, "unsupported-data", "expected an array or a list in column `x`, found a value of type int",
         'one value for each row: {"x": [1, 2, 3]}'),
        ({"x": "abc"}, "unsupported-data", "expected an array or a list in column `x`, found a value of type str",
         'one value for each row: {"x": [1, 2, 3]}'),
        ({"x": np.zeros((2, 2))}, "unsupported-data",
         "expected one value for each row in column `x`, found an array of 2 dimensions",
         'one entry for each column: {"x_1": a[:, 0], "x_2": a[:, 1]}'),
        ({1: [1], "1": [2]}, "duplicate-column", "more than one column is called `1`",
         "give each column a name of its own"),
        ({"x": []}, "no-rows", "the table has no rows", ""),
        ({}, "no-rows", "the table has no rows", ""),
        ([1, 2], "unsupported-data", "expected a path, a dict of arrays or a data frame, found a list",
         'give the columns names: {"x": values}'),
        (np.zeros((2, 2)), "unsupported-data",
         "expected a path, a dict of arrays or a data frame, found an array without column names",
         'give the columns names: {"x": values}'),
        (None, "unsupported-data", "expected a path, a dict of arrays or a data frame, found nothing",
         'give the columns names: {"x": values}'),
        (3, "unsupported-data", "expected a path, a dict of arrays or a data frame, found a value of type int",
         'give the columns names: {"x": values}'),
    ],
)  # fmt: skip
def test_what_is_no_table(data: Any, code: str, message: str, help: str) -> None:
    error = failure(lambda: read_table(data))
    assert (error.code, error.message, error.help) == (code, message, help)


@pytest.mark.parametrize(
    ("cells", "holds"),
    [([[1], [2]], "lists"), ([{"a": 1}, {}], "structures"), ([b"a", b"b"], "bytes"), ([object(), 1], "objects")],
)
def test_columns_that_hold_something_else_may_stand_unread(cells: list[Any], holds: str) -> None:
    table = read_table({"x": cells, "y": [1, 2]})
    assert table.numeric_names() == ("y",)
    for step in (table.numbers, table.text, table.encoded):
        error = failure(partial(step, "x"))
        assert (error.code, error.message, error.place) == (
            "column-type", f"expected numbers or text in column `x`, found {holds}", "the data, column x",
        )  # fmt: skip


def check_frame(table: Table) -> None:
    assert table.source == "the data frame"
    assert text(table, "i") == ["1", "2", "3"]
    assert text(table, "f") == ["1.5", None, "2"]
    assert text(table, "s") == ["01", None, "None"]
    assert text(table, "b") == ["true", "false", "true"]
    assert text(table, "c") == ["u", "v", "u"]
    assert text(table, "m") == ["1", None, "3"]
    assert text(table, "d") == ["2020-01-02", "2020-01-03", None]
    assert table.numeric_names() == ("i", "f", "b", "m")


def test_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "i": [1, 2, 3],
            "f": [1.5, np.nan, 2.0],
            "s": ["01", None, "None"],
            "b": [True, False, True],
            "c": pandas.Categorical(["u", "v", "u"]),
            "m": pandas.array([1, None, 3], dtype="Int64"),
            "d": pandas.to_datetime(["2020-01-02", "2020-01-03", None]),
        },
        index=[5, 5, 5],
    )
    check_frame(read_table(frame))
    repeated = pandas.DataFrame([[1, 2]], columns=["a", "a"])
    error = failure(lambda: read_table(repeated))
    assert (error.code, error.message) == ("duplicate-column", "more than one column is called `a`")
    assert read_table(pandas.DataFrame([[1, 2]])).names == ("0", "1")


def test_polars() -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(
        {
            "i": [1, 2, 3],
            "f": [1.5, float("nan"), 2.0],
            "s": ["01", None, "None"],
            "b": [True, False, True],
            "c": polars.Series(["u", "v", "u"], dtype=polars.Categorical),
            "m": [1, None, 3],
            "d": [datetime.date(2020, 1, 2), datetime.date(2020, 1, 3), None],
        }
    )
    check_frame(read_table(frame))
    check_frame(read_table(frame.lazy()))


def test_pyarrow() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    frame = pyarrow.table(
        {
            "i": [1, 2, 3],
            "f": [1.5, float("nan"), 2.0],
            "s": ["01", None, "None"],
            "b": [True, False, True],
            "c": pyarrow.array(["u", "v", "u"]).dictionary_encode(),
            "m": [1, None, 3],
            "d": [datetime.date(2020, 1, 2), datetime.date(2020, 1, 3), None],
        }
    )
    check_frame(read_table(frame))
