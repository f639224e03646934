"""`emdsl fit`: what reaches the compiler, what is printed where, and the exit codes. The fit itself is a stub."""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from emdsl.cli.main import main
from emdsl.diagnostics.errors import EmmError, FitError
from emdsl.request import FitRequest
from emdsl.results.face import Model
from emdsl.results.result import Fit
from tests.results.outcomes import CompiledStub, bound, outcome, state, without_errors


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> CompiledStub:
    """The model that every file is said to hold."""
    made = CompiledStub()
    monkeypatch.setattr("emdsl.results.face.load", lambda path: Model(made))  # type: ignore[arg-type]
    return made


def fit(*arguments: str) -> int:
    return main(["fit", "m.emm", "d.csv", *arguments])


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """Standard error; nothing is on standard output."""
    out, err = capsys.readouterr()
    assert out == ""
    return err


def test_the_table_is_printed_and_warnings_are_said(stub: CompiledStub, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit() == 0
    out, err = capsys.readouterr()
    assert out == Fit(outcome()).summary(warnings=False) + "\n"
    assert err == "warning: the first warning\nwarning: the second\n"
    assert stub.asked == [("d.csv", FitRequest())]


def test_quiet_says_nothing(stub: CompiledStub, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit("--quiet") == 0
    assert capsys.readouterr().err == ""


def test_the_order_of_model_and_data_does_not_matter(stub: CompiledStub) -> None:
    assert main(["fit", "--seed", "1", "-", "m.EMM", "--quiet"]) == 0
    assert stub.asked == [("-", FitRequest(seed=1))]


def test_json(stub: CompiledStub, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit("--format", "json") == 0
    assert json.loads(capsys.readouterr().out) == Fit(outcome()).to_dict()


def test_options_reach_the_request(stub: CompiledStub, tmp_path: Path) -> None:
    start = tmp_path / "start.json"
    start.write_text(json.dumps({"params": {"mu": {"waiting": 3}}}), encoding="utf-8")
    code = fit(
        "--set", "K=3", "--set", "L=1/2", "--const", "Q=q.csv", "--columns", 'dim=a,"b,c", d', "--map", "y=out come",
        "--map", 'y["a,b", c]=x', "--weight", "w", "--na", ".,-9", "--init", "p.C=0.2", "--init", str(start),
        "--fix", "tau=1", "--starts", "9", "--seed", "3", "--tol", "1e-6", "--max-iter", "77",
        "--accelerate", "anderson", "--se", "louis", "--level", "0.9", "--plan", "exact",
        "--interval", "wald", "--executor", "auto", "--quiet",
    )  # fmt: skip
    assert code == 0
    assert stub.request == FitRequest(
        set={"K": "3", "L": "1/2"}, const={"Q": "q.csv"}, columns={"dim": ("a", "b,c", "d")},
        map={"y": "out come", "y[a,b,c]": "x"}, weight="w", na=(".", "-9"),
        init={"p": {"C": 0.2}, "mu": {"waiting": 3.0}}, fix={"tau": 1.0}, starts=9, seed=3, tol=1e-6, max_iter=77,
        accelerate="anderson", se="louis", level=0.9, plan="exact",
    )  # fmt: skip


def test_a_negative_number_is_no_option(stub: CompiledStub) -> None:
    assert fit("--na", "-9", "--init", "mu.waiting=-1", "--quiet") == 0
    assert stub.request.na == ("-9",) and stub.request.init == {"mu": {"waiting": -1.0}}


def test_columns_that_nobody_named_are_printed(stub: CompiledStub, capsys: pytest.CaptureFixture[str]) -> None:
    stub.answer = replace(outcome(warnings=()), bound=replace(bound(), leftover={"dim": ("eruptions", "waiting")}))
    assert fit() == 0
    assert capsys.readouterr().err == "note: `dim` took every numeric column left over: eruptions, waiting\n"
    assert fit("--quiet") == 0
    assert capsys.readouterr().err == ""
    assert fit("--verbose") == 0
    assert "3 rows in moths.csv\nplate `moth`: 3 units\n`x`: column x\n" in capsys.readouterr().err


def test_a_fit_that_did_not_converge_is_printed(stub: CompiledStub, capsys: pytest.CaptureFixture[str]) -> None:
    stub.answer = without_errors().outcome
    assert fit("--format", "json") == 1
    assert json.loads(capsys.readouterr().out)["converged"] is False


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--tol", "0", "--max-iter", "2"), 0),
        (("--tol", "0", "--max-iter", "3"), 1),  # it ended before it had run as many
        (("--max-iter", "2"), 1),
        (("--max-iter", "0"), 0),
    ],
)
def test_a_fixed_number_of_iterations_is_done(arguments: tuple[str, ...], code: int, stub: CompiledStub) -> None:
    stub.answer = without_errors().outcome  # after two iterations
    assert fit(*arguments, "--quiet") == code


def test_a_fit_that_fails(stub: CompiledStub, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    stub.answer = FitError("the log-likelihood at the starting values is -inf")
    assert fit() == 1
    assert said(capsys) == "error[fit-failed]: the log-likelihood at the starting values is -inf\n"
    stub.answer = FitError("it broke", outcome(state=state(converged=False)))
    assert fit("--format", "json", "--output", str(tmp_path / "fit.json"), "--quiet") == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["converged"] is False and err == "error[fit-failed]: it broke\n"
    assert json.loads((tmp_path / "fit.json").read_text(encoding="utf-8")) == json.loads(out)


def test_files(stub: CompiledStub, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    target, trace = tmp_path / "fit.json", tmp_path / "trace.csv"
    target.write_text("old", encoding="utf-8")
    assert fit("--output", str(target), "--trace", str(trace)) == 0
    assert json.loads(target.read_text(encoding="utf-8")) == Fit(outcome()).to_dict()
    assert trace.read_text(encoding="utf-8") == "iteration,loglik\n0,-700.0\n1,-600.48098\n"
    assert sorted(os.listdir(tmp_path)) == ["fit.json", "trace.csv"]
    assert capsys.readouterr().out.startswith("Example: an example\n")


def test_a_link_stays_a_link(stub: CompiledStub, tmp_path: Path) -> None:
    (tmp_path / "link.json").symlink_to(tmp_path / "fit.json")
    assert fit("--output", str(tmp_path / "link.json"), "--quiet") == 0
    assert (tmp_path / "link.json").is_symlink() and (tmp_path / "fit.json").is_file()


def test_a_file_is_written_whole_or_not_at_all(
    stub: CompiledStub, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    target = tmp_path / "fit.json"
    target.write_text("old", encoding="utf-8")
    monkeypatch.setattr("os.fsync", full)
    assert fit("--output", str(target), "--quiet") == 2
    assert said(capsys) == (
        f"error[unwritable-file]: `{target}` cannot be written: no space left on device\n --> --output\n"
    )
    assert target.read_text(encoding="utf-8") == "old" and os.listdir(tmp_path) == ["fit.json"]


def test_places_that_cannot_be_written_are_told_before_the_fit(
    stub: CompiledStub, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    absent = tmp_path / "no"
    assert fit("--output", str(absent / "fit.json")) == 2
    assert said(capsys) == (
        f"error[unwritable-file]: there is no directory `{absent}`\n --> --output\nhelp: mkdir -p {absent}\n"
    )
    assert fit("--trace", str(tmp_path)) == 2
    assert said(capsys) == (
        f"error[unwritable-file]: `{tmp_path}` is a directory\n --> --trace\nhelp: --trace {tmp_path}/FILE\n"
    )
    assert stub.asked == []


def wrong_commands() -> list[tuple[str, str]]:
    """Commands and what each says on standard error, from the file beside this one."""
    text = (Path(__file__).parent / "wrong_commands.txt").read_text(encoding="utf-8")
    pairs = (block.partition("\n") for block in text.removeprefix("$ emdsl ").split("\n$ emdsl "))
    return [(command, said.strip("\n") + "\n") for command, _, said in pairs]


@pytest.mark.parametrize(("command", "text"), wrong_commands(), ids=[command for command, _ in wrong_commands()])
def test_wrong_commands(
    command: str, text: str, stub: CompiledStub, capsys: pytest.CaptureFixture[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(command)) == 2
    assert said(capsys) == text
    assert stub.asked == []


def test_an_error_of_the_data(stub: CompiledStub, capsys: pytest.CaptureFixture[str]) -> None:
    stub.answer = EmmError("column-not-found", "there is no column `x`", place="d.csv")
    assert fit() == 2
    assert said(capsys) == "error[column-not-found]: there is no column `x`\n --> d.csv\n"


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (MemoryError(), 1, "error[out-of-memory]: there is not enough memory for this fit\n"),
        (
            ZeroDivisionError("division\nby zero"), 70,
            "error[internal]: this is a bug in emdsl: ZeroDivisionError: division by zero\n"
            "help: the same command with --verbose shows the traceback; please report it with the model\n",
        ),
    ],
)  # fmt: skip
def test_other_endings(
    error: BaseException, code: int, text: str, stub: CompiledStub, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def fail(data: Any, request: Any) -> Any:
        raise error

    monkeypatch.setattr(stub, "fit", fail)
    assert fit() == code
    assert said(capsys) == text


def test_verbose_shows_the_traceback_of_a_bug(
    stub: CompiledStub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stub, "fit", lambda data, request: 1 // 0)
    assert fit("--verbose") == 70
    err = said(capsys)
    assert err.startswith("Traceback (most recent call last):\n")
    last = "error[internal]: this is a bug in emdsl: ZeroDivisionError: integer division or modulo by zero"
    assert err.splitlines()[-1] == last
