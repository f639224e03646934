"""For each template of the gallery a table of the kind that its comments ask for, drawn from known parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Table = dict[str, list[Any]]
Draw = Callable[[np.random.Generator], Table]


@dataclass(frozen=True)
class Example:
    """How a template's table is drawn, and what a fit should find, each parameter with its tolerance."""

    draw: Draw
    truth: dict[str, tuple[float, float]]


def table(**columns: Any) -> Table:
    return {name: np.asarray(column).tolist() for name, column in columns.items()}


def logistic(eta: Any) -> Any:
    return 1 / (1 + np.exp(-eta))


def component(rng: np.random.Generator, share: float, rows: int) -> Any:
    """0 or 1 for each row, 1 with probability `share`."""
    return (rng.random(rows) < share).astype(int)


def mixture(rng: np.random.Generator) -> Table:
    z = component(rng, 0.6, 500)
    return table(y=rng.normal(np.where(z, 4, 0), np.where(z, 1.5, 0.8)))


def gaussian_mixture(rng: np.random.Generator) -> Table:
    z = component(rng, 0.65, 400)
    a, b = rng.normal(size=(2, 400))
    return table(height=4 * z + a, width=2 * z + 0.5 * a + b)


def latent_classes(rng: np.random.Generator) -> Table:
    yes = np.where(component(rng, 0.65, 500), 0.85, 0.2)
    return table(**{f"item_{j}": np.where(rng.random(500) < yes, "yes", "no") for j in "abcde"})


def regression_mixture(rng: np.random.Generator) -> Table:
    z, x = component(rng, 0.6, 300), rng.uniform(-1, 2, 300)
    return table(x=x, y=rng.normal(np.where(z, 1 + 3 * x, 2 - 2 * x), np.where(z, 0.3, 0.6)))


def mixture_of_experts(rng: np.random.Generator) -> Table:
    w, x = rng.normal(size=(2, 600))
    z = rng.random(600) < logistic(0.5 + 1.5 * w)
    return table(w=w, x=x, y=rng.poisson(np.exp(np.where(z, 2 + 0.4 * x, -0.3 * x))))


def hidden_markov(rng: np.random.Generator) -> Table:
    rows: Table = {"series": [], "time": [], "y": []}
    for series in range(12):
        state = series % 2
        for time in range(30 + series):
            rows["series"].append(f"s{series}")
            rows["time"].append(time)
            rows["y"].append(float(rng.normal(3 * state, 1)))
            state = int(rng.random() < (0.15, 0.8)[state])
    return rows


def gene_counting(rng: np.random.Generator) -> Table:
    genotypes = rng.choice(list("ABO"), size=(1000, 2), p=(0.25, 0.1, 0.65))
    seen = ["".join(sorted({*pair} - {"O"})) or "O" for pair in genotypes]
    return table(phenotype=["A", "B", "AB", "O"], count=[seen.count(each) for each in ("A", "B", "AB", "O")])


def haplotypes(rng: np.random.Generator) -> Table:
    carries = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    dose = carries[rng.choice(4, size=(500, 2), p=(0.5, 0.2, 0.1, 0.2))].sum(axis=1)
    return table(snp1=dose[:, 0], snp2=dose[:, 1])


def zero_inflated(rng: np.random.Generator) -> Table:
    x = rng.uniform(-1, 2, 600)
    never = rng.random(600) < logistic(-0.5 + x)
    return table(x=x, y=np.where(never, 0, rng.poisson(np.exp(1 + 0.5 * x))))


def dawid_skene(rng: np.random.Generator) -> Table:
    rows: Table = {"item": [], "annotator": [], "answer": []}
    for item in range(200):
        truth = int(rng.random() < 0.4)
        for annotator, right in (("ann", 0.95), ("bob", 0.85), ("cem", 0.8), ("dee", 0.7)):
            rows["item"].append(f"i{item}")
            rows["annotator"].append(annotator)
            rows["answer"].append(("cat", "dog")[truth if rng.random() < right else 1 - truth])
    return rows


def growth_classes(rng: np.random.Generator) -> Table:
    rows: Table = {"subject": [], "age": [], "score": []}
    for subject in range(100):
        slope = 2.5 if rng.random() < 0.4 else 0.5
        for age in rng.uniform(0, 5, rng.integers(2, 6)):
            rows["subject"].append(f"s{subject}")
            rows["age"].append(float(age))
            rows["score"].append(float(rng.normal(10 + slope * age, 1)))
    return rows


def logistic_regression(rng: np.random.Generator) -> Table:
    age, dose = rng.normal(size=(2, 800))
    return table(age=age, dose=dose, y=(rng.random(800) < logistic(0.5 + age - dose)).astype(int))


def ordinal(rng: np.random.Generator) -> Table:
    x = rng.uniform(-1, 2, 800)
    return table(x=x, y=1 + np.digitize(1.2 * x + rng.logistic(size=800), [-1, 0.5, 2]))


def own_family(rng: np.random.Generator) -> Table:
    return table(y=rng.rayleigh(np.where(component(rng, 0.6, 500), 1, 5)))


def random_intercepts(rng: np.random.Generator) -> Table:
    group, x = np.repeat(np.arange(60), 8), rng.normal(size=480)
    return table(group=group, x=x, y=rng.normal(2 + 0.5 * x + np.repeat(rng.normal(0, 1.5, 60), 8), 0.8))


def factor_analysis(rng: np.random.Generator) -> Table:
    h = rng.normal(size=600)
    return table(**{name: rng.normal(1 + load * h, 0.7) for name, load in zip("abcd", (1, 0.8, 0.6, 1.2), strict=True)})


def item_response(rng: np.random.Generator) -> Table:
    theta = rng.normal(size=1500)
    chances = {f"q{k}": logistic(1.3 * theta - b) for k, b in enumerate((-1, -0.5, 0, 0.5, 1))}
    return table(**{name: (rng.random(1500) < chance).astype(int) for name, chance in chances.items()})


def local_level(rng: np.random.Generator) -> Table:
    return table(y=rng.normal(50 + np.cumsum(rng.normal(0, 1, 400)), 2))


def robust_regression(rng: np.random.Generator) -> Table:
    x = rng.normal(size=400)
    return table(x=x, y=1 + 2 * x + 0.5 * rng.standard_t(4, 400))


EXAMPLES = {
    "random-intercepts": Example(
        random_intercepts, {"b0": (2, 0.6), "b1": (0.5, 0.12), "tau": (1.5, 0.45), "sigma": (0.8, 0.1)}
    ),
    "factor-analysis": Example(
        factor_analysis, {"nu.a": (1, 0.2), "load.a.1": (1, 0.15), "load.c.1": (0.6, 0.15), "psi.b": (0.7, 0.1)}
    ),
    "item-response": Example(item_response, {"a.q0": (1.3, 0.4), "b.q2": (0, 0.25), "b.q4": (1, 0.3)}),
    "local-level": Example(local_level, {"q": (1, 0.4), "r": (2, 0.3)}),
    "robust-regression": Example(robust_regression, {"b0": (1, 0.1), "b1": (2, 0.1), "sigma": (0.5, 0.08)}),
    "mixture": Example(
        mixture,
        {"share.1": (0.4, 0.08), "mu.1": (0, 0.3), "mu.2": (4, 0.4), "sigma.1": (0.8, 0.2), "sigma.2": (1.5, 0.25)},
    ),
    "mixture-with-priors": Example(mixture, {"share.1": (0.4, 0.08), "mu.1": (0, 0.3), "mu.2": (4, 0.4)}),
    "gaussian-mixture": Example(
        gaussian_mixture, {"share.2": (0.65, 0.08), "mu.2.height": (4, 0.3), "Sigma.1.height.width": (0.5, 0.3)}
    ),
    "latent-classes": Example(
        latent_classes,
        {"share.2": (0.65, 0.1), "prob.2.item_a.yes": (0.85, 0.1), "prob.1.item_e.yes": (0.2, 0.12)},
    ),
    "regression-mixture": Example(
        regression_mixture, {"b0.1": (2, 0.3), "b1.1": (-2, 0.3), "b1.2": (3, 0.2), "sigma.2": (0.3, 0.08)}
    ),
    "mixture-of-experts": Example(
        mixture_of_experts,
        {"g0.2": (0.5, 0.5), "g1.2": (1.5, 0.5), "a.2": (2, 0.1), "b.1": (-0.3, 0.2), "b.2": (0.4, 0.1)},
    ),
    "hidden-markov": Example(hidden_markov, {"A.1.2": (0.15, 0.08), "A.2.2": (0.8, 0.1), "mu.2": (3, 0.3)}),
    "gene-counting": Example(gene_counting, {"p.A": (0.25, 0.04), "p.B": (0.1, 0.03), "p.O": (0.65, 0.04)}),
    "haplotypes": Example(haplotypes, {"p.h00": (0.5, 0.06), "p.h01": (0.2, 0.06), "p.h11": (0.2, 0.06)}),
    "zero-inflated": Example(zero_inflated, {"g0": (-0.5, 0.4), "g1": (1, 0.4), "b0": (1, 0.2), "b1": (0.5, 0.2)}),
    "dawid-skene": Example(
        dawid_skene,
        {"prevalence.dog": (0.4, 0.12), "confusion.ann.cat.cat": (0.95, 0.08), "confusion.dee.dog.dog": (0.7, 0.15)},
    ),
    "growth-classes": Example(growth_classes, {"share.2": (0.4, 0.15), "b1.1": (0.5, 0.2), "b1.2": (2.5, 0.2)}),
    "logistic": Example(logistic_regression, {"w0": (0.5, 0.3), "w.age": (1, 0.3), "w.dose": (-1, 0.3)}),
    "ordinal": Example(ordinal, {"b": (1.2, 0.25), "cuts.1": (-1, 0.3), "cuts.3": (2, 0.35)}),
    "own-family": Example(own_family, {"share.1": (0.6, 0.08), "scale.1": (1, 0.15), "scale.2": (5, 0.5)}),
}
