"""Models of censored, grouped and truncated data: against published cases, and maxima that SciPy finds."""

from __future__ import annotations

import csv
import json
from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

import emdsl
from tests.models.cases import CASES, ROOT
from tests.models.comparison import disagreements
from tests.models.cut_likelihoods import CUT, counted, survival_table, weibull_mixture
from tests.models.direct_maximisation import Block, Optimum, Point, maximise
from tests.models.test_shipped_models import fit, named_data, needs_cases


@pytest.mark.parametrize("name", CUT)
def test_fit_agrees_with_direct_maximisation(name: str) -> None:
    model = ROOT / "models" / f"{name}.emm"
    assert disagreements(fit(model, named_data(model)), CUT[name]()) == []


def expected(case: str) -> Any:
    return json.loads((CASES / case / "expected.json").read_text(encoding="utf-8"))


def test_remission_is_the_published_case() -> None:
    needs_cases()
    case = expected("censored_gehan")
    reading = {"6-MP": "rate_6MP", "control": "rate_control"}
    estimates, errors = (
        {"rate": {label: case[kind][key] for label, key in reading.items()}} for kind in ("estimates", "se")
    )
    model = ROOT / "models" / "remission.emm"
    result = fit(model, CASES / "censored_gehan" / "data.csv", map={"event": "cens"})
    assert disagreements(result, Optimum(case["loglik"], estimates, errors)) == []


LEFT_AND_RIGHT = """
index feature = columns(age, yearsmarried, religiousness, occupation, rating)
param b0 : real
param b[feature] : real
param sigma : positive
for each person:
    input    x[feature] : real
    observed affairs ~ Normal(b0 + dot(b, x), sigma) censored below unless affairs > 0 censored above unless affairs < 4
"""


@pytest.mark.parametrize("variant", [None, "left0_right4"])
def test_tobit_is_the_published_case(variant: str | None) -> None:
    needs_cases()
    case = expected("tobit_affairs")
    table = CASES / "tobit_affairs" / "data.csv"
    if variant is None:
        result = fit(ROOT / "models" / "tobit.emm", table)
    else:
        case = case["variants"][variant]
        with table.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        columns = {name: [float(row[name]) for row in rows] for name in rows[0]}
        columns["affairs"] = [min(value, 4.0) for value in columns["affairs"]]
        result = json.loads(json.dumps(emdsl.loads(LEFT_AND_RIGHT).fit(columns).to_dict()))

    def read(values: Any) -> dict[str, Any]:
        beta = dict(values["beta"])
        return {"b0": beta.pop("(Intercept)"), "b": beta, "sigma": values["sigma"]}

    assert disagreements(result, Optimum(case["loglik"], read(case["estimates"]), read(case["se"]))) == []


# --- models that do not ship ------------------------------------------------------------------------------------------


def fitted(text: str, columns: dict[str, Any], **options: Any) -> dict[str, Any]:
    """The JSON of a fit; NaN is an empty cell."""
    result: dict[str, Any] = json.loads(json.dumps(emdsl.loads(text).fit(columns, **options).to_dict()))
    return result


def test_mixture_of_censored_weibulls() -> None:
    table = survival_table()
    text = """
    index part = 1..2
    param share : simplex[part]
    param shape[part] : positive
    param scale[part] : positive
    for each row:
        latent z ~ Categorical(share)
        observed time ~ Weibull(shape[z], scale[z]) censored above unless event
    order part by scale
    """
    result = fitted(_text(text), table)
    assert disagreements(result, weibull_mixture(table)) == []


def test_grouped_gamma_with_both_parameters_unknown() -> None:
    rng = np.random.default_rng(4)
    x = rng.gamma(2.3, 1 / 0.4, 300)
    low, high = np.floor(x / 2) * 2, np.floor(x / 2) * 2 + 2
    low[::10], high[5::10] = np.nan, np.nan
    text = """
    param shape : positive
    param rate : positive
    for each row:
        observed x between low and high ~ Gamma(shape, rate)
    """

    def log_likelihood(p: Point) -> float:
        law = stats.gamma(p["shape"], scale=1 / p["rate"])
        below = np.where(np.isnan(high), 1.0, law.cdf(np.nan_to_num(high)))
        return float(np.log(below - np.where(np.isnan(low), 0.0, law.cdf(np.nan_to_num(low)))).sum())

    reference = maximise(log_likelihood, (Block("shape", "positive"), Block("rate", "positive")),
                         [{"shape": 2.0, "rate": 0.5}])  # fmt: skip
    assert disagreements(fitted(_text(text), {"low": low, "high": high}), reference) == []


def test_truncated_normal_with_delayed_entry() -> None:
    rng = np.random.default_rng(5)
    x, entry = rng.normal(3, 2, 2000), rng.uniform(-1, 4, 2000)
    kept = (x > entry) & (x < 6.5)
    table = {"x": x[kept], "entry": entry[kept]}
    text = """
    param mu : real
    param sigma : positive
    for each row:
        input entry : real
        observed x ~ Normal(mu, sigma) truncated to (entry, 6.5)
    """

    def log_likelihood(p: Point) -> float:
        law = stats.norm(p["mu"], p["sigma"])
        return float((law.logpdf(table["x"]) - np.log(law.cdf(6.5) - law.cdf(table["entry"]))).sum())

    reference = maximise(log_likelihood, (Block("mu", "real"), Block("sigma", "positive")), [{"mu": 3.0, "sigma": 2.0}])
    assert disagreements(fitted(_text(text), table), reference) == []


def test_grouped_negative_binomial() -> None:
    rng = np.random.default_rng(6)
    x = rng.poisson(rng.gamma(1.6, 4 / 1.6, 800)).astype(float)
    low = np.select([x == 0, x <= 2, x <= 5, x <= 10], [0, 1, 3, 6], 11).astype(float)
    high = np.select([x == 0, x <= 2, x <= 5, x <= 10], [0, 2, 5, 10], np.inf)
    text = """
    param mean : positive
    param size : positive
    for each row:
        observed x between low and high ~ NegativeBinomial(mean, size)
    """

    def log_likelihood(p: Point) -> float:
        law = stats.nbinom(p["size"], p["size"] / (p["size"] + p["mean"]))
        return float(counted(law, {"low": low, "high": high}).sum())

    reference = maximise(log_likelihood, (Block("mean", "positive"), Block("size", "positive")),
                         [{"mean": 4.0, "size": 1.5}])  # fmt: skip
    table = {"low": low, "high": np.where(np.isinf(high), np.nan, high)}
    assert disagreements(fitted(_text(text), table), reference) == []


def test_censored_normal_with_a_random_intercept() -> None:
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(25), 6)
    value = 1 + rng.normal(0, 1, 25)[group] + rng.normal(0, 1, 150)
    y, event = np.minimum(value, 2.0), (value <= 2) * 1.0
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    log_weights = np.log(weights) - np.log(2 * np.pi) / 2
    text = """
    param m : real
    param tau : positive
    param s : positive
    for each g:
        latent u ~ Normal(0, tau)
        for each r:
            observed y ~ Normal(m + u, s) censored above unless event
    """

    def log_likelihood(p: Point) -> float:
        law = stats.norm((p["m"] + p["tau"] * nodes)[:, None], p["s"])
        rows = np.where(event == 1, law.logpdf(y), law.logsf(y)).reshape(80, 25, 6).sum(axis=2)
        return float(logsumexp(rows + log_weights[:, None], axis=0).sum())

    blocks = (Block("m", "real"), Block("tau", "positive"), Block("s", "positive"))
    reference = maximise(log_likelihood, blocks, [{"m": 1.2, "tau": 1.1, "s": 1.0}])
    assert disagreements(fitted(_text(text), {"g": group, "y": y, "event": event}), reference) == []


def test_truncation_under_a_continuous_latent_variable_says_so() -> None:
    text = """
    param tau : positive
    for each g:
        latent u ~ Normal(0, tau)
        for each r:
            observed y ~ Normal(u, 1) truncated to (0, inf)
    """
    warnings = emdsl.loads(_text(text)).compiled.model.warnings
    assert any("truncated at each value of u" in warning for warning in warnings)


def test_own_family_with_a_distribution_function() -> None:
    table = survival_table()
    text = """
    family Rayleigh(scale : positive) for x : positive:
        logpdf = log(x) - 2*log(scale) - x^2/(2*scale^2)
        cdf = 1 - exp(-x^2/(2*scale^2))
    param s : positive
    for each row:
        observed time ~ Rayleigh(s) censored above unless event
    """
    found = fitted(_text(text), table)
    s = float(np.sqrt((table["time"] ** 2).sum() / (2 * table["event"].sum())))
    assert found["params"]["s"] == pytest.approx(s, rel=1e-8)


def test_a_censored_exponential_closes() -> None:
    text = "param r : positive\nfor each row:\n    observed t ~ Exponential(r) censored above unless event\n"
    assert "r [closed form]" in str(emdsl.loads(text).derive())


def _text(indented: str) -> str:
    from textwrap import dedent

    return dedent(indented)
