"""Hidden numbers whose variance is 0, or next to nothing: evidence and score against dense normal algebra, and maxima
at the boundary against those of the model without the number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scipy import optimize, stats

from tests.laws.bound_models import ROOT, Array, Taken, take
from tests.laws.tables import Columns

Theta = Mapping[str, Array]
RNG = np.random.default_rng(5)
SLOPES = """\
index effect = {level, slope}
param b[effect] : real
param T : covariance[effect]
param sigma : positive
for each g:
    latent r[effect] ~ MVNormal(LAW, T)
    for each row:
        input    x : real
        observed y ~ Normal(MEAN, sigma)
"""


def _groups(units: int, rows: int, offset: float = 0.0) -> Columns:
    g = [f"g{k // rows}" for k in range(units * rows)]
    x = [float(k % rows) for k in range(units * rows)]
    y = [offset + round(float(v), 3) for v in RNG.normal(0, 1, units * rows)]
    return {"g": g, "x": x, "y": y}


def _chain(steps: int, drift: float = 0.0) -> Columns:
    noise = RNG.normal(0, 1, steps + 1)
    y = [3 + drift * k + round(float(noise[k + 1] - 0.6 * noise[k]), 3) for k in range(steps)]
    return {"t": list(range(steps)), "y": y}


def _dense(y: Any, mean: Any, covariance: Any) -> float:
    return float(stats.multivariate_normal.logpdf(y, mean, covariance))


def _intercepts(p: Theta, table: Columns) -> float:
    y, g = np.array(table["y"], dtype=float), np.array(table["g"])
    same = (g[:, None] == g).astype(float)
    return _dense(y, np.full(len(y), float(p["mu"])), p["tau"] ** 2 * same + p["sigma"] ** 2 * np.eye(len(y)))


def _lines(p: Theta, table: Columns) -> float:
    y, x, g = (np.array(table[name]) for name in ("y", "x", "g"))
    design = np.stack([np.ones(len(x)), x], axis=1)
    covariance = design @ p["T"] @ design.T * (g[:, None] == g) + p["sigma"] ** 2 * np.eye(len(y))
    return _dense(y, design @ p["b"], covariance)


def _tied(p: Theta, table: Columns) -> float:
    """`a ~ Normal(mu, s)`, `b ~ Normal(k*a, t)`, each looked at by the rows of its own kind."""
    y, x, g = (np.array(table[name]) for name in ("y", "x", "g"))
    first = x % 2 == 0
    load = np.where(first, 1.0, p["k"])
    covariance = np.outer(load, load) * p["s"] ** 2 + np.outer(~first, ~first) * p["t"] ** 2
    return _dense(y, load * p["mu"], covariance * (g[:, None] == g) + p["sigma"] ** 2 * np.eye(len(y)))


def _walk(p: Theta, table: Columns) -> float:
    """A level from Normal(0, 10) with drift d and steps of sd q."""
    y = np.array(table["y"], dtype=float)
    n = len(y)
    steps = np.tril(np.ones((n, n)))[:, 1:]
    covariance = 100.0 + p["q"] ** 2 * steps @ steps.T + p["r"] ** 2 * np.eye(n)
    return _dense(y, float(p["d"]) * np.arange(n), covariance)


def _trend(p: Theta, table: Columns) -> float:
    y = np.array(table["y"], dtype=float)
    n = len(y)
    moves = np.eye(2) + np.array([[0.0, 1.0], [0.0, 0.0]])  # level, slope
    state, found = np.diag([100.0, 100.0]), np.zeros((n, n))
    states = []
    for _ in range(n):
        states.append(state)
        state = moves @ state @ moves.T + np.diag([p["q"] ** 2, p["s"] ** 2])
    for i in range(n):
        for j in range(i, n):
            found[i, j] = found[j, i] = (np.linalg.matrix_power(moves, j - i) @ states[i])[0, 0]
    return _dense(y, np.zeros(n), found + p["r"] ** 2 * np.eye(n))


@dataclass(frozen=True)
class Case:
    """A model, its table and log-likelihood, parameters, and those that go to 0."""

    name: str
    text: str
    table: Columns
    loglik: Callable[[Theta, Columns], float]
    theta: dict[str, Any]
    small: tuple[str, ...]


def _intercept(law: str, mean: str) -> str:
    return f"""\
param mu : real
param tau : positive
param sigma : positive
for each g:
    latent u ~ {law}
    for each row:
        observed y ~ Normal({mean}, sigma)
"""


FAR = _groups(4, 3, offset=1000.0)
FLAT = _groups(5, 4)
SINGULAR = np.array([[0.5, 0.3], [0.3, 0.18]])
LINE = {"b": np.array([0.2, 0.1]), "T": SINGULAR, "sigma": 0.9}
CASES = (
    Case("sum", _intercept("Normal(0, tau)", "mu + u"), FAR, _intercepts, {"mu": 1000.0, "sigma": 0.8}, ("tau",)),
    Case("centred", _intercept("Normal(mu, tau)", "u"), FAR, _intercepts, {"mu": 1000.0, "sigma": 0.8}, ("tau",)),
    Case(
        "tied", """\
param mu : real
param k : real
param s : positive
param t : positive
param sigma : positive
for each g:
    latent a ~ Normal(mu, s)
    latent b ~ Normal(k*a, t)
    for each row:
        input    x : real
        observed y ~ Normal(where(x == 0 or x == 2, a, b), sigma)
""", FLAT, _tied, {"mu": 0.7, "k": 1.3, "sigma": 0.8}, ("s", "t"),
    ),
    Case("slopes", SLOPES.replace("LAW", "0").replace("MEAN", "b[level] + r[level] + (b[slope] + r[slope])*x"),
         FLAT, _lines, LINE, ()),
    Case("centred slopes", SLOPES.replace("LAW", "b").replace("MEAN", "r[level] + r[slope]*x"),
         FLAT, _lines, LINE, ()),
    Case(
        "walk", """\
param d : real
param q : positive
param r : positive
for each t in sequence by t:
    latent   level ~ Normal(0, 10) first, Normal(prev(level) + d, q) after
    observed y ~ Normal(level, r)
""", _chain(12, 0.5), _walk, {"d": 0.4, "r": 1.1}, ("q",),
    ),
    Case(
        "trend", """\
param s : positive
param q : positive
param r : positive
for each t in sequence by t:
    latent   slope ~ Normal(0, 10) first, Normal(prev(slope), s) after
    latent   level ~ Normal(0, 10) first, Normal(prev(level) + prev(slope), q) after
    observed y ~ Normal(level, r)
""", _chain(12, 0.5), _trend, {"r": 1.1}, ("s", "q"),
    ),
)  # fmt: skip
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def _at(case: Case, small: float) -> dict[str, Array]:
    values = {**case.theta, **dict.fromkeys(case.small, small)}
    return {name: np.asarray(value, dtype=float) for name, value in values.items()}


def _taken(case: Case) -> Taken:
    return take(case.text, case.table)


@each_case
def test_evidence_at_nothing_and_next_to_it(case: Case) -> None:
    problem = _taken(case).problem
    for small in (0.0, 1e-9, 1e-4, 1e-2, 0.5):
        theta = _at(case, small)
        assert problem.expect(theta).loglik == pytest.approx(case.loglik(theta, case.table), rel=1e-10), small


def _slope(along: Callable[[float], float]) -> float:
    """By differences of fourth order."""
    step = 1e-3
    near, far = along(step) - along(-step), along(2 * step) - along(-2 * step)
    return (8 * near - far) / (12 * step)


@each_case
def test_the_score_of_all_others_at_nothing(case: Case) -> None:
    """Against differences of the dense log-likelihood, whose rounding is what is left between them."""
    problem = _taken(case).problem
    for small in (0.0, 1e-8, 1e-3):
        theta = _at(case, small)
        gradient = problem.gradient(theta, problem.expect(theta).statistics)
        for name in set(theta) - set(case.small) - {"T"}:
            for place in np.ndindex(theta[name].shape):
                unit = np.zeros(theta[name].shape)
                unit[place] = 1.0

                def along(step: float, name: str = name, unit: Array = unit, theta: Theta = theta) -> float:
                    return case.loglik({**theta, name: theta[name] + step * unit}, case.table)

                assert gradient[name][place] == pytest.approx(_slope(along), rel=1e-7, abs=1e-6), (small, name)


def test_the_score_in_a_singular_covariance() -> None:
    """Along changes of its root: `dT = dL L' + L dL'`."""
    for case in CASES[3:5]:
        problem, theta = _taken(case).problem, _at(case, 0.0)
        slope = problem.gradient(theta, problem.expect(theta).statistics)["T"]
        root = np.array([np.sqrt(SINGULAR[0, 0]), SINGULAR[1, 0] / np.sqrt(SINGULAR[0, 0])])
        for k in range(2):
            unit = np.eye(2)[k]

            def along(step: float, case: Case = case, unit: Array = unit, root: Array = root) -> float:
                moved = root + step * unit
                return case.loglik({**case.theta, "T": np.outer(moved, moved)}, case.table)

            promised = float((slope * (np.outer(unit, root) + np.outer(root, unit))).sum())
            assert promised == pytest.approx(_slope(along), rel=1e-7, abs=1e-6)


# --- maxima -----------------------------------------------------------------------------------------------------------

DYESTUFF2 = ROOT.parent / "shared" / "cases" / "lmm_dyestuff" / "data_dyestuff2.csv"


def _fit(text: str, table: Any, starts: int = 1) -> Any:
    import emdsl

    return emdsl.loads("model M\n" + text).fit(table, starts=starts)


def _boundary(fit: Any) -> tuple[str, ...]:
    return tuple(fit.to_dict()["boundary"])


def _restricted(y: Array) -> tuple[float, float]:
    """Mean and standard deviation of independent normal numbers."""
    return float(y.mean()), float(y.std())


@pytest.mark.skipif(not DYESTUFF2.exists(), reason="the cases are not beside this checkout")
@pytest.mark.parametrize("writing", [("Normal(0, tau)", "mu + u"), ("Normal(mu, tau)", "u")], ids=["sum", "centred"])
def test_dyestuff_without_differences_between_batches(writing: tuple[str, str]) -> None:
    text = _intercept(*writing).replace("each g", "each Batch").replace(" y ", " Yield ")
    fit = _fit(text, DYESTUFF2)
    y = np.loadtxt(DYESTUFF2, delimiter=",", skiprows=1, usecols=1)
    mean, sd = _restricted(y)
    assert fit.params["tau"] == 0.0 and _boundary(fit) == ("tau",) and fit.converged
    assert fit.loglik == pytest.approx(stats.norm.logpdf(y, mean, sd).sum(), abs=1e-6)
    assert (fit.params["mu"], fit.params["sigma"]) == pytest.approx((mean, sd), rel=1e-7)
    n = len(y)
    assert (fit.se["mu"], fit.se["sigma"]) == pytest.approx((sd / np.sqrt(n), sd / np.sqrt(2 * n)), rel=1e-4)
    assert fit.se["tau"] is None and fit.iterations < 200


@pytest.mark.parametrize("case", [CASES[5], CASES[6]], ids=["walk", "trend"])
def test_chains_that_do_not_wander(case: Case) -> None:
    """Against the same likelihood maximised with the steps held at 0."""
    table = _chain(30, 0.5)
    fit = _fit(case.text, table)
    names = list(case.theta)
    logs = np.array([name == "r" for name in names])

    def minus(u: Array) -> float:
        values = np.where(logs, np.exp(u), u)
        theta = {**dict(zip(names, values, strict=True)), **dict.fromkeys(case.small, 0.0)}
        return -case.loglik({k: np.asarray(v) for k, v in theta.items()}, table)

    best = optimize.minimize(minus, np.zeros(len(names)), method="BFGS", options={"gtol": 1e-7})
    for name in case.small:
        assert fit.params[name] == 0.0 and name in _boundary(fit)
    assert fit.converged and fit.loglik == pytest.approx(-best.fun, abs=1e-6)
    errors = _errors(minus, best.x) * np.where(logs, np.exp(best.x), 1.0)
    for name, value, error in zip(names, np.where(logs, np.exp(best.x), best.x), errors, strict=True):
        assert fit.params[name] == pytest.approx(value, rel=1e-4)
        assert fit.se[name] == pytest.approx(error, rel=1e-2)


@pytest.mark.parametrize("case", CASES[3:5], ids=lambda case: case.name)
def test_lines_whose_intercepts_and_slopes_go_together(case: Case) -> None:
    """A correlation of 1 at the maximum: against the same likelihood in the root of a covariance of rank 1."""
    rng = np.random.default_rng(11)
    table = _groups(12, 5)
    shift = np.repeat(rng.normal(0, 1.5, 12), 5)
    y = np.array(table["y"]) + shift * (1 + 0.2 * np.array(table["x"]))
    table = {**table, "y": y.tolist()}
    fit = _fit(case.text, table)

    def minus(u: Array) -> float:
        theta = {"b": u[:2], "T": np.outer(u[2:4], u[2:4]), "sigma": np.exp(u[4])}
        return -_lines(theta, table)

    best = optimize.minimize(minus, np.array([0, 0, 1.0, 0.3, 0.0]), method="BFGS", options={"gtol": 1e-6})
    assert fit.converged and _boundary(fit) == ("T.slope.slope",)
    assert fit.loglik == pytest.approx(-best.fun, abs=1e-6)
    covariance = np.array([[fit.params["T"][i][j] for j in ("level", "slope")] for i in ("level", "slope")])
    np.testing.assert_allclose(covariance, np.outer(best.x[2:4], best.x[2:4]), rtol=1e-3)
    errors = _errors(minus, best.x)
    assert fit.se["b"]["level"] == pytest.approx(errors[0], rel=1e-2)
    assert fit.se["b"]["slope"] == pytest.approx(errors[1], rel=1e-2)
    assert fit.se["sigma"] == pytest.approx(errors[4] * np.exp(best.x[4]), rel=1e-2)


def _errors(minus: Callable[[Array], float], at: Array) -> Array:
    """Standard errors from second differences."""
    size, step = len(at), 1e-3
    unit = np.eye(size) * step
    hessian = np.empty((size, size))
    for i in range(size):
        for j in range(size):
            signs = ((1, 1), (1, -1), (-1, 1), (-1, -1))
            corners = [minus(at + a * unit[i] + b * unit[j]) * a * b for a, b in signs]
            hessian[i, j] = sum(corners) / (4 * step**2)
    return np.asarray(np.sqrt(np.diag(np.linalg.inv(hessian))))


def test_one_of_two_crossed_effects_is_nothing() -> None:
    rng = np.random.default_rng(3)
    u, noise = rng.normal(0, 1, 8), rng.normal(0, 1, (8, 6))
    noise -= noise.mean(axis=0)
    rows = [(i, j) for i in range(8) for j in range(6)]
    table = {
        "p": [f"p{i}" for i, _ in rows], "s": [f"s{j}" for _, j in rows],
        "y": [3 + float(u[i] + noise[i, j]) for i, j in rows],
    }  # fmt: skip
    fit = _fit(
        """\
index p = levels
index s = levels
param mu : real
param su : positive
param sv : positive
param sigma : positive
latent u[p] ~ Normal(0, su)
latent v[s] ~ Normal(0, sv)
for each row:
    input    p : p
    input    s : s
    observed y ~ Normal(mu + u[p] + v[s], sigma)
""",
        table,
    )
    restricted = _intercept("Normal(0, tau)", "mu + u").replace("each g", "each p")
    without = _fit(restricted, {k: table[k] for k in ("p", "y")})
    assert _boundary(fit) == ("sv",) and fit.params["sv"] < 1e-6
    assert fit.loglik == pytest.approx(without.loglik, abs=1e-6)
    for one, other in (("mu", "mu"), ("su", "tau"), ("sigma", "sigma")):
        assert fit.params[one] == pytest.approx(without.params[other], rel=1e-5)
        assert fit.se[one] == pytest.approx(without.se[other], rel=1e-2)


def test_what_a_fit_prints_can_be_read_again() -> None:
    """A standard deviation of 0 as a value to score rows with, to hold, and to start from."""
    import emdsl

    model = emdsl.loads("model M\n" + _intercept("Normal(mu, tau)", "u"))
    table = {key: FLAT[key] for key in ("g", "y")}
    posterior = model.posterior(table, {"mu": 0.3, "tau": 0.0, "sigma": 1.0})
    assert np.allclose(posterior["mean(u)"], 0.3) and not np.any(posterior["sd(u)"])
    held = model.fit(table, starts=1, fix={"tau": 0.0})
    y = np.array(table["y"])
    assert held.params["mu"] == pytest.approx(y.mean(), abs=1e-6)
    assert held.params["sigma"] == pytest.approx(y.std(), rel=1e-6)
    shifted = {**table, "y": (y + 3.0 * np.repeat(np.arange(5), 4)).tolist()}
    left = model.fit(shifted, starts=1, init={"tau": 0.0})
    tau: Any = left.params["tau"]
    assert tau > 1.0 and left.loglik == pytest.approx(model.fit(shifted, starts=1).loglik, abs=1e-6)
