"""Values for parameters, from Python and from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emdsl.diagnostics.errors import EmmError
from emdsl.results.given import read_assignments, read_values
from tests.results.outcomes import example, model


def message(given: Any) -> str:
    """The error's text, from the command line for a list and from Python otherwise."""
    with pytest.raises(EmmError) as caught:
        read_assignments(given, model(), "--init") if isinstance(given, list) else read_values(given, model(), "init")
    return str(caught.value)


@pytest.mark.parametrize(
    ("given", "values"),
    [
        (None, {}),
        ({"tau": 2}, {"tau": 2.0}),
        ({"tau": np.float32(0.5)}, {"tau": 0.5}),
        ({"p": {"C": 0.2, "I": None}}, {"p": {"C": 0.2, "I": None}}),
        ({"mu": {"eruptions": np.int64(3)}}, {"mu": {"eruptions": 3.0}}),
        ({"mu": {1: 2.0}}, {"mu": {"1": 2.0}}),
        ({"mu": np.array([1, 2])}, {"mu": [1.0, 2.0]}),
        ({"Sigma": ((1, 0), (0, 1))}, {"Sigma": [[1.0, 0.0], [0.0, 1.0]]}),
        ({"p.C": 0.2, "p.I": 0.3}, {"p": {"C": 0.2, "I": 0.3}}),
        ({"params": {"tau": 2.0}, "se": {"tau": 0.1}}, {"tau": 2.0}),
    ],
)
def test_values_from_python(given: Any, values: dict[str, Any]) -> None:
    assert read_values(given, model(), "init") == values


def test_a_fit_gives_its_estimates(tmp_path: Path) -> None:
    fit = example()
    assert read_values(fit, model(), "init") == fit.params
    file = tmp_path / "fit.json"
    file.write_text(json.dumps(fit.to_dict()), encoding="utf-8")
    assert read_values(file, model(), "init") == fit.params
    file.write_text(json.dumps(fit.params), encoding="utf-8-sig")
    assert read_values(str(file), model(), "init") == fit.params


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        ([], {}),
        (["p.C=0.2", "p.I=1/3"], {"p": {"C": 0.2, "I": 1 / 3}}),
        (["tau=1", "tau=2e-3"], {"tau": 2e-3}),
        (["tau=-1/4"], {"tau": -0.25}),
        (['p["rs1.2"]=0.1'], {"p": {"rs1.2": 0.1}}),
        (["Sigma=[[1, 0.5], [0.5, null]]"], {"Sigma": [[1.0, 0.5], [0.5, None]]}),
        (
            ["Sigma.eruptions=[1, 2]", "Sigma.waiting.waiting=3"],
            {"Sigma": {"eruptions": [1.0, 2.0], "waiting": {"waiting": 3.0}}},
        ),
        (['p={"C": 0.5}', "p.I=0.25"], {"p": {"C": 0.5, "I": 0.25}}),
    ],
)
def test_values_from_the_command_line(texts: list[str], values: dict[str, Any]) -> None:
    assert read_assignments(texts, model(), "--init") == values


def test_a_file_and_elements_are_merged(tmp_path: Path) -> None:
    file = tmp_path / "a=b.json"
    file.write_text('{"p": {"C": 0.2, "I": 0.3}, "tau": 1}', encoding="utf-8")
    assert read_assignments([str(file), "p.C=0.4"], model(), "--init") == {"p": {"C": 0.4, "I": 0.3}, "tau": 1.0}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"tau": True}, "error[not-a-number]: expected numbers for `tau`, found true\n --> init"),
        ({"tau": {1}}, "error[not-a-number]: expected numbers for `tau`, found a set\n --> init"),
        ({"tau": 10**400}, "error[not-a-number]: the number for `tau` is too large\n --> init"),
        (
            3,
            "error[bad-values]: expected values by the names of parameters, found `3`\n --> init\n"
            'help: {"p": {"C": 0.2}}',
        ),
        (
            {"q": 1},
            "error[unknown-parameter]: the model has no parameter `q`\n --> init\n"
            "help: the parameters are p, mu, Sigma, tau",
        ),
    ],
)
def test_errors_of_values(given: Any, text: str) -> None:
    assert message(given) == text


def test_an_array_that_nests_too_deep() -> None:
    assert message(["mu=" + "[" * 100_000]) == (
        "error[bad-json]: this is not JSON: it nests too deep\n --> --init\nhelp: null stands for no value"
    )


def test_errors_of_files(tmp_path: Path) -> None:
    file = tmp_path / "start.json"
    file.write_bytes(b"\xff")
    assert message([str(file)]) == (
        f"error[bad-json]: the text is not UTF-8\n --> {file}\nhelp: save the file in UTF-8"
    )
    file.write_text('{"tau": }', encoding="utf-8")
    assert message(str(file)) == f"error[bad-json]: this is not JSON: expecting value (line 1, column 9)\n --> {file}"
    file.write_text("[1]", encoding="utf-8")
    assert message(str(file)) == (
        "error[bad-values]: expected values by the names of parameters, found a list\n"
        ' --> init\nhelp: {"p": {"C": 0.2}}'
    )
