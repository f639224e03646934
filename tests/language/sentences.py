"""A sentence of the language's reference, a model and a table that put it to the test, and what must come of them.

`gives` maps paths into the JSON of the fit (`params.p.A`, `loglik`, `indexes.k`, `warnings` for a part of one) to
values; `error` is the code of the error instead, `says` its exact message, `at` the end of its place, `help` its help.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import emdsl


@dataclass(frozen=True)
class Sentence:
    """One test, named by the sentence that it holds the project to."""

    sentence: str
    model: str
    table: str
    gives: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    says: str = ""
    at: str = ""
    help: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def each(*sentences: Sentence) -> pytest.MarkDecorator:
    """The tests of a paragraph, the sentences as their names."""
    return pytest.mark.parametrize("case", sentences, ids=[item.sentence[:90] for item in sentences])


def hold(case: Sentence, folder: Path) -> None:
    """Fit the model to the table and compare what comes of it."""
    path = folder / "data.csv"
    path.write_text(textwrap.dedent(case.table).lstrip("\n"), encoding="utf-8")
    model = textwrap.dedent(case.model).lstrip("\n")
    options = {"starts": 2, "se": "none", **case.options}
    if case.error:
        with pytest.raises(emdsl.EmmError) as caught:
            emdsl.loads(model).fit(path, **options)
        compare_error(caught.value, case)
        return
    found = emdsl.loads(model).fit(path, **options).to_dict()
    assert case.gives, "a sentence without a consequence is not tested"
    for key, expected in case.gives.items():
        if key == "warnings":
            assert any(expected in warning for warning in found["warnings"]), found["warnings"]
        elif key == "no warning":
            assert not any(expected in warning for warning in found["warnings"]), found["warnings"]
        else:
            value: Any = found
            for part in key.split("."):
                value = value[part]
            assert value == (pytest.approx(expected, abs=2e-6) if isinstance(expected, float) else expected), key


def compare_error(error: emdsl.EmmError, case: Sentence) -> None:
    """Code, message, place and help of the first error."""
    assert error.code == case.error, str(error)
    assert not case.says or error.message == case.says
    assert error.diagnostics[0].place.endswith(case.at), error.diagnostics[0].place
    assert case.help is None or error.help == case.help
