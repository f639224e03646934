"""Wrong models and exactly what is said about them: `errors.txt` holds each model, then, after `>>>`, the errors.

`python -m tests.graph.test_errors` writes the errors anew.
"""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import pytest

from emdsl.diagnostics.errors import EmmError
from emdsl.graph.resolve import resolve
from emdsl.syntax.parser import parse

CORPUS = Path(__file__).with_name("errors.txt")
GRAPH = Path(__file__).resolve().parents[2] / "emdsl" / "graph"


def corpus() -> dict[str, tuple[str, str]]:
    """Model and errors by name."""
    sections = re.split(r"^--- (.+)\n", CORPUS.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    cases = {}
    for name, body in zip(sections[::2], sections[1::2], strict=True):
        model, _, errors = body.partition(">>>\n")
        cases[name] = (model, errors.strip("\n") + "\n" if errors.strip() else "")
    return cases


def said(model: str) -> str:
    """What is said about a wrong model; of a right one, its warnings."""
    try:
        made = resolve(parse(model))
    except EmmError as error:
        return f"{error.in_text(model, 'model.emm')}\n"
    return "".join(f"warning: {warning}\n" for warning in made.warnings)


@pytest.mark.parametrize("name", corpus())
def test_the_error_is_as_written_down(name: str) -> None:
    model, errors = corpus()[name]
    assert said(model) == errors


def test_every_code_is_provoked() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in GRAPH.glob("*.py"))
    codes = set(re.findall(r"\b(?:failure|unknown)\(\s*\"([a-z-]+)\"", source))
    provoked = set(re.findall(r"^error\[([a-z-]+)\]", CORPUS.read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert len(codes) > 40
    assert codes - {"unknown-constant"} <= provoked


def test_messages_are_lower_case_without_a_full_stop() -> None:
    messages = re.findall(r"^error\[[a-z-]+\]: (.+)$", CORPUS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert messages
    for message in messages:
        assert not message.endswith(".")
        assert not message[0].isupper()


def test_an_override_needs_its_constant() -> None:
    model = "const K = 2\nfor each row:\n    observed y ~ Normal(K, 1)\n"
    with pytest.raises(EmmError) as caught:
        resolve(parse(model), overrides={"k": Fraction(3)})
    assert (caught.value.code, caught.value.help) == ("unknown-constant", "did you mean `K`?")


def test_the_first_error_does_not_hide_the_second() -> None:
    model = "param mu : reel\nfor each row:\n    observed y ~ Normal(mu, -1)\n    observed z ~ Norml(0, 1)\n"
    with pytest.raises(EmmError) as caught:
        resolve(parse(model))
    assert [item.code for item in caught.value.diagnostics] == ["unknown-domain", "argument-domain", "unknown-family"]


if __name__ == "__main__":
    written = "".join(f"--- {name}\n{model}>>>\n{said(model)}\n" for name, (model, _) in corpus().items())
    CORPUS.write_text(written, encoding="utf-8")
