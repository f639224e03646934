"""Small model graphs, put together by hand, and what an error says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from emdsl.diagnostics.errors import Diagnostic, EmmError
from emdsl.ir.expressions import Binder, Expression, number
from emdsl.ir.model import (
    Columns,
    Constant,
    Domain,
    IndexSet,
    Labels,
    Levels,
    Model,
    Plate,
    Range,
    Variable,
    Weight,
)

REAL, POSITIVE, UNIT = Domain("real"), Domain("positive"), Domain("unit")
NATURAL, INTEGER, FINITE = Domain("natural"), Domain("integer"), Domain("finite")


def graph(**parts: Any) -> Model:
    """A model with these parts and no others."""
    nothing: dict[str, Any] = dict.fromkeys(
        ("index_sets", "constants", "parameters", "plates", "variables", "factors", "maps", "weights", "reports",
         "orders"), (),
    )  # fmt: skip
    return Model(**({"name": "Small", "description": ""} | nothing | parts))


def rows(*variables: Variable, plate: str = "row", **parts: Any) -> Model:
    """A model with one plate."""
    return graph(plates=(Plate(plate),), variables=variables, **parts)


def observed(
    name: str, domain: Domain = REAL, plate: str | None = "row", axes: tuple[str, ...] = (), **more: Any
) -> Variable:
    return Variable(name, "observed", plate, axes, domain, **more)


def given(
    name: str, domain: Domain = REAL, plate: str | None = "row", axes: tuple[str, ...] = (), **more: Any
) -> Variable:
    return Variable(name, "input", plate, axes, domain, **more)


def finite(name: str, values: str, plate: str | None = "row", axes: tuple[str, ...] = (), **more: Any) -> Variable:
    return Variable(name, more.pop("kind", "observed"), plate, axes, FINITE, values=values, **more)


def weight(name: str, plate: str = "row") -> Variable:
    return Variable(name, "weight", plate, (), NATURAL if name == "natural" else REAL)


def labels(name: str, *of: str) -> IndexSet:
    return IndexSet(name, Labels(of))


def levels(name: str, *variables: str, columns: tuple[str, ...] = ()) -> IndexSet:
    return IndexSet(name, Levels(columns, variables))


def counted(name: str, low: Expression, high: Expression) -> IndexSet:
    return IndexSet(name, Range(low, high))


def columns(name: str, *patterns: str) -> IndexSet:
    return IndexSet(name, Columns(patterns))


def failure(step: Callable[[], object]) -> Diagnostic:
    """The one error that the step raises."""
    every = failures(step)
    assert len(every) == 1, every
    return every[0]


def failures(step: Callable[[], object]) -> tuple[Diagnostic, ...]:
    """The errors that the step raises."""
    with pytest.raises(EmmError) as caught:
        step()
    return caught.value.diagnostics


__all__ = ["Binder", "Constant", "Weight", "number"]
