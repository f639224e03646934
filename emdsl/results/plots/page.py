"""The panels of a fit, chosen by the structure of the model and of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emdsl.results.plots.chains import chains
from emdsl.results.plots.estimates import climbing, estimates
from emdsl.results.plots.facts import Facts
from emdsl.results.plots.frequencies import frequencies
from emdsl.results.plots.hidden import hidden_numbers
from emdsl.results.plots.mixtures import mixtures
from emdsl.results.plots.panels import Panel, Section

if TYPE_CHECKING:
    from emdsl.results.result import Fit


def sections(fit: Fit) -> tuple[Section, ...]:
    """All that is drawn of a fit, under headings; a heading without a panel is left out."""
    facts = Facts(fit)
    found: tuple[tuple[str, tuple[Panel, ...]], ...] = (
        ("Estimates", tuple(estimates(fit))),
        ("Observed numbers and what is hidden behind them", tuple(mixtures(facts))),
        ("Along the chain", tuple(chains(facts))),
        ("Hidden numbers", tuple(hidden_numbers(facts))),
        ("Observed and expected frequencies", tuple(frequencies(facts))),
        ("The way to the maximum", (climbing(fit),)),
    )
    return tuple(Section(heading, panels) for heading, panels in found if panels)
