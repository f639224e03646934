"""What a fit imports: a library that is not needed costs more than the fit itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODEL, DATA = "models/peppered_moth.emm", "models/data/peppered_moth.csv"

#: Runs a command of emdsl in its own process and ends with the names of all modules on standard error.
RUN = """
import sys
from emdsl.cli.main import main
sys.argv = ["emdsl", *sys.argv[1:]]
try:
    code = main()
except SystemExit as end:
    code = end.code
print("\\nMODULES", *sys.modules, file=sys.stderr)
sys.exit(code)
"""


def modules_after(cache: Path, *arguments: str) -> set[str]:
    """The modules that are loaded when `emdsl` with these arguments has run."""
    kept = {name: value for name, value in os.environ.items() if name != "EMDSL_CACHE_DIR"}
    environment = {**kept, "XDG_CACHE_HOME": str(cache), "LOCALAPPDATA": str(cache), "HOME": str(cache)}
    result = subprocess.run(
        [sys.executable, "-c", RUN, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return set(result.stderr.rpartition("MODULES ")[2].split())


@pytest.fixture(scope="module")
def warm_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the derivation of the model."""
    cache = tmp_path_factory.mktemp("cache")
    assert "sympy" in modules_after(cache, "fit", MODEL, DATA, "--quiet")  # this first time it is derived
    return cache


@pytest.fixture(scope="module")
def warm_modules(warm_cache: Path) -> set[str]:
    """What a second fit of the model loads."""
    return modules_after(warm_cache, "fit", MODEL, DATA, "--quiet")


@pytest.mark.parametrize(
    "library", ["sympy", "lark", "scipy", "pandas", "polars", "pyarrow", "duckdb", "matplotlib", "narwhals"]
)
def test_a_warm_fit_of_a_small_table_loads_no(library: str, warm_modules: set[str]) -> None:
    assert library not in warm_modules


def test_a_warm_fit_runs_on_numpy(warm_modules: set[str]) -> None:
    assert {"numpy", "emdsl.runtime", "emdsl.plan"} <= warm_modules


def test_help_loads_no_numpy(tmp_path: Path) -> None:
    assert not {"numpy", "sympy", "lark"} & modules_after(tmp_path, "--help")
