"""How the simulated tables were made: `python simulate.py` writes them all again, byte for byte."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent

Row = tuple[object, ...]


def tracks() -> list[Row]:
    """Twelve animals, 8 to 60 hours each: a two-state chain (rest, travel) with Normal log step lengths."""
    rng = np.random.default_rng(2024)
    start, after = (0.7, 0.3), ((0.85, 0.15), (0.25, 0.75))
    mean, sd = (1.0, 3.0), (0.8, 0.5)
    rows: list[Row] = []
    for number in range(12):
        length = int(rng.integers(8, 61))
        state = int(rng.random() < start[1])
        for hour in range(1, length + 1):
            rows.append((f"a{number + 1:02d}", hour, f"{rng.normal(mean[state], sd[state]):.4f}"))
            state = int(rng.random() < after[state][1])
    return rows


def growth() -> list[Row]:
    """Eighty subjects, two to six visits each, in two classes (share 0.35 and 0.65) that grow at different speeds."""
    rng = np.random.default_rng(2025)
    intercept, slope, sd = (10.0, 9.0), (0.8, 2.0), 1.5
    rows: list[Row] = []
    for number in range(80):
        group = int(rng.random() < 0.65)
        ages = np.sort(rng.uniform(0, 5, int(rng.integers(2, 7))))
        for visit, age in enumerate(ages.round(2), start=1):
            score = rng.normal(intercept[group] + slope[group] * age, sd)
            rows.append((f"s{number + 1:02d}", visit, f"{age:.2f}", f"{score:.3f}"))
    return rows


def mn_inbreeding() -> list[Row]:
    """Eight hundred people: allele M with frequency 0.6, inbreeding coefficient 0.25."""
    rng = np.random.default_rng(2026)
    p, f = 0.6, 0.25
    law = (f * p + (1 - f) * p**2, 2 * (1 - f) * p * (1 - p), f * (1 - p) + (1 - f) * (1 - p) ** 2)
    return list(zip(("MM", "MN", "NN"), map(int, rng.multinomial(800, law)), strict=True))


def haplotypes() -> list[Row]:
    """One hundred and fifty people, each with two haplotypes of two loci."""
    rng = np.random.default_rng(2027)
    alleles = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    drawn = rng.choice(4, size=(150, 2), p=(0.1, 0.2, 0.55, 0.15))
    return [(f"i{number + 1:03d}", *map(int, alleles[pair].sum(axis=0))) for number, pair in enumerate(drawn)]


def ratings() -> list[Row]:
    """Three hundred slides in two classes (share 0.35 and 0.65), each judged yes or no by five pathologists."""
    rng = np.random.default_rng(2028)
    yes = np.array([[0.9, 0.8, 0.95, 0.6, 0.85], [0.15, 0.3, 0.1, 0.05, 0.2]])
    return [tuple(map(int, 1 + (rng.random(5) < yes[int(rng.random() < 0.65)]))) for _ in range(300)]


def messages() -> list[Row]:
    """Five hundred messages (0.4 spam), of which 60 are labelled; five words, each present or absent."""
    rng = np.random.default_rng(2029)
    uses = np.array([[0.7, 0.05, 0.6, 0.1, 0.4], [0.15, 0.5, 0.2, 0.45, 0.02]])
    rows: list[Row] = []
    for number in range(500):
        kind = int(rng.random() >= 0.4)
        rows.append((("spam", "ham")[kind] if number < 60 else "", *map(int, rng.random(5) < uses[kind])))
    return rows


def record_pairs() -> list[Row]:
    """Four thousand pairs (0.15 matches) by the pattern of agreement of four fields; a fifth lacks the street."""
    rng = np.random.default_rng(2030)
    agree = np.array([[0.93, 0.9, 0.95, 0.7], [0.02, 0.1, 0.08, 0.01]])
    counts: Counter[Row] = Counter()
    for _ in range(4000):
        same: list[object] = [int(value) for value in rng.random(4) < agree[int(rng.random() >= 0.15)]]
        counts[tuple(same if rng.random() < 0.8 else [*same[:3], ""])] += 1
    return [(*pattern, count) for pattern, count in sorted(counts.items(), key=str)]


def fractions() -> list[Row]:
    """Four hundred students, two skills (mastered by 0.7 and 0.4), six items."""
    rng = np.random.default_rng(2031)
    needs = np.array([[1, 0], [0, 1], [1, 1], [1, 0], [0, 1], [1, 1]])
    slip, guess = np.array([0.1, 0.15, 0.1, 0.2, 0.1, 0.15]), np.array([0.2, 0.1, 0.15, 0.15, 0.2, 0.1])
    rows: list[Row] = []
    for _ in range(400):
        able = ((rng.random(2) < (0.7, 0.4)) >= needs).all(axis=1)
        rows.append(tuple(map(int, rng.random(6) < np.where(able, 1 - slip, guess))))
    return rows


def transcripts() -> list[Row]:
    """Two thousand reads of three transcripts, counted by the transcripts they fit."""
    rng = np.random.default_rng(2032)
    fits = np.array([[0.3, 0, 0.4, 0, 0.3], [0, 0.2, 0.3, 0.2, 0.3], [0, 0, 0, 0.6, 0.4]])
    counts = map(int, rng.multinomial(2000, np.array([0.5, 0.2, 0.3]) @ fits))
    return list(zip(("only1", "only2", "both12", "both23", "all3"), counts, strict=True))


def detections() -> list[Row]:
    """Three hundred detections between 0 and 100: 0.6 around 40, the others anywhere."""
    rng = np.random.default_rng(2033)
    source = rng.random(300) < 0.6
    return [(f"{x:.2f}",) for x in np.where(source, rng.normal(40, 5, 300), rng.uniform(0, 100, 300))]


def headings() -> list[Row]:
    """Two hundred and fifty headings around two directions."""
    rng = np.random.default_rng(2034)
    second = rng.random(250) < 0.6
    angles = np.where(second, rng.vonmises(1.2, 4, 250), rng.vonmises(-1.5, 2, 250))
    return [(f"{angle:.4f}",) for angle in angles]


def pain() -> list[Row]:
    """One hundred and twenty patients with four visits each; the dose lowers the pain of 0.6 of them."""
    rng = np.random.default_rng(2035)
    cuts = np.array([-1.5, 0.0, 1.5])
    rows: list[Row] = []
    for number in range(120):
        effect = -1.5 if rng.random() < 0.6 else 0.3
        for visit in range(1, 5):
            dose = round(float(rng.uniform(0, 3)), 2)
            grade = 1 + int((effect * dose + rng.logistic() > cuts).sum())
            rows.append((f"p{number + 1:03d}", visit, f"{dose:.2f}", grade))
    return rows


def reaction_times() -> list[Row]:
    """Three series of 80 to 120 log reaction times: a two-state chain (guess, answer)."""
    rng = np.random.default_rng(2036)
    mean, sd, leave = (5.5, 6.4), (0.2, 0.25), (0.12, 0.08)
    rows: list[Row] = []
    for series in range(1, 4):
        state = int(rng.random() < 0.5)
        for trial in range(1, int(rng.integers(80, 121)) + 1):
            rows.append((series, trial, f"{rng.normal(mean[state], sd[state]):.4f}"))
            state ^= int(rng.random() < leave[state])
    return rows


def casino() -> list[Row]:
    """Twenty visits of 60 rolls: a fair die, and one that shows a six half of the time."""
    rng = np.random.default_rng(2037)
    law, leave = ([1 / 6] * 6, [0.1] * 5 + [0.5]), (0.05, 0.1)
    rows: list[Row] = []
    for visit in range(1, 21):
        die = int(rng.random() < 0.4)
        for roll in range(1, 61):
            rows.append((visit, roll, int(rng.choice(6, p=law[die])) + 1))
            die ^= int(rng.random() < leave[die])
    return rows


def images() -> list[Row]:
    """Three hundred images, each with four to six answers of four annotators, some of whom answer twice."""
    rng = np.random.default_rng(2038)
    kinds = ("cat", "dog", "fox")
    right = {"ann": 0.75, "bob": 0.6, "eva": 0.7, "tim": 0.5}
    rows: list[Row] = []
    for item in range(1, 301):
        truth = int(rng.choice(3, p=(0.5, 0.3, 0.2)))
        for name in rng.choice(sorted(right), size=int(rng.integers(4, 7))):
            answer = truth if rng.random() < right[str(name)] else int(rng.integers(3))
            rows.append((item, str(name), kinds[answer]))
    return rows


def surveys() -> list[Row]:
    """One hundred and twenty sites (0.55 occupied), two to five surveys each, detection 0.4."""
    rng = np.random.default_rng(2039)
    rows: list[Row] = []
    for site in range(1, 121):
        chance = 0.4 * (rng.random() < 0.55)
        rows += [(site, survey, int(rng.random() < chance)) for survey in range(1, int(rng.integers(2, 6)) + 1)]
    return rows


def waves() -> list[Row]:
    """One hundred and fifty people at two to five waves: three answers to yes-or-no questions, some not given."""
    rng = np.random.default_rng(2040)
    yes, leave = np.array([[0.3, 0.1, 0.03], [0.95, 0.8, 0.6]]), (0.2, 0.08)
    rows: list[Row] = []
    for person in range(1, 151):
        stage = int(rng.random() < 0.3)
        for wave in range(1, int(rng.integers(2, 6)) + 1):
            answers = [int(value) if rng.random() < 0.95 else "" for value in rng.random(3) < yes[stage]]
            rows.append((person, wave, *answers))
            stage ^= int(rng.random() < leave[stage])
    return rows


def waves_wide() -> list[Row]:
    """The same answers, one row a person: those of wave 1, then of wave 2, ..."""
    people: dict[object, list[object]] = {}
    for person, wave, *answers in waves():
        row = people.setdefault(person, [""] * 15)
        row[3 * (int(wave) - 1) : 3 * int(wave)] = answers
    return [(person, *row) for person, row in people.items()]


def clicks() -> list[Row]:
    """One hundred users of two kinds, 4 to 20 clicks each between three pages."""
    rng = np.random.default_rng(2041)
    start = np.array([[0.6, 0.3, 0.1], [0.4, 0.1, 0.5]])
    after = np.array([
        [[0.3, 0.6, 0.1], [0.3, 0.6, 0.1], [0.5, 0.3, 0.2]],
        [[0.3, 0.1, 0.6], [0.4, 0.2, 0.4], [0.1, 0.1, 0.8]],
    ])  # fmt: skip
    rows: list[Row] = []
    for user in range(1, 101):
        kind = int(rng.random() < 0.4)
        page = int(rng.choice(3, p=start[kind]))
        for click in range(1, int(rng.integers(4, 21)) + 1):
            rows.append((f"u{user:03d}", click, ("home", "news", "shop")[page]))
            page = int(rng.choice(3, p=after[kind, page]))
    return rows


def crime() -> list[Row]:
    """Seven hundred households at two visits; each answer is missing with probability 0.15."""
    rng = np.random.default_rng(2042)
    counts: Counter[Row] = Counter()
    for _ in range(700):
        both = divmod(int(rng.choice(4, p=(0.7, 0.1, 0.12, 0.08))), 2)
        counts[tuple(answer + 1 if rng.random() < 0.85 else "" for answer in both)] += 1
    return [(*answers, count) for answers, count in sorted(counts.items(), key=str)]


def families() -> list[Row]:
    """Those of 3000 families of three, of which 0.2 carry, that have an affected child; some children not examined."""
    rng = np.random.default_rng(2043)
    counts: Counter[Row] = Counter()
    for _ in range(3000):
        rate = 0.4 if rng.random() < 0.2 else 0.02
        affected = rng.random(3) < rate
        examined = rng.random(3) < 0.92
        if affected.any():
            counts[tuple(int(a) if e else "" for a, e in zip(affected, examined, strict=True))] += 1
    return [(*cells, count) for cells, count in sorted(counts.items(), key=str)]


def inspections() -> list[Row]:
    """One hundred and sixty seals of two makes, looked at every three to nine months until the fifth year."""
    rng = np.random.default_rng(2043)
    rows: list[Row] = []
    for number in range(160):
        make = ("steel", "rubber")[number % 2]
        failure = {"steel": 40.0, "rubber": 22.0}[make] * rng.weibull(1.7)
        seen = np.cumsum(rng.integers(3, 10, 40))
        seen = seen[seen <= 60]
        sound = [month for month in seen if month < failure]
        failed = [month for month in seen if month >= failure]
        if number % 20 == 7:  # a seal that told by itself
            rows.append((make, f"{failure:.1f}", f"{failure:.1f}"))
        else:
            rows.append((make, int(sound[-1]) if sound else "", int(failed[0]) if failed else ""))
    return rows


def group_sizes() -> list[Row]:
    """Groups of at least one, 180 in calm water and 90 in rough, as a table of frequencies."""
    rng = np.random.default_rng(2044)
    counts: Counter[tuple[str, int]] = Counter()
    for water, rate, groups in (("calm", 2.6, 180), ("rough", 1.1, 90)):
        sizes = rng.poisson(rate, 1000)
        for size in sizes[sizes > 0][:groups]:
            counts[water, int(size)] += 1
    return [(*key, count) for key, count in sorted(counts.items())]


def relapses() -> list[Row]:
    """Four hundred patients, of whom about a third are cured, followed for two to twelve years."""
    rng = np.random.default_rng(2045)
    rows: list[Row] = []
    for _ in range(400):
        relapse = np.inf if rng.random() < 0.35 else 3.0 * rng.weibull(1.6)
        followed = rng.uniform(2, 12)
        rows.append((f"{min(relapse, followed):.3f}", int(relapse <= followed)))
    return rows


def point_counts() -> list[Row]:
    """120 sites, three surveys each: animals ~ Poisson(exp(1.3 + 0.5 forest)), each counted with logit -0.4 - 0.7
    wind."""
    rng = np.random.default_rng(2101)
    rows: list[Row] = []
    for site in range(1, 121):
        forest = round(float(rng.normal()), 3)
        animals = rng.poisson(np.exp(1.3 + 0.5 * forest))
        for survey in range(1, 4):
            wind = round(float(rng.normal()), 3)
            counted = int(rng.binomial(animals, 1 / (1 + np.exp(0.4 + 0.7 * wind))))
            rows.append((site, survey, forest, wind, counted))
    return rows


def heights() -> list[Row]:
    """90 children at four ages of their own: serially correlated deviations (sd 3, 0.7 a year), errors (sd 1); each
    visit after the first missed with chance 0.2."""
    rng = np.random.default_rng(2102)
    rows: list[Row] = []
    for child in range(1, 91):
        boy = bool(rng.random() < 0.5)
        age = np.round(2 + np.cumsum(rng.uniform(0.5, 1.5, 4)), 2)
        apart = np.abs(age[:, None] - age)
        law = 9 * 0.7**apart + np.eye(4)
        height = (79 + 6.2 * age if boy else 77 + 6.4 * age) + np.linalg.cholesky(law) @ rng.normal(size=4)
        missed = rng.random(4) < np.array([0, 0.2, 0.2, 0.2])
        cells = ["" if gone else f"{value:.1f}" for gone, value in zip(missed, height, strict=True)]
        rows.append((child, "boy" if boy else "girl", *age, *cells))
    return rows


def write(name: str, header: tuple[str, ...], rows: list[Row]) -> None:
    """One CSV file next to this one."""
    with (HERE / name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


#: Each file with its header and what draws its rows.
TABLES: dict[str, tuple[tuple[str, ...], Callable[[], list[Row]]]] = {
    "tracks.csv": (("animal", "hour", "log_step"), tracks),
    "growth.csv": (("subject", "visit", "age", "score"), growth),
    "mn_inbreeding.csv": (("group", "count"), mn_inbreeding),
    "haplotypes.csv": (("person", "snp1", "snp2"), haplotypes),
    "ratings.csv": (("A", "B", "C", "D", "E"), ratings),
    "messages.csv": (("label", "offer", "meeting", "free", "report", "winner"), messages),
    "record_pairs.csv": (("surname", "forename", "birth_year", "street", "count"), record_pairs),
    "fractions.csv": (("q1", "q2", "q3", "q4", "q5", "q6"), fractions),
    "transcripts.csv": (("reads", "count"), transcripts),
    "detections.csv": (("x",), detections),
    "headings.csv": (("angle",), headings),
    "pain.csv": (("patient", "visit", "dose", "pain"), pain),
    "reaction_times.csv": (("series", "t", "rt"), reaction_times),
    "casino.csv": (("visit", "roll", "face"), casino),
    "annotations.csv": (("item", "annotator", "answer"), images),
    "surveys.csv": (("site", "survey", "seen"), surveys),
    "waves.csv": (("person", "wave", "tried", "month", "daily"), waves),
    "waves_wide.csv": (
        ("person", *(f"y_{k}_{item}" for k in range(1, 6) for item in ("tried", "month", "daily"))),
        waves_wide,
    ),
    "crime.csv": (("visit1", "visit2", "count"), crime),
    "families.csv": (("first", "second", "third", "count"), families),
    "inspections.csv": (("make", "sound", "failed"), inspections),
    "group_sizes.csv": (("water", "size", "count"), group_sizes),
    "relapses.csv": (("time", "relapse"), relapses),
    "clicks.csv": (("user", "click", "page"), clicks),
    "point_counts.csv": (("site", "survey", "forest", "wind", "counted"), point_counts),
    "heights.csv": (("child", "sex", *(f"{name}_{k}" for name in ("age", "height") for k in range(1, 5))), heights),
}

if __name__ == "__main__":
    for file_name, (header, draw) in TABLES.items():
        write(file_name, header, draw())
