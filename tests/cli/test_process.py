"""The command as a process of its own: streams that close, signals, what is loaded."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FIT = ["fit", "models/peppered_moth.emm", "models/data/peppered_moth.csv"]
PROGRAM = [sys.executable, "-c", "import sys; from emdsl.cli.main import main; sys.exit(main())"]


def emdsl(*arguments: str, **keywords: object) -> subprocess.CompletedProcess[str]:
    """Run the command in the root of the repository."""
    given = {"capture_output": True, "text": True, "check": False, "cwd": ROOT, **keywords}
    return subprocess.run([*PROGRAM, *arguments], **given)  # type: ignore[call-overload]


def test_only_data_on_standard_output() -> None:
    result = emdsl(*FIT, "--format", "json", "--verbose")
    assert result.returncode == 0
    found = json.loads(result.stdout)
    assert found["converged"] and abs(found["loglik"] - -600.4809829192322) < 1e-6
    assert "3 rows in models/data/peppered_moth.csv" in result.stderr


def test_the_same_seed_gives_the_same_digits() -> None:
    first, again = (emdsl(*FIT, "--format", "json", "--seed", "5", "--quiet").stdout for _ in range(2))
    assert first == again != ""


def test_data_on_standard_input() -> None:
    table = (ROOT / "models" / "data" / "peppered_moth.csv").read_text(encoding="utf-8")
    result = emdsl("fit", "-", "models/peppered_moth.emm", "--quiet", input=table)
    assert result.returncode == 0 and result.stderr == ""
    assert "data             standard input: 3 rows, 622 units" in result.stdout


def test_a_model_that_is_wrong(tmp_path: Path) -> None:
    model = tmp_path / "m.emm"
    model.write_text("param p : simplx[a]\nfor each row:\n    observed x ~ Normal(0, 1)\n", encoding="utf-8")
    result = emdsl("fit", str(model), "models/data/peppered_moth.csv")
    assert result.returncode == 2 and result.stdout == ""
    assert f"--> {model}:1:" in result.stderr and "Traceback" not in result.stderr


def test_a_reader_that_goes_away_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        result = emdsl(*FIT, capture_output=False, stdout=write, stderr=subprocess.PIPE)
    finally:
        os.close(write)
    assert result.returncode == 0 and result.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_disk_that_is_full() -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        result = emdsl(*FIT, "--quiet", capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert result.returncode == 2
    assert result.stderr == "error[unwritable-file]: standard output cannot be written: no space left on device\n"


@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")
def test_streams_that_are_closed() -> None:
    quoted = " ".join(f"'{part}'" for part in [*PROGRAM, *FIT])
    result = subprocess.run(["sh", "-c", f"{quoted} >&-"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (2, "error[unwritable-file]: standard output is closed\n")
    result = subprocess.run(["sh", "-c", f"{quoted} 2>&-"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0 and result.stdout.startswith("PepperedMoth")


def test_a_terminal_without_greek_letters(tmp_path: Path) -> None:
    model = tmp_path / "greek.emm"
    model.write_text("param μ : real\nfor each row:\n    observed x ~ Normal(μ, 1)\n", encoding="utf-8")
    (tmp_path / "x.csv").write_text("x\n1\n2\n", encoding="utf-8")
    plain = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    result = emdsl("fit", str(model), str(tmp_path / "x.csv"), "--quiet", env=plain)
    assert result.returncode == 0 and "\\u03bc" in result.stdout
    result = emdsl("fit", str(model), str(tmp_path / "x.csv"), "--quiet", "--format", "json", env=plain)
    assert list(json.loads(result.stdout)["params"]) == ["μ"]


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
def test_an_interrupt() -> None:
    with subprocess.Popen(
        [*PROGRAM, "fit", "models/peppered_moth.emm", "-"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        process.stdin.write("phenotype,count\n")
        process.stdin.flush()
        time.sleep(3)  # by then it waits for the rest of the table
        process.send_signal(signal.SIGINT)
        code = process.wait(20)
        assert (code, process.stdout.read(), process.stderr.read()) == (130, "", "interrupted\n")


def test_help_loads_click_alone() -> None:
    program = "import sys; from emdsl.cli.main import main; main(['--help']); print('MODULES', *sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(result.stdout.partition("MODULES")[2].split())
    assert not loaded & {"numpy", "rich", "lark", "sympy", "emdsl.compiler", "emdsl.results.face", "emdsl.cli.fit"}
    assert "click" in loaded
