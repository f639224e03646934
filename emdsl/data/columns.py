"""Which columns of the table each variable, plate and order of a chain is read from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

from emdsl.data.options import BindOptions
from emdsl.data.table import Table
from emdsl.data.wording import SHOWN, did_you_mean, listed, plain
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.model import Model, Plate, Variable

#: One element of an array (its labels) or of a scalar (no labels), and its column; None where an observed one has none.
Element = tuple[tuple[str, ...], str | None]


def data_variables(model: Model) -> tuple[Variable, ...]:
    """The variables that are read from the table."""
    return tuple(
        item for item in model.variables if item.kind != "latent" and item.between is None and item.cut is None
    )


def over_axes(model: Model, plate: str | None) -> tuple[str, ...]:
    """The index sets of the plates across columns that the plate stands in, outermost first."""
    around = {item.name: item for item in model.plates}
    axes: list[str] = []
    while plate is not None:
        here = around[plate]
        if here.over is not None:
            axes.insert(0, here.over.index_set)
        plate = here.parent
    return tuple(axes)


class ColumnFinder:
    """Finds columns by the names of the model, as `--map`, `from` and the table's own names say.

    `labels` gives the labels of an index set.
    """

    def __init__(
        self, model: Model, table: Table, options: BindOptions, labels: Callable[[str], tuple[str, ...]]
    ) -> None:
        self._model, self._table, self._options, self._labels = model, table, options, labels
        self._variables = {item.name: item for item in model.variables}
        self._users = {
            index_set: [item.name for item in data_variables(model) if index_set in self.axes(item)]
            for index_set in {axis for item in data_variables(model) for axis in self.axes(item)}
        }
        self._found: dict[str, tuple[Element, ...]] = {}

    def axes(self, variable: Variable) -> tuple[str, ...]:
        """The index sets of a variable's columns: plates across columns first, then its own axes."""
        own = variable.axes
        event = variable.domain.array_axes
        if event and own[len(own) - len(event) :] != event:
            own += event
        return over_axes(self._model, variable.plate) + own

    def columns(self, variable: Variable) -> tuple[Element, ...]:
        """The elements of a variable and their columns, the last axis running fastest.

        `column-not-found` where an element has none.
        """
        if variable.name not in self._found:
            self._found[variable.name] = self._find(variable)
        return self._found[variable.name]

    def plate_column(self, plate: Plate) -> str:
        """The column that tells the units of an outer plate apart."""
        name = self._renamed(plate.name)
        if name in self._table:
            return name
        raise self._table.no_column(
            name,
            message=f"the plate `{plate.name}` needs a column `{name}` that tells its units apart",
            help=f"--map {plate.name}=COLUMN names another",
        )

    def own_column(self, plate: Plate) -> str | None:
        """The column of the plate's name, if there is one."""
        name = self._renamed(plate.name)
        return name if name in self._table else None

    def order_column(self, plate: Plate) -> str | None:
        """The column that a chain is ordered by, None for row order."""
        if plate.by is None:
            return None
        name = self._renamed(plate.by)
        if name in self._table:
            return name
        raise self._table.no_column(name, message=f"the chain `{plate.name}` is ordered by a column `{name}`")

    def _renamed(self, name: str) -> str:
        variable = self._variables.get(name)
        own = variable.column if variable is not None else None
        return self._options.map.get(name) or own or name

    def _find(self, variable: Variable) -> tuple[Element, ...]:
        base = self._renamed(variable.name)
        axes = self.axes(variable)
        optional = variable.kind == "observed" and self._options.absent
        if not axes:
            if base in self._table:
                return (((), base),)
            if optional:
                return (((), None),)
            raise self._table.no_column(base, help=f"--map {variable.name}=COLUMN", message=_absent(variable, base))
        found: list[Element] = []
        misses: list[tuple[str, ...]] = []
        for labels in self.elements(axes):
            column = self._element(variable, base, axes, labels)
            if column is None and not optional:
                misses.append(labels)
                if len(misses) > SHOWN:
                    break
            found.append((labels, column))
        if misses:
            raise self._no_element(variable, base, axes, misses)
        return tuple(found)

    def elements(self, axes: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        """The labels of each element of an array with these axes, the last axis running fastest."""
        return product(*(self._labels(axis) for axis in axes))

    def _element(self, variable: Variable, base: str, axes: tuple[str, ...], labels: tuple[str, ...]) -> str | None:
        inside = ",".join(labels)
        for key in (f"{variable.name}[{inside}]", ".".join((variable.name, *labels))):
            if key in self._options.map:
                column = self._options.map[key]
                if column not in self._table:
                    raise self._table.no_column(column)
                return column
        return next((name for name in self._spellings(base, axes, labels) if name in self._table), None)

    def _spellings(self, base: str, axes: tuple[str, ...], labels: tuple[str, ...]) -> tuple[str, ...]:
        bare = (labels[0],) if len(axes) == 1 and len(self._users[axes[0]]) == 1 else ()
        inside = (f"{base}[{','.join(labels)}]", f"{base}[{', '.join(labels)}]")
        return tuple(dict.fromkeys((*bare, "_".join((base, *labels)), *inside)))

    def _no_element(
        self, variable: Variable, base: str, axes: tuple[str, ...], misses: list[tuple[str, ...]]
    ) -> EmmError:
        tried = self._spellings(base, axes, misses[0])
        names = [f"{variable.name}[{', '.join(labels)}]" for labels in misses]
        more = ", …" if len(misses) > SHOWN else ""
        message = f"there is no column for {listed(names[:SHOWN])}{more}: expected {_either(tried)}"
        if len(axes) == 1 and len(self._users[axes[0]]) > 1 and misses[0][0] in self._table:
            others = listed(self._users[axes[0]])
            message += f" (a bare `{misses[0][0]}` could be any of {others})"
        near = next((text for name in tried if (text := did_you_mean(name, self._table.names))), "")
        fix = f'--map "{variable.name}[{",".join(misses[0])}]=COLUMN"'
        return EmmError(
            "column-not-found",
            message,
            place=self._table.source,
            help="; ".join(part for part in (near, f"the columns are {plain(self._table.names)}", fix) if part),
        )


def check_map(model: Model, options: BindOptions) -> None:
    """Every key of `--map` names a variable, an element of one, a plate or the order of a chain."""
    orders = [plate.by for plate in model.plates if plate.by is not None]
    known = [item.name for item in model.variables] + [plate.name for plate in model.plates] + orders
    arrays = tuple(f"{item.name}{mark}" for item in model.variables for mark in "[.")
    for key in options.map:
        if key not in known and not key.startswith(arrays):
            raise EmmError(
                "unknown-variable",
                f"there is no variable or plate `{key}` to map a column to",
                place="--map",
                help=did_you_mean(key, [name for name in known if "." not in name]),
            )


def _absent(variable: Variable, base: str) -> str:
    what = f"the {variable.kind} variable `{variable.name}`"
    return f"there is no column `{base}` for {what}" if base != variable.name else f"there is no column for {what}"


def _either(names: tuple[str, ...]) -> str:
    quoted = [f"`{name}`" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"
