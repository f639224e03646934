from __future__ import annotations

import math

import pytest

from emdsl.results.table import Column, measured, number, pairs, table, width


@pytest.mark.parametrize(("text", "places"), [("abc", 3), ("μσ", 2), ("表", 4 // 2), ("é", 1), ("–", 1), ("", 0)])
def test_width(text: str, places: int) -> None:
    assert width(text) == places


def test_columns_are_aligned() -> None:
    lines = table([
        Column("name", ("a", "数b", "")), Column("x", ("1.25", "-10", "–"), "point"), Column("", ("", "remark", "")),
    ])  # fmt: skip
    assert lines == [
        "name       x",
        "a       1.25",
        "数b   -10     remark",
        "        –",
    ]


def test_an_empty_column_without_a_title_is_left_out() -> None:
    assert table([Column("a", ("1",)), Column("", ("",))]) == ["a", "1"]


def test_pairs() -> None:
    assert pairs([("μ", "1"), ("long", "2"), ("x", "")]) == ["μ     1", "long  2", "x"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"), (math.nan, "–"), (math.inf, "inf"), (-math.inf, "-inf"), (0.0, "0"), (-0.0, "0"), (1, "1.0000"),
        (0.0708372, "0.070837"), (123456.7, "123457"), (-1.5e12, "-1.5000e+12"), (1.5e-9, "1.5000e-09"),
        (99999.96, "100000"),
    ],
)  # fmt: skip
def test_number(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.0708372, 0.0074, "0.07084"), (70.25, 12.25, "70.2"), (1234.5, 250, "1234"), (0.5, math.nan, "0.50000"),
        (0.5, None, "0.50000"), (0.5, 0.0, "0.50000"), (None, 0.1, "–"), (-0.0001, 0.5, "0.000"), (1e-10, 0.5, "0.000"),
        (3.0, 1e-30, "3.000000000"), (2e-12, 1e-13, "2.0000e-12"),
    ],
)  # fmt: skip
def test_an_estimate_has_the_digits_of_its_error(value: float | None, error: float | None, text: str) -> None:
    assert measured(value, error) == text
