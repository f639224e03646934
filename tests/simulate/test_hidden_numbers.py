"""Continuous hidden variables are drawn from their laws, and a fit of what is simulated finds the parameters again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import emdsl
from emdsl.cli.main import main

SLOPES = """
index effect = {intercept, slope}
param b0 : real
param b1 : real
param Tau : covariance[effect]
param sigma : positive
for each g:
    latent r[effect] ~ MVNormal(0, Tau)
    for each row:
        input x : real
        observed y ~ Normal(b0 + r[intercept] + (b1 + r[slope])*x, sigma)
"""
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
LEVEL = """
param q : positive
param r : positive
for each t in sequence:
    latent x ~ Normal(0, 10) first, Normal(prev(x), q) after
    observed y ~ Normal(x, r)
"""
ROBUST = """
param mu : real
param s : positive
for each row:
    latent u ~ Gamma(2, 2)
    observed y ~ Normal(mu, s/sqrt(u))
"""


def simulated(
    text: str, values: dict[str, Any], folder: Path, design: dict[str, Any] | None = None, n: int | None = None
) -> tuple[Path, dict[str, np.ndarray]]:
    """The file of the simulated data, and its numeric columns, the hidden ones among them."""
    model, params, out = folder / "m.emm", folder / "p.json", folder / "d.csv"
    model.write_text(text, encoding="utf-8")
    params.write_text(json.dumps(values), encoding="utf-8")
    arguments = ["simulate", str(model), "--params", str(params), "--latent", "-o", str(out), "--seed", "4"]
    if design is not None:
        file = folder / "design.csv"
        rows = zip(*(np.asarray(column).tolist() for column in design.values()), strict=True)
        file.write_text("\n".join([",".join(design), *(",".join(map(str, row)) for row in rows)]), encoding="utf-8")
        arguments += ["--design", str(file)]
    assert main([*arguments, *(["-n", str(n)] if n else [])]) == 0
    table = np.genfromtxt(out, delimiter=",", names=True, dtype=None, encoding="utf-8")
    return out, {name: table[name] for name in table.dtype.names or ()}


def near(fit: Any, name: str, truth: Any, errors: float = 4.0) -> None:
    found, error = (np.array(flat(item[name])) for item in (fit.params, fit.se))
    assert (np.abs(found - np.ravel(truth)) <= errors * error).all(), (name, found, error)


def flat(value: Any) -> list[float]:
    return [x for item in value.values() for x in flat(item)] if isinstance(value, dict) else [float(value)]


def test_vectors(tmp_path: Path) -> None:
    g = np.repeat(np.arange(150), 6)
    values = {"b0": 2.0, "b1": -1.0, "Tau": [[1.0, 0.3], [0.3, 0.5]], "sigma": 0.7}
    file, drawn = simulated(SLOPES, values, tmp_path, {"g": g, "x": np.tile(np.linspace(-1, 1, 6), 150)})
    one = drawn["r_intercept"][::6]
    assert (drawn["r_intercept"].reshape(150, 6) == one[:, None]).all()
    assert np.abs(np.cov(one, drawn["r_slope"][::6]) - values["Tau"]).max() < 0.35
    rest = drawn["y"] - (2 + drawn["r_intercept"] + (drawn["r_slope"] - 1) * drawn["x"])
    assert np.std(rest) == pytest.approx(0.7, rel=0.1)
    fit = emdsl.loads(SLOPES).fit(str(file))
    for name, truth in values.items():
        near(fit, name, truth)


def test_effects_outside_plates(tmp_path: Path) -> None:
    plate, sample = (grid.ravel() for grid in np.meshgrid(np.arange(40), np.arange(30)))
    values = {"mu": 20.0, "tp": 1.0, "ts": 2.0, "sigma": 0.5}
    design = {"plate": [f"p{k:02}" for k in plate], "sample": [f"s{k:02}" for k in sample]}
    file, drawn = simulated(CROSSED, values, tmp_path, design)
    assert len(np.unique(drawn["u_p07"])) == 1
    effects = np.array([drawn[f"u_p{k:02}"][0] for k in range(40)])[plate]
    effects += np.array([drawn[f"v_s{k:02}"][0] for k in range(30)])[sample]
    assert np.std(drawn["y"] - 20 - effects) == pytest.approx(0.5, rel=0.1)
    fit = emdsl.loads(CROSSED).fit(str(file))
    for name, truth in values.items():
        near(fit, name, truth)


def test_chains(tmp_path: Path) -> None:
    values = {"q": 0.8, "r": 1.5}
    file, drawn = simulated(LEVEL, values, tmp_path, n=1500)
    assert np.std(np.diff(drawn["x"])) == pytest.approx(0.8, rel=0.1)
    fit = emdsl.loads(LEVEL).fit(str(file))
    for name, truth in values.items():
        near(fit, name, truth)


def test_positive_numbers(tmp_path: Path) -> None:
    values = {"mu": 3.0, "s": 2.0}
    file, drawn = simulated(ROBUST, values, tmp_path, n=2000)
    assert (drawn["u"] > 0).all()
    assert np.mean(drawn["u"]) == pytest.approx(1.0, abs=0.08)
    fit = emdsl.loads(ROBUST).fit(str(file))
    for name, truth in values.items():
        near(fit, name, truth)


def test_numbers_on_an_interval(tmp_path: Path) -> None:
    text = "param b : real\nparam s : positive\nparam t : positive\nfor each row:\n"
    text += "    latent u ~ Normal(0, t) truncated to (0, inf)\n    observed y ~ Normal(b - u, s)\n"
    values = {"b": 1.0, "s": 0.3, "t": 1.2}
    file, drawn = simulated(text, values, tmp_path, n=2000)
    assert (drawn["u"] > 0).all()
    assert np.mean(drawn["u"] ** 2) == pytest.approx(1.2**2, rel=0.15)
    fit = emdsl.loads(text).fit(str(file))
    for name, truth in values.items():
        near(fit, name, truth)


def test_counts_on_an_interval(tmp_path: Path) -> None:
    """A hidden count of 1 or more."""
    text = "param r : positive\nparam d : unit\nfor each row:\n    latent n ~ Poisson(r) truncated to (1, inf)\n"
    text += "    observed y ~ Binomial(n, d)\n    observed z ~ Binomial(n, d)\n"
    values = {"r": 2.0, "d": 0.6}
    file, drawn = simulated(text, values, tmp_path, n=1000)
    assert drawn["n"].min() == 1
    fit = emdsl.loads(text).fit(str(file))
    for name, truth in values.items():
        near(fit, name, truth)


def test_shares(tmp_path: Path) -> None:
    text = "index k = {a, b, c}\nparam alpha[k] : positive\nfor each row:\n    latent p[k] ~ Dirichlet(alpha)\n"
    text += "    observed y[k] ~ Multinomial(20, p)\n"
    values = {"alpha": {"a": 2.0, "b": 0.7, "c": 4.0}}
    file, _ = simulated(text, values, tmp_path, n=600)
    near(emdsl.loads(text).fit(str(file)), "alpha", [2.0, 0.7, 4.0])


def test_a_singular_covariance_is_drawn_from(tmp_path: Path) -> None:
    """As estimates at a boundary are: here the slope is half the intercept."""
    tau = {"intercept": {"intercept": 4.0, "slope": 2.0}, "slope": {"intercept": 2.0, "slope": 1.0}}
    values = {"b0": 0.0, "b1": 0.0, "Tau": tau, "sigma": 0.1}
    design = {"g": [f"g{k}" for k in range(200)], "x": [0.5] * 200}
    _, drawn = simulated(SLOPES, values, tmp_path, design)
    first, second = drawn["r_intercept"], drawn["r_slope"]
    assert second == pytest.approx(first / 2, abs=1e-9)
    assert first.std() == pytest.approx(2.0, rel=0.2)
