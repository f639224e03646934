"""A model with a word swapped, dropped or doubled gets a graph or an error with a message, never a traceback."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from emdsl.diagnostics.errors import EmmError
from emdsl.graph import refusals
from emdsl.graph.resolve import resolve
from emdsl.ir.show import show_model
from emdsl.syntax.parser import parse

MODELS = sorted(Path(__file__).with_name("goldens").glob("*.emm"))
WORD = re.compile(r"[^\W\d]\w*|\d+(?:\.\d+)?|[-+*/^=<>~|,:()\[\]{}]")
TRIES = 12


def mutated(text: str, rng: random.Random) -> str:
    """The text with one word replaced by another of it, dropped, or doubled."""
    words = list(WORD.finditer(text))
    chosen, other = rng.choice(words), rng.choice(words)
    new = rng.choice([other.group(), "", f"{chosen.group()} {chosen.group()}", f"{chosen.group()}[{other.group()}]"])
    return text[: chosen.start()] + new + text[chosen.end() :]


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_no_mutation_crashes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "REFUSALS", ())
    rng = random.Random(path.stem)
    text = path.read_text(encoding="utf-8")
    for _ in range(TRIES):
        changed = mutated(text, rng)
        try:
            assert show_model(resolve(parse(changed)))
        except EmmError as error:
            assert error.message, changed
