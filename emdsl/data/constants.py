"""The values of a model's constants: from the model, `--set` or `--const`, exact until they become arrays."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.data.evaluation import Evaluator, NotConstant, Value
from emdsl.data.long_tables import read_long
from emdsl.data.numerals import numeral
from emdsl.data.options import BindOptions
from emdsl.data.wording import count_of, did_you_mean, plain
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.expressions import Expression
from emdsl.ir.model import Constant, Model

ConstantArray = NDArray[np.float64] | NDArray[np.intp]


class Constants:
    """Values of constants, worked out when they are first asked for. `labels` gives the labels of an index set."""

    def __init__(self, model: Model, options: BindOptions, labels: Callable[[str], tuple[str, ...]]) -> None:
        self._model, self._options, self._labels = model, options, labels
        self._constants = {item.name: item for item in model.constants}
        self._values: dict[tuple[str, tuple[str, ...]], Value] = {}
        self._given: dict[str, dict[tuple[str, ...], Value]] = {}
        self._pending: list[str] = []
        self._check_options()

    def number(self, expression: Expression, subject: str) -> Fraction | float:
        """The value of an expression of constants; `subject` names it in messages. Raises `NotConstant`."""
        return self._evaluator(subject).number(expression)

    def array(self, name: str) -> ConstantArray:
        """The constant as an array over its axes: floats, or codes of labels."""
        constant = self._constants[name]
        sizes = tuple(len(self._labels(axis)) for axis in constant.axes)
        values = [self.element(name, labels) for labels in product(*(self._labels(axis) for axis in constant.axes))]
        if constant.labels_of is not None:
            codes = {label: code for code, label in enumerate(self._labels(constant.labels_of))}
            flat = [codes[self._checked_label(constant, value)] for value in values]
            return np.array(flat, dtype=np.intp).reshape(sizes)
        return np.array([_as_float(name, value) for value in values], dtype=np.float64).reshape(sizes)

    def element(self, name: str, labels: tuple[str, ...]) -> Value:
        """One element of a constant; a scalar has no labels."""
        key = (name, labels)
        if key not in self._values:
            if name in self._pending:
                chain = " -> ".join([*self._pending[self._pending.index(name) :], name])
                raise EmmError("constant-cycle", f"the constant `{name}` depends on itself: {chain}")
            self._pending.append(name)
            try:
                self._values[key] = self._work_out(self._constants[name], labels)
            finally:
                self._pending.pop()
        return self._values[key]

    def _work_out(self, constant: Constant, labels: tuple[str, ...]) -> Value:
        if constant.name in self._options.set:
            return self._set_value(constant, self._options.set[constant.name])
        if constant.name in self._options.const:
            return self._table(constant)[labels]
        value: Any = constant.value
        if value is None:
            raise EmmError(
                "constant-missing",
                f"the constant `{constant.name}` has no value",
                help=f"--const {constant.name}=FILE.csv" if constant.axes else f"--set {constant.name}=3",
            )
        for depth, (axis, label) in enumerate(zip(constant.axes, labels, strict=True)):
            if not isinstance(value, tuple):
                break  # one value for all elements
            around = self._labels(axis)
            if len(value) != len(around):
                raise EmmError(
                    "constant-shape",
                    f"the constant `{constant.name}` has {count_of(len(value), 'entry', 'entries')} where `{axis}` has "
                    f"{count_of(len(around), 'label')} ({plain(around)})",
                    help=f"one row for each label of `{constant.axes[0]}`: [[…], […]]" if depth else "",
                )
            value = value[around.index(label)]
        if isinstance(value, tuple):
            raise EmmError(
                "constant-shape",
                f"the constant `{constant.name}` nests deeper than its {count_of(len(constant.axes), 'axis', 'axes')}",
            )
        return self._evaluator(f"the constant `{constant.name}`").value(value, {})

    def _evaluator(self, subject: str) -> Evaluator:
        return Evaluator(self._labels, self.element, subject)

    def _set_value(self, constant: Constant, value: Any) -> Value:
        number: Value | None = None
        match value:
            case bool() | np.bool_():
                number = Fraction(int(value))
            case int() | np.integer():
                number = Fraction(int(value))
            case Fraction():
                number = value
            case float() | np.floating():
                number = float(value)
            case str() if constant.labels_of is not None:
                return value
            case str() if (spelled := numeral(value)) is not None:
                number = Fraction(int(value)) if value.strip().lstrip("+-").isdecimal() else spelled
        if constant.labels_of is not None and isinstance(number, Fraction):
            return str(number)
        if number is None or number != number:
            raise EmmError(
                "not-a-number",
                f"expected a number for the constant `{constant.name}`, found `{value}`",
                place="--set",
                help=f"--set {constant.name}=3",
            )
        return number

    def _table(self, constant: Constant) -> dict[tuple[str, ...], Value]:
        if constant.name not in self._given:
            axes = tuple(self._labels(axis) for axis in constant.axes)
            given = self._options.const[constant.name]
            self._given[constant.name] = read_long(constant, axes, given, self._options.na)
        return self._given[constant.name]

    def _checked_label(self, constant: Constant, value: Value) -> str:
        assert constant.labels_of is not None
        labels = self._labels(constant.labels_of)
        text = value if isinstance(value, str) else f"{float(value):.12g}"
        if text not in labels:
            near = did_you_mean(text, labels)
            raise EmmError(
                "unknown-label",
                f"`{text}`, in the constant `{constant.name}`, is not a label of `{constant.labels_of}`",
                help="; ".join(part for part in (near, f"its labels are {plain(labels)}") if part),
            )
        return text

    def _check_options(self) -> None:
        for option, given, tables in (("--set", self._options.set, False), ("--const", self._options.const, True)):
            for name in given:
                constant = self._constants.get(name)
                if constant is None:
                    parameter = any(item.name == name for item in self._model.parameters)
                    raise EmmError(
                        "unknown-constant",
                        f"there is no constant `{name}`" + (": it is a parameter" if parameter else ""),
                        place=option,
                        help=f"--fix {name}=1" if parameter else did_you_mean(name, self._constants),
                    )
                if bool(constant.axes) != tables:
                    kind, other = ("a table", "--const") if constant.axes else ("one number", "--set")
                    raise EmmError(
                        "constant-shape",
                        f"the constant `{name}` is {kind}",
                        place=option,
                        help=f"{other} {name}={'FILE.csv' if constant.axes else '3'}",
                    )


def _as_float(name: str, value: Value) -> float:
    number = numeral(value) if isinstance(value, str) else value
    if number is None:
        raise EmmError("not-a-number", f"the constant `{name}` is the label `{value}`, not a number")
    try:
        result = float(number)
    except OverflowError as error:
        raise EmmError("constant-too-large", f"the constant `{name}` is too large a number") from error
    if math.isnan(result):
        raise EmmError("undefined-value", f"the constant `{name}` is not a number")
    return result


__all__ = ["ConstantArray", "Constants", "NotConstant"]
