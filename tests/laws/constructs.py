"""Constructs of the language, one small model each: all but chains."""

from __future__ import annotations

from dataclasses import dataclass

from tests.laws.tables import Cell

#: What every model begins with.
SETS = "index two = {u, v}\nindex three = {a, b, c}\nindex item = {i1, i2}\nparam p : simplex[two]\n"


@dataclass(frozen=True)
class Construct:
    """What is tried, the model without its index sets, and the table.

    `boundary`: whether theta may lie at its bounds.
    """

    name: str
    text: str
    columns: dict[str, list[Cell]]
    boundary: bool = True


CONSTRUCTS = (
    Construct(
        "a plate across columns",
        """
        index occasion = columns(y1, y2)
        param m[two, occasion] : real
        for each person:
            latent z ~ Categorical(p)
            for each t over occasion:
                observed y ~ Normal(m[z, t], 1)
        """,
        {"y1": [0.0, 1.0, None], "y2": [3.0, None, None]},
    ),
    Construct(
        "a factor",
        """
        param b[two] : real
        param r : real
        for each row:
            input x : real
            latent z ~ Categorical(p)
            factor b[z]*x - r*x^2
        """,
        {"x": [0.0, 1.0, 2.0]},
    ),
    Construct(
        "genotypes seen, some in part",
        """
        param q : simplex[three]
        for each row:
            observed g ~ HardyWeinberg(q)
        """,
        {"g": ["a/b", "a/a", "_/c", "b/a|c/c", None]},
    ),
    Construct(
        "genotypes under inbreeding",
        """
        param q : simplex[three]
        param F : unit
        for each row:
            latent g ~ HardyWeinberg(q, F)
            observed y : two = case g:
                a/_ -> u
                _   -> v
        """,
        {"y": ["u", "v", None]},
    ),
    Construct(
        "levels in order",
        """
        index cut = 1..2
        param b[two] : real
        param cuts : ordered[cut]
        for each row:
            latent z ~ Categorical(p)
            observed y : three ~ OrderedLogistic(b[z], cuts)
        """,
        {"y": ["a", "b", "c", None, "a|b"]},
    ),
    Construct(
        "trials that differ by row",
        """
        param b[two] : unit
        for each row:
            latent z ~ Categorical(p)
            input n : natural
            observed y ~ Binomial(n, b[z])
        """,
        {"y": [0, 1, 2, None, 3], "n": [1, 2, 3, 4, 3]},
    ),
    Construct(
        "a dose that two draws give",
        """
        const carries[two, item] = [[0, 1], [1, 0]]
        for each row:
            latent mother ~ Categorical(p)
            latent father ~ Categorical(p)
            observed dose[item] = carries[mother, item] + carries[father, item]
        """,
        {"dose_i1": [0, 1, 2, None], "dose_i2": [2, 1, None, None]},
    ),
    Construct(
        "a case over what is hidden and what is known",
        """
        param r[two] : positive
        for each row:
            latent z ~ Categorical(p)
            input h : two
            observed y ~ case z, h:
                u, u -> Poisson(r[z])
                u, v -> Point(0)
                v, _ -> Poisson(2)
        """,
        {"y": [0, 1, 2, 0], "h": ["u", "u", "v", "v"]},
    ),
    Construct(
        "names for expressions",
        """
        param r[two] : real
        param b : real
        for each row:
            latent z ~ Categorical(p)
            input x : real
            let eta = r[z] + b*x
            observed y ~ Poisson(exp(eta))
            observed q ~ Bernoulli(logistic(eta))
        """,
        {"y": [0, 1, 2, 0], "q": [1, 0, None, 1], "x": [0.1, 0.2, 0.3, 0.4]},
    ),
    Construct(
        "a logit in a hidden class",
        """
        param g[three, two] : real
        param h : contrast[three]
        for each row:
            latent z ~ Categorical(p)
            input x : real
            observed y ~ Categorical(softmax(k in three: g[k, z] + h[k]*x))
        """,
        {"y": ["a", "b", "c", "a"], "x": [0.1, 0.2, -0.3, 0.4]},
    ),
    Construct(
        "an atom beside a density",
        """
        param m : real
        for each row:
            latent z ~ Categorical(p)
            observed y ~ case z:
                u -> Point(0)
                v -> Normal(m, 1)
        """,
        {"y": [0.0, 0.0, 2.0, None]},
    ),
    Construct(
        "zero counts beside a rate",
        """
        param r : positive
        for each row:
            latent z ~ Categorical(p)
            observed y ~ case z:
                u -> Point(0)
                v -> Poisson(r)
        """,
        {"y": [0, 0, 2, None]},
    ),
    Construct(
        "a product of a hidden 0 or 1",
        """
        param psi : unit
        param d : unit
        for each site:
            latent occupied ~ Bernoulli(psi)
            for each survey:
                observed seen ~ Bernoulli(occupied*d)
        """,
        {"site": ["1", "1", "2", "2"], "seen": [0, 0, 1, None]},
    ),
    Construct(
        "vectors of a hidden cluster",
        """
        index dim = columns(y1, y2)
        param m[two, dim] : real
        param S[two] : covariance[dim]
        for each row:
            latent z ~ Categorical(p)
            observed x[dim] ~ MVNormal(m[z], S[z])
        """,
        {"y1": [1.0, 2.0, 3.0, 4.0], "y2": [3.0, 2.0, 1.0, 2.0]},
    ),
    Construct(
        "an input of an outer plate in an inner law",
        """
        param m[two, three] : real
        param b : real
        param s[three] : positive
        for each g:
            input h : three
            input x : real
            latent z ~ Categorical(p)
            for each row:
                observed y ~ Normal(m[z, h] + b*x, s[h])
        """,
        {"g": ["1", "1", "2"], "h": ["a", "a", "c"], "x": [1.0, 1.0, 2.0], "y": [0.1, None, 0.3]},
    ),
    Construct(
        "an observed value of an outer plate in an inner law",
        """
        param e[two] : simplex[three]
        param r[three] : positive
        param c : real
        for each g:
            latent z ~ Categorical(p)
            observed y ~ Categorical(e[z])
            observed t ~ Normal(0, 1)
            for each row:
                observed n ~ Poisson(r[y]*exp(c*t))
        """,
        {"g": ["1", "1", "2"], "y": ["a", "a", "c"], "t": [1.0, 1.0, 2.0], "n": [1, None, 3]},
    ),
    Construct(
        "an outer value that no row of the unit shows",
        """
        param m : real
        for each g:
            observed y ~ Normal(m, 1)
            for each row:
                observed x ~ Normal(m, 2)
        """,
        {"g": ["1", "2", "3", "3"], "y": [None, 1.0, 2.0, 2.0], "x": [1.0, 2.0, 3.0, 4.0]},
    ),
    Construct(
        "items whose law an input chooses",
        """
        param m[item, two] : real
        param s : positive
        for each row:
            input h : two
            observed y[item] ~ Normal(m[item, h], s)
        """,
        {"h": ["u", "v", "v"], "y_i1": [0.1, 0.2, None], "y_i2": [1.1, None, 1.3]},
    ),
    Construct(
        "a missing label whose law has constant and varying branches",
        """
        param q[two] : unit
        for each row:
            latent z ~ Categorical(p)
            observed y ~ Categorical({a: q[z], b: 1 - q[z], c: 0})
        """,
        {"y": ["a", None, "b", "a|b", "b|c"]},
    ),
    Construct(
        "a row of weight 0 that cannot be",
        """
        for each row:
            weight w
            latent z ~ Categorical(p)
            observed y = case z:
                _ -> a
        """,
        {"y": ["a", "a"], "w": [1.0, 0.0]},
    ),
    Construct(
        "impossible data without hidden variables",
        """
        for each row:
            observed y ~ Categorical({u: 1, v: 0})
        """,
        {"y": ["u", "v"]},
    ),
    Construct(
        "a cause or another: a product of parameters",
        """
        param w[three] : unit
        for each row:
            input x[three] : real
            latent z ~ Categorical(p)
            let miss = prod(k in three: 1 - w[k]*x[k])
            observed y ~ Bernoulli(where(z == u, 1 - miss, miss))
        """,
        {"x_a": [1, 0, 1], "x_b": [0, 1, 1], "x_c": [1, 1, 0], "y": [1, 0, None]},
        boundary=False,
    ),
    Construct(
        "a product of what hidden skills allow",
        """
        param g[item] : unit
        param s[item] : unit
        param q[item] : unit
        for each row:
            latent has[item] ~ Bernoulli(q[item])
            observed y ~ Bernoulli(prod(k in item: where(has[k] == 1, 1 - s[k], g[k])))
        """,
        {"y": [1, 0, 1, None]},
        boundary=False,
    ),
    Construct(
        "a sum of curves",
        """
        param a[two] : positive
        param b[two] : positive
        param s[two] : positive
        for each row:
            input t : real
            latent z ~ Categorical(p)
            observed y ~ Normal(sum(k in two: a[k]*exp(-b[k]*t)), s[z])
        """,
        {"t": [0.0, 1.0, 2.0, 3.0], "y": [2.0, 1.0, None, 0.3]},
    ),
    Construct(
        "counts of categories by a logit",
        """
        param g0[two, three] : real
        param g1 : contrast[three]
        for each row:
            input x : real
            input n : natural
            latent z ~ Categorical(p)
            observed y[three] ~ Multinomial(n, softmax(k in three: g0[z, k] + g1[k]*x))
        """,
        {"x": [0.0, 1.0, 0.5], "n": [3, 4, 2], "y_a": [1, 2, 0], "y_b": [1, 1, 2], "y_c": [1, 1, 0]},
    ),
)  # fmt: skip
