"""Constructs with finite variables that are hidden outside the plates, one small model each."""

from __future__ import annotations

from tests.laws.constructs import Construct

CROSSING = (
    Construct(
        "a class of the whole data set",
        """
        param m[two] : real
        latent g ~ Categorical(p)
        for each row:
            latent z ~ Bernoulli(1/3)
            observed y ~ Normal(m[g] + z, 1)
        """,
        {"y": [0.0, 1.0, None, 4.0]},
    ),
    Construct(
        "a class of each column",
        """
        param m[two, two] : real
        latent g[item] ~ Categorical(p)
        for each row:
            latent z ~ Categorical(p)
            observed y[item] ~ Normal(m[g[item], z], 1)
        """,
        {"y_i1": [0.0, 1.0, None], "y_i2": [0.0, None, 3.0]},
    ),
    Construct(
        "a class of each level of a column",
        """
        const size[item] = [1, 2]
        param q[item] : simplex[two]
        param m[two] : real
        param b : contrast[two]
        latent g[item] ~ Categorical(q[item])
        latent h[item] ~ Categorical(softmax(k in two: b[k]*size[item]))
        for each row:
            input item : item
            weight w
            latent z ~ Bernoulli(1/3)
            observed y ~ Normal(m[g[item]] + z, 1)
            observed x ~ Normal(m[h[item]], 1)
        """,
        {"y": [0.0, 1.0, None, 4.0], "x": [1.0, None, 2.0, 3.0], "item": ["i1", "i2", "i1", "i1"], "w": [1, 2, 0, 3]},
    ),
    Construct(
        "genotypes of animals that are seen again",
        """
        param q : simplex[three]
        index animal = {A, B}
        latent g[animal] ~ HardyWeinberg(q)
        for each visit:
            input animal : animal
            for each look:
                observed y : two = case g[animal]:
                    a/_ -> u
                    _   -> v
        """,
        {"visit": ["1", "1", "2", "3"], "animal": ["A", "A", "B", "A"], "y": ["u", None, "v", "u"]},
    ),
    Construct(
        "blocks of persons and items",
        """
        index person = {A, B, C}
        param q : simplex[two]
        param m[two, two] : unit
        latent r[person] ~ Categorical(q)
        latent c[item] ~ Categorical(p)
        for each answer:
            input person : person
            input item : item
            observed y ~ Bernoulli(m[r[person], c[item]])
        """,
        {"person": ["A", "A", "B", "B", "C"], "item": ["i1", "i2", "i1", "i2", "i2"], "y": [1, 0, None, 1, 1]},
    ),
    Construct(
        "blocks of items within persons",
        """
        param q : simplex[two]
        param m[two, two] : unit
        latent c[item] ~ Categorical(p)
        for each person:
            latent r ~ Categorical(q)
            for each answer:
                input item : item
                weight w
                latent guessed ~ Bernoulli(1/3)
                observed y ~ Bernoulli(m[r, c[item]]/(1 + guessed))
        """,
        {
            "person": ["A", "A", "B", "B", "B"],
            "item": ["i1", "i2", "i1", "i2", "i2"],
            "y": [1, 0, None, 1, 1],
            "w": [1, 2, 1, 0, 3],
        },
    ),
    Construct(
        "blocks of the nodes of a network, one tied to itself",
        """
        index node = {A, B, C, D}
        param b[two, two] : unit
        latent z[node] ~ Categorical(p)
        for each tie:
            input from : node
            input to : node
            observed y ~ Bernoulli(b[z[from], z[to]])
        """,
        {
            "from": ["A", "A", "B", "C", "D", "A"],
            "to": ["B", "C", "C", "D", "A", "A"],
            "y": [1, 0, 1, None, 0, 1],
        },
    ),
    Construct(
        "a chain over classes of places",
        """
        param A[two] : simplex[two]
        param e[two, two] : unit
        latent z[item] ~ Categorical(p)
        for each animal:
            for each t in sequence:
                input item : item
                latent s ~ Markov(p, A)
                observed y ~ Bernoulli(e[s, z[item]])
        """,
        {"animal": ["1", "1", "1", "2", "2"], "item": ["i1", "i2", "i1", "i2", "i2"], "y": [1, 0, 1, None, 0]},
    ),
    Construct(
        "chains of animals in classes of places",
        """
        param A[two, two] : simplex[two]
        param e[two] : unit
        latent z[item] ~ Categorical(p)
        for each animal:
            input item : item
            for each t in sequence:
                latent s ~ Categorical(p) first, Categorical(A[prev(s), z[item]]) after
                observed y ~ Bernoulli(e[s])
        """,
        {"animal": ["1", "1", "1", "2", "2"], "item": ["i1", "i1", "i1", "i2", "i2"], "y": [1, 0, 1, None, 0]},
    ),
    Construct(
        "a class of each column of a plate across columns",
        """
        index occasion = columns(y1, y2)
        param m[two, two] : real
        latent g[occasion] ~ Categorical(p)
        for each row:
            latent z ~ Categorical(p)
            for each t over occasion:
                observed y ~ Normal(m[g[t], z], 1)
        """,
        {"y1": [0.0, 1.0, None], "y2": [3.0, None, 1.0]},
    ),
)
