"""How the tables of the models with hidden numbers were made: `python simulate_hidden_numbers.py` writes them again."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent

Row = tuple[object, ...]


def answers() -> list[Row]:
    """Four hundred persons with a Normal ability, right or wrong on five items."""
    rng = np.random.default_rng(2050)
    slope, intercept = np.array([1.2, 0.7, 1.5, 1.0, 0.8]), np.array([1.5, 0.5, 0.0, -0.5, 1.0])
    chance = 1 / (1 + np.exp(-(rng.standard_normal((400, 1)) * slope + intercept)))
    return [tuple(map(int, row)) for row in rng.random((400, 5)) < chance]


def attitudes() -> list[Row]:
    """Two hundred and fifty persons with a Normal attitude, four items in grades 1 to 4."""
    rng = np.random.default_rng(2051)
    slope = np.array([1.5, 1.0, 0.8, 2.0])
    cuts = np.array([[-1, 0, 1], [-0.5, 0.5, 1.5], [-2, -1, 0.5], [-1, 0.5, 2]])
    heights = rng.standard_normal((250, 1)) * slope + rng.logistic(size=(250, 4))
    return [tuple(map(int, 1 + (row[:, None] > cuts).sum(axis=1))) for row in heights]


def pumps() -> list[Row]:
    """Thirty pumps watched for 1 to 80 thousand hours, their rates Gamma with shape 1.5 and rate 2."""
    rng = np.random.default_rng(2052)
    hours = rng.uniform(1, 80, 30).round(1)
    failures = rng.poisson(rng.gamma(1.5, 1 / 2, 30) * hours)
    return [(f"p{k + 1:02d}", h, int(y)) for k, (h, y) in enumerate(zip(hours, failures, strict=True))]


def litters() -> list[Row]:
    """Forty litters of 5 to 19, the chance of each Beta with 2 and 5."""
    rng = np.random.default_rng(2053)
    size = rng.integers(5, 20, 40)
    return [(int(n), int(y)) for n, y in zip(size, rng.binomial(size, rng.beta(2, 5, 40)), strict=True)]


def pollen() -> list[Row]:
    """Seventy samples of 50 to 150 grains of four kinds, the shares of each Dirichlet."""
    rng = np.random.default_rng(2091)
    rows: list[Row] = []
    for _ in range(70):
        grains = int(rng.integers(50, 151))
        rows.append((grains, *map(int, rng.multinomial(grains, rng.dirichlet([9.0, 1.5, 2.5, 0.8])))))
    return rows


def farms() -> list[Row]:
    """One hundred and fifty farms: log output below a line by half-normal losses."""
    rng = np.random.default_rng(2092)
    labour, land = rng.normal(3, 0.5, 150).round(3), rng.normal(2, 0.7, 150).round(3)
    output = 1 + 0.5 * labour + 0.4 * land - np.abs(rng.normal(0, 0.6, 150)) + rng.normal(0, 0.2, 150)
    return [(float(a), float(b), f"{y:.4f}") for a, b, y in zip(labour, land, output, strict=True)]


def response_times() -> list[Row]:
    """Two hundred and forty trials in two conditions: a normal stage and an exponential one, in seconds."""
    rng = np.random.default_rng(2093)
    rows: list[Row] = []
    for trial in range(240):
        hard = trial % 2
        time = rng.normal(0.45 + 0.1 * hard, 0.06) + rng.exponential(0.12 + 0.13 * hard)
        rows.append(("hard" if hard else "easy", f"{time:.4f}"))
    return rows


def recurrences() -> list[Row]:
    """Forty patients, two to five times each: Weibull with shape 1.5, a Gamma frailty of variance 0.5."""
    rng = np.random.default_rng(2054)
    rows: list[Row] = []
    for number in range(40):
        frailty = rng.gamma(2, 0.5)
        for _ in range(int(rng.integers(2, 6))):
            treated = int(rng.random() < 0.5)
            hazard = frailty * np.exp(-0.7 * treated)
            rows.append((f"p{number + 1:02d}", treated, f"{10 * rng.weibull(1.5) * hazard ** (-1 / 1.5):.3f}"))
    return rows


def studies() -> list[Row]:
    """Eighteen studies: effects around 0.4 with standard deviation 0.3, known errors."""
    rng = np.random.default_rng(2055)
    error = rng.uniform(0.1, 0.4, 18).round(3)
    estimate = rng.normal(0.4, 0.3, 18) + rng.normal(0, error)
    return [(f"s{k + 1:02d}", f"{y:.4f}", e) for k, (y, e) in enumerate(zip(estimate, error, strict=True))]


def assays() -> list[Row]:
    """Twelve plates and five samples, all pairs but a few."""
    rng = np.random.default_rng(2056)
    plate, sample = rng.normal(0, 0.9, 12), rng.normal(0, 1.8, 5)
    return [
        (f"p{i + 1:02d}", f"s{j + 1}", f"{rng.normal(20 + plate[i] + sample[j], 0.6):.3f}")
        for i in range(12) for j in range(5) if rng.random() < 0.9
    ]  # fmt: skip


def pupils() -> list[Row]:
    """Fifteen schools, two to four classes each, three to seven pupils each."""
    rng = np.random.default_rng(2057)
    rows: list[Row] = []
    for school in range(15):
        level = rng.normal(50, 4)
        for group in range(int(rng.integers(2, 5))):
            own = level + rng.normal(0, 2)
            for _ in range(int(rng.integers(3, 8))):
                x = round(float(rng.normal()), 3)
                rows.append((f"s{school + 1:02d}", "abcd"[group], x, f"{rng.normal(own + 1.5 * x, 3):.3f}"))
    return rows


def profiles() -> list[Row]:
    """Two hundred and fifty profiles in two groups (share 0.35 and 0.65), each along a line of its own."""
    rng = np.random.default_rng(2058)
    mean = np.array([[0, 0, 0, 0], [3, 2, -2, 1]])
    load = np.array([[1, 0.8, 0.5, 0.2], [0.3, -1, 0.9, 0.7]])
    rows: list[Row] = []
    for _ in range(250):
        group = int(rng.random() < 0.65)
        row = rng.normal(mean[group] + rng.standard_normal() * load[group], 0.6)
        rows.append(tuple(f"{x:.3f}" for x in row))
    return rows


def exposures() -> list[Row]:
    """One hundred and twenty persons, an exposure measured twice, an outcome."""
    rng = np.random.default_rng(2059)
    true = rng.normal(2, 1, 120)
    columns = (rng.normal(true, 0.5), rng.normal(true, 0.5), rng.normal(1 + 0.8 * true, 0.4))
    return [tuple(f"{x:.3f}" for x in row) for row in zip(*columns, strict=True)]


def heights() -> list[Row]:
    """Fifty children at three to five visits: level and growth Normal, correlated."""
    rng = np.random.default_rng(2060)
    rows: list[Row] = []
    for child in range(50):
        level, growth = rng.multivariate_normal([0, 0], [[1, 0.3], [0.3, 0.25]])
        for t in range(int(rng.integers(3, 6))):
            rows.append((f"c{child + 1:02d}", t, f"{rng.normal(5 + level + (1 + growth) * t, 0.5):.3f}"))
    return rows


def indicators() -> list[Row]:
    """Sixty months of four series that follow one autoregression (0.8)."""
    rng = np.random.default_rng(2061)
    load, sd = np.array([1.0, 0.7, -0.5, 1.2]), np.array([0.5, 0.7, 0.6, 0.8])
    rows: list[Row] = []
    course = rng.normal(0, 1 / 0.6)
    for month in range(60):
        rows.append((month + 1, *(f"{x:.3f}" for x in rng.normal(load * course, sd))))
        course = 0.8 * course + rng.standard_normal()
    return rows


def sales() -> list[Row]:
    """Eighty months of a level whose slope wanders."""
    rng = np.random.default_rng(2062)
    level, slope = 100.0, 1.0
    rows: list[Row] = []
    for month in range(80):
        rows.append((month + 1, f"{rng.normal(level, 3):.2f}"))
        level, slope = level + slope + rng.normal(0, 5), slope + rng.normal(0, 0.6)
    return rows


def catches() -> list[Row]:
    """One hundred traps, log rates Normal around a line."""
    rng = np.random.default_rng(2063)
    x = rng.standard_normal(100).round(3)
    y = rng.poisson(np.exp(0.5 + 0.6 * x + rng.normal(0, 0.7, 100)))
    return [(float(a), int(b)) for a, b in zip(x, y, strict=True)]


def plots() -> list[Row]:
    """Sixty sites of five plots, three surveys each; log odds of a plot Normal around 0.3 with spread 1.2."""
    rng = np.random.default_rng(2064)
    rows: list[Row] = []
    for site in range(60):
        chance = 1 / (1 + np.exp(-0.3 - rng.normal(0, 1.2)))
        for plot in range(5):
            occupied = rng.random() < chance
            seen = rng.random(3) < 0.45
            rows += [(f"s{site + 1:02d}", plot + 1, survey + 1, int(occupied and seen[survey])) for survey in range(3)]
    return rows


def returns() -> list[Row]:
    """Three hundred days, the log variance an autoregression (0.9) around 0."""
    rng = np.random.default_rng(2065)
    h, rows = rng.normal(0, 0.45 / np.sqrt(1 - 0.81)), []
    for day in range(300):
        rows.append((day + 1, f"{np.exp(h / 2) * rng.standard_normal():.4f}"))
        h = 0.9 * h + rng.normal(0, 0.45)
    return rows


def gauge() -> list[Row]:
    """One hundred and twenty hours of a level with steps of 0.5, and of 2 in wild spells."""
    rng = np.random.default_rng(2066)
    level, wild = 0.0, False
    rows: list[Row] = []
    for hour in range(120):
        rows.append((hour + 1, f"{rng.normal(level, 0.4):.3f}"))
        wild = rng.random() < (0.85 if wild else 0.06)
        level += rng.normal(0, 2.0 if wild else 0.5)
    return rows


def passes() -> list[Row]:
    """Twelve persons, eight tasks and six raters, all triples: effects with standard deviations 1, 0.8 and 0.5."""
    rng = np.random.default_rng(2064)
    person, task, rater = rng.normal(0, 1, 12), rng.normal(0, 0.8, 8), rng.normal(0, 0.5, 6)
    rows: list[Row] = []
    for i in range(12):
        for j in range(8):
            for k in range(6):
                chance = 1 / (1 + np.exp(-(0.3 + person[i] + task[j] + rater[k])))
                rows.append((f"p{i + 1:02d}", f"t{j + 1}", f"r{k + 1}", int(rng.random() < chance)))
    return rows


def alleles() -> list[Row]:
    """Fifty people of mixed ancestry at eight loci: copies of one allele (0, 1 or 2) by person and locus; half of the
    people have nearly all of their ancestry from one of two populations.
    """
    rng = np.random.default_rng(2067)
    frequency = np.array([(0.9, 0.15, 0.8, 0.3, 0.7, 0.95, 0.1, 0.5), (0.2, 0.8, 0.3, 0.85, 0.15, 0.4, 0.6, 0.9)])
    rows: list[Row] = []
    for number in range(50):
        share = rng.beta(0.6, 0.6)
        for locus in range(8):
            for _ in range(2):
                population = int(rng.random() > share)
                rows.append((f"p{number + 1:02d}", f"l{locus + 1}", int(rng.random() < frequency[population, locus])))
    return rows


def words() -> list[Row]:
    """Words counted in eighty short documents on two topics, in different shares."""
    rng = np.random.default_rng(2068)
    vocabulary = ("bank", "river", "loan", "water", "rate", "fish")
    law = np.array([(0.25, 0.02, 0.35, 0.03, 0.33, 0.02), (0.2, 0.3, 0.02, 0.25, 0.03, 0.2)])
    rows: list[Row] = []
    for number in range(80):
        share = rng.beta(0.7, 0.7)
        counts = rng.multinomial(int(rng.integers(12, 30)), share * law[0] + (1 - share) * law[1])
        rows += [(f"d{number + 1:02d}", word, int(n)) for word, n in zip(vocabulary, counts, strict=True) if n]
    return rows


def write(name: str, header: tuple[str, ...], rows: list[Row]) -> None:
    """One CSV file next to this one."""
    with (HERE / name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


#: Each file with its header and what draws its rows.
TABLES: dict[str, tuple[tuple[str, ...], Callable[[], list[Row]]]] = {
    "answers.csv": (("q1", "q2", "q3", "q4", "q5"), answers),
    "attitudes.csv": (("q1", "q2", "q3", "q4"), attitudes),
    "pumps.csv": (("pump", "hours", "failures"), pumps),
    "litters.csv": (("size", "affected"), litters),
    "pollen.csv": (("grains", "pine", "fir", "oak", "alder"), pollen),
    "farms.csv": (("log_labour", "log_land", "log_output"), farms),
    "response_times.csv": (("condition", "time"), response_times),
    "recurrences.csv": (("patient", "treated", "time"), recurrences),
    "studies.csv": (("study", "estimate", "error"), studies),
    "assays.csv": (("plate", "sample", "y"), assays),
    "class_scores.csv": (("school", "class", "x", "score"), pupils),
    "profiles.csv": (("y1", "y2", "y3", "y4"), profiles),
    "exposures.csv": (("first_reading", "second_reading", "outcome"), exposures),
    "statures.csv": (("child", "t", "height"), heights),
    "indicators.csv": (("month", "output", "orders", "stocks", "hours"), indicators),
    "sales.csv": (("month", "sales"), sales),
    "catches.csv": (("x", "y"), catches),
    "plots.csv": (("site", "plot", "survey", "seen"), plots),
    "returns.csv": (("day", "change"), returns),
    "gauge.csv": (("hour", "reading"), gauge),
    "alleles.csv": (("person", "locus", "allele"), alleles),
    "words.csv": (("document", "word", "count"), words),
    "passes.csv": (("person", "task", "rater", "passed"), passes),
}

if __name__ == "__main__":
    for file_name, (header, draw) in TABLES.items():
        write(file_name, header, draw())
