"""Models with hidden shares, by Polya's formula as SciPy has it, and by a rule over the triangle."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special, stats

from tests.laws.hidden_number_models import IntegralCase, Table, Theta, by_unit, column

LABELS = ("a", "b", "c")
HEAD = "index k = {a, b, c}\nparam alpha[k] : positive\n"
COUNTS: Table = {"a": [3, 0, 1, 7], "b": [2, 5, 1, 0], "c": [0, 2, 6, 1]}
WORDS: Table = {
    "doc": ["1", "2", "1", "3", "2", "1", "3", "2"], "w": ["a", "c", "b", "b", "c", "a", None, "a"],
    "v": ["b", "b", "a", "a", "c", "c", "a", "b"], "n": [2, 1, 1, 3, 1, 2, 1, 1],
}  # fmt: skip


def _polya(counts: Any, alpha: Any) -> float:
    """The log-probability of labels in their order: without the number of arrangements."""
    counts = np.asarray(counts, dtype=float)
    total = special.gammaln(alpha.sum()) - special.gammaln(alpha.sum() + counts.sum())
    return float(total + (special.gammaln(alpha + counts) - special.gammaln(alpha)).sum())


def _counted(p: Theta, table: Table) -> float:
    y = np.array([column(table, label) for label in LABELS]).T.astype(int)
    return float(sum(stats.dirichlet_multinomial.logpmf(row, p["alpha"], row.sum()) for row in y))


def _tally(table: Table, rows: list[int], *columns: str, weight: str = "") -> Any:
    counts = np.zeros(3)
    for row in rows:
        for name in columns:
            if table[name][row] is not None:
                counts[LABELS.index(str(table[name][row]))] += 1 if not weight else float(str(table[weight][row]))
    return counts


def _words(p: Theta, table: Table) -> float:
    return sum(_polya(_tally(table, rows, "w"), p["alpha"]) for rows in by_unit(table, "doc").values())


def _weighted(p: Theta, table: Table) -> float:
    return sum(_polya(_tally(table, rows, "w", weight="n"), p["alpha"]) for rows in by_unit(table, "doc").values())


def _two_columns(p: Theta, table: Table) -> float:
    return sum(_polya(_tally(table, rows, "w", "v"), p["alpha"]) for rows in by_unit(table, "doc").values())


def _mixed(p: Theta, table: Table) -> float:
    total = 0.0
    for rows in by_unit(table, "doc").values():
        counts = _tally(table, rows, "w")
        parts = [np.log(q) + _polya(counts, alpha) for q, alpha in zip(p["q"], p["alpha"], strict=True)]
        total += float(special.logsumexp(parts))
    return total


def _by_column(p: Theta, table: Table) -> float:
    """Shares of their own for each label of `v`, in each document."""
    total = 0.0
    for rows in by_unit(table, "doc").values():
        for label in LABELS:
            total += _polya(_tally(table, [r for r in rows if table["v"][r] == label], "w"), np.full(3, p["t"]))
    return total


def _whole(p: Theta, table: Table) -> float:
    rows = range(len(table["w"]))
    return _polya(_tally(table, list(rows), "w"), np.full(3, p["t"]))


def _by_choice(p: Theta, table: Table) -> float:
    """`log p[w]` counts `1 + t` times, by a rule over the triangle."""
    x, weights = np.polynomial.legendre.leggauss(120)
    # s = sin^2 makes the ends of the triangle smooth for exponents of one half and more
    t = np.pi / 4 * (x + 1)
    s, ds = np.sin(t) ** 2, np.sin(2 * t) * np.pi / 4 * weights
    one = s[:, None] * np.ones_like(s)
    two = (1 - s)[:, None] * s
    shares = np.array([one, two, 1 - one - two])
    area = ds[:, None] * ds * (1 - s)[:, None]
    total = 0.0
    for rows in by_unit(table, "doc").values():
        exponents = np.full(3, 0.5) + (1 + p["t"]) * _tally(table, rows, "w")
        with np.errstate(divide="ignore", invalid="ignore"):
            heights = np.exp(np.tensordot(exponents, np.log(np.maximum(shares, 1e-300)), axes=1))
        total += float(np.log((heights * area).sum())) + special.gammaln(4.5) - 3 * special.gammaln(1.5)
    return total


def _case(name: str, text: str, table: Table, marginal: Any) -> IntegralCase:
    return IntegralCase(name, text, table, marginal, "kernel")


SHARES = (
    _case("shares under counts", HEAD +
          "for each row:\n    input    n : natural\n    latent   p[k] ~ Dirichlet(alpha)\n"
          "    observed y[k] ~ Multinomial(n, p)\n", {**COUNTS, "n": [5, 7, 8, 8]}, _counted),
    _case("shares under words", HEAD + "for each doc:\n    latent   p[k] ~ Dirichlet(alpha)\n    for each word:\n"
          "        observed w ~ Categorical(p)\n", WORDS, _words),
    _case("shares under weighted words", HEAD + "for each doc:\n    latent   p[k] ~ Dirichlet(alpha)\n"
          "    for each word:\n        weight   n\n        observed w ~ Categorical(p)\n", WORDS, _weighted),
    _case("shares under two columns", HEAD + "for each doc:\n    latent   p[k] ~ Dirichlet(alpha)\n"
          "    for each word:\n        observed w ~ Categorical(p)\n        observed v ~ Categorical(p)\n",
          WORDS, _two_columns),
    _case("shares in classes", "index k = {a, b, c}\nindex cluster = 1..2\nparam q : simplex[cluster]\n"
          "param alpha[cluster, k] : positive\nfor each doc:\n    latent   z ~ Categorical(q)\n"
          "    latent   p[k] ~ Dirichlet(alpha[z])\n    for each word:\n        observed w ~ Categorical(p)\n",
          WORDS, _mixed),
    _case("shares that data choose", "index k = {a, b, c}\nparam t : positive\nfor each doc:\n"
          "    latent   p[r in k, k] ~ Dirichlet(t)\n    for each word:\n        input    v : k\n"
          "        observed w ~ Categorical(p[v])\n", WORDS, _by_column),
    _case("shares of the whole data set", "index k = {a, b, c}\nparam t : positive\nlatent p[k] ~ Dirichlet(t)\n"
          "for each word:\n    observed w ~ Categorical(p)\n", WORDS, _whole),
    _case("shares under evidence", "index k = {a, b, c}\nparam t : positive\nfor each doc:\n"
          "    latent   p[k] ~ Dirichlet(3/2)\n    for each word:\n        input    w : k\n"
          "        factor   (1 + t)*log(p[w])\n", {**WORDS, "w": ["a", "c", "b", "b", "c", "a", "b", "a"]},
          _by_choice),
)  # fmt: skip
