"""Index sets: ranges, levels, columns, and how variables find their columns."""

from __future__ import annotations

from typing import Any

import pytest

from emdsl.data.binding import BindOptions, bind
from emdsl.data.bound import Bound
from emdsl.data.reading import read_table
from emdsl.ir.expressions import Apply, ConstantRef, Expression, number
from emdsl.ir.model import Constant, Model, Plate
from tests.data.graphs import (
    columns,
    counted,
    failure,
    failures,
    finite,
    given,
    graph,
    labels,
    levels,
    observed,
    rows,
)


def bound(model: Model, data: dict[str, Any], **options: Any) -> Bound:
    return bind(model, read_table(data), BindOptions(**options))


# --- low..high --------------------------------------------------------------------------------------------------------


def test_ranges_may_use_constants() -> None:
    model = graph(
        index_sets=(counted("k", number(0), ConstantRef("K")), counted("z", Apply("neg", (number(1),)), number(1))),
        constants=(Constant("K", value=number(2)),),
    )
    assert bound(model, {"x": [1]}).indexes == {"k": ("0", "1", "2"), "z": ("-1", "0", "1")}
    assert bound(model, {"x": [1]}, set={"K": 3}).indexes["k"] == ("0", "1", "2", "3")


@pytest.mark.parametrize(
    ("low", "high", "code", "message"),
    [
        (number(1), number(10**12), "index-too-large",
         "index `k` would have 1000000000000 labels, more than the 1000000 that are possible"),
        (number(1), number(0), "index-range", "index `k` is empty: 1..0"),
        (number(1), Apply("/", (number(5), number(2))), "index-range",
         "expected whole numbers for the ends of index `k`, found 5/2"),
        (number(1), number(float("inf")), "index-range",
         "expected whole numbers for the ends of index `k`, found inf"),
        (number(1), Apply("^", (number(9), Apply("^", (number(9), number(99))))), "constant-too-large",
         "the end of index `k` is too large a number"),
        (number(1), ConstantRef("K"), "constant-missing", "the constant `K` has no value"),
    ],
)  # fmt: skip
def test_ranges_refused(low: Expression, high: Expression, code: str, message: str) -> None:
    model = graph(index_sets=(counted("k", low, high),), constants=(Constant("K"),))
    error = failure(lambda: bound(model, {"x": [1]}))
    assert (error.code, error.message) == (code, message)


# --- levels -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["10", "9", "1"], ("1", "9", "10")),
        (["b", "10", "9"], ("10", "9", "b")),
        (["1", "01", "a"], ("01", "1", "a")),
        (["1", "01", "-2.5"], ("-2.5", "01", "1")),
        ([3.0, 1.0, None], ("1", "3")),
        (["b|c", "a", None], ("a", "b", "c")),
        (["Z", "a", "É"], ("Z", "a", "É")),
        (["and/or", "a"], ("a", "and/or")),
    ],
)
def test_levels_of_a_variable(cells: list[Any], expected: tuple[str, ...]) -> None:
    model = rows(finite("y", "v"), index_sets=(levels("v", "y"),))
    assert bound(model, {"y": cells}).indexes["v"] == expected


def test_levels_of_genotypes_are_alleles() -> None:
    model = rows(finite("g", "allele", genotype=True), index_sets=(levels("allele", "g"),))
    cells = ["B/A", "A/_", "C/C|A/B", None, "_/_"]
    assert bound(model, {"g": cells}).indexes["allele"] == ("A", "B", "C")
    by_column = rows(finite("g", "allele", genotype=True), index_sets=(levels("allele", columns=("g",)),))
    assert bound(by_column, {"g": cells}).indexes["allele"] == ("A", "B", "C")
    unread = rows(observed("x"), index_sets=(levels("allele", columns=("g",)),))
    assert bound(unread, {"g": cells, "x": [0] * 5}).indexes["allele"] == ("A", "B", "C")


def test_levels_of_several_columns_and_of_arrays() -> None:
    model = rows(
        finite("y", "grade", axes=("item",)), index_sets=(levels("grade", "y"), columns("item", "q_*")),
    )  # fmt: skip
    found = bound(model, {"q_1": [1, 2], "q_2": [7, None], "other": [9, 9]})
    assert found.indexes == {"grade": ("1", "2", "7"), "item": ("q_1", "q_2")}
    both = rows(observed("x"), index_sets=(levels("v", columns=("a", "b")),))
    assert bound(both, {"a": ["x", "y"], "b": ["z", "x"], "x": [1, 2]}).indexes["v"] == ("x", "y", "z")


def test_levels_follow_the_map() -> None:
    model = rows(finite("y", "v", column="Y"), index_sets=(levels("v", columns=("y",)),))
    assert bound(model, {"Y": ["a"]}).indexes["v"] == ("a",)
    assert bound(model, {"out": ["b"]}, map={"y": "out"}).indexes["v"] == ("b",)


def test_levels_count_rows_of_weight_zero() -> None:
    from tests.data.graphs import Weight, weight

    model = rows(
        finite("y", "v"), weight("w"), index_sets=(levels("v", "y"),), weights=(Weight("row", "w"),),
    )  # fmt: skip
    assert bound(model, {"y": ["a", "b"], "w": [1, 0]}).indexes["v"] == ("a", "b")


@pytest.mark.parametrize(
    ("index_set", "data", "code", "message", "help"),
    [
        (levels("v", columns=("z",)), {"y": ["a"]}, "column-not-found", "there is no column `z`",
         "the columns are y"),
        (levels("v", "y"), {"y": [None]}, "no-levels", "the data hold no level of `v`: every cell of `y` is empty", ""),
        (levels("v"), {"y": ["a"]}, "no-levels", "nothing says which column holds the levels of `v`",
         "index v = levels(COLUMN)"),
    ],
)  # fmt: skip
def test_levels_refused(index_set: Any, data: dict[str, Any], code: str, message: str, help: str) -> None:
    error = failure(lambda: bound(rows(finite("y", "v"), index_sets=(index_set,)), data))
    assert (error.code, error.message, error.help) == (code, message, help)


def test_frozen_levels() -> None:
    model = rows(finite("y", "v"), index_sets=(levels("v", "y"),))
    frozen = {"v": ("a", "b")}
    assert bound(model, {"y": ["b"]}, indexes=frozen).values["y"].array.tolist() == [1]
    error = failure(lambda: bound(model, {"y": ["b", "c", "a", "c"]}, indexes=frozen))
    assert (error.code, error.message) == ("unknown-label", "`c` is not a label of `v`, as the fit knew it")
    assert (error.place, error.help) == ("the data, rows 2, 4, column y", "its labels are a, b")


def test_frozen_ranges_must_agree() -> None:
    model = graph(index_sets=(counted("k", number(1), number(2)),))
    error = failure(lambda: bound(model, {"x": [1]}, indexes={"k": ("1", "2", "3")}))
    assert (error.code, error.message) == (
        "different-labels", "the labels of `k` are 1, 2, those of the fit were 1, 2, 3",
    )  # fmt: skip
    assert error.help == "give the constants the values that they had in the fit, such as --set K=3"


# --- columns ----------------------------------------------------------------------------------------------------------

VECTOR = observed("x", axes=("dim",))


@pytest.mark.parametrize(
    ("index_set", "options", "expected"),
    [
        (columns("dim", "b", "a"), {}, ("b", "a")),
        (columns("dim", "a*"), {}, ("a", "ab")),
        (columns("dim", "a*", "a", "c"), {}, ("a", "ab", "c")),
        (columns("dim"), {"columns": {"dim": ("c", "a")}}, ("c", "a")),
        (columns("dim", "b"), {"columns": {"dim": ("a*",)}}, ("a", "ab")),
        (columns("dim"), {"columns": {"dim": "c, a"}}, ("c", "a")),
        (columns("dim"), {}, ("b", "a", "ab", "c")),
        (columns("dim"), {"weight": "b"}, ("a", "ab", "c")),
        (columns("dim"), {"indexes": {"dim": ["a", "c"]}}, ("a", "c")),
    ],
)
def test_columns(index_set: Any, options: dict[str, Any], expected: tuple[str, ...]) -> None:
    data = {"b": [1, 2], "word": ["u", "v"], "a": [3, 4], "ab": [5, 6], "c": [7.5, None], "empty": [None, None]}
    found = bound(rows(VECTOR, index_sets=(index_set,)), data, **options)
    assert found.indexes["dim"] == expected
    assert found.values["x"].array.shape == (len(expected), 2)
    assert found.columns == {f"x.{name}": name for name in expected} | (
        {"--weight": options["weight"]} if "weight" in options else {}
    )
    assert found.leftover == (
        {"dim": expected} if index_set.source.patterns == () and set(options) <= {"weight"} else {}
    )


def test_bare_columns_leave_what_others_claim() -> None:
    model = graph(
        plates=(Plate("school"), Plate("pupil", "school", ordered=True, by="wave")),
        variables=(
            observed("x", plate="pupil", axes=("dim",)), given("age", plate="pupil"),
            given("size", plate="school", column="n"),
            finite("grade", "mark", plate="pupil"), given("t", plate="pupil", axes=("occasion",)),
            finite("z", "mark", plate="pupil", kind="latent"),
        ),
        index_sets=(
            columns("dim"), levels("mark", "grade", columns=("grade", "other")), labels("occasion", "1", "2"),
        ),
    )  # fmt: skip
    numeric = ["school", "pupil", "wave", "age", "n", "grade", "other", "t_1", "2", "z", "p", "q"]
    found = bound(model, {name: [1, 2] for name in numeric})
    assert found.indexes["dim"] == ("p", "q")
    assert found.leftover == {"dim": ("p", "q")}


@pytest.mark.parametrize(
    ("sets", "options", "code", "message", "help"),
    [
        ((columns("dim", "q"),), {}, "column-not-found", "there is no column `q`", "the columns are aa, word"),
        ((columns("dim", "q*"),), {}, "column-not-found", "no column matches the pattern `q*`",
         "the columns are aa, word"),
        ((columns("dim"),), {"columns": {"dim": ("aaa",)}}, "column-not-found", "there is no column `aaa`",
         "did you mean `aa`?; the columns are aa, word"),
        ((columns("dim"),), {"columns": {"dmi": ("a",)}}, "unknown-index-set", "there is no index set `dmi`",
         "did you mean `dim`?"),
        ((columns("dim", "aa"), labels("k", "1")), {"columns": {"k": ("a",)}}, "unknown-index-set",
         "the labels of index `k` are no columns", "declare it: index k = columns"),
        ((columns("dim"), columns("dim2")), {}, "ambiguous-columns",
         "`dim`, `dim2` would each take every numeric column that nothing else claims",
         "--columns dim=a,b --columns dim2=a,b"),
        ((columns("dim"),), {"weight": "aa"}, "no-columns", "no numeric column is left for `dim`",
         "--columns dim=a,b names them; the columns are aa, word"),
    ],
)  # fmt: skip
def test_columns_refused(sets: Any, options: dict[str, Any], code: str, message: str, help: str) -> None:
    data = {"aa": [1, 2], "word": ["u", "v"]}
    error = failures(lambda: bound(rows(VECTOR, index_sets=sets), data, **options))[0]
    assert (error.code, error.message, error.help) == (code, message, help)


def test_a_column_that_is_no_number_is_refused_where_it_is_named() -> None:
    model = rows(VECTOR, index_sets=(columns("dim", "a", "word"),))
    error = failure(lambda: bound(model, {"a": [1, 2], "word": ["u", "v"]}))
    assert (error.code, error.message) == ("not-a-number", "expected numbers in column `word`, found `u`, `v`")


def test_labels_that_depend_on_themselves() -> None:
    model = rows(
        VECTOR, observed("y", axes=("grade",)), index_sets=(columns("dim"), levels("grade", "v")),
    )  # fmt: skip
    model = rows(*model.variables, finite("v", "grade", axes=("dim", "grade")), index_sets=model.index_sets)
    error = failures(lambda: bound(model, {"a": [1, 2]}))[0]
    assert error.code == "index-cycle"
    assert error.message == "the labels of `dim` depend on themselves: dim -> grade -> dim"
    assert error.help == "name the columns: --columns dim=a,b"


# --- finding columns --------------------------------------------------------------------------------------------------

ITEMS = (labels("item", "a", "b"),)
Y = observed("y", axes=("item",))


@pytest.mark.parametrize(
    ("names", "options"),
    [
        (("a", "b"), {}),
        (("y_a", "y_b"), {}),
        (("y[a]", "y[b]"), {}),
        (("a", "y_b"), {}),
        (("out_a", "out_b"), {"map": {"y": "out"}}),
        (("p", "q"), {"map": {"y[a]": "p", "y.b": "q"}}),
    ],
)
def test_elements_find_their_columns(names: tuple[str, str], options: dict[str, Any]) -> None:
    found = bound(rows(Y, index_sets=ITEMS), {names[0]: [1.0], names[1]: [2.0]}, **options)
    assert found.values["y"].array.tolist() == [[1], [2]]
    assert found.columns == {"y.a": names[0], "y.b": names[1]}


def test_the_label_comes_before_the_longer_name() -> None:
    found = bound(rows(Y, index_sets=ITEMS), {"y[a]": [1], "y_a": [2], "a": [3], "b": [4]})
    assert found.columns == {"y.a": "a", "y.b": "b"}


def test_two_arrays_over_one_index_need_longer_names() -> None:
    model = rows(Y, given("x", axes=("item",)), index_sets=ITEMS)
    found = bound(model, {"y_a": [1], "y_b": [2], "x_a": [3], "x_b": [4]})
    assert found.values["x"].array.tolist() == [[3], [4]]
    error = failures(lambda: bound(model, {"a": [1], "b": [2], "x_a": [3], "x_b": [4]}))
    assert len(error) == 1
    assert error[0].message == (
        "there is no column for `y[a]`, `y[b]`: expected `y_a` or `y[a]` (a bare `a` could be any of `y`, `x`)"
    )


def test_two_axes() -> None:
    model = rows(observed("y", axes=("item", "time")), index_sets=(*ITEMS, labels("time", "1", "2")))
    found = bound(model, {"y_a_1": [1], "y_a_2": [2], "y[b,1]": [3], "y[b, 2]": [4]})
    assert found.values["y"].array.tolist() == [[[1], [2]], [[3], [4]]]
    assert found.columns["y.b.2"] == "y[b, 2]"


@pytest.mark.parametrize(
    ("variables", "data", "options", "code", "message", "help"),
    [
        ((observed("phenotype"),), {"phenotyp": [1]}, {}, "column-not-found",
         "there is no column for the observed variable `phenotype`",
         "did you mean `phenotyp`?; the columns are phenotyp; --map phenotype=COLUMN"),
        ((given("age", column="Age"),), {"x": [1]}, {}, "column-not-found",
         "there is no column `Age` for the input variable `age`", "the columns are x; --map age=COLUMN"),
        ((Y,), {"a": [1], "yb": [1]}, {}, "column-not-found",
         "there is no column for `y[b]`: expected `b`, `y_b` or `y[b]`",
         'did you mean `yb`?; the columns are a, yb; --map "y[b]=COLUMN"'),
        ((Y,), {"a": [1], "b": [1]}, {"map": {"y[a]": "c"}}, "column-not-found", "there is no column `c`",
         "the columns are a, b"),
        ((observed("y"),), {"y": [1]}, {"map": {"yy": "y"}}, "unknown-variable",
         "there is no variable or plate `yy` to map a column to", "did you mean `y`?"),
    ],
)  # fmt: skip
def test_columns_not_found(
    variables: Any, data: dict[str, Any], options: dict[str, Any], code: str, message: str, help: str
) -> None:
    error = failure(lambda: bound(rows(*variables, index_sets=ITEMS), data, **options))
    assert (error.code, error.message, error.help) == (code, message, help)


def test_many_missing_elements_are_not_all_listed() -> None:
    model = rows(observed("y", axes=("k",)), index_sets=(counted("k", number(1), number(100_000)),))
    error = failure(lambda: bound(model, {"x": [1]}))
    assert error.message == (
        "there is no column for `y[1]`, `y[2]`, `y[3]`, `y[4]`, `y[5]`, …: expected `1`, `y_1` or `y[1]`"
    )


def test_observed_variables_may_be_absent_when_scoring() -> None:
    model = rows(observed("y"), finite("g", "v"), Y_B, given("x"), index_sets=(*ITEMS, labels("v", "u", "w")))
    found = bound(model, {"x": [1.0, 2.0], "b": [5.0, 6.0]}, absent=True)
    assert all(value != value for value in found.values["y"].array)
    assert found.values["g"].array.tolist() == [2, 2]
    assert found.values["g"].sets is not None
    assert found.values["g"].sets.tolist() == [[True, True]]
    assert found.values["t"].array[1].tolist() == [5, 6]
    assert found.columns == {"t.b": "b", "x": "x"}
    error = failure(lambda: bound(rows(given("x")), {"z": [1]}, absent=True))
    assert error.message == "there is no column for the input variable `x`"


Y_B = observed("t", axes=("item",))
