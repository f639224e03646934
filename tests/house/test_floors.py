"""Who may import whom: the contracts of pyproject.toml hold, and no package stands outside them."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_import_contracts_hold() -> None:
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_package_has_its_floor() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    layers = " ".join(layer for contract in contracts for layer in contract.get("layers", ()))
    limited = " ".join(module for contract in contracts for module in contract.get("source_modules", ()))
    packages = {f"emdsl.{path.parent.name}" for path in (ROOT / "emdsl").glob("*/__init__.py")}
    assert packages <= set(re.findall(r"emdsl\.\w+", f"{layers} {limited}"))
