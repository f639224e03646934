"""`emdsl posterior` and `emdsl fit --posterior`."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from emdsl.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
MODELS, DATA = ROOT / "models", ROOT / "models" / "data"
MOTHS = [str(MODELS / "peppered_moth.emm"), str(DATA / "peppered_moth.csv")]
TRACKS = [str(MODELS / "ragged_chains.emm"), str(DATA / "tracks.csv")]


@pytest.fixture
def params(tmp_path: Path) -> str:
    """A file of allele frequencies."""
    file = tmp_path / "params.json"
    file.write_text(json.dumps({"p": {"C": 0.25, "I": 0.25, "T": 0.5}}), encoding="utf-8")
    return str(file)


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    return err


def test_on_standard_output(params: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["posterior", *MOTHS, "--params", params]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    rows = [[row.pop("row"), row.pop("genotype"), *map(float, row.values())] for row in table(out)]
    assert out.startswith("row,genotype,P(genotype=C/C),P(genotype=C/I),P(genotype=C/T),P(genotype=I/I),")
    assert [row[:2] for row in rows] == [["1", "C/T"], ["2", "I/T"], ["3", "T/T"]]
    shares = np.array([row[2:] for row in rows], dtype=float)
    expected = np.array([[1 / 7, 2 / 7, 4 / 7, 0, 0, 0], [0, 0, 0, 0.2, 0.8, 0], [0, 0, 0, 0, 0, 1]])
    assert np.allclose(shares, expected, rtol=1e-14, atol=0)


def test_a_file_whole_or_not_at_all(params: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "posterior.csv"
    assert main(["posterior", "--params", params, *MOTHS, "-o", str(file)]) == 0
    assert capsys.readouterr() == ("", "")
    assert [row["genotype"] for row in table(file.read_text(encoding="utf-8"))] == ["C/T", "I/T", "T/T"]
    assert "there is no directory" in refused(
        capsys, "posterior", *MOTHS, "--params", params, "-o", str(tmp_path / "no" / "x.csv")
    )


def test_a_fit_writes_it_and_its_json_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    posterior, fitted = tmp_path / "p.csv", tmp_path / "fit.json"
    arguments = ["fit", *TRACKS, "--starts", "3", "--posterior", str(posterior), "--output", str(fitted), "--quiet"]
    assert main(arguments) == 0
    capsys.readouterr()
    assert main(["posterior", *TRACKS, "--params", str(fitted)]) == 0
    out = capsys.readouterr().out
    own, again = table(posterior.read_text(encoding="utf-8")), table(out)
    assert list(own[0]) == [
        "animal", "row", "behaviour", "P(behaviour=1)", "P(behaviour=2)", "mean(behaviour)", "viterbi(behaviour)"
    ]  # fmt: skip
    assert len(own) == 402
    for one, two in zip(own, again, strict=True):
        assert float(one["P(behaviour=1)"]) == pytest.approx(float(two["P(behaviour=1)"]), abs=1e-9)
        assert one["viterbi(behaviour)"] == two["viterbi(behaviour)"]


def test_several_plates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, data, params = tmp_path / "m.emm", tmp_path / "d.csv", tmp_path / "p.json"
    model.write_text(
        "index a = {u, v}\nparam p : simplex[a]\nparam q[a] : unit\nfor each g:\n    latent x ~ Categorical(p)\n"
        "    for each r:\n        latent y ~ Bernoulli(q[x])\n        observed s = y\n",
        encoding="utf-8",
    )
    data.write_text("g,s\n1,0\n1,1\n2,1\n", encoding="utf-8")
    params.write_text('{"p": {"u": 0.5, "v": 0.5}, "q": {"u": 0.25, "v": 0.75}}', encoding="utf-8")
    arguments = ["posterior", str(model), str(data), "--params", str(params)]
    assert refused(capsys, *arguments) == (
        "error[several-plates]: hidden variables live in several plates: g, r\n --> --plate\n"
        "help: --plate g, or -o FILE.csv, which writes a file for each\n"
    )
    assert main([*arguments, "--plate", "r"]) == 0
    assert [row["y"] for row in table(capsys.readouterr().out)] == ["0", "1", "1"]
    assert main([*arguments, "-o", str(tmp_path / "out.csv")]) == 0
    out, err = capsys.readouterr()
    assert out == "" and "out-g.csv" in err
    groups = table((tmp_path / "out-g.csv").read_text(encoding="utf-8"))
    assert [float(row["P(x=u)"]) for row in groups] == pytest.approx([0.5, 0.25], rel=1e-12)
    assert (tmp_path / "out-r.csv").exists() and not (tmp_path / "out.csv").exists()
    assert "error[unknown-plate]" in refused(capsys, *arguments, "--plate", "q")


def test_wrong_commands(params: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "posterior", *MOTHS).startswith(
        "error[bad-command]: expected the values of the parameters\n --> --params\nhelp: emdsl fit "
    )
    assert "error[no-such-file]" in refused(capsys, "posterior", *MOTHS, "--params", str(tmp_path / "none.json"))
    assert "error[bad-command]" in refused(capsys, "posterior", MOTHS[0], "--params", params)
    bad = tmp_path / "bad.csv"
    bad.write_text("phenotype\ntypica\nblue\n", encoding="utf-8")
    assert refused(capsys, "posterior", MOTHS[0], str(bad), "--params", params) == (
        "error[unknown-label]: `blue` is not a label of `phenotype`\n"
        f" --> {bad}, row 2 (line 3), column phenotype\nhelp: its labels are carbonaria, insularia, typica\n"
    )
    nothing = [str(MODELS / "linkage_coarse.emm"), str(DATA / "linkage.csv")]
    assert refused(capsys, "fit", *nothing, "--posterior", str(tmp_path / "x.csv")) == (
        "error[nothing-hidden]: nothing is hidden in `LinkageCoarse`, so there is no posterior\n --> --posterior\n"
    )
