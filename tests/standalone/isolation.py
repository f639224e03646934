"""A place where emdsl is absent: Python without site-packages, and a folder that holds NumPy (and SciPy) alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def packages(folder: Path, *names: str) -> Path:
    """A folder through which these packages, and nothing that is installed beside them, can be imported."""
    folder.mkdir()
    for name in names:
        spec = find_spec(name)
        assert spec is not None and spec.origin is not None
        home = Path(spec.origin).parent
        for part in (home, home.with_name(f"{name}.libs")):
            if part.exists():
                (folder / part.name).symlink_to(part)
    return folder


def run(
    file: Path, libraries: Path, *arguments: str, input: str | None = None, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:  # fmt: skip
    """`python FILE.py ARGUMENTS` with those libraries, in the folder of the file."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "EMDSL"))}
    variables = {**kept, "PYTHONPATH": str(libraries), "PYTHONUTF8": "1", **(environment or {})}
    return subprocess.run(
        [sys.executable, "-S", str(file), *arguments], cwd=file.parent, env=variables, capture_output=True, text=True,
        input=input, check=False,
    )  # fmt: skip
