"""What is drawn, as data: a panel is a frozen dataclass of arrays and words, and knows nothing of how it is drawn.

`title` and `note` are words for the reader; `note` says also what was left out. Arrays of one panel have the length
that its docstring says; NaN is drawn as nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Panel:
    """What all panels have. `alt` says in a sentence what is to be seen, for those who cannot see it."""

    title: str
    note: str

    @property
    def alt(self) -> str:
        """The picture in words."""
        return self.title + (f" ({self.note})" if self.note else "")


@dataclass(frozen=True)
class Intervals(Panel):
    """Points with intervals, one for each of `labels`: `estimate`, `low`, `high` `(labels,)`. `axis` names the numbers;
    `zero`: 0 is a value worth a line."""

    labels: tuple[str, ...]
    estimate: Array
    low: Array
    high: Array
    axis: str = ""
    zero: bool = False

    @property
    def alt(self) -> str:
        """The picture in words."""
        return f"Points and intervals of {len(self.labels)} values: {super().alt}"


@dataclass(frozen=True)
class Climbing(Panel):
    """The log-likelihood still to be gained, `gap` (above 0), at each of `iteration`."""

    iteration: Array
    gap: Array

    @property
    def alt(self) -> str:
        """The picture in words."""
        if not len(self.gap):
            return super().alt
        return f"{super().alt}: from {self.gap[0]:.3g} to {self.gap[-1]:.2g} in {self.iteration[-1]:g} iterations"


@dataclass(frozen=True)
class Densities(Panel):
    """A histogram and fitted densities. `heights` `(bins,)` between `edges` `(bins + 1,)` cover an area of 1; `curves`
    by name are `(x,)`, at `x`; `total` is their sum. `whole`: x are whole numbers, heights and curves probabilities.
    """

    edges: Array
    heights: Array
    x: Array
    total: Array
    curves: tuple[tuple[str, Array], ...]
    axis: str
    whole: bool = False

    @property
    def alt(self) -> str:
        """The picture in words."""
        parts = f", a sum of {len(self.curves)} components" if len(self.curves) > 1 else ""
        return f"Histogram of {self.axis} and the fitted density{parts}"


@dataclass(frozen=True)
class Clouds(Panel):
    """Points in a plane by class: `classes` are names, `code` `(points,)` says which (-1: none). `outlines` are closed
    curves, with the place of their class among `classes`, `(2, vertices)`."""

    x: Array
    y: Array
    code: NDArray[np.intp]
    classes: tuple[str, ...]
    outlines: tuple[tuple[int, Array], ...]
    x_axis: str
    y_axis: str

    @property
    def alt(self) -> str:
        """The picture in words."""
        return f"{len(self.x)} points, {self.y_axis} against {self.x_axis}, by {len(self.classes)} classes"


@dataclass(frozen=True)
class States(Panel):
    """A series `y` (NaN where it was not seen) at `time`, and the state at each time, a code among `states` (-1: none).
    `unit` is what
    time counts; `labels`: what the values 0, 1, … of y are called, where these are labels."""

    time: Array
    y: Array
    state: NDArray[np.intp]
    states: tuple[str, ...]
    axis: str
    unit: str
    labels: tuple[str, ...] = ()

    @property
    def alt(self) -> str:
        """The picture in words."""
        return f"{super().alt}: {self.axis} at {len(self.time)} times, with bands of {len(self.states)} states"


@dataclass(frozen=True)
class Course(Panel):
    """A hidden number along a chain: `mean`, `low`, `high` at `time`, and, where it is what is expected of an observed
    number, that one as `seen` (NaN where it was not). `unit` is what time counts."""

    time: Array
    mean: Array
    low: Array
    high: Array
    axis: str
    unit: str
    seen: Array | None = None

    @property
    def alt(self) -> str:
        """The picture in words."""
        return f"{super().alt} at {len(self.time)} times, with a band"


@dataclass(frozen=True)
class Frequencies(Panel):
    """Observed and expected numbers of units, one for each of `labels`."""

    labels: tuple[str, ...]
    observed: Array
    expected: Array

    @property
    def alt(self) -> str:
        """The picture in words."""
        return f"Observed and expected frequencies of {len(self.labels)} values: {self.title}"


@dataclass(frozen=True)
class Section:
    """Panels that belong together under a heading; `refused` says why there are no more of them, if so."""

    heading: str
    panels: tuple[Panel, ...]
    refused: str = ""
