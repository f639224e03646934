"""`emdsl fit --plot` and `--report`: files that are whole, checked before the fit begins."""

from __future__ import annotations

import re
import shlex
from html import unescape
from pathlib import Path

import pytest

from emdsl.cli.main import main

ROOT = Path(__file__).parents[2]
MODEL, DATA = str(ROOT / "models/peppered_moth.emm"), str(ROOT / "models/data/peppered_moth.csv")


def test_both_are_written_beside_the_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plot, report = tmp_path / "fit.svg", tmp_path / "fit.html"
    given = ["fit", MODEL, DATA, "--starts", "2", "--plot", str(plot), "--report", str(report)]
    assert main(given) == 0
    assert "p.C" in capsys.readouterr().out
    assert plot.read_bytes().startswith(b"<?xml")
    shown = report.read_text(encoding="utf-8")
    command = re.search(r"To do it again</h2>\s*<pre>(.*?)</pre>", shown, re.DOTALL)
    assert command is not None
    assert sorted(shlex.split(unescape(command[1]))) == sorted(["emdsl", *given])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fit.html", "fit.svg"]


@pytest.mark.parametrize("option", ["--plot", "--report"])
def test_what_cannot_be_written_is_said_before_the_fit(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    name = "fit.svg" if option == "--plot" else "fit.html"
    assert main(["fit", "missing.emm", "missing.csv", option, str(tmp_path / "no" / name)]) == 2
    assert capsys.readouterr().err.startswith("error[unwritable-file]: there is no directory")


def test_a_plot_needs_matplotlib_and_a_report_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    monkeypatch.setattr("emdsl.results.plots.figure.find_spec", lambda name: None)
    monkeypatch.setattr("emdsl.results.report.page.find_spec", lambda name: None)
    assert main(["fit", "missing.emm", "missing.csv", "--plot", str(tmp_path / "fit.png")]) == 2
    assert capsys.readouterr().err == (
        "error[no-matplotlib]: drawing plots needs matplotlib\n --> --plot\nhelp: pip install matplotlib\n"
    )
    assert main(["fit", MODEL, DATA, "--starts", "1", "--quiet", "--report", str(tmp_path / "fit.html")]) == 0
    assert "Plots need matplotlib" in (tmp_path / "fit.html").read_text(encoding="utf-8")
