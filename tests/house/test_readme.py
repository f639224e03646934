"""What the README promises exists, and what it shows is what the repository holds."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands() -> list[str]:
    """The blocks marked `sh`: `.ci/run` counts on the first fitting the moths and the second running every check."""
    return re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_there_are_two_commands_and_their_files_exist() -> None:
    fit, check = commands()
    assert "emdsl fit models/peppered_moth.emm models/data/peppered_moth.csv" in fit
    assert "python tests/check.py" in check
    for path in re.findall(r"(?:models|tests)/[\w./]+", fit + check):
        assert (ROOT / path).is_file(), path


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target


def test_the_model_shown_is_the_model_shipped() -> None:
    def lines(text: str) -> list[str]:  # without comments and the width of spaces
        bare = (re.sub(r"\s*#.*|\s+", " ", line).strip() for line in text.splitlines())
        return [line for line in bare if line]

    shown = next(block for block in re.findall(r"^```\n(.*?)^```", README, re.M | re.S) if block.startswith("model "))
    shipped = (ROOT / "models" / "peppered_moth.emm").read_text(encoding="utf-8")
    assert lines(shown) == lines(shipped)
