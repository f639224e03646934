"""Constructs in which what is hidden depends on the data: open cells, arrays of finite variables, conditions."""

from __future__ import annotations

from tests.laws.constructs import Construct

OPEN = (
    Construct(
        "a joint draw that is seen in part",
        """
        param f : simplex[two, three]
        param m[three] : real
        for each row:
            observed x, y ~ Categorical(f)
            observed t ~ Normal(m[y], 1)
        """,
        {"x": ["u", "v", None, "u", None], "y": ["a", None, "b|c", "c", None], "t": [0.1, 2.0, None, 0.3, 1.0]},
    ),
    Construct(
        "an array of joint draws that are seen in part",
        """
        param f[item] : simplex[two, three]
        for each row:
            observed x, y[item] ~ Categorical(f[item])
        """,
        {
            "x_i1": ["u", "v", None, "u"],
            "x_i2": ["v", "v", "u", None],
            "y_i1": ["a", None, "b|c", "c"],
            "y_i2": ["a", "b", "c", "c"],
        },
    ),
    Construct(
        "labels seen in part, as a naive Bayes classifier has them",
        """
        param q[two, item] : unit
        for each row:
            observed y ~ Categorical(p)
            observed w[item] ~ Bernoulli(q[y, item])
        """,
        {"y": ["u", None, "v", None, "u|v"], "w_i1": [1, 0, 1, None, 1], "w_i2": [1, 0, 0, 1, 1]},
    ),
    Construct(
        "an observed chain with gaps",
        """
        param A[three] : simplex[three]
        param s : simplex[three]
        for each row in sequence:
            observed y ~ Markov(s, A)
        """,
        {"y": ["a", None, "b", "a|c", None, "c"]},
    ),
    Construct(
        "an observed chain with gaps that is conditioned on its first unit",
        """
        param A[three] : simplex[three]
        param m[three] : real
        for each row in sequence:
            observed y ~ Categorical(A[prev(y)])
            observed x ~ Normal(m[y], 1)
        """,
        {"y": ["a", None, "b", "a|c", None, "c"], "x": [1.0, 2.0, None, 0.3, 1.0, 2.0]},
    ),
    Construct(
        "a missing 0 or 1 in a regression and in a rate",
        """
        param b0 : real
        param b1 : real
        param r : unit
        param s : positive
        for each row:
            observed y ~ Bernoulli(r)
            observed x ~ Normal(b0 + b1*y, s)
            observed z ~ Poisson(exp(b0 + b1*y))
        """,
        {"y": [1, None, 0, None, 1], "x": [1.0, 2.0, None, 0.3, 1.0], "z": [1, 2, 3, None, 0]},
    ),
    Construct(
        "missing and coarse cells of a law that is a fixed table",
        """
        const chance[two, three] = [[0.5, 0, 0.5], [0.2, 0.3, 0.5]]
        for each row:
            latent z ~ Categorical(p)
            observed y : three ~ Categorical(chance[z])
        """,
        {"y": ["a", None, "b", "c"]},
    ),
    Construct(
        "coarse cells of levels whose law depends on a number",
        """
        index cut = 1..2
        param b : real
        param cuts : ordered[cut]
        for each row:
            input x : real
            observed y : three ~ OrderedLogistic(b*x, cuts)
        """,
        {"y": ["a", "a|b", None, "c", "b|c"], "x": [1.0, 2.0, -1.0, 0.3, 1.0]},
    ),
    Construct(
        "a case over what is hidden and what is known in a density",
        """
        param mu[two] : real
        param s : positive
        for each row:
            latent z ~ Categorical(p)
            input h : two
            input x : real
            let m = case z, h:
                u, u -> mu[u]
                v, v -> mu[v] + x
                _, _ -> x
            observed y ~ Normal(m, s)
        """,
        {"y": [1.0, 2.0, None, 0.5], "x": [1.0, 2.0, -1.0, 0.3], "h": ["u", "v", "u", "v"]},
    ),
    Construct(
        "missing elements of an array that another law looks at",
        """
        param q[item] : simplex[two]
        param e[two, two] : simplex[three]
        for each row:
            observed y[item] ~ Categorical(q[item])
            observed x ~ Categorical(e[y[i1], y[i2]])
        """,
        {"y_i1": ["u", None, "v", None], "y_i2": ["v", "v", None, None], "x": ["a", "b", "c", None]},
    ),
    Construct(
        "an array of hidden skills",
        """
        param q[item] : unit
        param e[two] : unit
        param g[item] : real
        for each row:
            latent h[item] ~ Bernoulli(q[item])
            let all = prod(k in item: h[k])
            observed x ~ Bernoulli(where(all == 1, e[u], e[v]))
            observed t ~ Normal(sum(k in item: g[k]*h[k]), 1)
            observed d[item] = h[item]
        """,
        {
            "x": [1, 0, None, 1],
            "t": [1.0, 2.0, 0.3, None],
            "d_i1": [1, None, None, None],
            "d_i2": [None, 0, None, None],
        },
    ),
    Construct(
        "families with an affected child",
        """
        index sib = 1..3
        param q : unit
        param r : unit
        for each fam:
            weight n
            latent carrier ~ Bernoulli(r)
            observed y[sib] ~ Bernoulli(carrier*q)
            given sum(k in sib: y[k]) >= 1
        """,
        {"y_1": [1, 0, 1, 1], "y_2": [0, 0, 1, None], "y_3": [0, 1, 1, 0], "n": [1.0, 2.0, 1.0, 3.0]},
    ),
    Construct(
        "phenotypes of which one is never in the data",
        """
        index al = {A,B,O}
        param f : simplex[al]
        for each row:
            weight n
            latent g ~ HardyWeinberg(f)
            observed ph = case g:
                A/B -> AB
                A/_ -> A
                B/_ -> B
                _ -> O
            given not (ph == O)
        """,
        {"ph": ["A", "B", "AB", "A|B"], "n": [1.0, 2.0, 1.0, 3.0]},
    ),
    Construct(
        "a condition that an input moves",
        """
        index al = {0,1,2,3}
        param b0 : real
        param b1 : real
        param v[al] : real
        for each row:
            input x : real
            input c : natural
            observed y : al ~ Categorical(softmax(k in al: v[k]*x))
            given y >= c
        """,
        {"y": ["1", "2", "3", "2"], "x": [1.0, 2.0, -1.0, 3.0], "c": [1, 1, 2, 2]},
    ),
    Construct(
        "a condition on units inside a hidden one",
        """
        param q[two] : unit
        for each fam:
            latent z ~ Categorical(p)
            for each kid:
                observed y ~ Bernoulli(q[z])
                observed w ~ Bernoulli(q[z])
                given y + w > 0
        """,
        {"fam": ["1", "1", "2"], "y": [1, 0, 1], "w": [0, 1, 1]},
    ),
    Construct(
        "a change between two hidden states",
        """
        param A[two] : simplex[two]
        param f[two] : simplex[two]
        for each row in sequence:
            latent z ~ Markov(p, A)
            observed moved = case z, prev(z):
                u, u | v, v -> no
                _, _ -> yes
        """,
        {"moved": ["no", "yes", None, "no", "yes"]},
    ),
    Construct(
        "a comparison with the observed value before",
        """
        param A[two] : simplex[two]
        param f[two] : simplex[two]
        for each row in sequence:
            latent z ~ Markov(p, A)
            observed w ~ Categorical(f[z])
            observed d = where(z == prev(w), 1, 0)
        """,
        {"w": ["u", "v", None, "u", "v"], "d": [None, 0, 1, None, 1]},
    ),
    Construct(
        "the unit before of an outer chain in an inner law",
        """
        param A[two] : simplex[two]
        param f[two,two] : simplex[three]
        param m : real
        for each day in sequence:
            latent z ~ Markov(p, A)
            observed h ~ Normal(0, 1)
            for each row:
                observed w ~ Categorical(f[z, prev(z)])
                observed y ~ Normal(m*prev(h), 1)
        """,
        {
            "day": ["1", "1", "2", "2", "3", "4"],
            "h": [0.3, 0.3, 1.0, 1.0, 0.2, 0.4],
            "w": ["a", "b", None, "c", "a", "b"],
            "y": [1.0, 2.0, None, 0.3, 0.2, 0.1],
        },
    ),
    Construct(
        "two chains, one inside the other, the inner looking back in both",
        """
        param f[two,two] : simplex[two]
        for each day in sequence:
            observed h ~ Categorical(p)
            for each row in sequence:
                observed w ~ Categorical(p) first, Categorical(f[prev(h), prev(w)]) after
        """,
        {
            "day": ["1", "1", "2", "2", "3", "4"],
            "h": ["u", "u", "v", "v", None, "u"],
            "w": ["u", "v", None, "v", "u", "v"],
        },
    ),
    Construct(
        "genotype likelihoods",
        """
        index al = {A,B}
        index gt = {AA,AB,BB}
        param f : simplex[al]
        for each row:
            input gl[gt] : real
            latent g ~ HardyWeinberg(f)
            let d = copies(g, A)
            factor where(d == 2, gl[AA], where(d == 1, gl[AB], gl[BB]))
            latent k : gt ~ Categorical({AA: 1/4, AB: 1/2, BB: 1/4})
            factor gl[k]
        """,
        {"AA": [-1.0, -2.0, -0.3], "AB": [-1.0, -0.2, -0.3], "BB": [-0.1, -2.0, -3.0]},
    ),
    Construct(
        "structural zeros between named states",
        """
        param A[i in three] : simplex[j in three] only j >= i
        param f[three] : simplex[two]
        param s : simplex[three]
        for each row in sequence:
            latent z ~ Markov(s, A)
            observed w ~ Categorical(f[z])
        """,
        {"w": ["u", "v", None, "u", "v"]},
    ),
    Construct(
        "an array of genotypes",
        """
        index loc = {l1, l2}
        param f[loc] : simplex[three]
        for each row:
            observed g[loc] ~ HardyWeinberg(f[loc])
        """,
        {"g_l1": ["a/b", "a/_", None, "c/c"], "g_l2": ["a/b", "a/a", "b/c|c/c", "c/c"]},
    ),
    Construct(
        "an array of joint draws",
        """
        param f : simplex[two, three]
        for each row:
            latent x, y[item] ~ Categorical(f)
            observed w[item] = x[item]
            observed v[item] = y[item]
        """,
        {
            "w_i1": ["u", "v", None, "u"],
            "w_i2": ["u", "v", None, "u"],
            "v_i1": ["a", "b", "c", None],
            "v_i2": ["a", None, "c", "a|b"],
        },
    ),
    Construct(
        "several hidden chains side by side",
        """
        param A[item, two] : simplex[two]
        param m[item] : real
        for each row in sequence:
            latent x[item] ~ Categorical(p) first, Categorical(A[item, prev(x[item])]) after
            observed y ~ Normal(sum(k in item: m[k]*where(x[k] == u, 1, 0)), 1)
        """,
        {"y": [1.0, 2.0, None, 0.3, 1.0]},
    ),
    Construct(
        "an element that an input chooses",
        """
        param q[item] : unit
        param e[two] : unit
        for each row:
            input i : item
            latent h[item] ~ Bernoulli(q[item])
            observed y ~ Bernoulli(where(h[i] == 1, e[u], e[v]))
            observed w ~ case h[i]:
                0 -> Poisson(1)
                1 -> Poisson(2)
        """,
        {"y": [1, 0, None, 1], "i": ["i1", "i2", "i1", "i1"], "w": [1, 3, 2, 0]},
    ),
    Construct(
        "a law that looks at a missing deterministic label",
        """
        param e[two] : simplex[three]
        param q : simplex[three]
        for each row:
            latent z ~ Categorical(q)
            observed y : two = case z:
                a -> u
                _ -> v
            observed x ~ Categorical(e[y])
        """,
        {"y": ["u", "v", None, None], "x": ["a", "b", "c", None]},
    ),
)  # fmt: skip
