"""What the cells of a censored, grouped or truncated variable hold: values, bounds or nothing, and whether they may."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.data.bound import Values
from emdsl.data.evaluation import NotConstant
from emdsl.data.numerals import numeral, print_number
from emdsl.data.support import outside
from emdsl.data.table import Table
from emdsl.data.units import Arrangement
from emdsl.data.values import ValueReader
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.expressions import Apply, Expression, Label, Number, ParameterRef, VariableRef, walk
from emdsl.ir.model import ABOVE, BELOW, BETWEEN, CELLS, EMPTY, SEEN, Cut, Domain, Model, Variable

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

#: The code of each kind of cell.
CODE = {kind: code for code, kind in enumerate(CELLS)}

_OPERATIONS: dict[str, Callable[..., Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "neg": operator.neg,
    "==": np.equal, "!=": np.not_equal, "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal,
    "and": lambda a, b: (a != 0) & (b != 0), "or": lambda a, b: (a != 0) | (b != 0), "not": lambda a: a == 0,
    "min": np.minimum, "max": np.maximum,
}  # fmt: skip


@dataclass(frozen=True)
class CellReader:
    """Reads what cells hold, once all variables have been read into `values`. `number` works out constants, `labels`
    gives the labels of an index set."""

    model: Model
    table: Table
    arrangement: Arrangement
    reader: ValueReader
    values: Mapping[str, Values]
    labels: Callable[[str], tuple[str, ...]]
    number: Callable[[Expression, str], float]

    def cells(self, variable: Variable) -> Values:
        """The kind of each cell `(*elements, units)`, a code of `CELLS`."""
        cut = variable.cut
        assert cut is not None
        target = self.model.variable(cut.of)
        kinds = self._grouped(target, cut) if target.between is not None else self._censored(target, cut)
        return Values(np.asarray(kinds, dtype=np.intp))

    def check_window(self, variable: Variable) -> None:
        """Raise where the data hold what truncation excludes: values outside of the bounds, a law with nothing left."""
        assert variable.truncated is not None
        if any(
            isinstance(n, ParameterRef) or (isinstance(n, VariableRef) and self._is_latent(n))
            for n in walk(variable.truncated)
        ):
            return  # what is not known moves the bounds: the density is 0 outside of them
        low, high = (self._evaluate(end, variable) for end in variable.truncated)
        crossed = np.asarray(low > high)
        if crossed.any():
            raise EmmError(
                "bounds-crossed", f"`{variable.name}` is truncated to an interval whose ends are crossed",
                place=self.table.place(self.reader.rows_of(variable, _units(crossed))) if crossed.ndim else "",
            )  # fmt: skip
        cells = next((v for v in self.model.variables if v.cut is not None and v.cut.of == variable.name), None)
        array = np.asarray(self.values[variable.name].array)
        kinds = np.full(array.shape, CODE[SEEN])
        if cells is not None and cells.name in self.values:
            kinds = np.asarray(self.values[cells.name].array)
        first, last = array, array
        if variable.between is not None:
            first, last = (np.asarray(self.values[name].array) for name in variable.between)
        with np.errstate(invalid="ignore"):
            wrong = (kinds == CODE[SEEN]) & ((array < low) | (array > high))
            wrong |= (kinds == CODE[ABOVE]) & (first >= high)
            wrong |= (kinds == CODE[BELOW]) & (last <= low)
            wrong |= (kinds == CODE[BETWEEN]) & ((first > high) | (last < low))
        if wrong.any():
            ends = " and ".join(_shown(end) for end in (low, high))
            raise self._outside(variable, f"`{variable.name}` is truncated to values between {ends}, and the data hold "
                                "others", wrong)  # fmt: skip

    # --- kinds --------------------------------------------------------------------------------------------------------

    def _censored(self, target: Variable, cut: Cut) -> Any:
        value = np.asarray(self.values[target.name].array, dtype=np.float64)
        present = ~np.isnan(value)
        above, below = (self._is_bound(event, target, value.shape) for event in (cut.above, cut.below))
        both = above & below
        if both.any():
            raise self._outside(target, f"a cell of `{target.name}` cannot be a bound from above and from below", both)
        low, high = self._ends(cut.domain)
        kinds = np.where(above, CODE[ABOVE], np.where(below, CODE[BELOW], CODE[SEEN]))
        self._check(target, np.where(above | below, np.nan, value))
        with np.errstate(invalid="ignore"):
            impossible = (above & (value >= high)) | (below & (value <= low))
            whole = np.floor(value) == value
        if impossible.any():
            raise self._outside(target, f"nothing of the law of `{target.name}` lies beyond its bounds", impossible)
        if cut.discrete and (present & ~whole).any():
            raise self._outside(target, f"expected whole numbers for the bounds of `{target.name}`", present & ~whole)
        # a bound that excludes nothing says nothing
        idle = (above & (value < low)) | (below & (value > high))
        if not cut.discrete:
            idle |= (above & (value == low)) | (below & (value == high))
        return np.where(present & ~idle, kinds, CODE[EMPTY])

    def _grouped(self, target: Variable, cut: Cut) -> Any:
        assert target.between is not None
        first, last = (np.asarray(self.values[name].array, dtype=np.float64) for name in target.between)
        low, high = self._ends(cut.domain)
        exact = (first == last) & np.isfinite(first)
        self._check(target, np.where(exact, first, np.nan))
        beyond = (first > high) | (last < low)
        if not cut.discrete:
            beyond |= ~exact & ((first == high) | (last == low)) & np.isfinite(np.where(first == high, first, last))
        hollow = cut.discrete & (np.ceil(first) > np.floor(last))
        if beyond.any() or hollow.any():
            raise self._outside(target, f"no value of `{target.name}` lies between its bounds", beyond | hollow)
        open_below, open_above = first <= low, last >= high
        kinds = np.where(open_above, CODE[ABOVE], np.where(open_below, CODE[BELOW], CODE[BETWEEN]))
        kinds = np.where(open_below & open_above, CODE[EMPTY], kinds)
        return np.where(exact, CODE[SEEN], kinds)

    def _is_bound(self, event: Expression | None, target: Variable, shape: tuple[int, ...]) -> Flags:
        if event is None:
            return np.zeros(shape, dtype=np.bool_)
        value = np.broadcast_to(np.asarray(self._evaluate(event, target), dtype=np.float64), shape)
        wrong = ~np.isin(value, (0.0, 1.0))
        if wrong.any():
            raise EmmError(
                "event", f"the event of `{target.name}` is 1 where its value was seen and 0 where it is a bound, found "
                f"{_shown(value[wrong].ravel()[:1])}", place=self._place(target, wrong),
                help="compare the column: unless status == 1",
            )  # fmt: skip
        return np.asarray(value == 0.0)

    def _check(self, target: Variable, value: Floats) -> None:
        """Values that were seen lie in the law's domain."""
        words, wrong = outside(target, value.ravel(), self.number)
        if len(wrong):
            flags = np.zeros(value.size, dtype=np.bool_)
            flags[wrong] = True
            raise self._outside(target, f"expected {words} for `{target.name}`", flags.reshape(value.shape))

    def _ends(self, domain: Domain) -> tuple[float, float]:
        match domain.kind:
            case "positive" | "natural":
                return 0.0, np.inf
            case "unit":
                return 0.0, 1.0
            case "interval":
                low, high = (self._constant(end) for end in (domain.low, domain.high))
                return -np.inf if low is None else low, np.inf if high is None else high
            case _:
                return -np.inf, np.inf

    def _constant(self, end: Expression | None) -> float | None:
        if end is None:
            return None
        try:
            return self.number(end, "the end of an interval")
        except NotConstant:  # it depends on a parameter: only the fit can tell
            return None

    # --- expressions of data ------------------------------------------------------------------------------------------

    def _is_latent(self, reference: VariableRef) -> bool:
        return self.model.variable(reference.name).kind == "latent"

    def _evaluate(self, expression: Expression, target: Variable) -> Any:
        """A number, or `(units,)` or `(*elements, units)` of the target's plate."""
        match expression:
            case Number(value):
                return np.float64(value)
            case Label(_, label):
                return np.float64(numeral(label) if numeral(label) is not None else np.nan)
            case VariableRef(name):
                return self._data(name, target)
            case Apply("==" | "!=" as op, (VariableRef(name), Label(_, label))) if self._is_finite(name):
                return _OPERATIONS[op](self._codes(name, target), self._code_of(name, label))
            case Apply("==" | "!=" as op, (Label() as label_side, VariableRef() as variable)):
                return self._evaluate(Apply(op, (variable, label_side)), target)
            case Apply(op, args) if op in _OPERATIONS:
                return _OPERATIONS[op](*(self._evaluate(arg, target) for arg in args))
        return np.float64(self.number(expression, f"a bound of `{target.name}`"))

    def _is_finite(self, name: str) -> bool:
        return self.model.variable(name).values is not None

    def _code_of(self, name: str, label: str) -> int:
        labels = self.labels(self.model.variable(name).values or "")
        return labels.index(label) if label in labels else -1

    def _data(self, name: str, target: Variable) -> Any:
        if not self._is_finite(name):
            return self._repeated(np.asarray(self.values[name].array), name, target)
        numbers = [numeral(label) for label in self.labels(self.model.variable(name).values or "")]
        table = np.array([*(np.nan if value is None else value for value in numbers), np.nan])
        codes = self._codes(name, target)
        return table[np.where((codes >= 0) & (codes < len(numbers)), codes, len(numbers))]

    def _codes(self, name: str, target: Variable) -> Any:
        return self._repeated(np.asarray(self.values[name].array), name, target)

    def _repeated(self, array: Any, name: str, target: Variable) -> Any:
        """An outer plate's values, one for each unit of the target's plate."""
        levels = self.arrangement.levels
        own = next(k for k, level in enumerate(levels) if level.plate == self.model.variable(name).plate)
        here = next(k for k, level in enumerate(levels) if level.plate == target.plate)
        if own == here:
            return array
        place = levels[here].parent
        for number in range(here - 1, own, -1):
            place = levels[number].parent[place]
        return array[..., place]

    # --- errors -------------------------------------------------------------------------------------------------------

    def _outside(self, target: Variable, message: str, wrong: Any) -> EmmError:
        return EmmError("outside-support", message, place=self._place(target, np.asarray(wrong)))

    def _place(self, target: Variable, wrong: Any) -> str:
        """The rows of the cells that are wrong, and the column of the first of them."""
        wrong = np.broadcast_to(wrong, np.asarray(self.values[target.name].array).shape)
        names = target.between[:1] if target.between is not None else (target.name,)
        return self.reader.place_of(names[0], target, wrong)


def _units(wrong: Any) -> NDArray[np.intp]:
    return np.flatnonzero(np.asarray(wrong).reshape(-1, np.asarray(wrong).shape[-1]).any(axis=0))


def _shown(value: Any) -> str:
    numbers = np.unique(np.asarray(value, dtype=np.float64))
    texts = [print_number(float(x)) if np.isfinite(x) else str(float(x)) for x in numbers[:3]]
    return ", ".join(texts) + (", …" if len(numbers) > 3 else "")


__all__ = ["CellReader"]
