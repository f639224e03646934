"""Hidden chains of higher order, several chains in one plate, and what they may be driven by, one small model each."""

from __future__ import annotations

from tests.laws.constructs import Construct
from tests.laws.tables import Cell

#: Chains of four, two, one and three units, a cell missing.
RAGGED: dict[str, list[Cell]] = {
    "g": ["1", "1", "1", "1", "2", "2", "3", "4", "4", "4"],
    "y": [0.0, None, 2.0, -1.0, 4.0, 1.0, 0.5, None, 1.5, 2.0],
}

ORDERS = (
    Construct(
        "a hidden chain of second order",
        """
        param A[two, two] : simplex[two]
        param m[two] : real
        param s : positive
        for each g:
            for each row in sequence:
                latent z ~ Categorical(p) first, Categorical(A[prev(z, 2), prev(z)]) after
                observed y ~ Normal(m[z], s)
        """,
        RAGGED,
    ),
    Construct(
        "a hidden chain of second order with zeros, labels seen, some in part",
        """
        param A[two, two] : simplex[two]
        param e[two] : simplex[three]
        for each g:
            for each row in sequence:
                latent z ~ Categorical({u: 1, v: 0}) first, Categorical(A[prev(z, 2), prev(z)]) after
                observed y ~ Categorical(e[z])
        """,
        {"g": ["1", "1", "1", "1", "2", "2", "3"], "y": ["a", "b|c", None, "c", "a", "a", "b"]},
    ),
    Construct(
        "a hidden chain of third order that skips a unit",
        """
        param A[two, two] : simplex[two]
        param m[two] : real
        for each g:
            for each row in sequence:
                latent z ~ Categorical(p) first, Categorical(A[prev(z, 3), prev(z)]) after
                observed y ~ Normal(m[z], 1)
        """,
        RAGGED,
    ),
    Construct(
        "a hidden chain that looks back two units alone",
        """
        param A[two] : simplex[two]
        param m[two] : real
        for each row in sequence:
            latent z ~ Categorical(p) first, Categorical(A[prev(z, 2)]) after
            observed y ~ Normal(m[z], 1)
        """,
        {"y": [0.0, 1.0, None, -1.0, 3.0]},
    ),
    Construct(
        "a chain of second order driven by an input",
        """
        param b[two, two] : real
        param c : real
        param m[two] : real
        for each g:
            for each row in sequence:
                input x : real
                latent z ~ Bernoulli(0.3) first, Bernoulli(logistic(c*x + 0.5*prev(z) - prev(z, 2))) after
                observed y ~ Normal(c*z, 1)
        """,
        {**RAGGED, "x": [0.1 * k for k in range(10)]},
    ),
    Construct(
        "an emission that looks back two units at a chain of first order",
        """
        param A[two] : simplex[two]
        param r[two, two] : real
        for each g:
            for each row in sequence:
                latent z ~ Markov(p, A)
                observed y ~ Normal(0, 1) first, Normal(r[z, prev(z, 2)], 1) after
        """,
        RAGGED,
    ),
    Construct(
        "an emission of a chain of first order, without a law for its first units",
        """
        param A[two] : simplex[two]
        param r[two, two, two] : real
        for each g:
            for each row in sequence:
                latent z ~ Markov(p, A)
                observed y ~ Normal(r[z, prev(z), prev(z, 2)], 1)
        """,
        RAGGED,
    ),
    Construct(
        "two chains of different orders, the second driven by the first",
        """
        param A[two] : simplex[two]
        param B[three, three, two] : simplex[three]
        param q : simplex[three]
        param m[two, three] : real
        for each g:
            for each row in sequence:
                latent z ~ Markov(p, A)
                latent k ~ Categorical(q) first, Categorical(B[prev(k, 2), prev(k), z]) after
                observed y ~ Normal(m[z, k], 1)
        """,
        {"g": ["1", "1", "1", "2"], "y": [0.0, None, 2.0, -1.0]},
    ),
    Construct(
        "a mixture of chains of second order",
        """
        param q : simplex[three]
        param A[three, two, two] : simplex[two]
        param m[two] : real
        for each g:
            weight w
            latent k ~ Categorical(q)
            for each row in sequence:
                latent z ~ Categorical(p) first, Categorical(A[k, prev(z, 2), prev(z)]) after
                observed y ~ Normal(m[z], 1)
        """,
        {**RAGGED, "w": [2.0, 2.0, 2.0, 2.0, 0.5, 0.5, 0.0, 1.0, 1.0, 1.0]},
    ),
    Construct(
        "a chain of second order over plates inside and around it",
        """
        param A[two, two] : simplex[two]
        param m[two] : real
        for each g:
            for each row in sequence:
                latent z ~ Categorical(p) first, Categorical(A[prev(z, 2), prev(z)]) after
                for each survey:
                    latent o ~ Categorical(p)
                    observed y : three ~ Categorical(softmax(k in three: m[z]*m[o]))
        """,
        {
            "g": ["1", "1", "1", "1", "1", "2"], "row": ["1", "2", "2", "3", "3", "1"],
            "y": ["a", "b", None, "c", "c", "a"],
        },
    ),
    Construct(
        "a hidden label with a law of its own for the first unit, beside a genotype",
        """
        param q : simplex[three]
        param c : real
        for each row in sequence:
            latent g ~ HardyWeinberg(q)
            latent z ~ Categorical(p) first, Categorical({u: 1/3, v: 2/3}) after
            observed y ~ case z:
                u -> Normal(copies(g, a)*c, 1)
                v -> Normal(0, 1)
        """,
        {"y": [0.0, 1.0]},
    ),
)  # fmt: skip

#: Several chains, mixtures of chains, chains that inputs or data drive, durations.
DRIVEN = (
    Construct(
        "two chains that meet in what is seen",
        """
        param A[two] : simplex[two]
        param q : simplex[three]
        param B[three] : simplex[three]
        param m[two] : real
        param n[three] : real
        param s : positive
        for each g:
            for each row in sequence:
                latent z ~ Markov(p, A)
                latent k ~ Markov(q, B)
                observed y ~ Normal(m[z] + n[k], s)
        """,
        {"g": ["1", "1", "1", "2"], "y": [0.0, None, 2.0, -1.0]},
    ),
    Construct(
        "a mixture of chains",
        """
        param q : simplex[three]
        param start[three] : simplex[two]
        param A[three, two] : simplex[two]
        param m[two] : real
        for each g:
            latent k ~ Categorical(q)
            for each row in sequence:
                latent z ~ Markov(start[k], A[k])
                observed y ~ Normal(m[z], 1)
        """,
        RAGGED,
    ),
    Construct(
        "transitions that inputs drive",
        """
        param a[two, two] : real
        param b[two] : contrast[two]
        param m[two] : real
        for each g:
            for each row in sequence:
                input x : real
                latent z ~ Categorical(p) first, Categorical(softmax(k in two: a[prev(z), k] + b[prev(z), k]*x)) after
                observed y ~ Normal(m[z], 1)
        """,
        {**RAGGED, "x": [0.1 * k for k in range(10)]},
    ),
    Construct(
        "transitions and the law of the first unit that labels drive",
        """
        param start[three] : simplex[two]
        param A[three, two] : simplex[two]
        param m[two] : real
        for each g:
            for each row in sequence:
                input x : three
                latent z ~ Markov(start[x], A[x])
                observed y ~ Normal(m[z], 1)
        """,
        {**RAGGED, "x": ["a", "b", "c", "a", "b", "c", "a", "b", "c", "a"]},
    ),
    Construct(
        "transitions that what was seen before drives",
        """
        param A[three, two] : simplex[two]
        param e[two] : simplex[three]
        for each g:
            for each row in sequence:
                latent z ~ Categorical(p) first, Categorical(A[prev(y), prev(z)]) after
                observed y ~ Categorical(e[z])
        """,
        {"g": ["1", "1", "1", "2", "2"], "y": ["a", "b", "c", "a", "a"]},
    ),
    Construct(
        "a hidden label whose law looks at the last thing seen",
        """
        param B[three] : simplex[two]
        param e[two] : simplex[three]
        for each g:
            for each row in sequence:
                latent z ~ Categorical(p) first, Categorical(B[prev(y)]) after
                observed y ~ Categorical(e[z])
        """,
        {"g": ["1", "1", "1", "2", "2"], "y": ["a", "b", "c", "a", "a"]},
    ),
    Construct(
        "a hidden label whose law looks at the chain before it",
        """
        param A[two] : simplex[two]
        param B[two, two] : simplex[three]
        param q : simplex[three]
        param m[three] : real
        for each g:
            for each row in sequence:
                latent z ~ Markov(p, A)
                latent k ~ Categorical(q) first, Categorical(B[prev(z), z]) after
                observed y ~ Normal(m[k], 1)
        """,
        RAGGED,
    ),
    Construct(
        "durations as states that are left one after the other",
        """
        index phase = {n1, n2, o1}
        const allowed[phase, phase] = [[1, 1, 0], [0, 1, 1], [1, 0, 1]]
        param A[i in phase] : simplex[j in phase] only allowed[i, j]
        param m[two] : real
        for each g:
            for each row in sequence:
                latent z ~ Markov({n1: 1/2, n2: 0, o1: 1/2}, A)
                let kind = case z:
                    n1 | n2 -> u
                    o1      -> v
                observed y ~ Normal(m[kind], 1)
        """,
        RAGGED,
    ),
    Construct(
        "a switching autoregression of second order",
        """
        param A[two] : simplex[two]
        param r[two] : real
        param q[two] : real
        param s[two] : positive
        for each g:
            for each row in sequence:
                latent z ~ Markov(p, A)
                observed y ~ Normal(0, 1) first, Normal(r[z]*prev(y) + q[z]*prev(y, 2), s[z]) after
        """,
        {"g": ["1", "1", "1", "1", "2", "2"], "y": [0.0, 1.0, 2.0, -1.0, 4.0, 3.0]},
    ),
    Construct(
        "a chain seen in plates of hidden labels",
        """
        param A[two] : simplex[two]
        param e[two] : simplex[three]
        param m[three] : real
        for each g:
            for each row in sequence:
                latent z ~ Markov(p, A)
                for each survey:
                    latent k ~ Categorical(e[z])
                    observed y ~ Normal(m[k], 1)
        """,
        {
            "g": ["1", "1", "1", "1", "1", "2"], "row": ["1", "2", "2", "3", "3", "1"],
            "y": [0.0, None, 2.0, -1.0, 4.0, 1.0],
        },
    ),
    Construct(
        "a chain in each unit of a chain",
        """
        param A[two] : simplex[two]
        param B[two, two] : simplex[two]
        param m[two] : real
        for each day in sequence:
            latent k ~ Markov(p, A)
            for each row in sequence:
                latent z ~ Categorical(p) first, Categorical(B[k, prev(z)]) after
                observed y ~ Normal(m[z], 1)
        """,
        {"day": ["1", "1", "1", "2", "2", "3"], "y": [0.0, 1.0, 2.0, -1.0, None, 1.0]},
    ),
)  # fmt: skip
