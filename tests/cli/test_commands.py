"""The other commands, help, and what is not in this version."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from emdsl.cli.main import COMMANDS, emdsl, main
from emdsl.ir.derivation import Step
from emdsl.request import FitRequest
from emdsl.results.face import Model
from emdsl.results.options import DEFAULTS, cli_spelling
from emdsl.results.unavailable import OPTIONS as ABSENT_OPTIONS
from emdsl.version import VERSION
from tests.results.outcomes import CompiledStub

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> CompiledStub:
    """The model that every file is said to hold."""
    made = CompiledStub(steps=(Step("simplex", "p", "", "p = N / n"),))
    monkeypatch.setattr("emdsl.results.face.load", lambda path, **_: Model(made))  # type: ignore[arg-type]
    return made


def error(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a wrong command says."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    return err


def test_check(stub: CompiledStub, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "m.emm"]) == 0
    assert main(["check", "d.csv", "m.emm", "--set", "K=3", "--fix", "tau=1"]) == 0
    assert capsys.readouterr() == ("the first line\nthe second\n" * 2, "")
    assert stub.asked == [(None, FitRequest()), ("d.csv", FitRequest(set={"K": "3"}, fix={"tau": 1.0}))]


def test_derive(stub: CompiledStub, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["derive", "m.emm", "--format", "text"]) == 0
    assert capsys.readouterr() == ("Example: an example\n\nM-step\n------\np [simplex]\n    p = N / n\n", "")


@pytest.mark.parametrize(
    ("form", "ending", "beginning"),
    [("markdown", "md", "# Example\n"), ("latex", "tex", "\\documentclass"), ("html", "html", "<!DOCTYPE html>")],
)
def test_other_formats_of_a_derivation(
    stub: CompiledStub, capsys: pytest.CaptureFixture[str], tmp_path: Path, form: str, ending: str, beginning: str
) -> None:
    assert main(["derive", "m.emm", "--format", form]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(beginning) and err == ""
    file = tmp_path / f"m.{ending}"
    assert main(["derive", "m.emm", "-o", str(file)]) == 0  # the file's name says the format
    assert file.read_text(encoding="utf-8") == out and capsys.readouterr() == ("", "")
    assert main(["derive", "m.emm", "-o", str(file), "--format", "text"]) == 0
    assert file.read_text(encoding="utf-8").startswith("Example: an example\n")


def test_errors_of_derive(capsys: pytest.CaptureFixture[str]) -> None:
    assert error(capsys, "derive", "m.emm", "--format", "rtf") == (
        "error[bad-option]: expected one of text, markdown, latex, html, found `rtf`\n --> --format\n"
    )
    assert "there is no directory" in error(capsys, "derive", "m.emm", "-o", "no/m.html")
    assert error(capsys, "derive", "m.emm", "d.csv") == (
        "error[bad-command]: expected a model alone, found also `d.csv`\nhelp: emdsl derive MODEL.emm\n"
    )


def test_graph(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model = str(ROOT / "models" / "peppered_moth.emm")
    assert main(["graph", model]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("PepperedMoth: ") and err == ""
    assert out.endswith("observed, determined  phenotype  <- genotype\n")
    written = (("svg", "svg", "<svg "), ("dot", "dot", "digraph "), ("txt", "text", "PepperedMoth: "))
    for ending, form, beginning in written:
        file = tmp_path / f"moth.{ending}"
        assert main(["graph", model, "-o", str(file)]) == 0
        assert main(["graph", model, "--format", form]) == 0
        assert capsys.readouterr() == (file.read_text(encoding="utf-8"), "")
        assert file.read_text(encoding="utf-8").startswith(beginning)


def test_errors_of_graph(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert error(capsys, "graph", "m.emm", "--format", "png") == (
        "error[bad-option]: expected one of text, svg, dot, found `png`\n --> --format\n"
    )
    assert "there is no directory" in error(capsys, "graph", "m.emm", "-o", str(tmp_path / "no" / "m.svg"))
    file = tmp_path / "wrong.emm"
    file.write_text("model M\nfor each row:\n    observed x ~ Normal(m, 1)\n", encoding="utf-8")
    assert "error[unknown-name]" in error(capsys, "graph", str(file), "-o", str(tmp_path / "m.svg"))
    assert error(capsys, "graph", str(file), "-o", str(file)).startswith("error[overwrites-input]")
    assert not (tmp_path / "m.svg").exists()


def test_compile(stub: CompiledStub, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["compile", "m.emm"]) == 0
    assert capsys.readouterr() == ("print('fitted')\n", "")
    assert main(["compile", "m.emm", "-o", str(tmp_path / "m.py")]) == 0
    assert (tmp_path / "m.py").read_text(encoding="utf-8") == "print('fitted')\n"
    assert capsys.readouterr() == ("", "")
    assert "there is no directory" in error(capsys, "compile", "m.emm", "-o", str(tmp_path / "no" / "m.py"))


def test_unknown_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert error(capsys, "fti") == "error[unknown-command]: there is no command `fti`\nhelp: did you mean `fit`?\n"
    assert error(capsys, "m.emm", "d.csv") == (
        "error[unknown-command]: there is no command `m.emm`\nhelp: emdsl fit m.emm DATA\n"
    )
    assert error(capsys, "frobnicate") == (
        f"error[unknown-command]: there is no command `frobnicate`\nhelp: the commands are {', '.join(COMMANDS)}\n"
    )
    assert error(capsys, "--frobnicate") == (
        "error[unknown-option]: there is no option `--frobnicate`\nhelp: emdsl --help lists the options\n"
    )


def test_help_and_version() -> None:
    runner = CliRunner()
    result = runner.invoke(emdsl, ["--help"])
    assert result.exit_code == 0
    for name, (_, _, line) in COMMANDS.items():
        assert f"  {name.ljust(max(map(len, COMMANDS)))}  {line}\n" in result.output
    assert runner.invoke(emdsl, ["--version"]).output == f"emdsl {VERSION}\n"


def test_without_arguments_there_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out.startswith("Usage: emdsl [OPTIONS] COMMAND [ARGS]...\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_the_line_of_the_list(name: str) -> None:
    command = emdsl.get_command(click.Context(emdsl), name)
    assert command is not None and command.name == name and command.short_help == COMMANDS[name][2]
    result = CliRunner().invoke(emdsl, [name, "-h"])
    argument = "NAME" if name == "new" else "MODEL"
    assert result.exit_code == 0 and result.output.startswith(f"Usage: emdsl {name} [OPTIONS] {argument}")


def test_every_option_of_python_is_one_of_the_command() -> None:
    options = {name for item in fit_command().params for name in item.opts}
    assert {cli_spelling(name) for name in DEFAULTS} - {"--progress"} <= options


def test_help_shows_no_option_that_is_refused() -> None:
    output = CliRunner().invoke(emdsl, ["fit", "--help"]).output
    for name, values in ABSENT_OPTIONS.items():
        if values is None:
            assert cli_spelling(name) + " " not in output
        else:
            assert not any(f"|{value}" in output for value in values)


def fit_command() -> click.Command:
    """The command `fit`."""
    command = emdsl.get_command(click.Context(emdsl), "fit")
    assert isinstance(command, click.Command)
    return command
