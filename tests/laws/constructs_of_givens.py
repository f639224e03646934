"""Conditions that chains met to be in the data, and conditions beside soft evidence."""

from __future__ import annotations

from tests.laws.constructs import Construct

GIVENS = (
    Construct(
        "hidden chains chosen by what is seen of all their units",
        """
        param A[two] : simplex[two]
        param e[two] : simplex[three]
        for each person:
            for each t in sequence:
                latent s ~ Markov(p, A)
                observed y ~ Categorical(e[s])
                given y != c
        """,
        {"person": ["1", "1", "1", "2", "2", "3"], "y": ["a", "b", "a", None, "b", "a|b"]},
    ),
    Construct(
        "seen chains without a first law, chosen by some of their units",
        """
        param A[three] : simplex[three]
        for each person:
            for each t in sequence:
                input x : two
                observed y ~ Categorical(A[prev(y)])
                given not (y == c and x == u)
        """,
        {
            "person": ["1", "1", "1", "2", "2", "3"],
            "y": ["a", "b", "a", "c", "b", "a"],
            "x": ["u", "v", "u", "v", "u", "v"],
        },
    ),
    Construct(
        "chosen chains under a hidden class, with a hidden coin beside them",
        """
        param A[two, two] : simplex[two]
        param e[two, two] : simplex[three]
        for each person:
            latent z ~ Categorical(p)
            for each t in sequence:
                latent s ~ Categorical(p) first, Categorical(A[prev(s), z]) after
                latent w ~ Bernoulli(1/4)
                observed y ~ Categorical(e[s, z])
                observed k : two = case w, y:
                    1, _ -> u
                    0, a -> u
                    _, _ -> v
                given k == u
        """,
        {
            "person": ["1", "1", "1", "2", "2", "3"],
            "y": ["a", "b", "a", None, "b", "a"],
            "k": ["u", "u", None, "u", "u", "u"],
        },
    ),
    Construct(
        "a chosen chain of second order",
        """
        param A[two, two] : simplex[two]
        param e[two] : simplex[three]
        for each t in sequence:
            latent s ~ Categorical(p) first, Categorical(A[prev(s), prev(s, 2)]) after
            observed y ~ Categorical(e[s])
            given y != c
        """,
        {"y": ["a", "b", "a", None]},
    ),
    Construct(
        "units chosen beside soft evidence about them",
        """
        param q : simplex[three]
        for each row:
            input  m1 : real
            input  m2 : real
            latent z ~ Categorical(q)
            observed y : two = case z:
                a -> u
                _ -> v
            factor where(z == a, m1, m2)
            given y == v
        """,
        {"y": ["v", "v", None], "m1": [-1.0, -2.0, -0.5], "m2": [-0.3, -0.2, -0.1]},
    ),
    Construct(
        "units in classes of places, chosen",
        """
        param e[two] : simplex[three]
        latent z[item] ~ Categorical(p)
        for each g:
            latent k ~ Bernoulli(1/3)
            for each row:
                input item : item
                observed y ~ Categorical(e[z[item]])
                observed x ~ Bernoulli(1/2 + k/4)
                given y != c
        """,
        {"g": ["1", "1", "2", "2"], "item": ["i1", "i2", "i1", "i1"], "y": ["a", "b", "a", None], "x": [1, 0, 1, 1]},
    ),
)
