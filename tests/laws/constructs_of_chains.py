"""Chains, hidden and seen, one small model each."""

from __future__ import annotations

from tests.laws.constructs import Construct

CHAINS = (
    Construct(
        "autoregression, the first unit conditioned on",
        """
        param r : real
        param s : positive
        for each row in sequence:
            observed y ~ Normal(r*prev(y), s)
        """,
        {"y": [0.0, 1.0, 2.0, -1.0]},
    ),
    Construct(
        "autoregression with a law for the first unit",
        """
        param r : real
        param s : positive
        for each row in sequence:
            observed y ~ Normal(0, 1) first, Normal(r*prev(y), s) after
        """,
        {"y": [0.0, 1.0, 2.0, -1.0]},
    ),
    Construct(
        "autoregression of the second order in groups of a hidden class",
        """
        param r[two] : real
        param q[two] : real
        param s : positive
        for each g:
            latent z ~ Categorical(p)
            for each row in sequence:
                observed y ~ Normal(r[z]*prev(y) + q[z]*prev(y, 2), s)
        """,
        {"g": ["1", "1", "1", "1", "2", "2", "2"], "y": [0.0, 1.0, 2.0, -1.0, 4.0, 5.0, 3.0]},
    ),
    Construct(
        "an observed Markov chain",
        """
        param start : simplex[two]
        param A[two] : simplex[two]
        for each g:
            for each row in sequence:
                observed y ~ Categorical(start) first, Categorical(A[prev(y)]) after
        """,
        {"g": ["1", "1", "1", "2", "2"], "y": ["u", "v", "v", "u", "u"]},
    ),
    Construct(
        "an observed chain by a softmax whose parameters the value before chooses",
        """
        param b[two] : contrast[two]
        for each g:
            for each row in sequence:
                observed y ~ Categorical(softmax(k in two: b[prev(y), k]))
        """,
        {"g": ["1", "1", "1", "2", "2"], "y": ["u", "v", "v", "u", "u"]},
    ),
    Construct(
        "an observed chain by a softmax that compares with the value before",
        """
        param a : real
        param r : real
        for each g:
            for each row in sequence:
                observed y ~ Categorical(softmax(k in two: where(k == prev(y), a, r)))
        """,
        {"g": ["1", "1", "1", "2", "2"], "y": ["u", "v", "v", "u", "u"]},
    ),
    Construct(
        "an observed Markov chain in a hidden class, conditioned on its first unit",
        """
        param A[two, three] : simplex[three]
        for each g:
            latent z ~ Categorical(p)
            for each row in sequence:
                observed y ~ Categorical(A[z, prev(y)])
        """,
        {"g": ["1", "1", "1", "2", "2"], "y": ["a", "c", "b", "b", "b"]},
    ),
    Construct(
        "a switching autoregression",
        """
        param A[two] : simplex[two]
        param r[two] : real
        param s : positive
        for each g:
            for each row in sequence:
                latent z ~ Markov(p, A)
                observed y ~ Normal(r[z]*prev(y), s)
        """,
        {"g": ["1", "1", "1", "2", "2"], "y": [0.0, 1.0, 2.0, -1.0, 4.0]},
    ),
    Construct(
        "an emission that looks at the state before",
        """
        param A[two] : simplex[two]
        param r[two, two] : real
        for each row in sequence:
            latent z ~ Markov(p, A)
            observed y ~ Normal(0, 1) first, Normal(r[z, prev(z)], 1) after
        """,
        {"y": [0.0, 1.0, None, -1.0]},
    ),
    Construct(
        "a joint draw along a chain, one of the two looked back at",
        """
        param P : simplex[two, three]
        param Q[two] : simplex[two, three]
        param m[two, three] : real
        for each g:
            for each row in sequence:
                latent x, y ~ Categorical(P) first, Categorical(Q[prev(x)]) after
                observed o ~ Normal(m[x, y], 1)
        """,
        {"g": ["1", "1", "1", "2", "2"], "o": [0.0, 1.0, 2.0, None, 1.0]},
    ),
    Construct(
        "a chain that begins by what is hidden beside it",
        """
        param s[three] : simplex[two]
        param q : simplex[three]
        param A[two] : simplex[two]
        param m[two, three] : real
        for each g:
            for each row in sequence:
                latent c ~ Categorical(q)
                latent x ~ Categorical(s[c]) first, Categorical(A[prev(x)]) after
                observed o ~ Normal(m[x, c], 1)
        """,
        {"g": ["1", "1", "1", "2", "2"], "o": [0.0, 1.0, 2.0, None, 1.0]},
    ),
    Construct(
        "a first law of its own, and nobody looks back",
        """
        param q : simplex[two]
        param m[two] : real
        for each g:
            for each row in sequence:
                latent x ~ Categorical(p) first, Categorical(q) after
                observed o ~ Normal(m[x], 1)
        """,
        {"g": ["1", "1", "1", "2", "2"], "o": [0.0, 1.0, 2.0, None, 1.0]},
    ),
    Construct(
        "observations with a first law of their own",
        """
        param A[two] : simplex[two]
        param m[two] : real
        param r[two] : real
        for each g:
            for each row in sequence:
                latent x ~ Markov(p, A)
                observed o ~ Normal(0, 1) first, Normal(m[x] + r[x]*prev(o), 1) after
                observed k ~ Bernoulli(1/4) first, Bernoulli(logistic(m[x])) after
                observed w : two ~ Categorical({u: 1/2, v: 1/2}) first, Categorical({u: 1/3, v: 2/3}) after
        """,
        {
            "g": ["1", "1", "1", "2", "2"], "o": [0.0, 1.0, 2.0, 3.0, 1.0], "k": [0, 1, None, 1, None],
            "w": ["u", None, "v", "v", "u"],
        },
    ),
    Construct(
        "two chains seen together",
        """
        param A[two] : simplex[two]
        param B[three, two] : simplex[three]
        param q : simplex[three]
        param m[two, three] : real
        for each g:
            weight w
            for each row in sequence:
                latent z ~ Markov(p, A)
                latent k ~ Categorical(q) first, Categorical(B[prev(k), z]) after
                observed y ~ Normal(m[z, k], 1)
        """,
        {"g": ["1", "1", "1", "2"], "y": [0.0, None, 2.0, -1.0], "w": [2.0, 2.0, 2.0, 0.5]},
    ),
    Construct(
        "a chain between two plates, the rows weighted",
        """
        param psi : unit
        param A[two] : simplex[two]
        param m[two] : real
        for each site:
            latent occupied ~ Bernoulli(psi)
            for each season in sequence:
                latent z ~ Markov(p, A)
                for each survey:
                    weight w
                    observed y ~ Normal(occupied*m[z], 1)
        """,
        {
            "site": ["1", "1", "1", "2", "2"], "season": ["1", "2", "2", "1", "1"],
            "w": [1.0, 2.0, 0.5, 0.0, 1.0], "y": [1.0, 2.0, None, 4.0, 5.0],
        },
    ),
    Construct(
        "a chain in the order of a column, rows out of order",
        """
        param A[two] : simplex[two]
        param m[two] : real
        for each g:
            for each row in sequence by t:
                latent z ~ Markov(p, A)
                observed y ~ Normal(m[z], 1)
        """,
        {"g": ["1", "2", "1", "2", "1"], "t": [3.0, 1.0, 2.0, 10.0, 1.0], "y": [0.0, 1.0, 2.0, 3.0, 4.0]},
    ),
    Construct(
        "a stationary chain for each hidden class",
        """
        param A[three, two] : simplex[two]
        param q : simplex[three]
        param m[two] : real
        for each g:
            latent k ~ Categorical(q)
            for each row in sequence:
                latent z ~ Markov(stationary(A[k]), A[k])
                observed y ~ Normal(m[z], 1)
        """,
        {"g": ["1", "1", "1", "2", "2"], "y": [0.0, 1.0, 2.0, 3.0, 4.0]},
        boundary=False,  # a chain that falls apart has more than one stationary law
    ),
    Construct(
        "a chain across columns",
        """
        index occasion = columns(y1, y2, y3)
        param A[two] : simplex[two]
        param m[two] : real
        for each person:
            for each t over occasion in sequence:
                latent z ~ Markov(p, A)
                observed y ~ Normal(m[z], 1)
        """,
        {"y1": [0.0, 1.0, None], "y2": [3.0, None, None], "y3": [1.0, 2.0, 3.0]},
    ),
    Construct(
        "weights around a chain that has no statement beside it",
        """
        param A[two] : simplex[two]
        param m[two] : real
        for each g:
            weight w
            for each row in sequence:
                latent z ~ Markov(p, A)
                observed y ~ Normal(m[z], 1)
        """,
        {"g": ["1", "1", "2"], "w": [0.5, 0.5, 3.0], "y": [1.0, 2.0, 4.0]},
    ),
    Construct(
        "a chain two plates deep with nothing between",
        """
        param A[two] : simplex[two]
        param m[two] : real
        param n[two] : real
        for each g:
            latent k ~ Categorical(p)
            observed t ~ Normal(n[k], 1)
            for each h:
                for each row in sequence:
                    latent z ~ Markov(p, A)
                    observed y ~ Normal(m[z], 1)
        """,
        {
            "g": ["1", "1", "1", "2"], "h": ["1", "1", "2", "1"], "t": [1.0, 1.0, 1.0, 3.0], "y": [1.0, 2.0, 4.0, 3.0],
        },
    ),
)  # fmt: skip
