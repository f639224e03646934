"""Plates, chains and weights: rows to units."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from emdsl.data.binding import BindOptions, bind
from emdsl.data.bound import Bound
from emdsl.data.reading import read_table
from emdsl.ir.expressions import Binder
from emdsl.ir.model import Model, Plate, Weight
from tests.data.graphs import columns, failure, finite, given, graph, labels, observed, rows, weight


def bound(model: Model, data: dict[str, Any], **options: Any) -> Bound:
    found = bind(model, read_table(data), BindOptions(**options))
    check_levels(found)
    return found


def check_levels(found: Bound) -> None:
    """What every arrangement promises."""
    assert found.levels[0].plate is None
    assert found.levels[0].size == 1
    for outer, inner in zip(found.levels, found.levels[1:], strict=False):
        assert len(inner.parent) == inner.size
        assert len(inner.starts) == outer.size + 1
        assert np.all(np.diff(inner.parent) >= 0)
        for unit in range(outer.size):
            assert np.all(inner.parent[inner.starts[unit] : inner.starts[unit + 1]] == unit)
    assert sorted(found.order.tolist()) == list(range(found.rows))


def nested(*variables: Any, ordered: bool = False, by: str | None = None, **parts: Any) -> Model:
    plates = (Plate("visit"), Plate("roll", "visit", ordered=ordered, by=by))
    return graph(plates=plates, variables=variables, **parts)


def test_a_single_plate_is_the_rows() -> None:
    found = bound(rows(observed("y")), {"y": [3, 1, 2]})
    assert [level.plate for level in found.levels] == [None, "row"]
    assert found.levels[1].size == 3
    assert found.order.tolist() == [0, 1, 2]
    assert found.warnings == ()


def test_a_single_plate_whose_column_repeats() -> None:
    found = bound(rows(observed("y", plate="visit"), plate="visit"), {"y": [3, 1, 2], "visit": ["a", "b", "a"]})
    assert found.levels[1].size == 3
    assert found.warnings == (
        "the column `visit` repeats, but each row is a unit of its own, as `visit` is the only plate; "
        "if rows share a unit, open a plate inside it: for each row:",
    )
    assert bound(rows(observed("y", plate="visit"), plate="visit"), {"y": [3, 1], "visit": ["a", "b"]}).warnings == ()


def test_rows_of_a_unit_need_not_be_together() -> None:
    found = bound(nested(observed("y", plate="roll")), {"visit": ["b", "a", "b", "a", "c"], "y": [1, 2, 3, 4, 5]})
    assert found.units["visit"].tolist() == ["b", "a", "c"]
    assert found.plate_columns == {"visit": "visit"}
    assert found.order.tolist() == [0, 2, 1, 3, 4]
    assert found.values["y"].array.tolist() == [1, 3, 2, 4, 5]
    assert found.levels[2].parent.tolist() == [0, 0, 1, 1, 2]
    assert found.levels[2].starts.tolist() == [0, 2, 4, 5]


def test_inner_ids_may_repeat_across_outer_units() -> None:
    plates = (Plate("school"), Plate("pupil", "school"), Plate("row", "pupil"))
    model = graph(plates=plates, variables=(observed("y"), observed("age", plate="pupil"), given("n", plate="school")))
    data = {
        "school": ["s", "t", "s", "t", "s"], "pupil": [1, 1, 2, 1, 1], "y": [1, 2, 3, 4, 5],
        "age": [10, 20, 30, None, 10], "n": [7, 8, None, 8, 7],
    }  # fmt: skip
    found = bound(model, data)
    assert [level.size for level in found.levels] == [1, 2, 3, 5]
    assert found.units["pupil"].tolist() == ["1", "2", "1"]
    assert found.values["age"].array.tolist() == [10, 30, 20]
    assert found.values["n"].array.tolist() == [7, 8]
    assert found.values["y"].array.tolist() == [1, 5, 3, 2, 4]


def test_the_column_of_a_plate_may_be_mapped_or_renamed() -> None:
    data = {"case": [1, 1, 2], "y": [1, 2, 3]}
    assert bound(nested(observed("y", plate="roll")), data, map={"visit": "case"}).levels[1].size == 2
    own = nested(observed("y", plate="roll"), finite("visit", "v", "visit", kind="input", column="case"),
                 index_sets=(labels("v", "1", "2"),))  # fmt: skip
    found = bound(own, data)
    assert found.values["visit"].array.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("data", "code", "message", "place", "help"),
    [
        ({"y": [1], "vist": [2]}, "column-not-found",
         "the plate `visit` needs a column `visit` that tells its units apart", "the data",
         "did you mean `vist`?; the columns are y, vist; --map visit=COLUMN names another"),
        ({"y": [1, 2, 3], "visit": ["a", None, ""]}, "missing-cell",
         "the plate `visit` needs a value in every row of column `visit`, found empty cells",
         "the data, rows 2, 3, column visit", ""),
        ({"y": [1, 2], "visit": ["a", None]}, "missing-cell",
         "the plate `visit` needs a value in every row of column `visit`, found an empty cell",
         "the data, row 2, column visit", ""),
    ],
)  # fmt: skip
def test_plates_refused(data: dict[str, Any], code: str, message: str, place: str, help: str) -> None:
    error = failure(lambda: bound(nested(observed("y", plate="roll")), data))
    assert (error.code, error.message, error.place, error.help) == (code, message, place, help)


# --- chains -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("by", "order"),
    [
        ([2, 10, 9], [0, 2, 1]), (["2", "10", "9"], [0, 2, 1]), (["b", "a", "B"], [2, 1, 0]),
        (["2001-02", "1999-12", "2001-01"], [1, 2, 0]),
    ],
)  # fmt: skip
def test_a_chain_is_ordered_by_its_column(by: list[Any], order: list[int]) -> None:
    model = graph(plates=(Plate("t", ordered=True, by="time"),), variables=(observed("y", plate="t"),))
    found = bound(model, {"time": by, "y": [0, 1, 2]})
    assert found.values["y"].array.tolist() == order
    assert found.order.tolist() == order


def test_chains_of_outer_units() -> None:
    model = nested(observed("y", plate="roll"), ordered=True, by="t")
    found = bound(model, {"visit": [1, 2, 1, 2], "t": [2, 2, 1, 1], "y": [1, 2, 3, 4]})
    assert found.values["y"].array.tolist() == [3, 1, 4, 2]
    assert found.warnings == ()


def test_an_outer_plate_may_be_a_chain() -> None:
    plates = (Plate("year", ordered=True, by="year"), Plate("row", "year"))
    found = bound(graph(plates=plates, variables=(observed("y"),)), {"year": [1990, 1989, 1990], "y": [1, 2, 3]})
    assert found.units["year"].tolist() == ["1989", "1990"]
    assert found.values["y"].array.tolist() == [2, 1, 3]
    by_other = (Plate("year", ordered=True, by="t"), Plate("row", "year"))
    data = {"year": ["x", "w", "x"], "t": [2, 1, 2], "y": [1, 2, 3]}
    assert bound(graph(plates=by_other, variables=(observed("y"),)), data).units["year"].tolist() == ["w", "x"]
    error = failure(lambda: bound(graph(plates=by_other, variables=(observed("y"),)), data | {"t": [2, 1, 3]}))
    assert (error.code, error.message, error.place) == (
        "cells-disagree", "the rows of one unit of `year` differ in `t`, which orders the units",
        "the data, rows 1, 3, column t",
    )  # fmt: skip
    error = failure(lambda: bound(graph(plates=by_other, variables=(observed("y"),)), data | {"t": [1, 1, 1]}))
    assert (error.code, error.message, error.place) == (
        "tie", "the chain `year` is ordered by `t`, which is `1` more than once", "the data, rows 1, 2, column t",
    )  # fmt: skip


def test_steps_that_differ_are_warned_of() -> None:
    model = nested(observed("y", plate="roll"), ordered=True, by="t")
    found = bound(model, {"visit": [1, 1, 1, 2, 2], "t": [1, 2, 4, 7, 8], "y": [1, 2, 3, 4, 5]})
    assert found.warnings == (
        "the steps of `t` differ, from 1 to 2: the chain `roll` takes each row for the next one, "
        "and no rows are invented for gaps",
    )
    tenths = [0.1 * step for step in range(5)]
    assert bound(model, {"visit": [1] * 5, "t": tenths, "y": [1, 2, 3, 4, 5]}).warnings == ()


@pytest.mark.parametrize(
    ("data", "code", "message", "place", "help"),
    [
        ({"t": [1, 2, 1, 1]}, "tie", "the chain `row` is ordered by `t`, which is `1` more than once",
         "the data, rows 1, 3, 4, column t",
         "if they belong to different chains, put a plate that tells the chains apart around it"),
        ({"t": ["a", "b", "b", "c"]}, "tie", "the chain `row` is ordered by `t`, which is `b` more than once",
         "the data, rows 2, 3, column t",
         "if they belong to different chains, put a plate that tells the chains apart around it"),
        ({"t": [1, None, 2, 3]}, "missing-cell",
         "the order of the chain `row` needs a value in every row of column `t`, found an empty cell",
         "the data, row 2, column t", ""),
        ({"T": [1, 2, 3, 4]}, "column-not-found", "the chain `row` is ordered by a column `t`", "the data",
         "did you mean `T`?; the columns are T, y"),
    ],
)  # fmt: skip
def test_orders_refused(data: dict[str, Any], code: str, message: str, place: str, help: str) -> None:
    model = graph(plates=(Plate("row", ordered=True, by="t"),), variables=(observed("y"),))
    error = failure(lambda: bound(model, data | {"y": [1, 2, 3, 4]}))
    assert (error.code, error.message, error.place, error.help) == (code, message, place, help)


# --- plates across columns --------------------------------------------------------------------------------------------


def wide(*variables: Any, **parts: Any) -> Model:
    over = Plate("t", "person", ordered=True, over=Binder("t", "occ"))
    return graph(plates=(Plate("person"), over), variables=variables, **parts)


def test_a_plate_across_columns() -> None:
    model = wide(observed("y", plate="t"), given("age", plate="person"), index_sets=(columns("occ", "y*"),))
    found = bound(model, {"y1": [1, 2], "y2": [3, 4], "y3": [5, None], "age": [30, 40]})
    assert [level.size for level in found.levels] == [1, 2, 6]
    assert found.levels[2].parent.tolist() == [0, 0, 0, 1, 1, 1]
    np.testing.assert_array_equal(found.values["y"].array, [1, 3, 5, 2, 4, np.nan])
    assert found.values["age"].array.tolist() == [30, 40]
    assert found.columns == {"y.y1": "y1", "y.y2": "y2", "y.y3": "y3", "age": "age"}
    assert found.missing == {"y3": 1}


def test_several_variables_and_arrays_across_columns() -> None:
    model = wide(
        observed("y", plate="t", axes=("item",)), given("x", plate="t"),
        index_sets=(labels("occ", "1", "2"), labels("item", "a", "b", "c")),
    )  # fmt: skip
    data = {f"y_{o}_{i}": [10 * o + n, 100 + 10 * o + n] for o in (1, 2) for n, i in enumerate("abc")}
    found = bound(model, data | {"x_1": [1, 2], "x_2": [3, 4]})
    assert found.values["x"].array.tolist() == [1, 3, 2, 4]
    assert found.values["y"].array.tolist() == [[10, 20, 110, 120], [11, 21, 111, 121], [12, 22, 112, 122]]


def test_a_plate_across_columns_needs_rows_around_it() -> None:
    model = graph(plates=(Plate("t", over=Binder("t", "occ")),), variables=(observed("y", plate="t"),),
                  index_sets=(columns("occ", "y*"),))  # fmt: skip
    error = failure(lambda: bound(model, {"y1": [1]}))
    assert (error.code, error.message, error.help) == (
        "plate-across-columns", "the plate `t` runs across columns, so it must stand inside the plate of the rows",
        "for each row: and, inside it, for each t over …",
    )  # fmt: skip


# --- one value a unit -------------------------------------------------------------------------------------------------


def test_values_of_outer_units_are_those_of_the_cells_that_are_not_empty() -> None:
    model = nested(
        observed("y", plate="visit"), finite("g", "k", "visit"), observed("v", plate="visit", axes=("k",)),
        index_sets=(labels("k", "a", "b"),),
    )  # fmt: skip
    found = bound(model, {
        "visit": [1, 2, 1, 2], "y": [None, None, 5, None], "g": ["a", None, None, "a|b"],
        "v_a": [None, 1, 2, 1], "v_b": [3, None, None, None],
    })  # fmt: skip
    np.testing.assert_array_equal(found.values["y"].array, [5, np.nan])
    assert found.values["g"].array.tolist() == [0, 2]
    np.testing.assert_array_equal(found.values["v"].array, [[2, 1], [3, np.nan]])
    assert found.missing == {"y": 3, "g": 2, "v_a": 1, "v_b": 3}


def test_a_value_of_the_whole_data_set() -> None:
    model = rows(observed("y"), given("scale", plate=None))
    assert bound(model, {"y": [1, 2], "scale": [3, None]}).values["scale"].array.tolist() == [3]
    error = failure(lambda: bound(model, {"y": [1, 2], "scale": [3, 4]}))
    assert error.message == "`scale` has one value for the whole data set, but the rows hold `3`, `4`"


@pytest.mark.parametrize(
    ("variable", "cells", "code", "message", "place", "help"),
    [
        (given("x", plate="visit"), [1, 2, 3, 2], "cells-disagree",
         "`x` has one value for each `visit`, but the rows of `visit` b hold `1`, `3`", "the data, rows 1, 3, column x",
         "declare it inside `roll` if it changes from row to row"),
        (finite("x", "k", "visit"), ["u", "w", "w", "w"], "cells-disagree",
         "`x` has one value for each `visit`, but the rows of `visit` b hold `u`, `w`",
         "the data, rows 1, 3, column x", "declare it inside `roll` if it changes from row to row"),
        (given("x", plate="visit"), [1, None, 1, None], "missing-cell", "the input `x` may not be empty in column `x`",
         "the data, rows 2, 4, column x", "leave the rows out, or give `x` a law: observed x ~ …"),
    ],
)  # fmt: skip
def test_cells_of_a_unit_must_agree(
    variable: Any, cells: list[Any], code: str, message: str, place: str, help: str
) -> None:
    model = nested(variable, index_sets=(labels("k", "u", "w"),))
    error = failure(lambda: bound(model, {"visit": ["b", "a", "b", "a"], "x": cells}))
    assert (error.code, error.message, error.place, error.help) == (code, message, place, help)


# --- weights ----------------------------------------------------------------------------------------------------------


def test_weights() -> None:
    model = rows(observed("y"), weight("count"), weights=(Weight("row", "count"),))
    found = bound(model, {"y": [1, 2, 3], "count": [0, 2.5, 1]})
    assert found.weights["row"].tolist() == [0, 2.5, 1]
    assert found.rows == 3
    both = bound(model, {"y": [1, 2, 3], "count": [0, 2.5, 1], "w": [2, 2, 4]}, weight="w")
    assert both.weights["row"].tolist() == [0, 5, 4]
    assert both.columns == {"y": "y", "count": "count", "--weight": "w"}


def test_one_column_does_not_weigh_twice() -> None:
    model = rows(observed("y"), weight("count"), weights=(Weight("row", "count"),))
    error = failure(lambda: bound(model, {"y": [1, 2], "count": [1, 2]}, weight="count"))
    assert (error.code, error.message, error.place) == (
        "weight-twice", "the column `count` is a weight of the model already", "--weight",
    )  # fmt: skip


def test_a_weight_column_weighs_the_outermost_plate_in_which_it_is_constant() -> None:
    model = nested(observed("y", plate="roll"))
    data = {"visit": [1, 2, 1], "y": [1, 2, 3]}
    assert {k: v.tolist() for k, v in bound(model, data | {"w": [4, 5, 4]}, weight="w").weights.items()} == {
        "visit": [4, 5]
    }
    assert {k: v.tolist() for k, v in bound(model, data | {"w": [4, 5, 6]}, weight="w").weights.items()} == {
        "roll": [4, 6, 5]
    }


@pytest.mark.parametrize(
    ("cells", "code", "message", "place"),
    [
        ([1, -1, 2], "outside-support", "expected weights, finite numbers of 0 or more, in column `w`, found `-1`",
         "the data, row 2, column w"),
        ([1, None, 2], "missing-cell", "the weight `w` may not be empty in column `w`", "the data, row 2, column w"),
        ([1, np.inf, 2], "outside-support", "expected weights, finite numbers of 0 or more, in column `w`, found `inf`",
         "the data, row 2, column w"),
        ([0, 0, 0], "no-weight", "all weights of `row` are 0", "the data"),
        (["a", 1, 1], "not-a-number", "expected numbers in column `w`, found `a`", "the data, row 1, column w"),
    ],
)  # fmt: skip
def test_weights_refused(cells: list[Any], code: str, message: str, place: str) -> None:
    data = {"y": [1, 2, 3], "w": cells}
    model = rows(observed("y"), weight("w"), weights=(Weight("row", "w"),))
    error = failure(lambda: bound(model, data))
    assert (error.code, error.message, error.place) == (code, message, place)
    error = failure(lambda: bound(rows(observed("y")), data, weight="w"))
    assert (error.code, error.message.replace("the weight may", "the weight `w` may")) == (code, message)


def test_rows_of_a_chain_have_no_weights() -> None:
    model = nested(observed("y", plate="roll"), ordered=True)
    data = {"visit": [1, 2, 1], "y": [1, 2, 3]}
    assert "visit" in bound(model, data | {"w": [4, 5, 4]}, weight="w").weights
    error = failure(lambda: bound(model, data | {"w": [4, 5, 6]}, weight="w"))
    assert (error.code, error.message, error.place, error.help) == (
        "weight-in-chain", "`w` weighs the rows of the chain `roll`, one by one", "--weight",
        "a chain can only be weighted as a whole, by a column that is constant in it",
    )  # fmt: skip
    assert failure(lambda: bound(model, data, weight="w")).code == "column-not-found"
    error = failure(lambda: bound(graph(), data | {"w": [1, 1, 1]}, weight="w"))
    assert error.message == "the model has no plate whose units could be weighted"


# --- size -------------------------------------------------------------------------------------------------------------


def test_many_rows_are_bound_without_a_loop_over_them() -> None:
    n = 400_000
    rng = np.random.default_rng(0)
    data = {"visit": rng.integers(0, n // 4, n), "t": rng.permutation(n), "y": rng.normal(size=n)}
    found = bind(nested(observed("y", plate="roll"), ordered=True, by="t"), read_table(data))
    order = found.order
    assert np.array_equal(found.values["y"].array, data["y"][order])
    visits, times = data["visit"][order], data["t"][order]
    inside = np.diff(found.levels[2].parent) == 0
    assert np.array_equal(inside, np.diff(visits) == 0)
    assert np.all(np.diff(times)[inside] > 0)
