"""How the simulated tables of hidden chains and hidden classes at several levels were made: `python simulate_hidden.py`
writes them all again, byte for byte."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from simulate import Row, write


def seasons() -> list[Row]:
    """Eighty sites, four seasons, two or three surveys a season: colonised 0.25, abandoned 0.2, detection 0.5."""
    rng = np.random.default_rng(2043)
    rows: list[Row] = []
    for site in range(1, 81):
        lives = bool(rng.random() < 0.5)
        for season in range(1, 5):
            for survey in range(1, int(rng.integers(2, 4)) + 1):
                rows.append((site, season, survey, int(rng.random() < 0.5 * lives)))
            lives = bool(rng.random() < (0.8 if lives else 0.25))
    return rows


def recaptures() -> list[Row]:
    """One hundred and twenty animals, marked on one of five occasions: survival 0.8, recapture 0.55, six occasions."""
    rng = np.random.default_rng(2044)
    rows: list[Row] = []
    for animal in range(1, 121):
        first = int(rng.integers(1, 6))
        alive = True
        for occasion in range(first, 7):
            if occasion > first:
                alive = alive and bool(rng.random() < 0.8)
            rows.append((animal, occasion, 1 if occasion == first else int(rng.random() < 0.55 * alive)))
    return rows


def schools() -> list[Row]:
    """One hundred and twenty pupils of three schools, two to five visits each, in two classes of growth."""
    rng = np.random.default_rng(2045)
    fast = {"east": 0.3, "north": 0.7, "west": 0.5}
    b0, b1, b2, sd = (5.0, 4.0), (1.0, 3.0), (0.1, -0.3), (0.8, 1.4)
    rows: list[Row] = []
    for pupil in range(1, 121):
        school = str(rng.choice(sorted(fast)))
        group = int(rng.random() < fast[school])
        for year in np.sort(rng.choice(np.arange(0, 6), int(rng.integers(2, 6)), replace=False)):
            mean = b0[group] + b1[group] * year + b2[group] * year**2
            rows.append((f"p{pupil:03d}", school, int(year), f"{rng.normal(mean, sd[group]):.3f}"))
    return rows


def jobs() -> list[Row]:
    """One hundred and eighty people over four to nine quarters, a third of whom never change their job."""
    rng = np.random.default_rng(2046)
    labels = ("farm", "office", "works")
    start = np.array([[0.2, 0.4, 0.4], [0.5, 0.3, 0.2]])
    after = np.array([[0.5, 0.2, 0.3], [0.1, 0.6, 0.3], [0.1, 0.3, 0.6]])
    rows: list[Row] = []
    for person in range(1, 181):
        stays = int(rng.random() < 1 / 3)
        job = int(rng.choice(3, p=start[stays]))
        for quarter in range(1, int(rng.integers(4, 10)) + 1):
            rows.append((person, quarter, labels[job]))
            job = job if stays else int(rng.choice(3, p=after[job]))
    return rows


def growth_rates() -> list[Row]:
    """Two hundred and sixty quarters of growth in two regimes, each an autoregression of its own."""
    rng = np.random.default_rng(2047)
    level, weight, sd, leave = (-0.5, 0.8), (0.5, 0.2), (0.7, 0.4), (0.12, 0.06)
    rows: list[Row] = []
    regime, y = 1, 1.0
    for quarter in range(1, 261):
        rows.append((quarter, f"{y:.4f}"))
        regime ^= int(rng.random() < leave[regime])
        y = round(float(rng.normal(level[regime] + weight[regime] * y, sd[regime])), 4)
    return rows


def stimuli() -> list[Row]:
    """Twelve animals, 25 to 35 trials each: a stimulus wakes them, and they fall asleep without one."""
    rng = np.random.default_rng(2048)
    mean = (1.0, 3.0)
    rows: list[Row] = []
    for animal in range(1, 13):
        state = int(rng.random() < 0.4)
        for trial in range(1, int(rng.integers(25, 36)) + 1):
            u = round(float(rng.normal()), 2)
            if trial > 1:
                logit = -1.0 + 1.5 * u if state == 0 else 1.2 + 0.5 * u
                state = int(rng.random() < 1 / (1 + np.exp(-logit)))
            rows.append((animal, trial, f"{u:.2f}", f"{rng.normal(mean[state] + 0.4 * u, 0.6):.3f}"))
    return rows


def spells() -> list[Row]:
    """Three hundred days: calm spells of three days and more, storms of two and more."""
    rng = np.random.default_rng(2049)
    follows = {0: (1, 1), 1: (2, 2), 2: (2, 3), 3: (4, 4), 4: (4, 0)}
    stays = (0.0, 0.0, 0.75, 0.0, 0.6)
    mean, sd = (0.3, 1.4), (0.4, 0.5)
    rows: list[Row] = []
    phase = 0
    for day in range(1, 301):
        stormy = int(phase >= 3)
        rows.append((day, f"{rng.normal(mean[stormy], sd[stormy]):.3f}"))
        phase = follows[phase][0 if rng.random() < stays[phase] else 1]
    return rows


def word_counts() -> list[Row]:
    """Twelve documents of two topics and eight words, 60 to 200 words each."""
    rng = np.random.default_rng(2050)
    words = ("ball", "bank", "bond", "goal", "loan", "match", "stock", "team")
    topics = np.array([[0.3, 0.0, 0.0, 0.25, 0.0, 0.25, 0.0, 0.2], [0.0, 0.25, 0.2, 0.05, 0.25, 0.05, 0.2, 0.0]])
    rows: list[Row] = []
    for number in range(1, 13):
        share = 1.0 if number <= 3 else 0.0 if number <= 6 else float(rng.uniform(0.2, 0.8))
        law = share * topics[0] + (1 - share) * topics[1]
        counts = rng.multinomial(int(rng.integers(60, 201)), law)
        rows += [(f"d{number:02d}", word, int(count)) for word, count in zip(words, counts, strict=True) if count]
    return rows


def pupils() -> list[Row]:
    """Forty schools of two kinds, six to fourteen pupils each, numbered anew in each school; four answers."""
    rng = np.random.default_rng(2051)
    yes = np.array([[0.2, 0.15, 0.3, 0.1], [0.85, 0.7, 0.8, 0.6]])
    rows: list[Row] = []
    for school in range(1, 41):
        able = 0.75 if rng.random() < 0.4 else 0.25
        for pupil in range(1, int(rng.integers(6, 15)) + 1):
            answers = rng.random(4) < yes[int(rng.random() < able)]
            rows.append((f"s{school:02d}", pupil, *map(int, answers)))
    return [rows[k] for k in rng.permutation(len(rows))]


#: Each file with its header and what draws its rows.
TABLES: dict[str, tuple[tuple[str, ...], Callable[[], list[Row]]]] = {
    "seasons.csv": (("site", "season", "survey", "seen"), seasons),
    "recaptures.csv": (("animal", "occasion", "caught"), recaptures),
    "schools.csv": (("pupil", "school", "year", "score"), schools),
    "jobs.csv": (("person", "quarter", "job"), jobs),
    "growth_rates.csv": (("quarter", "y"), growth_rates),
    "stimuli.csv": (("animal", "trial", "u", "y"), stimuli),
    "spells.csv": (("day", "height"), spells),
    "word_counts.csv": (("doc", "word", "count"), word_counts),
    "pupils.csv": (("school", "pupil", "item_1", "item_2", "item_3", "item_4"), pupils),
}

if __name__ == "__main__":
    for file_name, (header, draw) in TABLES.items():
        write(file_name, header, draw())
