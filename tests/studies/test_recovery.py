"""Recovery: against NumPy on the same data, where estimates have a closed form; labels; what goes wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import emdsl
from emdsl.cli.main import main
from emdsl.results.face import Model
from emdsl.studies.labels import exchangeable_sets, matched
from emdsl.studies.recovery import Recovery
from emdsl.studies.replicates import replicate_seed
from emdsl.studies.summaries import summary

NORMAL = """
model Plain
param mu : real
param sigma : positive
for each row:
    observed x ~ Normal(mu, sigma)
"""
MIXTURE = """
model Mixture
index c = 1..3
param share : simplex[c]
param mu[c] : real
param sigma : positive
for each row:
    latent z ~ Categorical(share)
    observed x ~ Normal(mu[z], sigma)
"""
#: Classes by a multinomial logit, whose baseline is the first of them.
EXPERTS = """
model Experts
index c = 1..2
param g0 : contrast[c]
param g1 : contrast[c]
param mu[c] : real
for each row:
    input t : real
    latent z ~ Categorical(softmax(k in c: g0[k] + g1[k]*t))
    observed x ~ Normal(mu[z], 1)
"""
CHAIN = """
model Chain
index s = 1..2
param start : simplex[s]
param A[s] : simplex[s]
param mu[s] : real
for each t in sequence:
    latent z ~ Markov(start, A)
    observed x ~ Normal(mu[z], 1)
"""
NAMED = """
model Named
index s = {low, high}
param p : simplex[s]
param mu : real
for each row:
    latent z ~ Categorical(p)
    observed x ~ case z:
        low -> Normal(0, 1)
        high -> Normal(mu, 1)
"""
MIXED: dict[str, Any] = {"share": {"1": 0.5, "2": 0.2, "3": 0.3}, "mu": {"1": 4.0, "2": 9.0, "3": 0.0}, "sigma": 1.0}


def by_name(found: Recovery) -> dict[str, dict[str, Any]]:
    """The summaries of all elements."""
    return found.to_dict()["parameters"]


def test_a_normal_sample_by_its_moments() -> None:
    """The estimates are the mean and the standard deviation of each sample."""
    model, true = emdsl.loads(NORMAL), {"mu": 2.0, "sigma": 0.5}
    found = model.recover(true, n=30, repeat=40, seed=7, level=0.9)
    samples = [
        np.asarray(model.simulate(30, true, seed=replicate_seed(7, r))["x"], dtype=float) for r in range(40)
    ]  # fmt: skip
    for name, truth, estimates in (
        ("mu", 2.0, np.array([x.mean() for x in samples])), ("sigma", 0.5, np.array([x.std() for x in samples]))
    ):  # fmt: skip
        row = by_name(found)[name]
        assert row["true"] == truth and row["estimates"] == row["intervals"] == 40
        assert row["mean"] == pytest.approx(estimates.mean(), abs=1e-9)
        assert row["bias"] == pytest.approx(estimates.mean() - truth, abs=1e-9)
        assert row["sd"] == pytest.approx(estimates.std(ddof=1), rel=1e-7)
        assert row["bias_error"] == pytest.approx(estimates.std(ddof=1) / np.sqrt(40), rel=1e-7)
        assert row["rmse"] == pytest.approx(np.sqrt(np.mean((estimates - truth) ** 2)), rel=1e-7)
    errors = np.array([x.std() / np.sqrt(30) for x in samples])
    row = by_name(found)["mu"]
    assert row["mean_se"] == pytest.approx(errors.mean(), rel=1e-6)
    inside = [abs(x.mean() - 2.0) <= 1.6448536269514722 * x.std() / np.sqrt(30) for x in samples]
    assert row["coverage"] == np.mean(inside)
    assert row["coverage_error"] == pytest.approx(np.sqrt(np.mean(inside) * (1 - np.mean(inside)) / 40))
    assert 0.7 < row["coverage"] < 1.0  # 90 % intervals: neither all of them nor few hold the truth
    assert list(found.estimates["mu"]) == pytest.approx([x.mean() for x in samples], abs=1e-9)


def test_missing_cells_and_designs() -> None:
    model, true = emdsl.loads(NORMAL), {"mu": 2.0, "sigma": 0.5}
    some = model.recover(true, n=40, repeat=3, missing=0.5, se="none")
    samples = [model.simulate(40, true, seed=replicate_seed(0, r), missing=0.5)["x"].dropna() for r in range(3)]
    assert by_name(some)["mu"]["mean"] == pytest.approx(np.mean([x.mean() for x in samples]), abs=1e-9)
    assert by_name(some)["mu"]["coverage"] is None and by_name(some)["mu"]["mean_se"] is None
    assert "coverage" not in str(some)
    line = emdsl.loads(NORMAL.replace("observed x ~ Normal(mu,", "input t : real\n    observed x ~ Normal(mu*t,"))
    design = {"t": np.arange(1.0, 21.0)}
    found = line.recover(true, design=design, repeat=4)
    slopes = []
    for r in range(4):
        x = np.asarray(line.simulate(None, true, seed=replicate_seed(0, r), design=design)["x"], dtype=float)
        slopes.append(x @ design["t"] / (design["t"] @ design["t"]))
    assert found.units == 20 and by_name(found)["mu"]["mean"] == pytest.approx(np.mean(slopes), abs=1e-9)


def test_summaries_leave_out_what_is_not_known() -> None:
    nan = np.nan
    row = summary(
        "a", 1.0, np.array([0.5, 2.0, nan]), np.array([0.1, nan, nan]), np.array([0.0, 1.5, nan]),
        np.array([np.inf, 2.5, nan]),
    )  # fmt: skip
    assert (row.mean, row.bias, row.mean_se, row.coverage) == (1.25, 0.25, 0.1, 0.5)
    assert (row.estimates, row.intervals) == (2, 2)
    assert row.rmse == pytest.approx(np.sqrt((0.25 + 1.0) / 2))
    nothing = summary("a", 1.0, *[np.array([nan])] * 4)
    assert (nothing.mean, nothing.sd, nothing.rmse, nothing.coverage, nothing.estimates) == (None, None, None, None, 0)


# --- labels -----------------------------------------------------------------------------------------------------------


def test_labels_are_matched_to_the_truth() -> None:
    """The fits come out in other orders than the truth, and are put in its order, standard errors with them."""
    model = emdsl.loads(MIXTURE)
    found = model.recover(MIXED, n=200, repeat=4, starts=5)
    assert found.matched == ("c",) and "matched to the truth: c" in str(found)
    for name, row in by_name(found).items():
        assert abs(row["bias"]) < 0.2, name
        assert row["sd"] < 0.5, name
    moved = 0
    for r in range(4):
        data = model.simulate(200, MIXED, seed=replicate_seed(0, r))
        fit: Any = model.fit(data, starts=5)
        means = fit.params["mu"]
        order = [min(means, key=lambda label: abs(means[label] - true)) for true in MIXED["mu"].values()]
        moved += order != ["1", "2", "3"]
        assert [found.estimates[f"mu.{c}"][r] for c in "123"] == pytest.approx([means[c] for c in order])
        assert [found.estimates[f"share.{c}"][r] for c in "123"] == pytest.approx(
            [fit.params["share"][c] for c in order]
        )
        assert found.replicates[r].se[3:6] == pytest.approx([fit.se["mu"][c] for c in order])
        low, high = found.replicates[r].low[3:6], found.replicates[r].high[3:6]
        assert np.column_stack([low, high]) == pytest.approx(np.array([fit.interval["mu"][c] for c in order]))
    assert moved >= 1  # otherwise nothing was tested


def test_baselines_move_with_the_labels() -> None:
    """Whichever class a fit calls the first, differences are to that of the truth, and so are their standard errors."""
    model = emdsl.loads(EXPERTS)
    true = {"g0": [0.0, 0.4], "g1": [0.0, 1.0], "mu": [0.0, 4.0]}
    design = {"t": np.linspace(-2, 2, 120)}
    found = model.recover(true, design=design, repeat=3, starts=3)
    other = model.recover({"g0": [0.0, -0.4], "g1": [0.0, -1.0], "mu": [4.0, 0.0]}, design=design, repeat=3, starts=3)
    assert found.matched == other.matched == ("c",)
    for name in ("g0.2", "g1.2"):
        a, b = by_name(found)[name], by_name(other)[name]
        assert a["bias"] != 0 and abs(a["bias"]) < 0.5 and abs(b["bias"]) < 0.5
        assert a["mean_se"] > 0.05 and a["mean_se"] == pytest.approx(b["mean_se"], rel=0.5)
    assert by_name(found)["g0.1"]["mean"] == 0.0
    moved = 0
    for r in range(3):
        data = model.simulate(None, true, design=design, seed=replicate_seed(0, r))
        fit: Any = model.fit(data, starts=3)
        turned = -1 if fit.params["mu"]["1"] > fit.params["mu"]["2"] else 1
        moved += turned < 0
        place = list(by_name(found)).index("g1.2")
        assert found.replicates[r].estimates[place] == pytest.approx(turned * fit.params["g1"]["2"], abs=1e-6)
        assert found.replicates[r].se[place] == pytest.approx(fit.se["g1"]["2"], rel=1e-4)
    assert moved >= 1


def sets(text: str, data: dict[str, Any], **options: Any) -> tuple[str, ...]:
    """The index sets of a model whose labels can change places."""
    fit = emdsl.loads(text).fit(data, **options)
    outcome = fit.outcome
    assert outcome.compiled is not None
    problem = outcome.compiled.problem(outcome.bound, outcome.request)
    return exchangeable_sets(problem, outcome.model, outcome.state.theta)


def test_which_labels_can_change_places() -> None:
    rng = np.random.default_rng(2)
    x = {"x": np.concatenate([rng.normal(0, 1, 30), rng.normal(4, 1, 20), rng.normal(8, 1, 20)])}
    options: dict[str, Any] = {"starts": 3, "se": "none"}
    assert sets(MIXTURE, x, **options) == ("c",)
    assert sets(MIXTURE + "order c by mu\n", x, **options) == ()
    assert sets(NAMED, x, **options) == ()
    assert sets(CHAIN, x, **options) == ("s",)
    assert sets(MIXTURE, x, fix={"mu": {"1": 0.0}}, **options) == ()
    assert sets(MIXTURE.replace("mu[c] : real", "mu[c] : real ~ Normal(c, 9)"), x, **options) == ()
    assert sets(MIXTURE.replace("mu[c] : real", "mu[c] : real ~ Normal(0, 9)"), x, **options) == ("c",)


@pytest.mark.parametrize("size", [2, 4, 9])
def test_the_order_of_noisy_estimates_is_found(size: int) -> None:
    """Of transition matrices too, whose rows and columns move together; for many labels by an assignment."""
    rng = np.random.default_rng(size)
    model = emdsl.loads(CHAIN.replace("1..2", f"1..{size}")).compiled.model
    truth = {
        "start": rng.dirichlet(np.ones(size)), "A": rng.dirichlet(np.ones(size), size), "mu": rng.normal(0, 3, size)
    }  # fmt: skip
    ranks = rng.permutation(size)
    estimates = {
        "start": truth["start"][ranks] + 0.001, "A": truth["A"][np.ix_(ranks, ranks)], "mu": truth["mu"][ranks] + 0.01
    }  # fmt: skip
    order = matched(model, truth, estimates, None, ("s",))["s"]
    assert list(ranks[order]) == list(range(size))


def test_only_the_transitions_tell_the_labels_apart() -> None:
    model = emdsl.loads(CHAIN).compiled.model
    truth = {"start": np.array([0.5, 0.5]), "A": np.array([[0.9, 0.1], [0.4, 0.6]]), "mu": np.zeros(2)}
    estimates = {**truth, "A": truth["A"][::-1, ::-1]}
    assert list(matched(model, truth, estimates, None, ("s",))["s"]) == [1, 0]


def test_the_truth_is_put_in_the_declared_order() -> None:
    model = emdsl.loads(MIXTURE + "order c by mu\n")
    found = model.recover(MIXED, n=150, repeat=3, starts=5, se="none")
    assert found.matched == ()
    assert [by_name(found)[f"mu.{c}"]["true"] for c in "123"] == [0.0, 4.0, 9.0]
    assert [by_name(found)[f"share.{c}"]["true"] for c in "123"] == [0.3, 0.5, 0.2]
    assert all(abs(row["bias"]) < 0.3 for row in by_name(found).values())
    assert "in the order" in found.notes[0] and f"note: {found.notes[0]}" in str(found)


# --- the command, and what goes wrong ---------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The plain model, its parameters, and a mixture."""
    (tmp_path / "plain.emm").write_text(NORMAL.lstrip(), encoding="utf-8")
    (tmp_path / "mixture.emm").write_text(MIXTURE.lstrip(), encoding="utf-8")
    (tmp_path / "p.json").write_text('{"mu": 2, "sigma": 0.5}', encoding="utf-8")
    (tmp_path / "mixed.json").write_text(json.dumps(MIXED), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["recover", "plain.emm", "--params", "p.json", "-n", "20", "--repeat", "3", "--seed", "2"]
    assert main([*arguments, "--output", "out.json"]) == 0
    text, err = capsys.readouterr()
    found = emdsl.load("plain.emm").recover("p.json", n=20, repeat=3, seed=2)
    assert text == f"{found}\n" and err == ""
    assert json.loads((folder / "out.json").read_text(encoding="utf-8")) == found.to_dict()
    assert main([*arguments, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == found.to_dict()
    assert found.to_dict()["replicates"] == {
        "run": 3, "converged": 3, "not_converged": 0, "failed": 0, "reasons": {}
    }  # fmt: skip
    assert list(found.table["term"]) == ["mu", "sigma"]
    assert list(found.table["bias"]) == [row["bias"] for row in by_name(found).values()]


def test_fits_that_do_not_converge_do_not_count(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["recover", "mixture.emm", "--params", "mixed.json", "-n", "60", "--repeat", "2", "--format", "json"]
    assert main([*arguments, "--max-iter", "1", "--init", "mu=[3, 5, 1]", "--starts", "1", "--accelerate", "none"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["replicates"]["not_converged"] == 2 and list(found["replicates"]["reasons"]) == ["1", "2"]
    assert found["parameters"]["mu.1"]["mean"] is None and found["parameters"]["mu.1"]["estimates"] == 0


def test_fits_that_fail_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    model = emdsl.loads(NORMAL)
    fit_again, calls = type(model.compiled).fit_again, []

    def failing(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise emdsl.FitError("it broke")
        return fit_again(*arguments)

    monkeypatch.setattr(type(model.compiled), "fit_again", failing)
    found = model.recover({"mu": 0.0, "sigma": 1.0}, n=20, repeat=3)
    assert (found.converged, found.failed) == (2, 1)
    assert found.to_dict()["replicates"]["reasons"] == {"2": "it broke"}
    assert by_name(found)["mu"]["estimates"] == 2
    assert "2 of 3 converged, 1 failed" in str(found) and "1: it broke" in str(found)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"n": None}, "bad-option"),
        ({"n": 0}, "bad-option"),
        ({"n": 10, "repeat": 0}, "bad-option"),
        ({"n": 10, "missing": 2}, "bad-option"),
        ({"n": 10, "level": 2}, "bad-option"),
        ({"n": 10, "oops": 2}, "unknown-option"),
    ],
)
def test_wrong_options(options: dict[str, Any], code: str) -> None:
    with pytest.raises(emdsl.EmmError) as error:
        emdsl.loads(NORMAL).recover({"mu": 0.0, "sigma": 1.0}, **options)
    assert error.value.code == code


def test_wrong_parameters_and_designs() -> None:
    def code(model: Model, params: Any, **options: Any) -> str:
        with pytest.raises(emdsl.EmmError) as error:
            model.recover(params, n=5, repeat=1, **options)
        return error.value.code

    assert code(emdsl.loads(NORMAL), None) == "params-missing"
    assert code(emdsl.loads(NORMAL), {"mu": 1.0, "tau": 1.0}) == "unknown-parameter"
    assert code(emdsl.loads(EXPERTS), {"g0": [0, 1], "g1": [0, 1], "mu": [0, 1]}) == "design-needed"
