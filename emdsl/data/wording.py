"""The turns of phrase that errors about data share: rows, names in backquotes, spelling suggestions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

#: How many rows, cells or names a message shows before it only counts them.
SHOWN = 5


def rows_phrase(rows: Sequence[int] | NDArray[np.intp], lines: NDArray[np.intp] | None = None) -> str:
    """`row 3 (line 4)`, `rows 3, 7 (lines 4, 9)`, `rows 1, 2, 3, 4, 5 and 20 more`.

    `rows` are positions from 0, printed from 1; `lines` (rows of the table,) their lines in the file, where known.
    """
    shown = [int(row) for row in rows[:SHOWN]]
    many = len(rows) > 1
    text = f"row{'s' * many} " + ", ".join(str(row + 1) for row in shown)
    if len(rows) > SHOWN:
        text += f" and {len(rows) - SHOWN} more"
    if lines is not None:
        text += f" (line{'s' * many} " + ", ".join(str(int(lines[row])) for row in shown) + ")"
    return text


def listed(names: Iterable[str], limit: int = SHOWN) -> str:
    """Names in backquotes, separated by commas; beyond `limit` they are only counted."""
    every = list(names)
    text = ", ".join(f"`{shortened(name)}`" for name in every[:limit])
    return text if len(every) <= limit else f"{text} and {len(every) - limit} more"


def plain(names: Iterable[str], limit: int = 12) -> str:
    """Names separated by commas, without backquotes; beyond `limit` they are only counted."""
    every = list(names)
    text = ", ".join(shortened(name) for name in every[:limit])
    return text if len(every) <= limit else f"{text} and {len(every) - limit} more"


def element_name(name: str, labels: Sequence[str]) -> str:
    """`y[a, b]`, or the name of what is no array."""
    return f"{name}[{', '.join(labels)}]" if labels else name


def count_of(number: int, one: str, many: str = "") -> str:
    """`1 cell`, `3 cells`, `2 axes`."""
    return f"{number} {one}" if number == 1 else f"{number} {many or one + 's'}"


def shortened(text: str, width: int = 40) -> str:
    """One printable line of the text, cut where it is long."""
    line = "".join(character if character.isprintable() else "?" for character in text)
    return line if len(line) <= width else line[: width - 1] + "…"


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """did you mean `closest`?, or nothing where no candidate is close."""
    from emdsl.diagnostics.suggest import closest

    best = closest(name, list(candidates))
    return f"did you mean `{best}`?" if best else ""
