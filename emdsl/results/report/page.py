"""The page itself: everything that the template names, gathered from a fit, and laid out.

It has no date: the same fit gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from importlib.resources import files
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from emdsl.diagnostics.errors import EmmError
from emdsl.results.report.evidence import criteria, evidence
from emdsl.results.report.tables import NumberTable, data_facts, estimate_tables, report_table
from emdsl.version import VERSION

if TYPE_CHECKING:
    from emdsl.results.plots.panels import Section
    from emdsl.results.result import Fit

Facts = tuple[tuple[str, str], ...]
ENDINGS = (".html", ".htm")


@dataclass(frozen=True)
class Plot:
    """A panel as a picture inside the page."""

    title: str
    note: str
    svg: Any
    wide: bool


@dataclass(frozen=True)
class Plots:
    """Pictures under a heading; `refused` says why there are no more."""

    heading: str
    plots: tuple[Plot, ...]
    refused: str


@dataclass(frozen=True)
class Report:
    """What stands on the page. Texts are escaped by the template; `Markup` is what this package has written itself, the
    texts in it escaped there."""

    name: str
    description: str
    version: str
    converged: bool
    evidence: tuple[str, ...]
    warnings: tuple[str, ...]
    criteria: Facts
    data: Facts
    estimates: tuple[NumberTable, ...]
    reports: NumberTable | None
    plots: tuple[Plots, ...] | None
    diagram: Any
    text: str
    derivation: Any
    derivation_style: Any
    command: str
    again: Facts


def check_ending(path: str, place: str) -> None:
    """Raises `unknown-ending` for a report that is no page."""
    if not path.lower().endswith(ENDINGS):
        raise EmmError(
            "unknown-ending", f"expected a name that ends in .html, found `{path}`", place=place,
            help=f"{place} fit.html" if place.startswith("-") else 'fit.report("fit.html")',
        )  # fmt: skip


def report_page(fit: Fit, command: str = "") -> str:
    """The whole page. `command` is the command line that made the fit; without it the call is told."""
    from jinja2 import Environment, StrictUndefined

    template = files(__package__).joinpath("template.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=False, keep_trailing_newline=True)
    return environment.from_string(template).render(report=report_of(fit, command))


def report_of(fit: Fit, command: str = "") -> Report:
    """Everything on the page."""
    from markupsafe import Markup

    from emdsl.results.derivation_text import DerivationText
    from emdsl.results.model_graph import ModelGraph
    from emdsl.writing.web_page import STYLE, web_sections

    outcome = fit.outcome
    compiled = outcome.compiled
    assert compiled is not None
    written = compiled.written(compiled.derivation.open)
    return Report(
        name=outcome.model.name, description=outcome.model.description, version=VERSION, converged=fit.converged,
        evidence=tuple(evidence(fit)), warnings=fit.warnings, criteria=tuple(criteria(fit)),
        data=tuple(data_facts(fit)), estimates=tuple(estimate_tables(fit)), reports=report_table(fit),
        plots=_plots(fit), diagram=Markup(ModelGraph(compiled.model).to_svg()), text=compiled.text.rstrip(),
        derivation=Markup(web_sections(DerivationText(written.derivation).document, 3)),
        derivation_style=Markup(STYLE), command=command or _call(fit),
        again=(("emdsl", VERSION), ("seed", str(outcome.seed)), ("data", outcome.bound.source or "given as arrays")),
    )  # fmt: skip


def _plots(fit: Fit) -> tuple[Plots, ...] | None:
    """The panels as pictures, numbered through the page; None without matplotlib."""
    if find_spec("matplotlib") is None:
        return None
    return _pictures(fit.sections)


def _pictures(found: Sequence[Section]) -> tuple[Plots, ...]:
    from markupsafe import Markup

    from emdsl.results.plots.figure import inline_svg, is_wide, one_panel

    made, number = [], 0
    for section in found:
        plots = []
        for panel in section.panels:
            number += 1
            svg = Markup(inline_svg(one_panel(panel), number, panel.alt))
            plots.append(Plot(panel.title, panel.note, svg, is_wide(panel)))
        made.append(Plots(section.heading, tuple(plots), section.refused))
    return tuple(made)


def _call(fit: Fit) -> str:
    """The call in Python, with the options that are not the defaults; what they hold is shown as far as it is short."""
    from emdsl.request import FitRequest

    request, default = fit.outcome.request, FitRequest()
    given = []
    for field in fields(FitRequest):
        value = getattr(request, field.name)
        if field.name == "progress" or value == getattr(default, field.name):
            continue
        shown = repr(dict(value) if hasattr(value, "items") else value)
        given.append(f"{field.name}={shown if len(shown) <= 400 else shown[:400] + '…'}")
    source = repr(fit.outcome.bound.source) if fit.outcome.bound.source else "data"
    file = fit.outcome.compiled.file if fit.outcome.compiled is not None else None
    model = f"emdsl.load({file!r})" if file else "emdsl.loads(text)"
    return f"{model}.fit({', '.join([source, *given])})"
