"""Folders of libraries, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.standalone.isolation import packages


@pytest.fixture(scope="session")
def numpy_and_scipy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """NumPy and SciPy alone."""
    return packages(tmp_path_factory.mktemp("both") / "libraries", "numpy", "scipy")


@pytest.fixture(scope="session")
def numpy_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """NumPy alone."""
    return packages(tmp_path_factory.mktemp("numpy") / "libraries", "numpy")
