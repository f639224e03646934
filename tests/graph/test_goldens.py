"""The model graph of each `.emm` file in `goldens`, as text.

`python -m tests.graph.test_goldens` writes the texts anew.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from emdsl.graph.resolve import resolve
from emdsl.ir.show import show_model
from emdsl.syntax.parser import parse

GOLDENS = Path(__file__).with_name("goldens")


def shown(path: Path) -> str:
    """The graph of a file."""
    return show_model(resolve(parse(path.read_text(encoding="utf-8")), name=path.stem))


@pytest.mark.parametrize("path", sorted(GOLDENS.glob("*.emm")), ids=lambda path: path.stem)
def test_the_graph_is_as_written_down(path: Path) -> None:
    assert shown(path) == path.with_suffix(".txt").read_text(encoding="utf-8")


def test_every_golden_has_its_model() -> None:
    assert {path.stem for path in GOLDENS.glob("*.txt")} == {path.stem for path in GOLDENS.glob("*.emm")}


if __name__ == "__main__":
    for source in sorted(GOLDENS.glob("*.emm")):
        source.with_suffix(".txt").write_text(shown(source), encoding="utf-8")
