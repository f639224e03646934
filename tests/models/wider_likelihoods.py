"""Likelihoods of the models in `wider_cases`, coded directly from the models' definitions. Nothing here uses emdsl."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import i0e, logsumexp

from tests.models.direct_maximisation import Array, Block, Optimum, Point, maximise
from tests.models.likelihoods import TWO, columns, log_normal, numbers
from tests.models.vector_and_count_likelihoods import n_mixture, serial_growth


def answers(name: str, *wanted: str) -> Array:
    """Columns of numbers as `(rows, columns)`, empty cells as NaN."""
    table = columns(name)
    return np.array([[float(cell) if cell else np.nan for cell in table[key]] for key in wanted]).T


def codes(name: str, column: str, labels: Sequence[str]) -> NDArray[np.intp]:
    """A column of labels as positions in `labels`, -1 where it is empty."""
    return np.array([list(labels).index(cell) if cell else -1 for cell in columns(name)[column]])


def bernoulli(y: Array, p: Array) -> Array:
    """Log-probability of answers `(rows, items)` in each class, `p` `(classes, items)`: `(rows, classes)`.

    Items that were not seen count for nothing.
    """
    seen = ~np.isnan(y)
    ones = np.where(seen, np.nan_to_num(y), 0.0)
    log_density: Array = ones @ np.log(p).T + (seen - ones) @ np.log1p(-p).T
    return log_density


def mixture(log_share: Array, log_density: Array) -> Array:
    """The log-evidence of each row."""
    evidence: Array = logsumexp(log_share + log_density, axis=1)
    return evidence


def by_group(group: NDArray[np.intp], rows: Array) -> Array:
    """Rows summed by group."""
    total = np.zeros((group.max() + 1, *rows.shape[1:]))
    np.add.at(total, group, rows)
    return total


def padded(groups: Sequence[str], rows: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Rows `(rows, ...)` as chains `(steps, chains, ...)` of the longest length, and where they hold a row.

    The rows of a chain follow each other.
    """
    number = np.unique(groups, return_inverse=True)[1]
    starts = np.flatnonzero(np.r_[True, number[1:] != number[:-1]])
    lengths = np.diff(np.r_[starts, len(number)])
    step = np.arange(lengths.max())[:, None]
    inside = step < lengths
    return rows[np.where(inside, starts + step, 0)], inside


def forward(start: Array, transition: Array, log_emission: Array, inside: NDArray[np.bool_]) -> float:
    """The log-likelihood of chains `(steps, chains, states)` by the scaled forward recursion.

    Steps outside a chain change nothing (Rabiner 1989, section V.A).
    """
    emission = np.exp(log_emission)
    total = 0.0
    alpha = start * emission[0]
    for step in range(len(emission)):
        if step:
            alpha = np.where(inside[step][:, None], (alpha @ transition) * emission[step], alpha)
        mass = alpha.sum(axis=1)
        total += np.log(mass).sum()
        alpha = alpha / mass[:, None]
    return float(total)


def counted(
    name: str, column: str, labels: Sequence[str], law: Callable[[Point], Array], *blocks: Block, **start: Any
) -> Optimum:
    """A table of counts by category: the sum of count times log probability."""
    by_label = dict(zip(columns(name)[column], map(float, columns(name)["count"]), strict=True))
    counts = np.array([by_label[label] for label in labels])
    return maximise(lambda p: float(counts @ np.log(law(p))), blocks, [start])


def mn_inbreeding() -> Optimum:
    """Genotype probabilities with inbreeding (Wright 1922)."""

    def law(p: Point) -> Array:
        (m, n), f = p["p"], p["F"]
        return np.array([f * m + (1 - f) * m**2, 2 * (1 - f) * m * n, f * n + (1 - f) * n**2])

    blocks = Block("p", "simplex", (("M", "N"),)), Block("F", "unit")
    return counted("mn_inbreeding.csv", "group", ("MM", "MN", "NN"), law, *blocks, p=[0.6, 0.4], F=0.2)


def transcripts() -> Optimum:
    """Equivalence classes of reads: a mixture of known laws."""
    fits = np.array([[0.3, 0, 0.4, 0, 0.3], [0, 0.2, 0.3, 0.2, 0.3], [0, 0, 0, 0.6, 0.4]])
    block = Block("share", "simplex", (("t1", "t2", "t3"),))
    labels = ("only1", "only2", "both12", "both23", "all3")
    return counted("transcripts.csv", "reads", labels, lambda p: p["share"] @ fits, block, share=[0.5, 0.2, 0.3])


def haplotypes() -> Optimum:
    """Two ordered draws of four haplotypes, summed over those that carry the doses seen."""
    dose = answers("haplotypes.csv", "snp1", "snp2")
    carries = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    pairs = (carries[:, None, None] + carries[None, :, None] == dose).all(axis=-1)  # (mother, father, person)
    block = Block("p", "simplex", (("h11", "h12", "h21", "h22"),))

    def log_likelihood(p: Point) -> float:
        return float(np.log(np.einsum("i,j,ijn->n", p["p"], p["p"], pairs)).sum())

    return maximise(log_likelihood, (block,), [{"p": [0.1, 0.2, 0.55, 0.15]}])


def latent_classes() -> Optimum:
    """Independent answers within two classes."""
    items = ("A", "B", "C", "D", "E")
    y = answers("ratings.csv", *items) - 1

    def log_likelihood(p: Point) -> float:
        return float(mixture(np.log(p["share"]), bernoulli(y, p["prob"][..., 1])).sum())

    blocks = Block("share", "simplex", (TWO,)), Block("prob", "simplex", (TWO, items, TWO))
    yes = np.array([[0.9, 0.8, 0.95, 0.6, 0.85], [0.15, 0.3, 0.1, 0.05, 0.2]])
    return maximise(log_likelihood, blocks, [{"share": [0.35, 0.65], "prob": np.stack([1 - yes, yes], axis=-1)}])


def crime() -> Optimum:
    """A joint law of two answers; what is missing is summed out."""
    first, second = codes("crime.csv", "visit1", TWO), codes("crime.csv", "visit2", TWO)
    (count,) = numbers("crime.csv", "count")
    allowed = np.einsum("na,nb->nab", *((c[:, None] == [0, 1]) | (c[:, None] < 0) for c in (first, second)))
    block = Block("p", "simplex", (("1,1", "1,2", "2,1", "2,2"),))
    found = maximise(
        lambda p: float(count @ np.log(allowed.reshape(-1, 4) @ p["p"])), (block,), [{"p": [0.7, 0.1, 0.12, 0.08]}]
    )

    def nested(flat: Any) -> dict[str, Any]:
        return {"p": {a: {b: flat["p"][f"{a},{b}"] for b in TWO} for a in TWO}}

    return Optimum(found.loglik, nested(found.estimates), nested(found.errors))


def abo_prior() -> Optimum:
    """The mode of the posterior density: Dirichlet(2, 2, 2) adds log(p_A p_B p_O)."""
    table = columns("abo_clarke.csv")
    counts = np.array([float(table["count"][table["phenotype"].index(group)]) for group in ("A", "B", "AB", "O")])
    block = Block("p", "simplex", (("A", "B", "O"),))

    def log_likelihood(p: Point) -> float:
        a, b, o = p["p"]
        return float(counts @ np.log([a**2 + 2 * a * o, b**2 + 2 * b * o, 2 * a * b, o**2]))

    # At a mode the Hessian is that of the penalised value, so its errors are the posterior's curvature.
    found = maximise(lambda p: log_likelihood(p) + float(np.log(p["p"]).sum()), (block,), [{"p": [0.2, 0.05, 0.75]}])
    mode = {"p": np.array(list(found.estimates["p"].values()))}
    return Optimum(log_likelihood(mode), found.estimates, {})


def record_linkage() -> Optimum:
    """Agreements of four fields, independent given the status."""
    fields = ("surname", "forename", "birth_year", "street")
    same = answers("record_pairs.csv", *fields)
    (count,) = numbers("record_pairs.csv", "count")
    status = ("match", "other")

    def log_likelihood(p: Point) -> float:
        return float(count @ mixture(np.log(p["share"]), bernoulli(same, p["agree"])))

    blocks = Block("share", "simplex", (status,)), Block("agree", "unit", (status, fields))
    agree = [[0.93, 0.9, 0.95, 0.7], [0.02, 0.1, 0.08, 0.01]]
    return maximise(log_likelihood, blocks, [{"share": [0.15, 0.85], "agree": agree}])


def naive_bayes() -> Optimum:
    """Words independent given the kind; where the kind is known it is not summed over."""
    kinds, words = ("spam", "ham"), ("offer", "meeting", "free", "report", "winner")
    kind, held = codes("messages.csv", "label", kinds), answers("messages.csv", *words)
    impossible = np.where((kind[:, None] == [0, 1]) | (kind[:, None] < 0), 0.0, -np.inf)

    def log_likelihood(p: Point) -> float:
        return float(mixture(np.log(p["share"]), bernoulli(held, p["uses"]) + impossible).sum())

    blocks = Block("share", "simplex", (kinds,)), Block("uses", "unit", (kinds, words))
    uses = [[0.7, 0.05, 0.6, 0.1, 0.4], [0.15, 0.5, 0.2, 0.45, 0.02]]
    return maximise(log_likelihood, blocks, [{"share": [0.4, 0.6], "uses": uses}])


def dina() -> Optimum:
    """Four profiles of two skills; an item is right by skill or by guessing."""
    items = ("q1", "q2", "q3", "q4", "q5", "q6")
    needs = np.array([[1, 0], [0, 1], [1, 1], [1, 0], [0, 1], [1, 1]])
    has = np.array([[0, 0], [1, 0], [0, 1], [1, 1]])
    able = (has[:, None] >= needs).all(axis=-1)
    y = answers("fractions.csv", *items)

    def log_likelihood(p: Point) -> float:
        return float(mixture(np.log(p["share"]), bernoulli(y, np.where(able, 1 - p["slip"], p["guess"]))).sum())

    profiles = ("none", "subtract_only", "reduce_only", "both")
    blocks = Block("share", "simplex", (profiles,)), Block("slip", "unit", (items,)), Block("guess", "unit", (items,))
    return maximise(
        log_likelihood, blocks, [{"share": [0.2, 0.4, 0.1, 0.3], "slip": np.full(6, 0.13), "guess": np.full(6, 0.15)}]
    )


def noise_component() -> Optimum:
    """A Normal in a uniform background from 0 to 100."""
    (x,) = numbers("detections.csv", "x")

    def log_likelihood(p: Point) -> float:
        inside = p["signal"] * np.exp(log_normal(x, p["mu"], p["sigma"]))
        return float(np.log(inside + (1 - p["signal"]) / 100).sum())

    blocks = Block("signal", "unit"), Block("mu", "real"), Block("sigma", "positive")
    return maximise(log_likelihood, blocks, [{"signal": 0.6, "mu": 40, "sigma": 5}])


def von_mises_mixture() -> Optimum:
    """Two von Mises laws."""
    (x,) = numbers("headings.csv", "angle")

    def log_likelihood(p: Point) -> float:
        normaliser = np.log(2 * np.pi * i0e(p["kappa"]))
        density = p["kappa"] * (np.cos(x[:, None] - p["mu"]) - 1) - normaliser
        return float(mixture(np.log(p["share"]), density).sum())

    blocks = Block("share", "simplex", (TWO,)), Block("mu", "real", (TWO,)), Block("kappa", "positive", (TWO,))
    return maximise(log_likelihood, blocks, [{"share": [0.4, 0.6], "mu": [-1.5, 1.2], "kappa": [2, 4]}])


def ordinal_mixture() -> Optimum:
    """Cumulative logits; all visits of a patient share the class."""
    patient = np.unique(columns("pain.csv")["patient"], return_inverse=True)[1]
    dose, pain = numbers("pain.csv", "dose", "pain")
    grade = pain.astype(int) - 1

    def log_likelihood(p: Point) -> float:
        edges = np.r_[-np.inf, p["cuts"], np.inf]
        leaning = p["effect"] * dose[:, None]
        above, below = (1 / (1 + np.exp(-(edges[grade + k][:, None] - leaning))) for k in (1, 0))
        if (above <= below).any():
            return -np.inf
        return float(mixture(np.log(p["share"]), by_group(patient, np.log(above - below))).sum())

    cuts = Block("cuts", "real", (("1", "2", "3"),))  # their order holds near the optimum
    blocks = Block("share", "simplex", (TWO,)), Block("effect", "real", (TWO,)), cuts
    return maximise(log_likelihood, blocks, [{"share": [0.6, 0.4], "effect": [-1.5, 0.3], "cuts": [-1.5, 0, 1.5]}])


def speed() -> Optimum:
    """Two-state Normal chains."""
    (rt,) = numbers("reaction_times.csv", "rt")
    chains, inside = padded(columns("reaction_times.csv")["series"], rt)

    def log_likelihood(p: Point) -> float:
        return forward(p["start"], p["A"], log_normal(chains[..., None], p["mu"], p["sigma"]), inside)

    blocks = (
        Block("start", "simplex", (TWO,)), Block("A", "simplex", (TWO, TWO)),
        Block("mu", "real", (TWO,)), Block("sigma", "positive", (TWO,)),
    )  # fmt: skip
    start = {"start": [0.5, 0.5], "A": [[0.88, 0.12], [0.08, 0.92]], "mu": [5.5, 6.4], "sigma": [0.2, 0.25]}
    return maximise(log_likelihood, blocks, [start])


def casino() -> Optimum:
    """Two-state chains of faces."""
    faces = tuple("123456")
    rolls, inside = padded(columns("casino.csv")["visit"], codes("casino.csv", "face", faces))
    states = ("fair", "loaded")

    def log_likelihood(p: Point) -> float:
        return forward(p["start"], p["A"], np.moveaxis(np.log(p["emit"])[:, rolls], 0, -1), inside)

    blocks = (
        Block("start", "simplex", (states,)), Block("A", "simplex", (states, states)),
        Block("emit", "simplex", (states, faces)),
    )  # fmt: skip
    emit = [[1 / 6] * 6, [0.1] * 5 + [0.5]]
    return maximise(log_likelihood, blocks, [{"start": [0.6, 0.4], "A": [[0.95, 0.05], [0.1, 0.9]], "emit": emit}])


def latent_transition() -> Optimum:
    """Two-state chains with three answers at each wave."""
    items = ("tried", "month", "daily")
    y, inside = padded(columns("waves.csv")["person"], answers("waves.csv", *items))

    def log_likelihood(p: Point) -> float:
        emission = bernoulli(y.reshape(-1, 3), p["yes"]).reshape(*y.shape[:2], 2)
        return forward(p["start"], p["A"], emission, inside)

    blocks = (
        Block("start", "simplex", (TWO,)), Block("A", "simplex", (TWO, TWO)), Block("yes", "unit", (TWO, items)),
    )  # fmt: skip
    yes = [[0.3, 0.1, 0.03], [0.95, 0.8, 0.6]]
    return maximise(log_likelihood, blocks, [{"start": [0.7, 0.3], "A": [[0.8, 0.2], [0.08, 0.92]], "yes": yes}])


def latent_transition_wide() -> Optimum:
    """The same people in a table with one row each: the same maximum."""
    return latent_transition()


def dawid_skene() -> Optimum:
    """The product of an item's answers for each truth, summed over the truths."""
    labels, people = ("cat", "dog", "fox"), ("ann", "bob", "eva", "tim")
    item = np.unique(columns("annotations.csv")["item"], return_inverse=True)[1]
    person, answer = codes("annotations.csv", "annotator", people), codes("annotations.csv", "answer", labels)

    def log_likelihood(p: Point) -> float:
        said = by_group(item, np.log(p["confusion"])[person, :, answer])
        return float(mixture(np.log(p["prevalence"]), said).sum())

    blocks = Block("prevalence", "simplex", (labels,)), Block("confusion", "simplex", (people, labels, labels))
    confusion = [np.full((3, 3), (1 - right) / 3) + right * np.eye(3) for right in (0.75, 0.6, 0.8, 0.5)]
    return maximise(log_likelihood, blocks, [{"prevalence": [0.5, 0.3, 0.2], "confusion": confusion}])


def occupancy() -> Optimum:
    """A site where nothing was seen is empty, or occupied and missed every time (MacKenzie et al. 2002)."""
    site = np.unique(columns("surveys.csv")["site"], return_inverse=True)[1]
    seen = by_group(site, answers("surveys.csv", "seen"))[:, 0]
    surveys = np.bincount(site)

    def log_likelihood(p: Point) -> float:
        occupied = p["psi"] * p["d"] ** seen * (1 - p["d"]) ** (surveys - seen)
        return float(np.log(occupied + (1 - p["psi"]) * (seen == 0)).sum())

    return maximise(log_likelihood, (Block("psi", "unit"), Block("d", "unit")), [{"psi": 0.5, "d": 0.4}])


def markov_mixture() -> Optimum:
    """Chains of pages whose law depends on the kind of user."""
    pages = ("home", "news", "shop")
    user = np.unique(columns("clicks.csv")["user"], return_inverse=True)[1]
    page = codes("clicks.csv", "page", pages)
    first = np.r_[True, user[1:] != user[:-1]]
    later = np.flatnonzero(~first)

    def log_likelihood(p: Point) -> float:
        rows = np.empty((len(page), 2))
        rows[first] = np.log(p["start"])[:, page[first]].T
        rows[later] = np.log(p["A"])[:, page[later - 1], page[later]].T
        return float(mixture(np.log(p["share"]), by_group(user, rows)).sum())

    blocks = (
        Block("share", "simplex", (TWO,)), Block("start", "simplex", (TWO, pages)),
        Block("A", "simplex", (TWO, pages, pages)),
    )  # fmt: skip
    to = [[[0.3, 0.6, 0.1], [0.3, 0.6, 0.1], [0.5, 0.3, 0.2]], [[0.3, 0.1, 0.6], [0.4, 0.2, 0.4], [0.1, 0.1, 0.8]]]
    return maximise(
        log_likelihood, blocks, [{"share": [0.6, 0.4], "start": [[0.6, 0.3, 0.1], [0.4, 0.1, 0.5]], "A": to}]
    )


def segregation() -> Optimum:
    """Families seen because a child is affected: the chance of what is seen and of that, over the chance of that."""
    y, (count,) = answers("families.csv", "first", "second", "third"), numbers("families.csv", "count")

    def log_likelihood(p: Point) -> float:
        rates = np.array([np.full(3, 0.02), np.full(3, p["q"])])
        share = np.log([1 - p["carriers"], p["carriers"]])
        none = np.exp(mixture(share, bernoulli(np.zeros((1, 3)), rates)))
        seen = np.exp(mixture(share, bernoulli(y, rates))) - np.where((y == 1).any(axis=1), 0.0, none)
        return float(count @ (np.log(seen) - np.log1p(-none)))

    return maximise(log_likelihood, (Block("carriers", "unit"), Block("q", "unit")), [{"carriers": 0.15, "q": 0.25}])


#: The reference of each model on the data that it ships with, where these are not a published case.
WIDER: dict[str, Callable[[], Optimum]] = {
    function.__name__: function
    for function in (
        mn_inbreeding, transcripts, haplotypes, latent_classes, crime, abo_prior, record_linkage, naive_bayes, dina,
        noise_component, von_mises_mixture, ordinal_mixture, speed, casino, latent_transition,
        latent_transition_wide, dawid_skene, occupancy, markov_mixture, segregation, n_mixture, serial_growth,
    )
}  # fmt: skip
