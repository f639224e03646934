"""`emdsl new`: the files that it writes and those that it does not; every template is fitted to a table of its kind."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import emdsl
from emdsl.cli.main import main
from emdsl.cli.new import create, model_name
from emdsl.gallery.templates import templates
from emdsl.syntax import tree
from emdsl.syntax.formatting import format_text
from emdsl.syntax.parser import parse
from tests.cli.gallery_tables import EXAMPLES


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def error(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a wrong command says; it writes nothing."""
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    assert main(["new", *arguments]) == 2
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before
    out, err = capsys.readouterr()
    assert out == ""
    return err


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_template_is_fitted(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    example = EXAMPLES[name]
    assert main(["new", "my_model", "--template", name]) == 0
    assert capsys.readouterr().out == ""
    model, data = emdsl.load("my_model.emm"), example.draw(np.random.default_rng(7))
    checked = model.check(data)
    assert "\nM-step" in checked and "  the data determine all " in checked
    derived = model.derive()
    assert "M-step" in str(derived)
    fit = model.fit(data).to_dict()
    assert fit["model"] == "MyModel" and fit["converged"]
    assert fit["estimator"] == ("MAP" if name == "mixture-with-priors" else "ML")
    far = {
        path: found
        for path, (truth, tolerance) in example.truth.items()
        if abs((found := element(fit["params"], path)) - truth) > tolerance
    }
    assert far == {}
    json.dumps(fit, allow_nan=False)


def element(params: dict[str, Any], path: str) -> float:
    found: Any = params
    for key in path.split("."):
        found = found[key]
    return float(found)


def test_every_template_has_its_example() -> None:
    assert {template.name for template in templates()} == set(EXAMPLES)


@pytest.mark.parametrize("template", templates(), ids=lambda template: template.name)
def test_a_template_is_commented_described_and_named_after_its_file(template: Any) -> None:
    heading = parse(template.text).declarations[0]
    assert isinstance(heading, tree.ModelDecl)
    assert heading.name == model_name(template.name.replace("-", "_"))
    assert heading.description == template.description
    assert "\n# The table: " in template.text and len(template.description) < 90
    assert max(map(len, template.text.splitlines())) <= 120


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("moths", "Moths"), ("peppered_moth", "PepperedMoth"), ("ABO", "ABO"), ("a_1__b", "A1B"), ("model", "Model"),
        ("μ_x", "ΜX"), ("ǰ", "ǰ"), ("重み", "重み"),
    ],
)  # fmt: skip
def test_the_name_of_the_file_gives_the_name_of_the_model(name: str, model: str) -> None:
    assert main(["new", name]) == 0
    text = Path(f"{name}.emm").read_text(encoding="utf-8")
    assert parse(text).declarations[0] == tree.ModelDecl(model, "one column, several bumps: a mixture of Normals")
    assert format_text(text) == text
    (shipped,) = (template.text for template in templates() if template.name == "mixture")
    assert text == shipped.replace("model Mixture ", f"model {model} ")


def test_what_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "a.emm", "--template", "hidden_markov"]) == 0
    text = "wrote a.emm\nnext: emdsl check a.emm, then emdsl fit a.emm DATA.csv\n"
    assert capsys.readouterr() == ("", text)
    assert main(["new", "b", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert sorted(os.listdir()) == ["a.emm", "b.emm"]


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= 12
    assert [line.split("  ")[0] for line in lines] == sorted(EXAMPLES)
    assert "logistic             logistic regression" in lines
    assert os.listdir() == []


def test_nothing_is_overwritten(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.emm").write_text("mine", encoding="utf-8")
    text = "error[file-exists]: there is a file `a.emm` already, which is left as it is\nhelp: emdsl new a_2\n"
    assert error(capsys, "a") == text


@pytest.mark.skipif(os.name == "nt", reason="links are those of POSIX")
def test_no_link_is_followed(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.emm").symlink_to("elsewhere.emm")
    assert error(capsys, "a").startswith("error[file-exists]")
    assert not Path("elsewhere.emm").exists()


@pytest.mark.parametrize(
    ("name", "proposed"),
    [
        ("../x", "x"), ("/tmp/x", "x"), ("folder/", "my_model"), ("a-b", "a_b"), ("a b.emm", "a_b"),
        ("", "my_model"), (".", "my_model"), (".emm", "my_model"), ("2x", "my_model"), ("_x", "x"), ("x²", "x"),
        ("a" * 101, "a" * 100), ("a\nparam mu : real", "a_param_mu_real"), ('x" # ', "x"), ("a\\b", "a_b"),
        ("x\x00", "x"),
    ],
)  # fmt: skip
def test_names_that_are_refused(name: str, proposed: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = error(capsys, "--", name)
    assert said.startswith("error[bad-name]: expected a name of letters, digits and `_` that begins with a letter")
    assert said.endswith(f"\nhelp: emdsl new {proposed}\n") and said.count("\n") == 2


def test_other_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert error(capsys, "a", "--template", "gausian-mixture") == (
        "error[unknown-template]: there is no template `gausian-mixture`\n --> --template\n"
        "help: did you mean `gaussian-mixture`?\n"
    )
    assert error(capsys, "a", "--template", "../../secret").endswith("\nhelp: emdsl new --list\n")
    assert error(capsys) == (
        "error[bad-command]: expected the name of the new model, found nothing\nhelp: emdsl new my_model\n"
    )
    assert error(capsys, "a", "b") == (
        "error[bad-command]: expected the name of the new model, found `a`, `b`\nhelp: emdsl new my_model\n"
    )
    assert error(capsys, "--list", "a") == "error[bad-command]: `--list` stands alone\nhelp: emdsl new --list\n"


@pytest.mark.skipif(sys.platform != "linux", reason="the longest name of a file is that of Linux, in bytes")
def test_a_file_that_cannot_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    name = "重" * 100
    assert error(capsys, name) == f"error[unwritable-file]: `{name}.emm` cannot be written: file name too long\n"


def test_a_file_is_written_whole_or_not_at_all() -> None:
    with pytest.raises(UnicodeEncodeError):
        create("a.emm", "x" * 100_000 + "\ud800")
    assert os.listdir() == []
