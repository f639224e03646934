"""A model with a word swapped, dropped or doubled gets a graph or an error with a message, never a traceback."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from emdsl.diagnostics.errors import EmmError
from emdsl.graph.resolve import resolve
from emdsl.ir.show import show_model
from emdsl.syntax.parser import parse

MODELS = sorted(Path(__file__).with_name("goldens").glob("*.emm"))
WORD = re.compile(r"[^\W\d]\w*|\d+(?:\.\d+)?|[-+*/^=<>~|,:()\[\]{}]")
#: A name, with what stands in brackets behind it, or a number; the words of the language stay where they are.
NAME = re.compile(r"[^\W\d]\w*(?:\[[^\[\]]*\]|\([^()]*\))?|\d+")
KEPT = re.compile(
    "model|index|param|const|let|report|order|by|family|for|each|in|over|sequence|latent|observed|input|weight|factor|case|"
    "first|after|columns|levels|from|only|init"
)
TRIES = 12


def renamed(text: str, rng: random.Random) -> str:
    """The text with one name replaced by another of it, so that most of it still parses."""
    words = [word for word in NAME.finditer(text) if not KEPT.fullmatch(word.group())]
    chosen, other = rng.choice(words), rng.choice(words)
    return text[: chosen.start()] + other.group() + text[chosen.end() :]


def mutated(text: str, rng: random.Random) -> str:
    """The text with one word replaced by another of it, dropped, or doubled."""
    words = list(WORD.finditer(text))
    chosen, other = rng.choice(words), rng.choice(words)
    new = rng.choice([other.group(), "", f"{chosen.group()} {chosen.group()}", f"{chosen.group()}[{other.group()}]"])
    return text[: chosen.start()] + new + text[chosen.end() :]


def outcome(text: str) -> str:
    """The graph of a model, or the code of its first error."""
    try:
        return show_model(resolve(parse(text)))
    except EmmError as error:
        return error.code


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_no_mutation_crashes(path: Path) -> None:
    rng = random.Random(path.stem)
    text = path.read_text(encoding="utf-8")
    for mutate in (mutated, renamed) * TRIES:
        changed = mutate(text, rng)
        assert outcome(changed) not in ("", "consequence"), changed
