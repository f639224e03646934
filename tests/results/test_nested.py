from __future__ import annotations

import math

import numpy as np
import pytest

from emdsl.results.nested import missing, nest, nested_arrays, plain, whole


def test_numbers_are_plain() -> None:
    assert [plain(value) for value in (1, np.float64(0.5), None, math.nan, math.inf)] == [1.0, 0.5, None, None, None]
    assert str(plain(-0.0)) == "0.0"
    assert [repr(whole(value)) for value in (622.0, 2.5, math.inf)] == ["622", "2.5", "None"]


def test_arrays_nest_by_label() -> None:
    labels = (("b", "a"), ("x", "y", "z"))
    array = np.array([[1.0, 2.0, np.nan], [4.0, 5.0, 6.0]])
    found = nest(array, labels)
    assert found == {"b": {"x": 1.0, "y": 2.0, "z": None}, "a": {"x": 4.0, "y": 5.0, "z": 6.0}}
    assert list(found) == ["b", "a"]
    assert nest(3.0, ()) == 3.0
    assert nest(np.array([[0.0, 1.0], [2.0, np.inf]]), (("b", "a"),)) == {"b": [0.0, 1.0], "a": [2.0, None]}


def test_a_shape_that_does_not_fit_its_labels_is_no_result() -> None:
    with pytest.raises(ValueError, match="shorter"):
        nest(np.zeros(2), (("a", "b", "c"),))


def test_what_is_missing_has_the_form_too() -> None:
    assert missing((("a",), ("x", "y")), [None, None]) == {"a": {"x": [None, None], "y": [None, None]}}
    assert nested_arrays({"q": np.array(1.0)}, {"p": (("a",),), "q": ()}) == {"p": {"a": None}, "q": 1.0}
    assert nested_arrays(None, {"p": ()}) == {"p": None}
