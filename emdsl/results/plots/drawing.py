"""A fit as a plot: what `Fit.plot` and `--plot` do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emdsl.results.files import check_writable, write_whole
from emdsl.results.plots.figure import check_matplotlib, file_bytes, page, plot_format

if TYPE_CHECKING:
    from emdsl.results.result import Fit


def plotted(fit: Fit, path: str | None) -> Any:
    """The Figure, which is also written to `path`."""
    check_matplotlib("plot")
    if path is not None:
        plot_format(path, "plot")
        check_writable(path, "plot")
    figure = fit_figure(fit)
    if path is not None:
        write_whole(path, file_bytes(figure, plot_format(path, "plot")), "plot")
    return figure


def fit_figure(fit: Fit) -> Any:
    """All panels of a fit on a page."""
    model = fit.outcome.model
    return page(model.name + (f": {model.description}" if model.description else ""), fit.sections)


def plot_bytes(fit: Fit, path: str, option: str) -> bytes:
    """The file that `path` asks for by its ending."""
    return file_bytes(fit_figure(fit), plot_format(path, option))
