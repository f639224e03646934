"""The labels of every index set: written, counted, found in the data, or named by columns."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from fractions import Fraction

import numpy as np

from emdsl.data.columns import ColumnFinder, data_variables
from emdsl.data.numerals import sorted_labels
from emdsl.data.options import BindOptions
from emdsl.data.table import Table
from emdsl.data.wording import did_you_mean, listed, plain
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.expressions import Apply, Expression, Number
from emdsl.ir.model import LARGEST_RANGE, Columns, Counts, IndexSet, Labels, Levels, Model, Range, Variable

#: The built-in index set of Bernoulli variables.
BINARY = "0/1"
#: Where the values of a latent count end at least, and at most, before the posterior is known.
LEAST_TOP, LARGEST_FIRST_TOP = 50, 20_000


class IndexSets:
    """Labels of the index sets of a model, worked out when they are first asked for.

    `finder` and `number` (the value of an expression of constants; its second argument names it in messages) are set
    after construction: all three need each other. `leftover` holds the columns that bare `columns` took.
    """

    finder: ColumnFinder
    number: Callable[[Expression, str], Fraction | float]

    def __init__(self, model: Model, table: Table, options: BindOptions) -> None:
        self._model, self._table, self._options = model, table, options
        self._sets = {item.name: item for item in model.index_sets}
        self._labels: dict[str, tuple[str, ...]] = {BINARY: ("0", "1")}
        self._pending: list[str] = []
        self.leftover: dict[str, tuple[str, ...]] = {}
        self._check_columns_option()

    def labels(self, name: str) -> tuple[str, ...]:
        """The labels of an index set, in order."""
        if name not in self._labels:
            if name in self._pending:
                chain = " -> ".join([*self._pending[self._pending.index(name) :], name])
                raise EmmError(
                    "index-cycle",
                    f"the labels of `{name}` depend on themselves: {chain}",
                    help=f"name the columns: --columns {name}=a,b",
                )
            self._pending.append(name)
            try:
                self._labels[name] = self._work_out(self._sets[name])
            finally:
                self._pending.pop()
        return self._labels[name]

    def all(self) -> dict[str, tuple[str, ...]]:
        """The labels of all index sets of the model, and of the built-in one if a variable takes values in it."""
        names = [item.name for item in self._model.index_sets]
        if BINARY not in names and any(item.values == BINARY for item in self._model.variables):
            names.append(BINARY)
        return {name: self.labels(name) for name in names}

    def _work_out(self, index_set: IndexSet) -> tuple[str, ...]:
        known = (self._options.indexes or {}).get(index_set.name)
        frozen = None if known is None else tuple(known)
        match index_set.source:
            case Labels(labels):
                return self._same_as_before(index_set.name, labels, frozen)
            case Range(low, high):
                return self._same_as_before(index_set.name, self._range(index_set.name, low, high), frozen)
            case Levels() as levels:
                return frozen if frozen is not None else self._levels(index_set.name, levels)
            case Columns(patterns):
                return frozen if frozen is not None else self._columns(index_set.name, patterns)
            case Counts(last, signed):
                if last is not None:
                    first = Apply("neg", (last,)) if signed else Number(Fraction(0))
                    return self._range(index_set.name, first, last)
                top = max(self._first_top(index_set.name), int(frozen[-1]) if frozen else 0)
                return tuple(str(value) for value in range(-top if signed else 0, top + 1))

    def _first_top(self, name: str) -> int:
        """Where the values of a latent count end at first: well above every count in the data. A fit goes on from
        there as far as the posterior calls for."""
        highest = 0.0
        for variable in data_variables(self._model) if self._table.rows else ():
            if variable.kind != "observed" or variable.domain.kind not in ("natural", "integer"):
                continue
            for _, column in self.finder.columns(variable):
                if column is not None and column in self._table and self._table.is_numeric(column):
                    numbers = self._table.numbers(column)
                    highest = max(highest, float(np.nanmax(np.abs(numbers), initial=0.0)))
        top = max(LEAST_TOP, 2 * int(highest) + LEAST_TOP // 2)
        if top > LARGEST_FIRST_TOP:
            raise EmmError(
                "too-large",
                f"the data hold counts up to {int(highest)}, so that `{name}` would be summed over 0 to {top}",
                help=f"give its law a bound: latent {name} ~ … up to {top}",
            )  # fmt: skip
        return top

    def _same_as_before(self, name: str, labels: tuple[str, ...], frozen: tuple[str, ...] | None) -> tuple[str, ...]:
        if frozen is not None and frozen != labels:
            raise EmmError(
                "different-labels",
                f"the labels of `{name}` are {plain(labels)}, those of the fit were {plain(frozen)}",
                help="give the constants the values that they had in the fit, such as --set K=3",
            )
        return labels

    def _range(self, name: str, low: Expression, high: Expression) -> tuple[str, ...]:
        ends = [self.number(end, f"the {which} of index `{name}`") for end, which in ((low, "start"), (high, "end"))]
        for end in ends:
            if end != end or end in (float("inf"), float("-inf")) or end != int(end):
                raise EmmError(
                    "index-range", f"expected whole numbers for the ends of index `{name}`, found {_shown(end)}"
                )
        first, last = int(ends[0]), int(ends[1])
        if last < first:
            raise EmmError("index-range", f"index `{name}` is empty: {first}..{last}")
        if last - first >= LARGEST_RANGE:
            raise EmmError(
                "index-too-large",
                f"index `{name}` would have {last - first + 1} labels, more than the {LARGEST_RANGE} that are possible",
            )
        return tuple(str(number) for number in range(first, last + 1))

    # --- levels -------------------------------------------------------------------------------------------------------

    def _levels(self, name: str, source: Levels) -> tuple[str, ...]:
        columns = self._level_columns(source)
        if not columns:
            raise EmmError(
                "no-levels",
                f"nothing says which column holds the levels of `{name}`",
                help=f"index {name} = levels(COLUMN)",
            )
        if self._table.prefetch_text is not None:
            self._table.prefetch_text(columns)
        found: set[str] = set()
        for column, genotype in columns.items():
            for cell in self._table.encoded(column).labels:
                for alternative in cell.split("|"):
                    parts = alternative.split("/") if genotype else [alternative]
                    found.update(part.strip() for part in parts if part.strip() and not (genotype and part == "_"))
        if not found:
            raise EmmError(
                "no-levels",
                f"the data hold no level of `{name}`: every cell of {listed(columns)} is empty",
                place=self._table.source,
            )
        return sorted_labels(found)

    def _level_columns(self, source: Levels) -> dict[str, bool]:
        """The columns that hold the levels, and whether they hold genotypes, whose alleles are the levels."""
        columns: dict[str, bool] = {}
        named = [self._model.variable(variable) for variable in source.variables]
        if source.columns:
            kinds = self._kinds_by_column()
            for item in source.columns:
                for column in self._named_columns(item):
                    # a column that no variable reads may hold genotypes, as far as anyone knows
                    columns[column] = kinds.get(column, True)
            return columns
        for variable in named:
            for _, found in self.finder.columns(variable):
                if found is not None:
                    columns[found] = variable.genotype or bool(variable.components)
        return columns

    def _named_columns(self, item: str) -> tuple[str, ...]:
        renamed = self._options.map.get(item, item)
        if renamed in self._table:
            return (renamed,)
        variable = next((each for each in data_variables(self._model) if each.name == item), None)
        if variable is not None:
            return tuple(column for _, column in self.finder.columns(variable) if column is not None)
        return self._matching(item)

    def _kinds_by_column(self) -> dict[str, bool]:
        """For the columns of finite scalar variables: whether they hold genotypes."""
        kinds: dict[str, bool] = {}
        for variable in data_variables(self._model):
            if variable.domain.kind == "finite" and not self.finder.axes(variable):
                column = self._options.column(variable)
                kinds[column] = variable.genotype or bool(variable.components)
        return kinds

    # --- columns ------------------------------------------------------------------------------------------------------

    def _columns(self, name: str, patterns: tuple[str, ...]) -> tuple[str, ...]:
        chosen = self._options.columns.get(name) or patterns
        chosen = tuple(part.strip() for part in chosen.split(",")) if isinstance(chosen, str) else chosen
        if chosen:
            return tuple(dict.fromkeys(column for pattern in chosen for column in self._matching(pattern)))
        self._refuse_rivals(name)
        claimed = self._claimed(name)
        left = tuple(column for column in self._table.numeric_names() if column not in claimed)
        if not left:
            raise EmmError(
                "no-columns",
                f"no numeric column is left for `{name}`",
                place=self._table.source,
                help=f"--columns {name}=a,b names them; the columns are {plain(self._table.names)}",
            )
        self.leftover[name] = left
        return left

    def _matching(self, pattern: str) -> tuple[str, ...]:
        """The column of that name, or those that match the pattern, in the order of the table."""
        if pattern in self._table:
            return (pattern,)
        found = tuple(column for column in self._table.names if fnmatchcase(column, pattern))
        if found:
            return found
        if any(mark in pattern for mark in "*?["):
            raise self._table.no_column(pattern, message=f"no column matches the pattern `{pattern}`")
        raise self._table.no_column(pattern)

    def _is_bare(self, index_set: IndexSet) -> bool:
        match index_set.source:
            case Columns(()):
                frozen = index_set.name in (self._options.indexes or {})
                return not frozen and not self._options.columns.get(index_set.name)
        return False

    def _refuse_rivals(self, name: str) -> None:
        rivals = [item.name for item in self._model.index_sets if self._is_bare(item)]
        if len(rivals) > 1:
            raise EmmError(
                "ambiguous-columns",
                f"{listed(rivals)} would each take every numeric column that nothing else claims",
                place=self._table.source,
                help=" ".join(f"--columns {rival}=a,b" for rival in rivals),
            )

    def _claimed(self, name: str) -> set[str]:
        """The columns that something else in the model is read from, or would be."""
        names: set[str] = set()
        for variable in self._model.variables:
            names |= self._claims(variable, name)
        for plate in self._model.plates:
            names.update(self._options.map.get(item, item) for item in (plate.name, plate.by) if item is not None)
        for item in self._model.index_sets:
            match item.source:
                case Levels(columns=columns):
                    names.update(self._options.map.get(column, column) for column in columns)
                case Columns() if item.name != name and not self._is_bare(item):
                    names.update(self.labels(item.name))
        if self._options.weight is not None:
            names.add(self._options.weight)
        return names

    def _claims(self, variable: Variable, name: str) -> set[str]:
        axes = self.finder.axes(variable)
        if variable.kind == "latent" or variable.between is not None or variable.cut is not None or not axes:
            return {self._options.column(variable)}
        if name in axes:
            return set()
        try:
            return {column for _, column in self.finder.columns(variable) if column is not None}
        except EmmError as error:
            if error.code != "column-not-found":
                raise
            return set()  # the variable's own turn will come, and the error with it

    def _check_columns_option(self) -> None:
        sets = [item.name for item in self._model.index_sets if isinstance(item.source, Columns)]
        for name in self._options.columns:
            if name in sets:
                continue
            known = name in self._sets
            raise EmmError(
                "unknown-index-set",
                f"the labels of index `{name}` are no columns" if known else f"there is no index set `{name}`",
                place="--columns",
                help=f"declare it: index {name} = columns" if known else did_you_mean(name, sets),
            )


def _shown(value: Fraction | float) -> str:
    return str(value) if isinstance(value, Fraction) else f"{value:.12g}"
