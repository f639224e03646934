"""How a panel is drawn in one pair of axes of matplotlib."""

from __future__ import annotations

from typing import Any

import numpy as np

from emdsl.results.plots.panels import (
    Array,
    Climbing,
    Clouds,
    Course,
    Densities,
    Frequencies,
    Intervals,
    Panel,
    States,
)

#: Ink, weak ink, fill, light lines; then colours that colour-blind readers tell apart (Okabe & Ito 2008).
INK, WEAK, FILL, LIGHT = "#1c2733", "#66727f", "#c9d1db", "#e3e8ee"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5d4e99", "#8c6d1f")
#: A label longer than this is cut.
MOST_LETTERS = 28


def draw(axes: Any, panel: Panel) -> None:
    """Draws a panel, its own axes labelled; titles are the page's."""
    match panel:
        case Intervals():
            _intervals(axes, panel)
        case Climbing():
            _climbing(axes, panel)
        case Densities():
            _densities(axes, panel)
        case Clouds():
            _clouds(axes, panel)
        case States():
            _states(axes, panel)
        case Course():
            _course(axes, panel)
        case Frequencies():
            _frequencies(axes, panel)
        case _:
            raise TypeError(f"no panel: {type(panel).__name__}")


def short(label: str) -> str:
    """A label of at most MOST_LETTERS letters, on one line."""
    line = " ".join(label.split())
    return line if len(line) <= MOST_LETTERS else line[: MOST_LETTERS - 1] + "…"


def _rows(axes: Any, labels: tuple[str, ...]) -> Array:
    """Lines of text down the left side; their heights."""
    at = np.arange(len(labels), dtype=float)[::-1]
    axes.set_yticks(at, [short(label) for label in labels])
    axes.set_ylim(-0.6, len(labels) - 0.4)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=LIGHT, linewidth=0.6)
    axes.spines["left"].set_visible(False)
    return at


def _intervals(axes: Any, panel: Intervals) -> None:
    at = _rows(axes, panel.labels)
    finite = np.isfinite(panel.low) & np.isfinite(panel.high)
    axes.hlines(at[finite], panel.low[finite], panel.high[finite], color=COLOURS[0], linewidth=1.4)
    axes.plot(panel.estimate, at, "o", color=COLOURS[0], markersize=4, markeredgecolor="white", markeredgewidth=0.5)
    low, high = axes.get_xlim()
    if panel.zero and low < 0.0 < high:
        axes.axvline(0.0, color=WEAK, linewidth=0.7, zorder=0)
    _plain(axes.xaxis)


def _climbing(axes: Any, panel: Climbing) -> None:
    axes.set_xlabel("iteration")
    if not len(panel.gap):
        axes.set_yticks([])
        axes.set_xticks([])
        return
    axes.plot(panel.iteration, panel.gap, "-o", color=COLOURS[0], markersize=2.5, linewidth=1.1)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(_powers())
    axes.minorticks_off()
    axes.grid(axis="y", color=LIGHT, linewidth=0.6)
    _whole(axes.xaxis)


def _densities(axes: Any, panel: Densities) -> None:
    axes.stairs(panel.heights, panel.edges, fill=True, color=FILL)
    axes.stairs(panel.heights, panel.edges, color="white", linewidth=0.4)
    marks: dict[str, Any] = {"marker": "o", "markersize": 2.5} if panel.whole else {}
    if len(panel.curves) > 1:
        for (name, curve), colour in zip(panel.curves, COLOURS, strict=False):
            axes.plot(panel.x, curve, color=colour, linewidth=1.3, label=short(name), **marks)
        axes.legend(**_LEGEND)
    axes.plot(panel.x, panel.total, color=INK, linewidth=1.3, linestyle=(0, (4, 2)) if panel.curves else "-", **marks)
    tallest = float(panel.heights.max())
    peak = float(np.nanmax(np.where(np.isfinite(panel.total), panel.total, 0.0)))
    axes.set_ylim(0.0, 1.08 * max(tallest, min(peak, 2.0 * tallest)))
    axes.set_xlabel(short(panel.axis))
    axes.set_ylabel("probability" if panel.whole else "density")
    _plain(axes.xaxis)


def _clouds(axes: Any, panel: Clouds) -> None:
    for place, (name, colour) in enumerate(zip(panel.classes, COLOURS, strict=False)):
        own = panel.code == place
        marks = {"marker": "o", "linestyle": "", "markersize": 3.2, "markeredgewidth": 0, "alpha": 0.65}
        axes.plot(panel.x[own], panel.y[own], color=colour, label=short(name), **marks)
    for place, line in panel.outlines:
        axes.plot(line[0], line[1], color=COLOURS[place], linewidth=1.2)
    axes.set_xlabel(short(panel.x_axis))
    axes.set_ylabel(short(panel.y_axis))
    axes.legend(**_LEGEND)
    _plain(axes.xaxis, axes.yaxis)


def _states(axes: Any, panel: States) -> None:
    ends = np.flatnonzero(np.diff(panel.state)) + 1
    for first, last in zip(np.concatenate([[0], ends]), np.concatenate([ends, [len(panel.state)]]), strict=True):
        state = int(panel.state[first])
        if state >= 0:
            axes.axvspan(
                panel.time[first] - 0.5, panel.time[last - 1] + 0.5, color=COLOURS[state], alpha=0.28, linewidth=0
            )
    few = len(panel.time) <= 150
    steps = "steps-mid" if panel.labels else "default"
    axes.plot(panel.time, panel.y, "-o" if few else "-", color=INK, linewidth=0.8, markersize=2.2, drawstyle=steps)
    for state, name in enumerate(panel.states):
        axes.fill([], [], color=COLOURS[state], alpha=0.45, label=short(name))
    axes.set_xlim(panel.time[0] - 0.5, panel.time[-1] + 0.5)
    if panel.labels:
        axes.set_yticks(range(len(panel.labels)), [short(label) for label in panel.labels])
        axes.set_ylim(-0.4, len(panel.labels) - 0.6)
    elif not np.isfinite(panel.y).any():
        axes.set_yticks([])
        axes.set_ylim(0.0, 1.0)
    else:
        _plain(axes.yaxis)
    _beside(axes)
    axes.set_xlabel(short(panel.unit))
    axes.set_ylabel(short(panel.axis))
    _whole(axes.xaxis)


def _course(axes: Any, panel: Course) -> None:
    axes.fill_between(panel.time, panel.low, panel.high, color=COLOURS[0], alpha=0.2, linewidth=0, label="band")
    axes.plot(panel.time, panel.mean, color=COLOURS[0], linewidth=1.4, label="mean")
    if panel.seen is not None:
        axes.plot(panel.time, panel.seen, "o", color=INK, markersize=3, markeredgewidth=0, alpha=0.7, label="observed")
    room = 0.01 * (panel.time[-1] - panel.time[0]) + 0.5
    axes.set_xlim(panel.time[0] - room, panel.time[-1] + room)
    _beside(axes)
    axes.set_xlabel(short(panel.unit))
    axes.set_ylabel(short(panel.axis))
    _whole(axes.xaxis)
    _plain(axes.yaxis)


def _frequencies(axes: Any, panel: Frequencies) -> None:
    at = _rows(axes, panel.labels)
    bars = axes.barh(at, panel.observed, height=0.62, color=FILL, label="observed")
    marks = axes.plot(
        panel.expected, at, "D", color=COLOURS[1], markersize=4, markeredgecolor="white", markeredgewidth=0.5,
        label="expected",
    )  # fmt: skip
    axes.set_xlim(left=0.0)
    axes.legend(handles=[bars, *marks], loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, **_PLAIN)
    _plain(axes.xaxis)


_PLAIN: dict[str, Any] = {"frameon": False, "fontsize": 7, "handlelength": 1.4, "borderaxespad": 0.2}
_LEGEND: dict[str, Any] = {**_PLAIN, "loc": "best", "frameon": True, "framealpha": 0.8, "edgecolor": "none"}


def _beside(axes: Any) -> None:
    """A legend above the right end of wide axes."""
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4, columnspacing=1.2, **_PLAIN)


def _plain(*sides: Any) -> None:
    """Numbers without a common offset, few enough to be read."""
    from matplotlib.ticker import MaxNLocator, ScalarFormatter

    for side in sides:
        form = ScalarFormatter(useOffset=False)
        form.set_powerlimits((-4, 5))
        side.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
        side.set_major_formatter(form)


def _whole(side: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    side.set_major_locator(MaxNLocator(nbins=10, steps=[1, 2, 5, 10], integer=True))


def _powers() -> Any:
    """Powers of ten, written without a language of formulas."""
    from matplotlib.ticker import FuncFormatter

    raised = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
    return FuncFormatter(lambda value, _: "10" + str(round(np.log10(value))).translate(raised))
