"""How `tracks.csv` and `growth.csv` were made: `python simulate.py` writes both again, byte for byte."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent


def tracks() -> list[tuple[object, ...]]:
    """Twelve animals, 8 to 60 hours each: a two-state chain (rest, travel) with Normal log step lengths."""
    rng = np.random.default_rng(2024)
    start, after = (0.7, 0.3), ((0.85, 0.15), (0.25, 0.75))
    mean, sd = (1.0, 3.0), (0.8, 0.5)
    rows: list[tuple[object, ...]] = []
    for number in range(12):
        length = int(rng.integers(8, 61))
        state = int(rng.random() < start[1])
        for hour in range(1, length + 1):
            rows.append((f"a{number + 1:02d}", hour, f"{rng.normal(mean[state], sd[state]):.4f}"))
            state = int(rng.random() < after[state][1])
    return rows


def growth() -> list[tuple[object, ...]]:
    """Eighty subjects, two to six visits each, in two classes (share 0.35 and 0.65) that grow at different speeds."""
    rng = np.random.default_rng(2025)
    intercept, slope, sd = (10.0, 9.0), (0.8, 2.0), 1.5
    rows: list[tuple[object, ...]] = []
    for number in range(80):
        group = int(rng.random() < 0.65)
        ages = np.sort(rng.uniform(0, 5, int(rng.integers(2, 7))))
        for visit, age in enumerate(ages.round(2), start=1):
            score = rng.normal(intercept[group] + slope[group] * age, sd)
            rows.append((f"s{number + 1:02d}", visit, f"{age:.2f}", f"{score:.3f}"))
    return rows


def write(name: str, header: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    """One CSV file next to this one."""
    with (HERE / name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


if __name__ == "__main__":
    write("tracks.csv", ("animal", "hour", "log_step"), tracks())
    write("growth.csv", ("subject", "visit", "age", "score"), growth())
