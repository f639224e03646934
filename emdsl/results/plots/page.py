"""The panels of a fit, chosen by the structure of the model and of the data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from emdsl.diagnostics.errors import EmmError
from emdsl.results.plots.chains import chains
from emdsl.results.plots.estimates import climbing, estimates
from emdsl.results.plots.facts import Facts
from emdsl.results.plots.frequencies import frequencies
from emdsl.results.plots.hidden import hidden_numbers
from emdsl.results.plots.mixtures import mixtures
from emdsl.results.plots.panels import Panel, Section

if TYPE_CHECKING:
    from emdsl.results.result import Fit


#: Refusals of predictions and posteriors that leave a section without some panels, and the rest of the page as it is.
REFUSALS = ("not-supported-yet", "too-large")


def sections(fit: Fit) -> tuple[Section, ...]:
    """All that is drawn of a fit, under headings; a heading with nothing below it is left out."""
    facts = Facts(fit)
    found = (
        _section("Estimates", estimates(fit)),
        _section("Observed numbers and what is hidden behind them", mixtures(facts)),
        _section("Along the chain", chains(facts)),
        _section("Hidden numbers", hidden_numbers(facts)),
        _section("Observed and expected frequencies", frequencies(facts)),
        _section("The way to the maximum", iter((climbing(fit),))),
    )
    return tuple(section for section in found if section.panels or section.refused)


def _section(heading: str, panels: Iterator[Panel]) -> Section:
    """The panels as far as they can be made; why there are no more is said."""
    made: list[Panel] = []
    try:
        made.extend(panels)
    except EmmError as error:
        if error.code not in REFUSALS:
            raise
        return Section(heading, tuple(made), error.message)
    return Section(heading, tuple(made))
