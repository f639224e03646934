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


def trials() -> list[Row]:
    """Twenty-four trials of a treatment: its effects on pain and on mobility go together, their errors too; a fifth of
    the trials report one of the two.
    """
    rng = np.random.default_rng(2082)
    between = np.array([[0.09, 0.05], [0.05, 0.06]])
    rows: list[Row] = []
    for number in range(1, 25):
        errors = rng.uniform(0.06, 0.2, 2).round(3)
        rho = round(float(rng.uniform(0.3, 0.7)), 2)
        within = np.outer(errors, errors) * np.array([[1.0, rho], [rho, 1.0]])
        effect = rng.multivariate_normal((-0.4, 0.25), between)
        estimate: list[object] = [f"{value:.3f}" for value in rng.multivariate_normal(effect, within)]
        if rng.random() < 0.2:
            estimate[int(rng.random() < 0.6)] = ""
        rows.append((f"t{number:02d}", *estimate, *(f"{error:.3f}" for error in errors), f"{rho:.2f}"))
    return rows


#: Each file with its header and what draws its rows.
TABLES: dict[str, tuple[tuple[str, ...], Callable[[], list[Row]]]] = {
    "moods.csv": (("person", "day", "mood"), moods),
    "verdicts.csv": (("judge", "text", "approved"), verdicts),
    "trials.csv": (("trial", "estimate_pain", "estimate_mobility", "error_pain", "error_mobility", "rho"), trials),
}

if __name__ == "__main__":
    for file_name, (header, draw) in TABLES.items():
        write(file_name, header, draw())
