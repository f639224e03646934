"""Tables of results as data frames, where pandas is installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any


def frame(columns: Mapping[str, Sequence[Any]], index: str | None = None) -> Any:
    """A pandas data frame with these columns, or, without pandas, the dict of columns itself.

    `index` is the column that becomes the index of the data frame.
    """
    if find_spec("pandas") is None:
        return dict(columns)
    import pandas

    made = pandas.DataFrame(dict(columns))
    return made if index is None else made.set_index(index)
