"""A compiled file as a program: what it prints where, its exit codes, and what it says of bad input."""

from __future__ import annotations

import gzip
import json
import subprocess
from pathlib import Path

import pytest

import emdsl
from tests.standalone.isolation import ROOT, run

MOTHS = (ROOT / "models" / "data" / "peppered_moth.csv").read_text(encoding="utf-8")
FAITHFUL = ROOT / "models" / "data" / "faithful.csv"


@pytest.fixture(scope="module")
def moths(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled moths, beside their data."""
    return compiled(tmp_path_factory.mktemp("moths"), "peppered_moth", MOTHS)


@pytest.fixture(scope="module")
def eruptions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compiled mixture, beside its data."""
    return compiled(tmp_path_factory.mktemp("eruptions"), "gaussian_mixture", FAITHFUL.read_text(encoding="utf-8"))


def compiled(folder: Path, name: str, data: str) -> Path:
    """A shipped model as a file of Python, with `data.csv` beside it."""
    file = folder / f"{name}.py"
    file.write_text(emdsl.load(str(ROOT / "models" / f"{name}.emm")).compile(), encoding="utf-8")
    (folder / "data.csv").write_text(data, encoding="utf-8")
    return file


def fitted(result: subprocess.CompletedProcess[str]) -> dict[str, object]:
    """The JSON of a fit that went well."""
    assert result.returncode == 0, result.stderr
    found: dict[str, object] = json.loads(result.stdout)
    return found


def test_a_table_is_printed(moths: Path, numpy_alone: Path) -> None:
    result = run(moths, numpy_alone, "data.csv")
    assert result.returncode == 0 and result.stderr == ""
    expected = emdsl.load(str(ROOT / "models" / "peppered_moth.emm")).fit(str(moths.with_name("data.csv"))).summary()
    assert result.stdout.replace("data.csv", str(moths.with_name("data.csv"))) == expected + "\n"


def test_help_is_the_text_at_the_top(moths: Path, numpy_alone: Path) -> None:
    result = run(moths, numpy_alone, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("PepperedMoth: Allele frequencies of the peppered moth")
    assert "python peppered_moth.py data.csv" in result.stdout and "--max-iter N" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "error[bad-command]: expected one table, found nothing\nhelp: python "),
        (["data.csv", "other.csv"], "error[bad-command]: expected one table, found 2 of them\nhelp: python "),
        (["--seeds", "3"], "error[unknown-option]: there is no option `--seeds`\nhelp: did you mean `--seed`?\n"),
        (["data.csv", "--seed"], "error[bad-option]: the option `--seed` needs a value\nhelp: --seed S\n"),
        (["data.csv", "--json=1"], "error[bad-option]: the option `--json` takes no value\n"),
        (["data.csv", "--format", "yaml"], "error[bad-option]: expected one of table, json, found `yaml`\n --> --format\n"),
        (["data.csv", "--seed", "x"], "error[bad-option]: expected a whole number, 0 or more, found `x`\n --> --seed"),
        (["data.csv", "--tol", "-1"], "error[bad-option]: expected a number 0 or more, found `-1`\n --> --tol\n"),
        (["data.csv", "--set", "K"], "error[bad-assignment]: expected NAME=VALUE, found `K`\n --> --set\n"),
        (["data.csv", "--set", "K=3"], "error[unknown-constant]: there is no constant `K`\n --> --set\n"),
        (["data.csv", "--set", "p[a]=3"], "error[bad-assignment]: expected NAME=VALUE, found `p[a]=3`\n --> --set\n"),
        (["data.csv", "--init", "q=3"], "error[unknown-parameter]: the model has no parameter `q`\n --> --init\n"),
        (["data.csv", "--se", "jackknife"], "error[bad-option]: expected one of auto, louis, observed, sem, opg"),
        (["data.csv", "--output", "no/f.json"], "error[unwritable-file]: there is no directory `"),
        (["absent.csv"], "error[no-such-file]: there is no file `absent.csv`\n --> absent.csv\n"),
        (["wrong.csv"], "error[unknown-label]: `typic` is not a label of `phenotype`\n --> wrong.csv, row 3 (line 4)"),
        (["data.parquet"], "error[unsupported-data]: a stand-alone file reads CSV and TSV, not Parquet\n --> data"),
        (["data.arrow"], "error[unsupported-data]: a stand-alone file reads CSV and TSV, not Arrow\n --> data.arrow\n"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(arguments: list[str], message: str, moths: Path, numpy_alone: Path) -> None:
    moths.with_name("wrong.csv").write_text(MOTHS.replace("typica", "typic"), encoding="utf-8")
    moths.with_name("data.parquet").write_bytes(b"PAR1 and so on")
    moths.with_name("data.arrow").write_bytes(b"ARROW1 and so on")
    result = run(moths, numpy_alone, *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(message), result.stderr
    assert "Traceback" not in result.stderr


def test_a_fit_that_does_not_converge(eruptions: Path, numpy_alone: Path) -> None:
    limited = ("data.csv", "--max-iter", "2", "--starts", "1", "--accelerate", "none", "--json")
    result = run(eruptions, numpy_alone, *limited)
    assert result.returncode == 1 and json.loads(result.stdout)["stopped_by"] == "iterations"
    assert "warning: " in result.stderr
    asked = fitted(run(eruptions, numpy_alone, *limited, "--tol", "0", "--quiet"))
    assert asked["iterations"] == 2


def test_constants_columns_and_starting_values(eruptions: Path, numpy_alone: Path) -> None:
    found = fitted(run(eruptions, numpy_alone, "data.csv", "--set", "K=3", "--starts", "4", "--json", "--quiet"))
    assert found["indexes"] == {"cluster": ["1", "2", "3"], "dim": ["eruptions", "waiting"]}
    alone = run(eruptions, numpy_alone, "--columns", "dim=waiting", "data.csv", "--json", "--quiet", "--starts", "1")
    assert fitted(alone)["indexes"] == {"cluster": ["1", "2"], "dim": ["waiting"]}
    start = {"share": {"1": 0.3, "2": 0.7}, "mu": {"1": {"eruptions": 2, "waiting": 55}}}
    eruptions.with_name("start.json").write_text(json.dumps({"params": start}), encoding="utf-8")
    at = ("data.csv", "--max-iter", "0", "--starts", "1", "--json", "--quiet")
    begun = fitted(run(eruptions, numpy_alone, *at, "--init", "start.json", "--init", "mu.2.waiting=80"))
    params = begun["params"]
    assert isinstance(params, dict)
    assert params["share"] == {"1": 0.3, "2": 0.7} and params["mu"]["2"]["waiting"] == 80.0


def test_a_note_where_all_numeric_columns_are_taken(eruptions: Path, numpy_alone: Path) -> None:
    result = run(eruptions, numpy_alone, "data.csv", "--starts", "1")
    assert result.stderr == "note: `dim` took every numeric column left over: eruptions, waiting\n"
    assert run(eruptions, numpy_alone, "data.csv", "--starts", "1", "--quiet").stderr == ""


def test_files_that_are_large_packed_or_piped(moths: Path, numpy_alone: Path) -> None:
    header, *rows = MOTHS.splitlines()
    many = "\n".join([header, *(rows * 3000)]) + "\n"
    moths.with_name("many.csv").write_text(many, encoding="utf-8")
    moths.with_name("many.csv.gz").write_bytes(gzip.compress(many.encode()))
    assert len(many) > 100_000
    options = ("--json", "--quiet", "--starts", "2")
    large = fitted(run(moths, numpy_alone, "many.csv", *options))
    assert large["data"] == {"rows": 9000, "units": 622 * 3000, "missing": 0}
    assert fitted(run(moths, numpy_alone, "many.csv.gz", *options)) == large
    assert fitted(run(moths, numpy_alone, "-", *options, input=many)) == large


def test_the_output_file(moths: Path, numpy_alone: Path) -> None:
    result = run(moths, numpy_alone, "data.csv", "--output", "fit.json", "--quiet")
    assert result.stdout.startswith("PepperedMoth") and result.returncode == 0
    printed = run(moths, numpy_alone, "data.csv", "--json").stdout
    assert run(moths, numpy_alone, "data.csv", "--format", "json").stdout == printed
    assert moths.with_name("fit.json").read_text(encoding="utf-8") == printed


def test_a_special_function_asks_for_scipy(tmp_path: Path, numpy_alone: Path) -> None:
    file = compiled(tmp_path, "poisson_mixture", "deaths,days\n0,162\n1,267\n2,271\n3,185\n4,111\n")
    result = run(file, numpy_alone, "data.csv")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "error[no-scipy]: this model calls a special function of SciPy\nhelp: pip install scipy\n"


def test_without_numpy(moths: Path, tmp_path: Path) -> None:
    result = run(moths, tmp_path, "data.csv")
    assert (result.returncode, result.stderr) == (1, "error: this file needs NumPy\nhelp: pip install numpy\n")


def test_a_change_to_the_program_takes_effect(moths: Path, numpy_alone: Path) -> None:
    whole = moths.read_text(encoding="utf-8")
    assert whole.count("    return R0\n") == 1
    changed = moths.with_name("changed.py")
    line = "    return R0 + np.array([0.0, 0.0, 1e6])\n"
    changed.write_text(whole.replace("    return R0\n", line), encoding="utf-8")
    once = ("data.csv", "--tol", "0", "--max-iter", "1", "--starts", "1", "--accelerate", "none", "--json", "--quiet")
    params = fitted(run(changed, numpy_alone, *once))["params"]
    assert isinstance(params, dict) and params["p"]["T"] > 0.99


def test_a_note_where_the_program_is_planned_anew(eruptions: Path, numpy_alone: Path) -> None:
    data = eruptions.with_name("weighted.csv")
    header, *rows = FAITHFUL.read_text(encoding="utf-8").splitlines()
    data.write_text("\n".join([f"{header},w", *(f"{row},1" for row in rows)]) + "\n", encoding="utf-8")
    options = ("weighted.csv", "--json", "--starts", "4", "--weight", "w")
    result = run(eruptions, numpy_alone, *options)
    assert "note: these data call for another program than the one in the file" in result.stderr
    plain = fitted(run(eruptions, numpy_alone, "data.csv", "--json", "--starts", "4"))
    assert abs(float(str(fitted(result)["loglik"])) - float(str(plain["loglik"]))) < 1e-6
