"""`emdsl predict`, `emdsl posterior --filtered`, and their Python faces."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

import emdsl
from emdsl.cli.main import main

HMM = """
index state = {low, high}
param start : simplex[state]
param A[state] : simplex[state]
param m[state] : real
for each year in sequence by year:
    latent z ~ Markov(start, A)
    observed y ~ Normal(m[z], 1)
"""
A = np.array([[0.9, 0.1], [0.3, 0.7]])
PARAMS = {
    "start": {"low": 0.5, "high": 0.5}, "m": {"low": 0, "high": 4},
    "A": {"low": {"low": 0.9, "high": 0.1}, "high": {"low": 0.3, "high": 0.7}},
}  # fmt: skip
Y = [0.3, 3.9, None, 4.4]


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """A model, its data, and the option with its parameters."""
    (tmp_path / "hmm.emm").write_text(HMM, encoding="utf-8")
    rows = "".join(f"{1990 + 2 * k},{'' if y is None else y}\n" for k, y in enumerate(Y))
    (tmp_path / "hmm.csv").write_text("year,y\n" + rows, encoding="utf-8")
    (tmp_path / "hmm.json").write_text(json.dumps(PARAMS), encoding="utf-8")
    return [str(tmp_path / "hmm.emm"), str(tmp_path / "hmm.csv"), "--params", str(tmp_path / "hmm.json")]


def rows_of(text: str) -> list[dict[str, float]]:
    return [{key: float(cell) for key, cell in row.items()} for row in csv.DictReader(io.StringIO(text))]


def forward() -> list[Any]:
    """Filtered probabilities by hand (Hamilton 1989)."""
    found: list[Any] = []
    state = np.array([0.5, 0.5])
    for k, y in enumerate(Y):
        state = state if k == 0 else found[-1] @ A
        weight = np.ones(2) if y is None else stats.norm([0, 4], 1).pdf(y)
        found.append(state * weight / (state * weight).sum())
    return found


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["predict", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    return err


def test_ahead_is_the_chain_run_on(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", *files, "--ahead", "3", "--level", "0.8"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    found = rows_of(out)
    assert [row["row"] for row in found] == [5, 6, 7]
    state = forward()[-1]
    for row in found:
        state = state @ A
        assert row["y"] == pytest.approx(state @ [0, 4], rel=1e-10)
        for key, tail in (("low(y)", 0.1), ("high(y)", 0.9)):
            assert state @ stats.norm([0, 4], 1).cdf(row[key]) == pytest.approx(tail, abs=1e-9)


def test_filtered_beside_smoothed(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", *files, "--filtered"]) == 0
    filtered = rows_of(capsys.readouterr().out)
    assert [row["y"] for row in filtered] == pytest.approx([state @ [0, 4] for state in forward()], rel=1e-10)
    assert main(["predict", *files, "--smoothed"]) == 0
    smoothed = rows_of(capsys.readouterr().out)
    assert smoothed[-1]["y"] == pytest.approx(filtered[-1]["y"], rel=1e-12)
    assert smoothed[2]["y"] > filtered[2]["y"] + 0.3  # the year without data lies between two high ones
    assert main(["posterior", *files, "--filtered"]) == 0
    table = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [float(row["P(z=high)"]) for row in table] == pytest.approx([state[1] for state in forward()], rel=1e-10)
    assert [row["viterbi(z)"] for row in table] == ["low", "high", "high", "high"]


def test_forms(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", *files, "--format", "table", "--ahead", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "row       y   low(y)  high(y)",
        "5    2.7998  -1.3831   5.8027",
    ]
    assert main(["predict", *files, "--format", "json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [list(row) for row in listed] == [["row", "y", "low(y)", "high(y)"]] * 4
    file = tmp_path / "p.json"
    assert main(["predict", *files, "-o", str(file)]) == 0
    assert capsys.readouterr() == ("", "")
    assert json.loads(file.read_text(encoding="utf-8")) == listed


def test_python_gives_what_the_command_gives(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    model = emdsl.load(files[0])
    assert main(["predict", *files, "--ahead", "2"]) == 0
    printed = rows_of(capsys.readouterr().out)
    found = model.predict(files[1], PARAMS, ahead=2)
    assert list(found["y"]) == pytest.approx([row["y"] for row in printed], rel=1e-12)
    fit = model.fit(files[1], max_iter=0, starts=1, init=PARAMS)
    assert list(fit.predict(files[1], ahead=2)["y"]) == pytest.approx(list(found["y"]), rel=1e-12)
    assert len(fit.predict()["y"]) == 4
    with pytest.raises(emdsl.EmmError, match="the fit does not keep its own") as found_error:
        fit.predict(ahead=2)
    assert found_error.value.code == "data-needed"


def test_errors(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "expected the values of the parameters" in refused(capsys, *files[:2])
    assert "expected a whole number, 1 or more, found `0`" in refused(capsys, *files, "--ahead", "0")
    assert "expected a number between 0 and 1, found `2`" in refused(capsys, *files, "--level", "2")
    assert "expected one of `--smoothed` and `--filtered`" in refused(capsys, *files, "--smoothed", "--filtered")
    assert "did you mean `table`?" in refused(capsys, *files, "--format", "tabel")
    assert "there is no observed variable in a plate `yaer`" in refused(capsys, *files, "--plate", "yaer")


PLAIN = "index k = levels\nparam b[k] : real\nfor each row:\n    input k : k\n    observed y ~ Normal(b[k], 1)\n"


def test_regression_and_what_new_rows_may_lack(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, data, params = tmp_path / "m.emm", tmp_path / "d.csv", tmp_path / "p.json"
    model.write_text(PLAIN, encoding="utf-8")
    params.write_text(json.dumps({"b": {"u": 1.0, "v": 5.0}}), encoding="utf-8")
    data.write_text("k,y\nv,\nu,7\n", encoding="utf-8")
    arguments = [str(model), str(data), "--params", str(params)]
    assert main(["predict", *arguments]) == 0
    found = rows_of(capsys.readouterr().out)
    assert [row["y"] for row in found] == [5.0, 1.0]
    assert [row["high(y)"] - row["y"] for row in found] == pytest.approx([stats.norm.ppf(0.975)] * 2)
    assert "error[no-chain]: no plate of `m` is a chain" in refused(capsys, *arguments, "--ahead", "2")
    assert "no plate of `m` is a chain" in refused(capsys, *arguments, "--filtered")
    data.write_text("k,y\nw,\n", encoding="utf-8")
    assert "`w`" in refused(capsys, *arguments)
    data.write_text("k,y\n,1\n", encoding="utf-8")
    assert "k" in refused(capsys, *arguments)


def test_inputs_are_not_made_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, data, params = tmp_path / "m.emm", tmp_path / "d.csv", tmp_path / "p.json"
    model.write_text(
        "param b : real\nfor each row in sequence:\n    input x : real\n    observed y ~ Normal(b*x, 1)\n",
        encoding="utf-8",
    )
    params.write_text(json.dumps({"b": 2.0}), encoding="utf-8")
    data.write_text("x,y\n1,2\n", encoding="utf-8")
    err = refused(capsys, str(model), str(data), "--params", str(params), "--ahead", "1")
    assert "error[inputs-ahead]: the units ahead need values of x" in err
    assert "append rows that have these" in err


NESTED = """
index k = {u, v}
param p : simplex[k]
param m[k] : real
for each group:
    latent z ~ Categorical(p)
    observed size ~ Poisson(exp(m[z]))
    for each row:
        observed y ~ Normal(m[z], 1)
"""


def test_a_table_for_each_plate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, data, params = tmp_path / "m.emm", tmp_path / "d.csv", tmp_path / "p.json"
    model.write_text(NESTED, encoding="utf-8")
    params.write_text(json.dumps({"p": {"u": 0.5, "v": 0.5}, "m": {"u": 0.0, "v": 2.0}}), encoding="utf-8")
    data.write_text("group,size,y\na,,2\na,,\nb,0,0\n", encoding="utf-8")
    arguments = [str(model), str(data), "--params", str(params)]
    assert "observed variables live in several plates: group, row" in refused(capsys, *arguments)
    assert main(["predict", *arguments, "-o", str(tmp_path / "out.csv")]) == 0
    capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out-row.csv").read_text(encoding="utf-8"))))
    share = stats.norm.pdf(0) / (stats.norm.pdf(0) + stats.norm.pdf(2))
    assert [row["group"] for row in rows] == ["a", "a", "b"]
    assert [float(row["y"]) for row in rows[:2]] == pytest.approx([2 * share] * 2, rel=1e-12)
    groups = list(csv.DictReader(io.StringIO((tmp_path / "out-group.csv").read_text(encoding="utf-8"))))
    assert float(groups[0]["size"]) == pytest.approx(share * np.exp(2) + 1 - share, rel=1e-10)


LEVEL = """
param q : positive
for each g:
    for each t in sequence by t:
        latent level ~ Normal(0, 2) first, Normal(prev(level), q) after
        observed y ~ Normal(level, 0.5)
"""


def test_forecasts_of_a_hidden_level(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, data, params = tmp_path / "m.emm", tmp_path / "d.csv", tmp_path / "p.json"
    model.write_text(LEVEL, encoding="utf-8")
    data.write_text("g,t,y\nu,1,1.0\nu,2,3.0\nv,1,-1.0\n", encoding="utf-8")
    params.write_text(json.dumps({"q": 0.3}), encoding="utf-8")
    arguments = [str(model), str(data), "--params", str(params)]
    assert main(["predict", *arguments, "--ahead", "3"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["g"] + row["row"] for row in rows] == ["u4", "u5", "u6", "v7", "v8", "v9"]
    for group, seen in (("u", [1.0, 3.0]), ("v", [-1.0])):
        mean, variance = 0.0, 4.0 - 0.09
        for y in seen:  # the filter of a local level (Harvey 1989, section 3.2.1)
            variance += 0.09
            gain = variance / (variance + 0.25)
            mean, variance = mean + gain * (y - mean), variance * (1 - gain)
        own = [row for row in rows if row["g"] == group]
        for step, row in enumerate(own, start=1):
            half = stats.norm.ppf(0.975) * np.sqrt(variance + step * 0.09 + 0.25)
            assert float(row["y"]) == pytest.approx(mean)
            assert float(row["high(y)"]) == pytest.approx(mean + half)
    assert main(["predict", *arguments, "--filtered"]) == 0
    filtered = rows_of_text(capsys.readouterr().out)
    fit = emdsl.load(str(model)).fit(str(data), max_iter=0, starts=1, init={"q": 0.3})
    assert list(fit.predict(filtered=True)["y"]) == pytest.approx(filtered)
    assert main(["posterior", *arguments, "--filtered"]) == 0
    means = [float(row["mean(level)"]) for row in csv.DictReader(io.StringIO(capsys.readouterr().out))]
    assert means == pytest.approx(filtered)


def rows_of_text(text: str) -> list[float]:
    return [float(row["y"]) for row in csv.DictReader(io.StringIO(text))]


TWO_ARGUMENTS = """
family Shifted(m : real, k : real) for x : positive:
    logpdf = -log(x) - log(2*pi)/2 - (log(x) - m - k)^2/2
index c = {one, two}
param a : positive
for each row:
    latent u[c] ~ Normal(0, a)
    latent v[c] ~ Normal(0, 1)
    observed y ~ Shifted(u[one]WIDE, v[one]MORE)
"""


def test_a_law_of_ones_own_over_two_numbers_and_over_too_many() -> None:
    few = emdsl.loads(TWO_ARGUMENTS.replace("WIDE", "").replace("MORE", "").replace("latent u[c]", "latent u").replace(
        "latent v[c]", "latent v").replace("[one]", ""))  # fmt: skip
    found = few.predict({"y": [None, 2.0]}, {"a": 0.5})
    law = stats.lognorm(np.sqrt(1 + 1 + 0.25), scale=1.0)
    assert found["y"][0] == pytest.approx(law.mean(), rel=1e-5)
    assert found["high(y)"][0] == pytest.approx(law.ppf(0.975), rel=1e-5)
    many = emdsl.loads(TWO_ARGUMENTS.replace("WIDE", " + u[two]").replace("MORE", " + v[two]"))
    with pytest.raises(emdsl.EmmError) as error:
        many.predict({"y": [None, 2.0]}, {"a": 0.5})
    assert error.value.code == "not-supported-yet"
    assert "looks at 4 hidden numbers (`u`, `v`); it is predicted over at most 3" in error.value.message


WITHOUT_AHEAD = {
    "no-chain": ("param m : real\nfor each row:\n    observed y ~ Normal(m, 1)\n", {"y": [1.0]}),
    "several-chains": (
        "param m : real\nfor each day in sequence:\n    for each row in sequence:\n        observed y ~ Normal(m, 1)\n",
        {"day": [1, 1, 2], "y": [1.0, 2.0, 3.0]},
    ),
    "chain-across-columns": (
        "index t = columns(y1, y2)\nparam m : real\nfor each row:\n    for each k over t in sequence:\n"
        "        observed y ~ Normal(m, 1)\n",
        {"y1": [1.0], "y2": [2.0]},
    ),
}


@pytest.mark.parametrize("code", WITHOUT_AHEAD)
def test_where_nothing_lies_ahead(code: str) -> None:
    text, data = WITHOUT_AHEAD[code]
    with pytest.raises(emdsl.EmmError) as found:
        emdsl.loads(text).predict(data, {"m": 0.0}, ahead=1)
    assert found.value.code == code and found.value.help


def test_a_model_that_observes_nothing_predicts_nothing() -> None:
    model = emdsl.loads("param m : real\nfor each row:\n    input x : real\n    factor -(x - m)^2\n")
    with pytest.raises(emdsl.EmmError) as found:
        model.predict({"x": [1.0]}, {"m": 0.0})
    assert found.value.code == "nothing-predicted"
