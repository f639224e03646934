"""Models side by side: criteria against NumPy and against the fits alone, tests against their definition."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

import emdsl
from emdsl.cli.main import main
from emdsl.studies.likelihood_ratio import LikelihoodRatioTest
from emdsl.studies.replicates import replicate_seed

MODELS = Path(__file__).resolve().parents[2] / "models"
MIXTURE, FAITHFUL = str(MODELS / "gaussian_mixture.emm"), str(MODELS / "data" / "faithful.csv")

NORMALS = """
model Normals
const K = 1
index c = 1..K
param share : simplex[c]
param mu[c] : real
param sigma : positive
for each row:
    latent z ~ Categorical(share)
    observed x ~ Normal(mu[z], sigma)
"""
#: Nothing beyond 2 is possible.
WITHIN = """
model Within
param p : unit
for each row:
    observed x ~ Binomial(2, p)
"""
COUNTS = """
model Counts
param rate : positive
for each row:
    observed x ~ Poisson(rate)
"""
LINE = """
model Line
param a : real
param b : real
param sigma : positive
for each row:
    input t : real
    observed x ~ Normal(a + b*t, sigma)
"""
WITH_PRIOR = """
model WithPrior
param mu : real ~ Normal(0, 1)
for each row:
    observed x ~ Normal(mu, 1)
"""


def sample(seed: int = 3, size: int = 40) -> dict[str, Any]:
    """Two bumps, with a column that says nothing."""
    rng = np.random.default_rng(seed)
    x = np.concatenate([rng.normal(0, 1, size // 2), rng.normal(3, 1, size - size // 2)])
    return {"x": np.round(x, 3), "t": np.arange(size)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The models above and their data."""
    for name, text in (("normals", NORMALS), ("within", WITHIN), ("line", LINE)):
        (tmp_path / f"{name}.emm").write_text(text.lstrip(), encoding="utf-8")
    data = sample()
    rows = "\n".join(f"{x},{t}" for x, t in zip(data["x"], data["t"], strict=True))
    (tmp_path / "d.csv").write_text(f"x,t\n{rows}\n", encoding="utf-8")
    return tmp_path


# --- criteria ---------------------------------------------------------------------------------------------------------


def test_criteria_of_mixtures_of_eruptions() -> None:
    """Everything from the estimates by SciPy's density and NumPy alone."""
    x = np.loadtxt(FAITHFUL, delimiter=",", skiprows=1)
    found = emdsl.compare(FAITHFUL, MIXTURE, set={"K": "1..3"}, starts=8).to_dict()
    assert [row["name"] for row in found["models"]] == [f"GaussianMixture K={k}" for k in (1, 2, 3)]
    model = emdsl.load(MIXTURE)
    for k, row in zip((1, 2, 3), found["models"], strict=True):
        fit: Any = model.fit(FAITHFUL, set={"K": k}, starts=8, se="none")
        assert (row["loglik"], row["aic"], row["bic"]) == pytest.approx((fit.loglik, fit.aic, fit.bic), rel=1e-10)
        dims = ("eruptions", "waiting")
        joint = np.column_stack([
            fit.params["share"][c] * multivariate_normal.pdf(
                x, [fit.params["mu"][c][d] for d in dims], [[fit.params["Sigma"][c][d][e] for e in dims] for d in dims]
            )
            for c in map(str, range(1, k + 1))
        ])  # fmt: skip
        shares = joint / joint.sum(axis=1, keepdims=True)
        entropy = -np.sum(shares * np.log(np.where(shares > 0, shares, 1)))
        assert row["entropy"] == pytest.approx(entropy, abs=1e-6)
        bic = -2 * np.log(joint.sum(axis=1)).sum() + (6 * k - 1) * np.log(len(x))
        assert row["icl"] == pytest.approx(bic + 2 * entropy, abs=1e-5)
        assert row["relative_entropy"] == (None if k == 1 else pytest.approx(1 - entropy / (len(x) * np.log(k))))
        assert row["parameters"] == 6 * k - 1 and row["converged"] is True
    assert found["best"] == {"aic": "GaussianMixture K=3", "bic": "GaussianMixture K=2", "icl": "GaussianMixture K=2"}


def test_what_the_command_prints(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.chdir(folder)
    arguments = ["compare", "line.emm", "d.csv", "normals.emm", "--set", "K=1,2", "--starts", "5"]
    assert main([*arguments, "--output", "out.json"]) == 0
    text = capsys.readouterr().out
    found = json.loads((folder / "out.json").read_text(encoding="utf-8"))
    assert [row["name"] for row in found["models"]] == ["Line", "Normals K=1", "Normals K=2"]
    assert [row["set"] for row in found["models"]] == [{}, {"K": "1"}, {"K": "2"}]
    line = next(item for item in text.splitlines() if item.startswith("Line"))
    assert line.split()[1:6] == [f"{found['models'][0]['loglik']:.4f}", "3", *line.split()[3:5], "–"]
    assert f"{found['models'][0]['icl']}" == "None" and found["models"][0]["no_entropy"] == "nothing finite is hidden"
    best = min(found["models"], key=lambda row: row["bic"])
    assert found["best"]["bic"] == best["name"] and f"{best['bic']:.3f}*" in text
    assert main([*arguments, "--format", "json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out) == found
    compared = emdsl.compare("d.csv", "line.emm", "normals.emm", set={"K": [1, 2]}, starts=5)
    assert compared.to_dict() == found and str(compared) == text.rstrip("\n")
    assert list(compared.table["name"]) == ["Line", "Normals K=1", "Normals K=2"]
    assert list(compared.table["bic"]) == [row["bic"] for row in found["models"]]


def test_fits_that_are_there_are_not_fitted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    model = emdsl.loads(NORMALS)
    data = sample()
    fits = [model.fit(data, set={"K": k}, starts=5) for k in (1, 2)]
    monkeypatch.setattr(type(model), "fit_with", None)
    found = emdsl.compare(None, *fits)
    assert [row.name for row in found.rows] == ["Normals K=1", "Normals K=2"]
    assert found.fits == {"Normals K=1": fits[0], "Normals K=2": fits[1]}
    assert [row.criterion("bic") for row in found.rows] == [fit.bic for fit in fits]


def test_every_combination_and_names_that_differ() -> None:
    text = NORMALS.replace("const K = 1", "const K = 1\nconst s0 = 1").replace("mu[z], sigma", "mu[z], sigma*s0")
    model = emdsl.loads(text)
    found = emdsl.compare(sample(), model, model, set={"K": (1, 2), "s0": "1,2"}, starts=2, max_iter=3, tol=0)
    once = [f"Normals K={k} s0={s}" for k in (1, 2) for s in (1, 2)]
    assert [row.name for row in found.rows] == [f"{name} #1" for name in once] + [f"{name} #2" for name in once]
    assert found.converged  # as many iterations as were asked for


def test_an_option_concerns_the_models_that_have_it() -> None:
    models = [emdsl.loads(text) for text in (LINE, NORMALS)]
    found = emdsl.compare(sample(), *models, fix={"b": 0.0}, map={"t": "t"}, set={"K": 1})
    assert [row.fit.parameters for row in found.rows if row.fit is not None] == [2, 2]
    assert found.rows[0].fit is not None and found.rows[1].fit is not None
    assert found.rows[0].fit.loglik == pytest.approx(found.rows[1].fit.loglik, abs=1e-8)
    with pytest.raises(emdsl.EmmError) as error:
        emdsl.compare(sample(), *models, fix={"zz": 0.0})
    assert error.value.code == "unknown-parameter"


def test_a_map_estimate_has_no_criteria() -> None:
    found = emdsl.compare(sample(), emdsl.loads(WITH_PRIOR)).to_dict()["models"][0]
    assert (found["estimator"], found["aic"], found["bic"], found["icl"]) == ("MAP", None, None, None)


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_a_fit_that_fails_is_a_row(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.chdir(folder)
    (folder / "d.csv").write_text("x,t\n1,0\n2,1\n4,2\n3,3\n2,4\n1,5\n2,6\n", encoding="utf-8")
    arguments = ["compare", "d.csv", "within.emm", "line.emm"]
    assert main([*arguments, "--format", "json"]) == 1
    within, line = json.loads(capsys.readouterr().out)["models"]
    assert within["loglik"] is None and within["converged"] is False and within["error"]
    assert line["loglik"] is not None and line["error"] is None
    assert main(arguments) == 1
    out = capsys.readouterr().out
    assert "failed" in out and f"Within: {within['error']}" in out


def test_a_fit_that_does_not_converge(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.chdir(folder)
    short = [
        "compare",
        "d.csv",
        "normals.emm",
        "--set",
        "K=1..2",
        "--max-iter",
        "1",
        "--starts",
        "1",
        "--format",
        "json",
    ]
    assert main([*short, "--init", "mu=[0]", "--set", "K=1", "--fix", "sigma=1", "--accelerate", "none"]) in (0, 1)
    capsys.readouterr()
    init = ["--init", "sigma=9", "--accelerate", "none"]
    assert main([*short, *init]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [row["converged"] for row in found["models"]].count(False) >= 1
    assert main([*short, *init, "--tol", "0"]) == 0  # exactly one iteration was asked for


def refused(*arguments: Any, **options: Any) -> emdsl.EmmError:
    """The error of a comparison."""
    with pytest.raises(emdsl.EmmError) as error:
        emdsl.compare(*arguments, **options)
    return error.value


def test_likelihoods_of_different_data_are_not_compared() -> None:
    line, other = emdsl.loads(LINE), emdsl.loads(LINE.replace("observed x", "observed t2").replace("Line", "Other"))
    data = sample()
    error = refused(data | {"t2": data["x"]}, line, other)
    assert error.code == "not-comparable"
    assert error.message == "likelihoods of different data cannot be compared: `Line` explains x, `Other` explains t2"
    weighted = emdsl.loads(COUNTS.replace("    observed", "    weight n\n    observed"))
    counts = {"x": [1, 2, 3], "n": [2, 2, 2]}
    error = refused(counts, emdsl.loads(COUNTS), weighted)
    assert (error.code, "explains 3 rows" in error.message, "explains 6" in error.message) == (
        "not-comparable", True, True
    )  # fmt: skip
    lags = [
        emdsl.loads(f"""
model Lag{lag}
param a : real
for each t in sequence:
    observed x ~ Normal(a*prev(x, {lag}), 1)
""") for lag in (1, 2)
    ]  # fmt: skip
    error = refused(data, *lags)
    assert error.code == "not-comparable" and "takes 1 cells" in error.message and "takes 2" in error.message
    error = refused(None, line.fit(data), line.fit(sample(4)))
    assert error.code == "not-comparable" and "the cells of x are others" in error.message


def test_wrong_calls() -> None:
    model = emdsl.loads(NORMALS)
    assert refused(None, model).code == "data-needed"
    fit = model.fit(sample())
    assert refused(None, fit, fit, test="bootstrap").code == "data-needed"
    assert (
        refused(sample(), model, test="bootstrap").message == "a test is of one model against another, found one model"
    )
    assert refused(sample()).code == "bad-command"
    assert refused(sample(), model, test="chi-square").code == "bad-option"
    assert refused(sample(), model, repeats=0).code == "bad-option"
    assert refused(sample(), model, set="K").code == "bad-option"
    wrongs: list[Any] = ["6..1", "1..x", "1,,2", "1..1000", []]
    for wrong in wrongs:
        error = refused(sample(), model, set={"K": wrong})
        assert error.code == "bad-option" and "K=1..6" in error.message
    assert refused(sample(), model, set={"K": "1..20", "L": "1..20"}).code != ""
    assert refused(sample(), model, model, set={"K": "1..150"}).message == "expected at most 200 models, found more"
    assert refused(sample(), model, set={"L": 3}).code == "unknown-constant"
    priors = [emdsl.loads(text) for text in (WITH_PRIOR, LINE)]
    assert refused(sample(), *priors, test="bootstrap", repeats=1).code == "cannot-test"


# --- tests ------------------------------------------------------------------------------------------------------------


def test_the_bootstrap_test_is_its_definition() -> None:
    data, model = sample(size=30), emdsl.loads(NORMALS)
    found = emdsl.compare(data, model, set={"K": "1..2"}, starts=5, test="bootstrap", repeats=7, seed=4).to_dict()
    (test,) = found["tests"]
    small, large = (model.fit(data, set={"K": k}, starts=5, seed=4) for k in (1, 2))
    assert test["statistic"] == pytest.approx(2 * (large.loglik - small.loglik), abs=1e-8)
    statistics = []
    for repeat in range(7):
        drawn = np.asarray(small.simulate(seed=replicate_seed(4, 0, repeat))["x"], dtype=float)
        one = norm.logpdf(drawn, drawn.mean(), drawn.std()).sum()  # a single Normal has its maximum in closed form
        two = model.fit({"x": drawn}, set={"K": 2}, starts=5, seed=4, se="none")
        statistics.append(2 * (two.loglik - one))
    assert test["statistics"] == pytest.approx(statistics, abs=1e-6)
    p = (1 + sum(value >= test["statistic"] for value in statistics)) / 8
    assert test["p_value"] == pytest.approx(p) and test["failed"] == 0
    assert (test["null"], test["alternative"]) == ("Normals K=1", "Normals K=2")


def test_the_larger_model_keeps_its_own_inputs() -> None:
    """A regression against a mean: the statistic of each replicate by least squares."""
    data = sample(size=25)
    mean = emdsl.loads(LINE.replace(" + b*t", "").replace("param b : real\n", "").replace("Line", "Mean"))
    found = emdsl.compare(data, emdsl.loads(LINE), mean, test="bootstrap", repeats=4)
    (test,) = found.tests
    assert (test.null, test.alternative) == ("Mean", "Line")
    small = mean.fit(data)
    for repeat, value in enumerate(test.statistics):
        x = np.asarray(small.simulate(seed=replicate_seed(0, 0, repeat))["x"], dtype=float)
        slope, level = np.polyfit(data["t"], x, 1)
        ratio = np.mean((x - x.mean()) ** 2) / np.mean((x - level - slope * data["t"]) ** 2)
        assert value == pytest.approx(len(x) * np.log(ratio), abs=1e-6)


def test_rows_that_stand_for_several_are_drawn_one_by_one() -> None:
    text = NORMALS.replace("param sigma : positive\n", "").replace("mu[c] : real", "mu[c] : positive")
    text = text.replace("Normal(mu[z], sigma)", "Poisson(mu[z])")
    weighted = emdsl.loads(text.replace("    latent", "    weight n\n    latent"))
    short = {"x": [0, 1, 2, 5, 9], "n": [6, 4, 5, 3, 2]}
    long = {"x": np.repeat(short["x"], short["n"])}
    options: dict[str, Any] = {"set": {"K": "1..2"}, "starts": 4, "test": "bootstrap", "repeats": 3}
    (one,), (two,) = (
        emdsl.compare(short, weighted, **options).tests,
        emdsl.compare(long, emdsl.loads(text), **options).tests,
    )
    assert one.statistic == pytest.approx(two.statistic, abs=1e-7)
    assert one.statistics == pytest.approx(two.statistics, abs=1e-7)
    with pytest.raises(emdsl.EmmError) as error:
        emdsl.compare({**short, "n": [1.5, 1, 1, 1, 1]}, weighted, **options)
    assert error.value.code == "cannot-simulate"


def test_neighbours_that_cannot_be_tested() -> None:
    model = emdsl.loads(LINE)
    options: dict[str, Any] = {"max_iter": 1, "accelerate": "none", "starts": 1}
    cut = emdsl.loads(NORMALS).fit(sample(), set={"K": 2}, init={"mu": [1.0, 2.5]}, **options)
    fits = [model.fit(sample(), fix={name: 0.0}) for name in ("a", "b")]
    found = emdsl.compare(sample(), *fits, cut, test="bootstrap", repeats=1)
    assert not cut.converged and found.tests == ()
    assert [note.partition(": ")[2] for note in found.notes] == [
        "they have as many parameters", "the fit of Normals was cut short"
    ]  # fmt: skip
    assert f"note: {found.notes[0]}" in str(found)


def test_replicates_that_cannot_be_fitted_are_counted() -> None:
    test = LikelihoodRatioTest("a", "b", 3.0, (1.0, 3.0, 4.0), repeats=5)
    assert test.failed == 2 and test.p_value == pytest.approx(3 / 4)
    assert LikelihoodRatioTest("a", "b", 3.0, (), repeats=5).p_value is None
