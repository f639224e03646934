"""The whole derivation of some models, as it is read. `python -m tests.derive.test_goldens` writes the texts anew.

That the formulas are right is checked by numbers, in `test_maximization.py` and `test_verify.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from emdsl.ir.derivation import Derivation
from tests.derive.hidden import HIDDEN
from tests.derive.models import USER_FAMILY, derived, shipped

GOLDEN = Path(__file__).with_name("golden")
NAMES = (
    "peppered_moth", "linkage", "linkage_coarse", "gaussian_mixture", "univariate_mixture", "regression_mixture",
    "regression_mixture_shared_slope", "poisson_mixture", "logistic_regression", "earthquakes", "subject_classes",
    "mixture_of_experts", "n_mixture", "serial_growth",
)  # fmt: skip
TEXTS = {"user_family": USER_FAMILY, **HIDDEN}


def lines(derivation: Derivation) -> Iterator[str]:
    """Every step: what it is about, before, after, remarks."""
    for step in derivation.steps:
        yield f"{step.rule}: {step.subject}" if step.subject else step.rule
        for lead, text in (("     ", step.before), ("  => ", step.after), ("   # ", step.note)):
            for at, line in enumerate(text.splitlines()):
                yield (lead if at == 0 else "     ") + line
        yield ""


def texts() -> dict[str, str]:
    """The text of each golden, derived now."""
    found = {name: shipped(name) for name in NAMES} | {name: derived(text) for name, text in TEXTS.items()}
    return {name: "\n".join(lines(derivation)) for name, derivation in found.items()}


@pytest.mark.parametrize("name", [*NAMES, *TEXTS])
def test_the_derivation_is_as_written_down(name: str) -> None:
    derivation = derived(TEXTS[name]) if name in TEXTS else shipped(name)
    assert "\n".join(lines(derivation)) == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


def test_every_text_has_its_model() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == {*NAMES, *TEXTS}


if __name__ == "__main__":
    for name, text in texts().items():
        (GOLDEN / f"{name}.txt").write_text(text, encoding="utf-8")
