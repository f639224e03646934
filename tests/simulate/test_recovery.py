"""Every shipped model: data drawn at the estimates, fitted again, give the estimates back within their errors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

import emdsl
from tests.laws.bound_models import shipped

#: How many outermost units are drawn; models with inputs or nested plates take those of their own data.
UNITS = 500
#: A chain that is conditioned on its first value has the length of its data; effects that cross keep their design.
AS_MANY_AS_THERE_ARE = {"switching_autoregression", "crossed_logistic"}
#: Estimates further from the truth than this many standard errors are wrong.
FAR = 5.0


def elements(values: Any, path: str = "") -> Iterator[tuple[str, float | None]]:
    """Every number of nested dicts with its path."""
    if isinstance(values, dict):
        for label, inner in values.items():
            yield from elements(inner, f"{path}.{label}")
    else:
        yield path, values


def has_bounds(name: str) -> bool:
    """Whether cells of the data may hold bounds, which no model says when to write."""
    text = shipped()[name][0].read_text(encoding="utf-8")
    return re.search(r"^ *observed .* between |^[^#]* censored ", text, flags=re.MULTILINE) is not None


@pytest.mark.parametrize("name", [name for name in shipped() if has_bounds(name)])
def test_bounds_are_not_made_up(name: str) -> None:
    file, data = shipped()[name]
    with pytest.raises(emdsl.EmmError, match="which cells of"):
        emdsl.load(str(file)).fit(str(data), starts=1, se="none").simulate(UNITS, seed=1)


@pytest.mark.parametrize("name", [name for name in shipped() if not has_bounds(name)])
def test_recovery(name: str) -> None:
    file, data = shipped()[name]
    model = emdsl.load(str(file))
    fit = model.fit(str(data), starts=8, se="none")
    drawn = fit.simulate(None if name in AS_MANY_AS_THERE_ARE else UNITS, seed=1)
    again = model.fit(drawn, init=fit.params, starts=1)
    before, after = (f.to_dict()["indexes"] for f in (fit, again))  # a latent count goes as far as its data call for
    assert after == before
    errors, truth = dict(elements(again.se)), dict(elements(fit.params))
    checked = 0
    for path, value in elements(again.params):
        error, true = errors[path], truth[path]
        if error is not None and error > 0:
            checked += 1
            assert value is not None and true is not None and abs(value - true) <= FAR * error, path
    assert checked >= 1
