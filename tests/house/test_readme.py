"""What the README promises exists, and what it shows is what the repository holds."""

from __future__ import annotations

import re
import subprocess
import sys
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


def shown(section: str) -> str:
    """The first block of output under a heading."""
    text = README.split(f"## {section}\n", 1)[1]
    return re.findall(r"^```text\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[0].rstrip()


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command with these arguments."""
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from emdsl.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_the_fit_shown_is_what_the_command_prints() -> None:
    done = run("fit", "models/peppered_moth.emm", "models/data/peppered_moth.csv", cwd=ROOT)
    assert done.returncode == 0
    assert done.stdout.rstrip() == shown("The fit")


def test_the_derived_update_shown_is_the_end_of_the_derivation() -> None:
    done = run("derive", "models/peppered_moth.emm", cwd=ROOT)
    assert done.stdout.rstrip().endswith(shown("The derived update"))


def test_the_error_shown_is_what_the_mistake_gives(tmp_path: Path) -> None:
    model = (ROOT / "models" / "peppered_moth.emm").read_text(encoding="utf-8")
    text = model.replace("case genotype:", "case genotyp:")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "peppered_moth.emm").write_text(text, encoding="utf-8")
    done = run("fit", "models/peppered_moth.emm", "x.csv", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.rstrip() == shown("An error message")
