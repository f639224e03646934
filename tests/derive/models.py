"""Models under test and their stages."""

from __future__ import annotations

import re
from pathlib import Path

from emdsl.derive.derive import derive
from emdsl.graph.resolve import resolve
from emdsl.ir.derivation import Derivation, Step
from emdsl.ir.model import Model
from emdsl.syntax.parser import parse

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted((ROOT / "models").glob("*.emm"))

USER_FAMILY = """
model UserFamily "a law that emdsl does not know"
family Rayleigh(scale : positive) for x : positive:
    logpdf = log(x) - 2*log(scale) - x^2/(2*scale^2)
index part = 1..2
param share : simplex[part]
param s[part] : positive
for each gust:
    latent   z ~ Categorical(share)
    observed speed ~ Rayleigh(s[z])
order part by s
"""


def model_of(text: str) -> Model:
    """The graph of a model's text."""
    return resolve(parse(text), name="Model")


def derived(text: str) -> Derivation:
    """The derivation of a model's text."""
    return derive(model_of(text))


def shipped(name: str) -> Derivation:
    """The derivation of a model in `models/`."""
    return derived((ROOT / "models" / f"{name}.emm").read_text(encoding="utf-8"))


def data_of(path: Path) -> Path:
    """The data that a model's comment names."""
    found = re.search(r"^# data: (\S+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None, path
    return ROOT / found[1]


def step(derivation: Derivation, rule: str, subject: str = "") -> Step:
    """The one step of that rule about that subject."""
    (found,) = (s for s in derivation.steps if s.rule == rule and (not subject or s.subject == subject))
    return found
