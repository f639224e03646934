"""Panels on a page of matplotlib, and pages as files: the same fit always gives the same bytes.

matplotlib is imported only to draw, and without pyplot: nothing global is left behind. Text of a model is never read as
mathematics.
"""

from __future__ import annotations

import io
import re
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from importlib.util import find_spec
from typing import Any

from emdsl.diagnostics.errors import EmmError
from emdsl.results.plots.axes import INK, WEAK, draw, short
from emdsl.results.plots.panels import Course, Frequencies, Intervals, Panel, Section, States

#: The formats of a plot's file, by its ending.
FORMATS = ("png", "svg", "pdf")
#: Inches: the width of a page, between panels, and of a line of small text.
WIDTH, GAP, LINE = 10.0, 0.26, 0.16
#: Room below axes for numbers and a name, and on the right.
BELOW, RIGHT = 0.45, 0.12
#: A series of no more times than this does not go across the page.
FEW_TIMES = 30
#: Letters of titles and of notes in one inch.
TITLE_LETTERS, NOTE_LETTERS = 11.5, 14.5

STYLE: dict[Any, Any] = {
    "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": 8, "text.parse_math": False,
    "text.usetex": False, "axes.edgecolor": WEAK, "axes.labelcolor": INK, "axes.linewidth": 0.7,
    "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True, "axes.unicode_minus": True,
    "xtick.color": WEAK, "ytick.color": WEAK, "xtick.labelcolor": INK, "ytick.labelcolor": INK, "text.color": INK,
    "xtick.labelsize": 7.5, "ytick.labelsize": 7.5, "figure.facecolor": "white", "axes.facecolor": "white",
    "svg.hashsalt": "emdsl", "svg.fonttype": "path", "pdf.fonttype": 42, "path.simplify": True,
    "axes.formatter.use_mathtext": False, "axes.formatter.useoffset": False,
}  # fmt: skip
#: What a file says of its making: nothing that changes.
METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None}, "svg": {"Date": None, "Creator": "emdsl"},
    "pdf": {"CreationDate": None, "Producer": None, "Creator": "emdsl"},
}  # fmt: skip


def check_matplotlib(place: str) -> None:
    """Raises `no-matplotlib` where it is not installed."""
    if find_spec("matplotlib") is None:
        raise EmmError("no-matplotlib", "drawing plots needs matplotlib", place=place, help="pip install matplotlib")


def plot_format(path: str, place: str) -> str:
    """The format that a file's ending asks for. Raises `unknown-ending`."""
    ending = path.rpartition(".")[2].lower() if "." in path else ""
    if ending not in FORMATS:
        raise EmmError(
            "unknown-ending", f"expected a name that ends in .{', .'.join(FORMATS)}, found `{path}`", place=place,
            help=f"{place} fit.svg" if place.startswith("-") else 'fit.plot("fit.svg")',
        )  # fmt: skip
    return ending


@contextmanager
def _styled() -> Iterator[None]:
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


@dataclass(frozen=True)
class _Box:
    """A panel with its place on the page in inches, from the top left corner."""

    panel: Panel
    left: float
    top: float
    width: float
    height: float


def page(title: str, found: Sequence[Section]) -> Any:
    """All panels as one matplotlib Figure."""
    head = _wrapped(title, WIDTH - 2 * GAP, 8.6).splitlines()
    refused = [f"{item.heading}: {item.refused}" for item in found if item.refused]
    said = [_wrapped(text, WIDTH - 2 * GAP, NOTE_LETTERS) for text in refused]
    signs = missing_signs(_texts((title, *found)))
    said += [f"the font of plots in PNG and PDF has no signs for: {' '.join(signs)}"] * bool(signs)
    tail = [line for text in said for line in text.splitlines()]
    boxes, end = _laid([panel for section in found for panel in section.panels], 0.35 + 0.2 * len(head))
    height = end + LINE * len(tail)
    with _styled():
        figure = _figure(WIDTH, height)
        for number, line in enumerate(head):
            figure.text(GAP / WIDTH, 1 - (0.32 + 0.2 * number) / height, line, fontsize=11, weight="bold")
        for box in boxes:
            _panel(figure, box, height)
        for number, line in enumerate(tail):
            figure.text(GAP / WIDTH, 1 - (end + LINE * number) / height, line, fontsize=7.5, color=WEAK)
    return figure


def one_panel(panel: Panel) -> Any:
    """One panel as a Figure, without its title and note, which stand beside it."""
    width = WIDTH - 2 * GAP if is_wide(panel) else 5.2
    box = _Box(panel, 0.0, 0.0, width, _height(panel, width, False))
    with _styled():
        figure = _figure(width, box.height)
        _axes(figure, box, box.height, 0.28 if _legend_above(panel) else 0.1)
    return figure


def file_bytes(figure: Any, form: str) -> bytes:
    """The file that shows a figure."""
    stream = io.BytesIO()
    with _styled(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # the page says which, or shows them
        if form == "svg" and missing_signs(_written(figure)):
            matplotlib_parameters()["svg.fonttype"] = "none"  # whoever shows the file has the signs
        figure.savefig(stream, format=form, dpi=160, metadata=METADATA[form])
    return stream.getvalue()


def inline_svg(figure: Any, number: int, alt: str) -> str:
    """A figure as an element of a page; names in it begin with those of its `number`, so that several may stand in one
    page."""
    from html import escape

    text = file_bytes(figure, "svg").decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    prefix = f"plot{number}-"
    text = re.sub(r'\b(id="|xlink:href="#|url\(#)', lambda found: found[0] + prefix, text)
    return text.replace("<svg ", f'<svg role="img" aria-label="{escape(" ".join(alt.split()))}" ', 1).strip()


def _figure(width: float, height: float) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def matplotlib_parameters() -> dict[Any, Any]:
    """matplotlib's parameters, those of the context that is open."""
    import matplotlib

    return matplotlib.rcParams


def missing_signs(texts: Iterator[str]) -> list[str]:
    """The signs in texts that matplotlib's own font lacks, in order."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    known = get_font(findfont(FontProperties(family=["DejaVu Sans"]))).get_charmap()
    return sorted({sign for text in texts for sign in text if sign.isprintable() and ord(sign) not in known})


def _texts(value: Any) -> Iterator[str]:
    """All texts in panels."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _texts(item)
    elif is_dataclass(value):
        for field in fields(value):
            yield from _texts(getattr(value, field.name))


def _written(figure: Any) -> Iterator[str]:
    """All texts of a figure."""
    from matplotlib.text import Text

    return (item.get_text() for item in figure.findobj(Text))


# --- places -----------------------------------------------------------------------------------------------------------


def _laid(panels: Sequence[Panel], head: float) -> tuple[list[_Box], float]:
    """Two columns, the next panel in the shorter one; wide panels go across. The boxes, and the height of the page."""
    narrow = (WIDTH - 3 * GAP) / 2
    ends = [head, head]
    boxes = []
    for panel in panels:
        if is_wide(panel):
            width, left, top = WIDTH - 2 * GAP, GAP, max(ends)
        else:
            column = 0 if ends[0] <= ends[1] else 1
            width, left, top = narrow, GAP + column * (narrow + GAP), ends[column]
        height = _height(panel, width, True)
        boxes.append(_Box(panel, left, top, width, height))
        if is_wide(panel):
            ends = [top + height + GAP] * 2
        else:
            ends[column] = top + height + GAP
    return boxes, max(ends)


def is_wide(panel: Panel) -> bool:
    """Whether a panel goes across the page."""
    return isinstance(panel, States | Course) and len(panel.time) > FEW_TIMES


def _legend_above(panel: Panel) -> bool:
    return isinstance(panel, States | Course | Frequencies)


def _height(panel: Panel, width: float, titled: bool) -> float:
    inner = 1.45 if isinstance(panel, States) else 1.9 if isinstance(panel, Course) else 2.2
    if isinstance(panel, Intervals | Frequencies):
        inner = 0.12 + 0.155 * len(panel.labels)
    top = _above(panel, width) if titled else 0.28 if _legend_above(panel) else 0.1
    return top + inner + (0.32 if isinstance(panel, Intervals | Frequencies) else BELOW)


def _above(panel: Panel, width: float) -> float:
    """Room above the axes for title, note and legend."""
    lines = _title(panel, width).count("\n") + 1 + (1 + _note(panel, width).count("\n") if panel.note else 0)
    return 0.12 + LINE * lines + (0.17 if _legend_above(panel) else 0.0)


def _title(panel: Panel, width: float) -> str:
    return _wrapped(panel.title, width, TITLE_LETTERS)


def _note(panel: Panel, width: float) -> str:
    return _wrapped(panel.note, width, NOTE_LETTERS)


def _wrapped(text: str, width: float, letters: float) -> str:
    """The text in at most three lines."""
    return "\n".join(textwrap.wrap(" ".join(text.split()), int(width * letters), max_lines=3, placeholder=" …"))


def _panel(figure: Any, box: _Box, height: float) -> None:
    title, note = _title(box.panel, box.width), _note(box.panel, box.width)
    lines = [(line, {"fontsize": 8.5, "weight": "bold"}) for line in title.splitlines()]
    lines += [(line, {"fontsize": 7.5, "color": WEAK}) for line in note.splitlines()]
    for number, (line, style) in enumerate(lines):
        figure.text(box.left / WIDTH, 1 - (box.top + 0.12 + LINE * number) / height, line, **style)
    _axes(figure, box, height, _above(box.panel, box.width))


def _axes(figure: Any, box: _Box, height: float, above: float) -> None:
    """Draws the panel below `above` inches of its box."""
    rows = isinstance(box.panel, Intervals | Frequencies)
    labels = box.panel.labels if isinstance(box.panel, Intervals | Frequencies | States) else ()
    inset = min(0.45 * box.width, 0.12 + max((_width(short(label)) for label in labels), default=0.0))
    inset = inset if rows else max(inset + 0.2, 0.62)
    below = 0.3 if rows else BELOW
    width = figure.get_size_inches()[0]
    rectangle = (
        (box.left + inset) / width, 1 - (box.top + box.height - below) / height,
        (box.width - inset - RIGHT) / width, (box.height - above - below) / height,
    )  # fmt: skip
    axes = figure.add_axes(rectangle)
    draw(axes, box.panel)


def _width(text: str) -> float:
    """The width of a label in inches."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        wide, _, _ = text_to_path.get_text_width_height_descent(text, FontProperties(size=7.5), ismath=False)
    return float(wide) / 72
