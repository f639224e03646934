"""Constants: exact values, bounded cost, `--set` and `--const`."""

from __future__ import annotations

import math
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emdsl.data.binding import BindOptions
from emdsl.data.constants import Constants
from emdsl.data.evaluation import Evaluator, NotConstant
from emdsl.ir.expressions import (
    AnyPattern,
    Apply,
    Arm,
    Binder,
    BinderRef,
    Choose,
    ConstantRef,
    Expression,
    Label,
    LabelPattern,
    Number,
    ParameterRef,
    Reduce,
    number,
)
from emdsl.ir.model import Constant, Domain, Labels, Parameter
from tests.data.graphs import failure, graph, labels

K = Constant("K", value=number(3))
ALLELES = ("C", "I", "T")
SETS = {"allele": ALLELES, "dose": ("0", "1", "2"), "many": tuple(map(str, range(2000)))}


def value(expression: Expression) -> Fraction | float:
    return Evaluator(SETS.__getitem__, lambda name, of: Fraction(3), "the constant `x`").number(expression)


def op(name: str, *args: Any) -> Apply:
    return Apply(name, tuple(number(arg) if isinstance(arg, (int, Fraction, float)) else arg for arg in args))


DOSE = Binder("d", "dose")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (op("/", 1, 3), Fraction(1, 3)),
        (op("+", op("*", 2, ConstantRef("K")), Fraction(1, 2)), Fraction(13, 2)),
        (op("^", 2, 10), 1024),
        (op("^", Fraction(2, 3), -2), Fraction(9, 4)),
        (op("^", -1, 10**30 + 1), -1),
        (op("^", 2, Fraction(1, 2)), math.sqrt(2)),
        (op("neg", 4), -4),
        (op("-", 4, 5), -1),
        (op("min", 4, 5), 4),
        (op("max", 4, 5), 5),
        (op("abs", -4), 4),
        (op("<", 1, 2), 1), (op(">=", 1, 2), 0), (op("==", 1, 1), 1), (op("!=", 1, 1), 0),
        (op("and", 1, 0), 0), (op("or", 0, 2), 1), (op("not", 0), 1),
        (op("where", 1, 5, op("/", 1, 0)), 5),
        (op("exp", 0), 1), (op("log", 1), 0), (op("sqrt", 9), 3), (op("log1p", 0), 0),
        (op("sin", 0), 0), (op("cos", 0), 1), (op("logistic", 0), 0.5), (op("logit", 0.5), 0),
        (op("Phi", 0), 0.5), (op("probit", 0.5), 0), (op("lgamma", 5), math.log(24)),
        (op("besseli0", 1), 1.2660658777520082),
        (op("logistic", -1000), 0.0),
        (op("probit", 1), math.inf),
        (op("==", Label("allele", "C"), Label("allele", "C")), 1),
        (op("==", Label("dose", "1"), 1), 1),
        (op("+", Label("dose", "2"), 1), 3),
        (Reduce("sum", DOSE, BinderRef(DOSE)), 3),
        (Reduce("prod", DOSE, op("+", BinderRef(DOSE), 1)), 6),
        (Reduce("logsumexp", DOSE, number(0)), math.log(3)),
        (Number(math.pi), math.pi),
        (
            Reduce("sum", DOSE, Choose(
                (BinderRef(DOSE),),
                (Arm(((LabelPattern(("0", "2")),),), number(10)), Arm(((AnyPattern(),),), number(1))),
            )),
            21,
        ),
    ],
)  # fmt: skip
def test_expressions(expression: Expression, expected: float) -> None:
    found = value(expression)
    assert found == pytest.approx(expected, rel=1e-14)
    if isinstance(expected, (int, Fraction)) and expected != 0:
        assert float(found) == float(expected)


def test_rational_arithmetic_is_exact() -> None:
    third = op("/", 1, 3)
    assert value(op("-", op("*", 3, third), 1)) == Fraction(0)


@pytest.mark.parametrize(
    ("expression", "code", "message"),
    [
        (op("^", 9, op("^", 9, op("^", 9, 9))), "constant-too-large", "the constant `x` is too large a number"),
        (op("^", 10, 400), None, None),
        (op("^", op("^", 10, 4000), 4000), "constant-too-large", "the constant `x` is too large a number"),
        (op("exp", 1e6), "constant-too-large", "the constant `x` is too large a number"),
        (op("/", 1, op("-", 1, 1)), "division-by-zero", "the constant `x` divides by zero"),
        (op("^", 0, -1), "division-by-zero", "the constant `x` divides by zero"),
        (op("log", -1), "undefined-value", "the constant `x` takes log of -1, which is no number"),
        (op("sqrt", -1), "undefined-value", "the constant `x` takes sqrt of -1, which is no number"),
        (op("^", -8, Fraction(1, 3)), "undefined-value",
         "the constant `x` takes ^ of -8, 0.333333333333, which is no number"),
        (op("probit", 2), "undefined-value", "the constant `x` takes probit of 2, which is no number"),
        (op("+", Label("allele", "C"), 1), "label-not-a-number",
         "the constant `x` takes the label `C` for a number"),
        (Reduce("sum", Binder("i", "many"), Reduce("sum", Binder("j", "many"), number(1))), "constant-too-large",
         "the constant `x` takes more than 200000 steps to work out"),
    ],
)  # fmt: skip
def test_what_has_no_value(expression: Expression, code: str | None, message: str | None) -> None:
    begin = time.process_time()
    if code is None:
        assert value(expression) == 10**400
    else:
        error = failure(lambda: value(expression))
        assert (error.code, error.message) == (code, message)
    assert time.process_time() - begin < 5


def test_deep_nesting_is_refused() -> None:
    expression: Expression = number(1)
    for _ in range(20_000):
        expression = Apply("neg", (expression,))
    assert failure(lambda: value(expression)).message == "the constant `x` nests too deep"


def test_parameters_are_no_constants() -> None:
    with pytest.raises(NotConstant):
        value(op("+", 1, ParameterRef("p")))


# --- of a model -------------------------------------------------------------------------------------------------------

CARRIES = Constant(
    "carries", ("allele", "dose"), value=tuple(tuple(map(number, row)) for row in np.eye(3, dtype=int).tolist())
)
GROUP = Constant("group", ("dose",), labels_of="allele", value=tuple(Label("allele", name) for name in "TCC"))
MODEL = graph(
    index_sets=(labels("allele", *ALLELES), labels("dose", "0", "1", "2")),
    constants=(
        K, CARRIES, GROUP, Constant("half", value=op("/", ConstantRef("K"), 2)), Constant("Q", ("allele",)),
        Constant("L"), Constant("one", ("allele",), value=number(1)), Constant("W", ("dose", "dose")),
        Constant("ref", labels_of="allele", value=Label("allele", "I")),
    ),
    parameters=(Parameter("sigma", (), Domain("positive")),),
)  # fmt: skip


def constants(**options: Any) -> Constants:
    sets = {item.name: item.source.labels for item in MODEL.index_sets if isinstance(item.source, Labels)}
    return Constants(MODEL, BindOptions(**options), sets.__getitem__)


def test_values_of_constants() -> None:
    found = constants()
    assert found.array("K").shape == ()
    assert float(found.array("K")) == 3
    assert float(found.array("half")) == 1.5
    np.testing.assert_array_equal(found.array("carries"), np.eye(3))
    np.testing.assert_array_equal(found.array("group"), [2, 0, 0])
    assert found.array("group").dtype == np.intp
    np.testing.assert_array_equal(found.array("one"), [1, 1, 1])
    assert int(found.array("ref")) == 1


@pytest.mark.parametrize("five", [5, 5.0, "5", Fraction(5), np.int64(5), np.float64(5)])
def test_set_overrides(five: Any) -> None:
    assert float(constants(set={"K": five}).array("half")) == 2.5
    assert int(constants(set={"ref": "T"}).array("ref")) == 2


def test_long_tables(tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    path.write_text("allele,value\nT,3\nC,1\nI,0.5\n")
    np.testing.assert_array_equal(constants(const={"Q": str(path)}).array("Q"), [1, 0.5, 3])
    np.testing.assert_array_equal(
        constants(const={"Q": {"allele": list("CIT"), "value": [1, 2, 3]}}).array("Q"), [1, 2, 3]
    )
    np.testing.assert_array_equal(constants(const={"Q": [1, 2, 3]}).array("Q"), [1, 2, 3])
    np.testing.assert_array_equal(constants(const={"Q": np.arange(3.0)}).array("Q"), [0, 1, 2])
    long = {"dose_1": [a for a in range(3) for _ in range(3)], "dose_2": [0, 1, 2] * 3, "value": list(range(9))}
    np.testing.assert_array_equal(constants(const={"W": long}).array("W"), np.arange(9).reshape(3, 3))
    np.testing.assert_array_equal(constants(const={"group": ["C", "I", "T"]}).array("group"), [0, 1, 2])
    table = {"dose": [0, 1, 2], "value": ["C", "I", "T"]}
    np.testing.assert_array_equal(constants(const={"group": table}).array("group"), [0, 1, 2])


@pytest.mark.parametrize(
    ("name", "options", "code", "message", "place", "help"),
    [
        ("L", {}, "constant-missing", "the constant `L` has no value", "", "--set L=3"),
        ("Q", {}, "constant-missing", "the constant `Q` has no value", "", "--const Q=FILE.csv"),
        ("K", {"set": {"k": 3}}, "unknown-constant", "there is no constant `k`", "--set", "did you mean `K`?"),
        ("K", {"set": {"carry": 3}}, "unknown-constant", "there is no constant `carry`", "--set", ""),
        ("K", {"set": {"hlaf": 3}}, "unknown-constant", "there is no constant `hlaf`", "--set", "did you mean `half`?"),
        ("K", {"set": {"sigma": 3}}, "unknown-constant", "there is no constant `sigma`: it is a parameter", "--set",
         "--fix sigma=1"),
        ("K", {"set": {"Q": 3}}, "constant-shape", "the constant `Q` is a table", "--set", "--const Q=FILE.csv"),
        ("K", {"const": {"K": "k.csv"}}, "constant-shape", "the constant `K` is one number", "--const", "--set K=3"),
        ("K", {"set": {"K": "many"}}, "not-a-number", "expected a number for the constant `K`, found `many`", "--set",
         "--set K=3"),
        ("K", {"set": {"K": math.nan}}, "not-a-number", "expected a number for the constant `K`, found `nan`", "--set",
         "--set K=3"),
        ("ref", {"set": {"ref": "X"}}, "unknown-label", "`X`, in the constant `ref`, is not a label of `allele`", "",
         "its labels are C, I, T"),
        ("Q", {"const": {"Q": [1, 2]}}, "constant-shape", "expected 3 values for the constant `Q`, found 2 values", "",
         "in the order of the index sets allele"),
        ("W", {"const": {"W": [[1, 2]]}}, "constant-shape",
         "expected 3 x 3 values for the constant `W`, found 1 x 2 values", "",
         "in the order of the index sets dose, dose"),
        ("Q", {"const": {"Q": [1, "a", 2]}}, "not-a-number", "expected a number in the constant `Q`, found `a`", "",
         ""),
        ("Q", {"const": {"Q": [1, None, 2]}}, "missing-cell", "expected a number in the constant `Q`, found `None`", "",
         ""),
        ("Q", {"const": {"Q": {"allele": ["C"], "worth": [1]}}}, "column-not-found",
         "the table of the constant `Q` needs a column `value`", "the data",
         "the columns are allele, worth; its columns are to be allele, value"),
        ("Q", {"const": {"Q": {"allele": ["C", "X"], "value": [1, 2]}}}, "unknown-label",
         "`X` is not a label of `allele`", "the data, row 2, column allele", "its labels are C, I, T"),
        ("Q", {"const": {"Q": {"allele": ["C", None], "value": [1, 2]}}}, "missing-cell",
         "expected a label in column `allele`", "the data, row 2, column allele", ""),
        ("Q", {"const": {"Q": {"allele": ["C", "I"], "value": [1, None]}}}, "missing-cell",
         "the constant `Q` may not have empty cells", "the data, row 2, column value", ""),
        ("Q", {"const": {"Q": {"allele": ["C", "I"], "value": [1, 2]}}}, "missing-element",
         "the table does not give `Q[T]`", "the data", "one row for each element, with the columns allele, value"),
        ("Q", {"const": {"Q": {"allele": ["C", "I", "C"], "value": [1, 2, 3]}}}, "duplicate-element",
         "`Q[C]` is given more than once", "the data, rows 1, 3", ""),
    ],
)  # fmt: skip
def test_errors(name: str, options: Any, code: str, message: str, place: str, help: str) -> None:
    error = failure(lambda: constants(**options).array(name))
    assert (error.code, error.message, error.place, error.help) == (code, message, place, help)


@pytest.mark.parametrize(
    ("constant", "code", "message", "help"),
    [
        (Constant("x", ("dose",), value=(number(1), number(2))), "constant-shape",
         "the constant `x` has 2 entries where `dose` has 3 labels (0, 1, 2)", ""),
        (Constant("x", ("dose", "dose"), value=((number(1),),) * 3), "constant-shape",
         "the constant `x` has 1 entry where `dose` has 3 labels (0, 1, 2)",
         "one row for each label of `dose`: [[…], […]]"),
        (Constant("x", ("dose",), value=((number(1),),) * 3), "constant-shape",
         "the constant `x` nests deeper than its 1 axis", ""),
        (Constant("x", value=ConstantRef("x")), "constant-cycle", "the constant `x` depends on itself: x -> x", ""),
        (Constant("x", value=op("^", 10, 400)), "constant-too-large", "the constant `x` is too large a number", ""),
        (Constant("x", value=op("-", Number(math.inf), Number(math.inf))), "undefined-value",
         "the constant `x` is not a number", ""),
        (Constant("x", value=Label("allele", "C")), "not-a-number",
         "the constant `x` is the label `C`, not a number", ""),
    ],
)  # fmt: skip
def test_errors_in_the_model(constant: Constant, code: str, message: str, help: str) -> None:
    sets = {"dose": ("0", "1", "2")}
    found = Constants(graph(constants=(constant,)), BindOptions(), sets.__getitem__)
    error = failure(lambda: found.array("x"))
    assert (error.code, error.message, error.help) == (code, message, help)


def test_infinity_is_a_constant() -> None:
    no_sets: dict[str, tuple[str, ...]] = {}
    model = graph(constants=(Constant("x", value=Number(math.inf)),))
    found = Constants(model, BindOptions(), no_sets.__getitem__)
    assert float(found.array("x")) == math.inf
