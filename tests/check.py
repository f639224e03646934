"""Every check of the project, one after the other: `python tests/check.py`.

Style (ruff), types (mypy), floors (import-linter), tests (pytest, a worker on each core; further arguments go to it).
All of them run, also after one has failed; the exit code is 0 only if all passed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CHECKS = (
    ("ruff", ["-m", "ruff", "check"]),
    ("mypy", ["-m", "mypy"]),
    ("import contracts", ["-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]),
    ("pytest", ["-m", "pytest", "-q", "--numprocesses", "auto", "--dist", "worksteal"]),
)
#: The workers share the cores: threads of theirs would wait for each other.
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def main(pytest_arguments: list[str]) -> int:
    """Runs the checks with this interpreter in the repository's root; the number of those that failed."""
    failed = []
    for name, arguments in CHECKS:
        print(f"--- {name}", flush=True)
        extra = pytest_arguments if name == "pytest" else []
        ended = subprocess.run([sys.executable, *arguments, *extra], cwd=ROOT, env=ONE_THREAD | os.environ, check=False)
        if ended.returncode:
            failed.append(name)
    print("failed: " + ", ".join(failed) if failed else "all checks passed")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
