"""Posterior means and standard deviations of continuous hidden variables, against dense normal laws, conjugate laws and
integrals taken by SciPy."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import beta, binom, gamma, norm, poisson

import emdsl
from emdsl.cli.main import main
from emdsl.plan.hidden_numbers import HiddenNumber
from emdsl.request import FitRequest


def numbers(text: str, data: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, HiddenNumber]:
    """The posterior of the continuous hidden variables at known parameters."""
    compiled = emdsl.loads(text).compiled
    bound = compiled.bind(data, FitRequest())
    found = compiled.posterior(bound, compiled.known_parameters(bound, values))
    return {item.name: item for item in found.numbers}


def conditional(joint: np.ndarray, mean: np.ndarray, seen: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviations of the first of jointly normal numbers given those `seen`."""
    hidden = np.setdiff1d(np.arange(len(mean)), seen)
    gain = joint[np.ix_(hidden, seen)] @ np.linalg.inv(joint[np.ix_(seen, seen)])
    covariance = joint[np.ix_(hidden, hidden)] - gain @ joint[np.ix_(seen, hidden)]
    return mean[hidden] + gain @ (x - mean[seen]), np.sqrt(np.diag(covariance))


def linear(prior: np.ndarray, design: np.ndarray, noise: np.ndarray, mean: Any, x: np.ndarray) -> Any:
    """Posterior of `h ~ N(mean, prior)` with `x ~ N(design h, diag(noise^2))`."""
    h, n = design.shape[1], len(x)
    everything = np.vstack([np.eye(h), design])
    joint = everything @ prior @ everything.T
    joint[h:, h:] += np.diag(np.broadcast_to(noise, n) ** 2)
    return conditional(joint, everything @ np.broadcast_to(mean, h), np.arange(h, h + n), x)


def by_quadrature(log_joint: Callable[[float], float], low: float, high: float) -> tuple[float, float]:
    """Mean and standard deviation of a density up to a constant."""
    grid = np.linspace(low, high, 2001)[1:-1]
    top = max(log_joint(u) for u in grid)

    def moment(f: Callable[[float], float]) -> float:
        return float(quad(lambda u: f(u) * np.exp(log_joint(u) - top), low, high, limit=400, epsabs=0, epsrel=1e-11)[0])

    total = moment(lambda u: 1.0)
    mean = moment(lambda u: u) / total
    return mean, float(np.sqrt(moment(lambda u: (u - mean) ** 2) / total))


def agrees(item: HiddenNumber, mean: Any, sd: Any, tolerance: float = 1e-9) -> None:
    assert np.allclose(item.mean.ravel(), np.ravel(mean), rtol=tolerance, atol=tolerance)
    assert np.allclose(item.sd.ravel(), np.ravel(sd), rtol=tolerance, atol=tolerance)


FACTORS = """
const Q = 2
index factor = 1..Q
index item = columns
param nu[item] : real
param load[item, factor] : real
param psi[item] : positive
for each person:
    latent   h[factor] ~ Normal(0, 1)
    observed y[item] ~ Normal(nu[item] + sum(k in factor: load[item, k]*h[k]), psi[item])
"""


def test_the_factors_of_each_person() -> None:
    rng = np.random.default_rng(1)
    y = rng.normal(size=(5, 3))
    load, nu, psi = rng.normal(size=(3, 2)), rng.normal(size=3), np.array([0.5, 1.0, 2.0])
    item = numbers(FACTORS, dict(zip("abc", y.T, strict=True)), {"nu": nu, "load": load, "psi": psi})["h"]
    assert item.elements == (("1",), ("2",))
    for unit, row in enumerate(y):
        mean, sd = linear(np.eye(2), load, psi, 0.0, row - nu)
        assert np.allclose(item.mean[:, unit], mean, atol=1e-10)
        assert np.allclose(item.sd[:, unit], sd, atol=1e-10)


LEVEL = """
param q : positive
param r : positive
for each year in sequence:
    latent   level ~ Normal(10, 3) first, Normal(prev(level), q) after
    observed flow  ~ Normal(level, r)
"""


def test_a_chain_is_smoothed_and_gaps_are_bridged() -> None:
    flow = np.array([9.0, 12.0, np.nan, 11.0, 14.0])
    item = numbers(LEVEL, {"flow": flow}, {"q": 0.7, "r": 1.5})["level"]
    steps = np.minimum.outer(np.arange(5), np.arange(5))
    seen = ~np.isnan(flow)
    agrees(item, *linear(9.0 + 0.49 * steps, np.eye(5)[seen], np.array(1.5), 10.0, flow[seen]))


CROSSED = """
index plate = levels
index sample = levels
param mu : real
param tp : positive
param ts : positive
param sigma : positive
latent u[plate] ~ Normal(0, tp)
latent v[sample] ~ Normal(0, ts)
for each row:
    input plate : plate
    input sample : sample
    observed y ~ Normal(mu + u[plate] + v[sample], sigma)
"""


def test_effects_outside_plates() -> None:
    plate, sample = np.array([0, 0, 1, 2, 2]), np.array([0, 1, 1, 0, 1])
    y = np.array([1.0, 2.0, 0.5, -1.0, 3.0])
    values = {"mu": 0.5, "tp": 1.2, "ts": 0.8, "sigma": 0.6}
    data = {"plate": [f"p{k}" for k in plate], "sample": [f"s{k}" for k in sample], "y": y}
    found = numbers(CROSSED, data, values)
    prior = np.diag([1.44] * 3 + [0.64] * 2)
    mean, sd = linear(prior, np.hstack([np.eye(3)[plate], np.eye(2)[sample]]), np.array(0.6), 0.0, y - 0.5)
    agrees(found["u"], mean[:3], sd[:3])
    agrees(found["v"], mean[3:], sd[3:])
    assert found["u"].elements == (("p0",), ("p1",), ("p2",))


def test_effects_nested_in_each_other() -> None:
    text = """
param mu : real
for each school:
    latent u ~ Normal(0, 2)
    for each cls:
        latent v ~ Normal(0, 1)
        for each pupil:
            observed y ~ Normal(mu + u + v, 0.5)
"""
    school, cls = np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 2, 2])
    y = np.array([1.0, 2.0, 0.0, 4.0, 3.0])
    found = numbers(text, {"school": school, "cls": cls, "y": y}, {"mu": 1.0})
    design = np.hstack([np.eye(2)[school], np.eye(3)[cls]])
    mean, sd = linear(np.diag([4.0, 4.0, 1.0, 1.0, 1.0]), design, np.array(0.5), 0.0, y - 1.0)
    agrees(found["u"], mean[:2], sd[:2])
    agrees(found["v"], mean[2:], sd[2:])


def test_conjugate_laws() -> None:
    x, count, time = np.array([0.3, -2.0, 5.0]), np.array([5.0, 1.0, 0.0]), np.array([94.3, 15.7, 3.0])
    robust = "param mu : real\nparam s : positive\nparam df : positive\nfor each row:\n"
    robust += "    latent u ~ Gamma(df/2, df/2)\n    observed x ~ Normal(mu, s/sqrt(u))\n"
    law = gamma(3.0 / 2 + 0.5, scale=1 / (1.5 + (x - 0.1) ** 2 / (2 * 1.3**2)))
    agrees(numbers(robust, {"x": x}, {"mu": 0.1, "s": 1.3, "df": 3.0})["u"], law.mean(), law.std())
    pumps = "param a : positive\nparam b : positive\nfor each pump:\n    input t : positive\n"
    pumps += "    latent u ~ Gamma(a, b)\n    observed y ~ Poisson(u*t)\n"
    law = gamma(1.2 + count, scale=1 / (0.7 + time))
    agrees(numbers(pumps, {"y": count, "t": time}, {"a": 1.2, "b": 0.7})["u"], law.mean(), law.std())
    shares = "param a : positive\nparam b : positive\nfor each ward:\n    input n : natural\n"
    shares += "    latent u ~ Beta(a, b)\n    observed y ~ Binomial(n, u)\n"
    n = np.array([10.0, 4.0, 7.0])
    share = beta(1.2 + count, 0.7 + n - count)
    found = numbers(shares, {"y": count, "n": n}, {"a": 1.2, "b": 0.7})["u"]
    agrees(found, share.mean(), share.std())


def test_variances_of_an_inverse_gamma_and_of_a_generalised_inverse_gaussian() -> None:
    text = "param a : positive\nfor each row:\n    latent u ~ {law}\n    observed x ~ Normal(0, sqrt(u))\n"
    x = np.array([0.5, 2.0])
    found = numbers(text.format(law="InverseGamma(a, 2)"), {"x": x}, {"a": 3.0})["u"]
    shape, scale = 3.5, 2 + x**2 / 2
    agrees(found, scale / (shape - 1), scale / (shape - 1) / np.sqrt(shape - 2))
    found = numbers(text.format(law="Gamma(a, 2)"), {"x": x}, {"a": 3.0})["u"]
    for unit, seen in enumerate(x):

        def log_joint(u: float, seen: float = float(seen)) -> float:
            return float(gamma.logpdf(u, 3.0, scale=0.5) + norm.logpdf(seen, 0, np.sqrt(u)))

        mean, sd = by_quadrature(log_joint, 0.0, 30.0)
        assert np.allclose([found.mean[0, unit], found.sd[0, unit]], [mean, sd], rtol=1e-7)


def test_a_mixture_over_finite_cells_has_the_variance_between_them() -> None:
    text = """
index k = {a, b}
param p : simplex[k]
param mu[k] : real
param tau[k] : positive
for each g:
    latent z ~ Categorical(p)
    latent u ~ Normal(mu[z], tau[z])
    for each row:
        observed y ~ Normal(u, 1)
"""
    values = {"p": [0.3, 0.7], "mu": [-1.0, 2.0], "tau": [0.5, 1.5]}
    y = np.array([0.2, 1.0, -0.5])
    item = numbers(text, {"g": [1, 1, 1], "y": y}, values)["u"]

    def log_joint(u: float) -> float:
        own = 0.3 * norm.pdf(u, -1, 0.5) + 0.7 * norm.pdf(u, 2, 1.5)
        return float(np.log(own) + np.sum(norm.logpdf(y, u, 1)))

    agrees(item, *by_quadrature(log_joint, -12.0, 14.0), tolerance=1e-8)


@pytest.mark.parametrize("law", ["Normal(0, 1)", "Normal(0, tau)"])
def test_grids_and_quadrature(law: str) -> None:
    text = (
        f"""
param b : real
param tau : positive
for each herd:
    latent u ~ {law}
    for each row:
        input size : natural
        observed y ~ Binomial(size, logistic(b + tau*u))
    """
        if "1)" in law
        else f"""
param b : real
param tau : positive
for each herd:
    latent u ~ {law}
    for each row:
        input size : natural
        observed y ~ Binomial(size, logistic(b + u))
"""
    )
    size, y = np.array([14.0, 12.0, 9.0, 5.0]), np.array([2.0, 3.0, 4.0, 0.0])
    item = numbers(text, {"herd": [1, 1, 1, 2], "size": size, "y": y}, {"b": -1.0, "tau": 0.8})["u"]
    scale = 1.0 if "1)" in law else 0.8
    slope = 0.8 / scale
    for unit, rows in enumerate([slice(0, 3), slice(3, 4)]):

        def log_joint(u: float, rows: slice = rows) -> float:
            share = 1 / (1 + np.exp(1.0 - slope * u))
            return float(norm.logpdf(u, 0, scale) + np.sum(binom.logpmf(y[rows], size[rows], share)))

        mean, sd = by_quadrature(log_joint, -9.0, 9.0)
        assert np.allclose([item.mean[0, unit], item.sd[0, unit]], [mean, sd], rtol=1e-6)


def test_positive_numbers_by_quadrature() -> None:
    text = "param a : positive\nfor each row:\n    latent u ~ LogNormal(0, a)\n    observed y ~ Poisson(u)\n"
    item = numbers(text, {"y": [0, 3]}, {"a": 0.6})["u"]
    for unit, seen in enumerate([0, 3]):

        def log_joint(u: float, seen: int = seen) -> float:
            return float(norm.logpdf(np.log(u), 0, 0.6) - np.log(u) + poisson.logpmf(seen, u))

        mean, sd = by_quadrature(log_joint, 0.0, 40.0)
        assert np.allclose([item.mean[0, unit], item.sd[0, unit]], [mean, sd], rtol=1e-6)


def test_what_is_simulated_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, data, params = tmp_path / "m.emm", tmp_path / "d.csv", tmp_path / "p.json"
    text = "param q : positive\nfor each t in sequence:\n    latent x ~ Normal(0, 1) first, Normal(prev(x), q) after\n"
    text += "    latent w ~ Normal(0, 0.3) first, Normal(prev(w), 0.3) after\n"
    model.write_text(text + "    observed y ~ Poisson(exp(x + w))\n", encoding="utf-8")
    data.write_text("y\n1\n2\n4\n", encoding="utf-8")
    params.write_text(json.dumps({"q": 0.5}), encoding="utf-8")
    arguments = ["posterior", str(model), str(data), "--params", str(params)]
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert err == "note: the posterior of x, w is simulated, by 200 weighted draws\n"
    found = np.array([line.split(",")[1:] for line in out.splitlines()[1:]], dtype=float)
    rng = np.random.default_rng(0)
    steps = rng.normal(0, 1, (400_000, 3)) * [1.0, 0.5, 0.5]
    x = np.cumsum(steps, axis=1)
    both = x + np.cumsum(rng.normal(0, 0.3, x.shape), axis=1)
    weight = np.exp(both @ np.array([1, 2, 4]) - np.exp(both).sum(axis=1))
    mean = weight @ x / weight.sum()
    # 200 draws: the error of a mean is about sd/sqrt(200) = 0.03
    assert np.abs(found[:, 0] - mean).max() < 0.12
    assert main([*arguments, "--filtered"]) == 0
    out, err = capsys.readouterr()
    filtered = np.array([line.split(",")[1:] for line in out.splitlines()[1:]], dtype=float)
    assert filtered[-1] == pytest.approx(found[-1])
    for end in (1, 2):
        weight = np.exp(both[:, :end] @ np.array([1, 2, 4])[:end] - np.exp(both[:, :end]).sum(axis=1))
        assert abs(filtered[end - 1, 0] - weight @ x[:, end - 1] / weight.sum()) < 0.12


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, data, params = tmp_path / "m.emm", tmp_path / "d.csv", tmp_path / "p.json"
    model.write_text(CROSSED, encoding="utf-8")
    data.write_text("plate,sample,y\na,s,1\na,t,2\nb,s,0\nb,t,3\n", encoding="utf-8")
    params.write_text(json.dumps({"mu": 0, "tp": 1, "ts": 1, "sigma": 1}), encoding="utf-8")
    arguments = ["posterior", str(model), str(data), "--params", str(params)]
    assert main(arguments) == 2
    assert "hidden variables live in several plates: u, v" in capsys.readouterr().err
    assert main([*arguments, "--plate", "v"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "sample,mean(v),sd(v)"
    assert [line.split(",")[0] for line in lines[1:]] == ["s", "t"]
    assert main(["fit", str(model), str(data), "--posterior", str(tmp_path / "q.csv"), "--max-iter", "0"]) == 0
    assert (tmp_path / "q-u.csv").read_text(encoding="utf-8").startswith("plate,mean(u),sd(u)\na,")
