"""Likelihoods of the models with continuous hidden variables, coded directly: dense normal laws, known integrals, or a
Gauss-Hermite rule with far more nodes than the engine's. Nothing here uses emdsl.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import betaln, gammaln, log_expit, logsumexp, roots_hermitenorm

from tests.models.direct_maximisation import Array, Block, Optimum, Point, maximise
from tests.models.likelihoods import columns, log_normal, numbers

REAL, POSITIVE = "real", "positive"


def dense_normal(y: Array, mean: Array, covariance: Array) -> float:
    """The log-density of one multivariate normal vector."""
    root = np.linalg.cholesky(covariance)
    z = np.linalg.solve(root, y - mean)
    return float(-0.5 * z @ z - np.log(np.diagonal(root)).sum() - 0.5 * len(y) * np.log(2 * np.pi))


def same(labels: list[str]) -> Array:
    """`(rows, rows)`: 1 where two rows have the same label."""
    column = np.array(labels)
    return np.asarray((column[:, None] == column[None, :]).astype(float))


def scalars(domains: dict[str, str]) -> tuple[Block, ...]:
    """Scalar parameters."""
    return tuple(Block(name, domain) for name, domain in domains.items())


def local_level() -> Optimum:
    """A random walk seen with noise, as one normal vector."""
    (flow,) = numbers("nile.csv", "flow")
    step = np.minimum.outer(np.arange(len(flow)), np.arange(len(flow)))

    def log_likelihood(p: Point) -> float:
        covariance = 1000.0**2 + p["q"] ** 2 * step + p["r"] ** 2 * np.eye(len(flow))
        return dense_normal(flow, np.full(len(flow), 1000.0), covariance)

    return maximise(log_likelihood, scalars({"q": POSITIVE, "r": POSITIVE}), [{"q": 40, "r": 120}])


def local_trend() -> Optimum:
    """A random walk whose steps are a random walk, by the prediction of each value from those before (Kalman 1960).

    As one normal vector it would lose digits: the variances grow with the cube of the length.
    """
    (sales,) = numbers("sales.csv", "sales")
    step = np.array([[1.0, 1.0], [0.0, 1.0]])  # of level and slope

    def log_likelihood(p: Point) -> float:
        mean, covariance = np.array([100.0, 0.0]), np.diag([100.0**2, 10.0**2])
        shocks, total = np.diag([float(p["q"]) ** 2, float(p["s"]) ** 2]), 0.0
        for y in sales:
            spread = covariance[0, 0] + float(p["r"]) ** 2
            total += float(log_normal(y, mean[0], np.sqrt(spread)))
            gain = covariance[:, 0] / spread
            mean = mean + gain * (y - mean[0])
            covariance = covariance - np.outer(gain, covariance[0])
            mean, covariance = step @ mean, step @ covariance @ step.T + shocks
        return total

    return maximise(
        log_likelihood, scalars({"s": POSITIVE, "q": POSITIVE, "r": POSITIVE}), [{"s": 0.6, "q": 5.0, "r": 3.0}]
    )


def dynamic_factor() -> Optimum:
    """Four series of one stationary autoregression, as one normal vector."""
    names = ("output", "orders", "stocks", "hours")
    series = np.array(numbers("indicators.csv", *names))
    lag = np.abs(np.subtract.outer(np.arange(series.shape[1]), np.arange(series.shape[1])))

    def log_likelihood(p: Point) -> float:
        phi = np.tanh(p["phi"])
        course = phi**lag / (1 - phi**2)
        noise = np.kron(np.diag(p["sd"] ** 2), np.eye(series.shape[1]))
        return dense_normal(
            series.ravel(), np.zeros(series.size), np.kron(np.outer(p["load"], p["load"]), course) + noise
        )

    blocks = (Block("phi", REAL), Block("load", REAL, (names,)), Block("sd", POSITIVE, (names,)))
    found = maximise(log_likelihood, blocks, [{"phi": 1.0, "load": [1.0, 0.7, -0.5, 1.2], "sd": [0.5, 0.7, 0.6, 0.8]}])
    phi = float(np.tanh(found.estimates["phi"]))
    error = found.errors["phi"] * (1 - phi**2)  # delta method: tanh' = 1 - tanh^2
    return Optimum(found.loglik, {**found.estimates, "phi": phi}, {**found.errors, "phi": error})


def crossed_effects() -> Optimum:
    """Two crossed groups, as one normal vector."""
    table = columns("assays.csv")
    y, plate, sample = np.array(table["y"], float), same(table["plate"]), same(table["sample"])

    def log_likelihood(p: Point) -> float:
        between = p["sd_plate"] ** 2 * plate + p["sd_sample"] ** 2 * sample
        return dense_normal(y, np.full(len(y), float(p["mu"])), between + p["sigma"] ** 2 * np.eye(len(y)))

    blocks = scalars({"mu": REAL, "sd_plate": POSITIVE, "sd_sample": POSITIVE, "sigma": POSITIVE})
    return maximise(log_likelihood, blocks, [{"mu": 20, "sd_plate": 0.9, "sd_sample": 1.8, "sigma": 0.6}])


def nested_effects() -> Optimum:
    """Classes in schools, as one normal vector; a class is told apart within its school."""
    table = columns("class_scores.csv")
    y, x = np.array(table["score"], float), np.array(table["x"], float)
    school = same(table["school"])
    group = school * same(table["class"])

    def log_likelihood(p: Point) -> float:
        between = p["sd_school"] ** 2 * school + p["sd_class"] ** 2 * group
        return dense_normal(y, p["mu"] + p["b"] * x, between + p["sigma"] ** 2 * np.eye(len(y)))

    blocks = scalars({"mu": REAL, "b": REAL, "sd_school": POSITIVE, "sd_class": POSITIVE, "sigma": POSITIVE})
    start = {"mu": 50, "b": 1.5, "sd_school": 4, "sd_class": 2, "sigma": 3}
    return maximise(log_likelihood, blocks, [start])


def meta_analysis() -> Optimum:
    """Effects and known errors: the variances add."""
    estimate, error = numbers("studies.csv", "estimate", "error")

    def log_likelihood(p: Point) -> float:
        return float(log_normal(estimate, p["mu"], np.sqrt(p["tau"] ** 2 + error**2)).sum())

    return maximise(log_likelihood, scalars({"mu": REAL, "tau": POSITIVE}), [{"mu": 0.4, "tau": 0.3}])


def bivariate_meta_analysis() -> Optimum:
    """Two effects and known errors: the covariances add, in what a trial reports."""
    pain, mobility, first, second, rho = (
        _with_gaps("trials.csv", name)
        for name in ("estimate_pain", "estimate_mobility", "error_pain", "error_mobility", "rho")
    )
    y = np.stack([pain, mobility], axis=1)
    within = [np.array([[a * a, r * a * b], [r * a * b, b * b]]) for a, b, r in zip(first, second, rho, strict=True)]

    def log_likelihood(p: Point) -> float:
        spread = np.diag([p["pain"], p["mobility"]])
        between = spread @ np.array([[1.0, p["correlation"]], [p["correlation"], 1.0]]) @ spread
        total = 0.0
        for row, law in zip(y, within, strict=True):
            seen = ~np.isnan(row)
            total += dense_normal(row[seen], p["mu"][seen], (between + law)[np.ix_(seen, seen)])
        return total

    outcomes = ("pain", "mobility")
    blocks = [Block("mu", "real", (outcomes,)), *scalars(dict.fromkeys(outcomes, POSITIVE) | {"correlation": "unit"})]
    start = {"mu": [-0.4, 0.25], "pain": 0.3, "mobility": 0.25, "correlation": 0.6}
    reference = maximise(log_likelihood, blocks, [start])
    for name in outcomes:  # the model has them as variances
        deviation, error = reference.estimates.pop(name), reference.errors.pop(name)
        reference.estimates.setdefault("Tau", {})[name] = {name: deviation**2}
        reference.errors.setdefault("Tau", {})[name] = {name: 2 * deviation * error}
    del reference.estimates["correlation"], reference.errors["correlation"]  # a report
    return reference


def errors_in_variables() -> Optimum:
    """Two readings and an outcome are one normal vector for each person."""
    seen = np.array(numbers("exposures.csv", "first_reading", "second_reading", "outcome")).T

    def log_likelihood(p: Point) -> float:
        load = np.array([1.0, 1.0, float(p["b1"])])
        mean = load * p["mean"] + np.array([0, 0, float(p["b0"])])
        noise = np.diag([float(p["error"]) ** 2] * 2 + [float(p["sigma"]) ** 2])
        covariance = p["spread"] ** 2 * np.outer(load, load) + noise
        return sum(dense_normal(row, mean, covariance) for row in seen)

    blocks = scalars({"mean": REAL, "spread": POSITIVE, "error": POSITIVE, "b0": REAL, "b1": REAL, "sigma": POSITIVE})
    start = {"mean": 2, "spread": 1, "error": 0.5, "b0": 1, "b1": 0.8, "sigma": 0.4}
    return maximise(log_likelihood, blocks, [start])


def growth_curve() -> Optimum:
    """Level and growth of a child, the growth on the level."""
    table = columns("statures.csv")
    y, t = np.array(table["height"], float), np.array(table["t"], float)
    children = [np.flatnonzero(np.array(table["child"]) == name) for name in sorted(set(table["child"]))]

    def log_likelihood(p: Point) -> float:
        load = np.array([[float(p["sd_level"]), 0.0], [float(p["slope"] * p["sd_level"]), float(p["sd_growth"])]])
        total = 0.0
        for rows in children:
            design = np.stack([np.ones(len(rows)), t[rows]], axis=1) @ load
            covariance = design @ design.T + p["sigma"] ** 2 * np.eye(len(rows))
            total += dense_normal(y[rows], p["b0"] + p["b1"] * t[rows], covariance)
        return total

    blocks = scalars(
        {"b0": REAL, "b1": REAL, "sd_level": POSITIVE, "sd_growth": POSITIVE, "slope": REAL, "sigma": POSITIVE}
    )
    start = {"b0": 5, "b1": 1, "sd_level": 1, "sd_growth": 0.4, "slope": 0.3, "sigma": 0.5}
    return maximise(log_likelihood, blocks, [start])


def mixture_of_factor_analysers() -> Optimum:
    """Each group has a normal law whose covariance is one factor and noise."""
    names = ("y1", "y2", "y3", "y4")
    y = np.array(numbers("profiles.csv", *names)).T

    def log_likelihood(p: Point) -> float:
        groups = []
        for k in range(2):
            covariance = np.outer(p["load"][k], p["load"][k]) + np.diag(p["psi"] ** 2)
            z = np.linalg.solve(np.linalg.cholesky(covariance), (y - p["mu"][k]).T)
            logdet = np.linalg.slogdet(covariance)[1]
            groups.append(np.log(p["share"][k]) - 0.5 * ((z**2).sum(axis=0) + logdet + 4 * np.log(2 * np.pi)))
        return float(logsumexp(groups, axis=0).sum())

    two = ("1", "2")
    blocks = (
        Block("share", "simplex", (two,)), Block("mu", REAL, (two, names)), Block("load", REAL, (two, names)),
        Block("psi", POSITIVE, (names,)),
    )  # fmt: skip
    start = {
        "share": [0.35, 0.65], "mu": [[0, 0, 0, 0], [3, 2, -2, 1]], "load": [[1, 0.8, 0.5, 0.2], [0.3, -1, 0.9, 0.7]],
        "psi": [0.6] * 4,
    }  # fmt: skip
    return maximise(log_likelihood, blocks, [start])


def gamma_poisson() -> Optimum:
    """Negative binomial counts with exposure."""
    hours, y = numbers("pumps.csv", "hours", "failures")

    def log_likelihood(p: Point) -> float:
        a, b = p["shape"], p["rate"]
        own = (
            gammaln(a + y) - gammaln(a) - gammaln(y + 1) + a * np.log(b / (b + hours)) + y * np.log(hours / (b + hours))
        )
        return float(own.sum())

    return maximise(log_likelihood, scalars({"shape": POSITIVE, "rate": POSITIVE}), [{"shape": 1.5, "rate": 2.0}])


def beta_binomial() -> Optimum:
    """Counts whose chance is Beta."""
    size, y = numbers("litters.csv", "size", "affected")

    def log_likelihood(p: Point) -> float:
        ways = gammaln(size + 1) - gammaln(y + 1) - gammaln(size - y + 1)
        return float((ways + betaln(p["a"] + y, p["b"] + size - y) - betaln(p["a"], p["b"])).sum())

    return maximise(log_likelihood, scalars({"a": POSITIVE, "b": POSITIVE}), [{"a": 2.0, "b": 5.0}])


def frailty() -> Optimum:
    """Weibull times whose cumulative hazards share a Gamma factor with mean 1 (Clayton 1978)."""
    table = columns("recurrences.csv")
    time, treated = np.array(table["time"], float), np.array(table["treated"], float)
    patient = np.unique(table["patient"], return_inverse=True)[1]
    events = np.bincount(patient)

    def log_likelihood(p: Point) -> float:
        k, v = p["k"], p["v"]
        hazard = np.log(k) + (k - 1) * np.log(time) - k * np.log(p["scale"]) + p["b"] * treated
        total = np.bincount(patient, (time / p["scale"]) ** k * np.exp(p["b"] * treated))
        shared = gammaln(v + events) - gammaln(v) + v * np.log(v) - (v + events) * np.log(v + total)
        return float(hazard.sum() + shared.sum())

    blocks = scalars({"k": POSITIVE, "scale": POSITIVE, "b": REAL, "v": POSITIVE})
    return maximise(log_likelihood, blocks, [{"k": 1.5, "scale": 10.0, "b": -0.7, "v": 2.0}])


# --- by a fixed rule of many nodes ------------------------------------------------------------------------------------


def standard_normal(count: int) -> tuple[Array, Array]:
    """Nodes and log-weights for means over a standard normal."""
    nodes, weights = roots_hermitenorm(count)
    return nodes, np.log(weights) - 0.5 * np.log(2 * np.pi)


def poisson_lognormal() -> Optimum:
    """Poisson counts with a Normal log rate."""
    x, y = numbers("catches.csv", "x", "y")
    nodes, logs = standard_normal(160)

    def log_likelihood(p: Point) -> float:
        eta = (p["a"] + p["b"] * x)[:, None] + p["sigma"] * nodes
        own = y[:, None] * eta - np.exp(eta) - gammaln(y + 1)[:, None]
        return float(logsumexp(own + logs, axis=1).sum())

    blocks = scalars({"a": REAL, "b": REAL, "sigma": POSITIVE})
    return maximise(log_likelihood, blocks, [{"a": 0.5, "b": 0.6, "sigma": 0.7}])


def two_parameter_logistic() -> Optimum:
    """Right and wrong answers of persons with a Normal ability; persons with the same answers are counted."""
    names = ("q1", "q2", "q3", "q4", "q5")
    patterns, counts = np.unique(np.array(numbers("answers.csv", *names)).T, axis=0, return_counts=True)
    nodes, logs = standard_normal(81)

    def log_likelihood(p: Point) -> float:
        eta = p["a"][:, None] * nodes - p["b"][:, None]
        own = patterns @ log_expit(eta) + (1 - patterns) @ log_expit(-eta)
        return float(counts @ logsumexp(own + logs, axis=1))

    blocks = (Block("a", REAL, (names,)), Block("b", REAL, (names,)))
    return maximise(log_likelihood, blocks, [{"a": [1.0] * 5, "b": [0.0] * 5}])


def graded_response() -> Optimum:
    """Grades of persons with a Normal attitude. The cuts increase."""
    names = ("q1", "q2", "q3", "q4")
    patterns, counts = np.unique(np.array(numbers("attitudes.csv", *names), int).T - 1, axis=0, return_counts=True)
    nodes, logs = standard_normal(101)

    def log_likelihood(p: Point) -> float:
        if (np.diff(p["c"], axis=1) <= 0).any():
            return -np.inf
        own = np.zeros((len(patterns), len(nodes)))
        ends = np.full((1, len(nodes)), np.inf)
        for item in range(4):
            inner = p["a"][item] * nodes[None] - p["c"][item][:, None]  # (cuts, nodes)
            low, high = np.concatenate([ends, inner]), np.concatenate([inner, -ends])
            # log(expit(low) - expit(high)), without the difference
            levels = log_expit(low) + log_expit(-high) + np.log1p(-np.exp(high - low))
            own += levels[patterns[:, item]]
        return float(counts @ logsumexp(own + logs, axis=1))

    blocks = (Block("a", REAL, (names,)), Block("c", REAL, (names, ("1", "2", "3"))))
    start = {"a": [1.5, 1.0, 0.8, 2.0], "c": [[-1, 0, 1], [-0.5, 0.5, 1.5], [-2, -1, 0.5], [-1, 0.5, 2]]}
    return maximise(log_likelihood, blocks, [start])


def orange_trees() -> Optimum:
    """The circumferences of a tree as one normal vector: its asymptote stands in the mean as a factor."""
    tree = columns("orange_trees.csv")["tree"]
    age, y = numbers("orange_trees.csv", "age", "circumference")

    def log_likelihood(p: Point) -> float:
        share = 1 / (1 + np.exp(-p["shift"] - p["speed"] * age))
        covariance = p["spread"] ** 2 * same(tree) * np.outer(share, share) + p["sigma"] ** 2 * np.eye(len(y))
        return dense_normal(y, p["asymptote"] * share, covariance)

    domains = {"asymptote": POSITIVE, "shift": REAL, "speed": POSITIVE, "spread": POSITIVE, "sigma": POSITIVE}
    start = {"asymptote": 190, "shift": -2, "speed": 0.003, "spread": 30, "sigma": 8}
    return maximise(log_likelihood, scalars(domains), [start])


def _with_gaps(file: str, name: str) -> Array:
    """A column, NaN where a cell is empty."""
    return np.array([float(cell) if cell not in ("", "NA") else np.nan for cell in columns(file)[name]])


def presidents() -> Optimum:
    """A stationary autoregression: one normal vector, of which the quarters without a poll are left out."""
    approval = _with_gaps("presidents.csv", "approval")
    seen = ~np.isnan(approval)
    apart = np.abs(np.subtract.outer(np.arange(len(approval)), np.arange(len(approval))))[np.ix_(seen, seen)]

    def log_likelihood(p: Point) -> float:
        covariance = p["s"] ** 2 / (1 - p["phi"] ** 2) * p["phi"] ** apart
        return dense_normal(approval[seen], np.full(seen.sum(), p["m"]), covariance)

    return maximise(
        log_likelihood, scalars({"m": REAL, "phi": "unit", "s": POSITIVE}), [{"m": 56, "phi": 0.8, "s": 9}]
    )  # fmt: skip


def ozone_regression() -> Optimum:
    """Sun and log ozone given wind and temperature: jointly normal, day by day what is there of the two."""
    ozone, sun, wind, warmth = (
        _with_gaps("airquality.csv", name) for name in ("logOzone", "SolarR", "Wind", "Temp")
    )  # fmt: skip

    def log_likelihood(p: Point) -> float:
        first = p["a0"] + p["a1"] * wind + p["a2"] * warmth
        second = p["b0"] + p["sun"] * first + p["wind"] * wind + p["warmth"] * warmth
        spread = np.hypot(p["sun"] * p["tau"], p["sigma"])
        given = p["b0"] + p["sun"] * sun + p["wind"] * wind + p["warmth"] * warmth
        law_of_sun = np.where(np.isnan(sun), 0.0, log_normal(sun, first, p["tau"]))
        law_of_ozone = np.where(
            np.isnan(sun), log_normal(ozone, second, spread), log_normal(ozone, given, p["sigma"])
        )  # fmt: skip
        return float(law_of_sun.sum() + np.nansum(law_of_ozone))

    domains = dict.fromkeys(("a0", "a1", "a2", "b0", "sun", "wind", "warmth"), REAL)
    start = {
        "a0": -80, "a1": 2.5, "a2": 3.1, "tau": 86, "b0": -0.4, "sun": 0.0026, "wind": -0.056, "warmth": 0.05,
        "sigma": 0.5,
    }  # fmt: skip
    return maximise(log_likelihood, scalars({**domains, "tau": POSITIVE, "sigma": POSITIVE}), [start])


HIDDEN_NUMBERS: dict[str, Callable[[], Optimum]] = {
    function.__name__: function
    for function in (
        local_level, local_trend, dynamic_factor, crossed_effects, nested_effects, meta_analysis,
        bivariate_meta_analysis, errors_in_variables, growth_curve, mixture_of_factor_analysers, gamma_poisson,
        beta_binomial, frailty, poisson_lognormal, two_parameter_logistic, graded_response, orange_trees, presidents,
        ozone_regression,
    )
}  # fmt: skip
