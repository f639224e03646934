"""`emdsl simulate`."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from emdsl.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
MOTHS = str(ROOT / "models" / "peppered_moth.emm")
CLASSES = str(ROOT / "models" / "subject_classes.emm")


@pytest.fixture
def params(tmp_path: Path) -> str:
    """A file of allele frequencies."""
    file = tmp_path / "params.json"
    file.write_text(json.dumps({"p": {"C": 0.25, "I": 0.25, "T": 0.5}}), encoding="utf-8")
    return str(file)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    return err


def test_what_is_simulated_can_be_fitted(params: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, fitted = tmp_path / "moths.csv", tmp_path / "fit.json"
    assert main(["simulate", MOTHS, "--params", params, "-n", "2000", "-o", str(file), "--seed", "5"]) == 0
    assert capsys.readouterr() == ("", "")
    assert main(["fit", MOTHS, str(file), "--quiet", "--starts", "1", "--output", str(fitted)]) == 0
    capsys.readouterr()
    found = json.loads(fitted.read_text(encoding="utf-8"))
    for allele, truth in {"C": 0.25, "I": 0.25, "T": 0.5}.items():
        assert abs(found["params"]["p"][allele] - truth) < 5 * found["se"]["p"][allele]
    # the JSON of a whole fit serves as well
    assert main(["simulate", "--params", str(fitted), "-n", "3", MOTHS, "--latent"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 3 and list(rows[0]) == ["count", "phenotype", "genotype"]


def test_a_design(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    params, design = tmp_path / "p.json", tmp_path / "d.csv"
    params.write_text('{"share": [0.5, 0.5], "b0": [0, 9], "b1": [1, 2], "sigma": 0.1}', encoding="utf-8")
    design.write_text("subject,age,score\na,1.5,\nb,2,1\na,3,2\n", encoding="utf-8")
    assert main(["simulate", CLASSES, "--params", str(params), "--design", str(design)]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["subject"], row["age"]) for row in rows] == [("a", "1.5"), ("b", "2"), ("a", "3")]
    assert [row["score"] == "" for row in rows] == [True, False, False]
    assert refused(capsys, "simulate", CLASSES, "--params", str(params), "-n", "4") == (
        "error[design-needed]: a number of units alone does not say the units of `subject` nor the inputs `age`\n"
        " --> --design\nhelp: --design FILE, with the columns subject, age and one row for each visit\n"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "error[bad-option]: expected the number of outermost units\n --> -n\nhelp: -n 100\n"),
        (("-n", "0"), "error[bad-option]: expected a whole number, 1 or more, found `0`\n --> -n\n"),
        (("-n", "ten"), "error[bad-option]: expected a whole number, 1 or more, found `ten`\n --> -n\n"),
        (("-n", "2", "--seed", "x"), "error[bad-option]: expected a whole number, 0 or more, found `x`\n --> --seed\n"),
        (
            ("-n", "2", "--missing", "half"),
            "error[bad-option]: expected a probability between 0 and 1, found `half`\n --> --missing\n"
            "help: --missing 0.1\n",
        ),
    ],
)
def test_wrong_options(
    arguments: tuple[str, ...], said: str, params: str, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    assert refused(capsys, "simulate", MOTHS, "--params", params, *arguments) == said


def test_without_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "simulate", MOTHS, "-n", "3") == (
        "error[bad-command]: expected the values of the parameters\n --> --params\n"
        f"help: emdsl simulate {MOTHS} --params FILE.json -n 100\n"
    )
