"""How the simulated tables were made in which rows of different units are tied: `python simulate_tied.py` writes them
all again, byte for byte."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from simulate import Row, write


def moods() -> list[Row]:
    """Fifty persons over eight to twelve days: a level of each, and a deviation of which 0.8 is left the next day."""
    rng = np.random.default_rng(2080)
    rows: list[Row] = []
    for person in range(1, 51):
        level = rng.normal(5.0, 1.0)
        deviation = rng.normal(0, 1.0)
        for day in range(1, int(rng.integers(8, 13)) + 1):
            if day > 1:
                deviation = 0.8 * deviation + rng.normal(0, 0.6)
            rows.append((f"p{person:02d}", day, f"{level + deviation + rng.normal(0, 0.7):.3f}"))
    return rows


def verdicts() -> list[Row]:
    """Forty judges of two kinds on six texts of two kinds, a fifth of the pairs left out."""
    rng = np.random.default_rng(2081)
    judge = (rng.random(40) < 0.35).astype(int)
    text = np.array([0, 0, 0, 0, 1, 1])
    chance = np.array([[0.2, 0.7], [0.85, 0.4]])
    return [
        (f"j{j + 1:02d}", f"t{t + 1}", int(rng.random() < chance[judge[j], text[t]]))
        for j in range(40)
        for t in range(6)
        if rng.random() < 0.8
    ]


#: Each file with its header and what draws its rows.
TABLES: dict[str, tuple[tuple[str, ...], Callable[[], list[Row]]]] = {
    "moods.csv": (("person", "day", "mood"), moods),
    "verdicts.csv": (("judge", "text", "approved"), verdicts),
}

if __name__ == "__main__":
    for file_name, (header, draw) in TABLES.items():
        write(file_name, header, draw())
