"""Which tests are slow: those marked so where they stand, and those listed in `slow_tests.txt`."""

from __future__ import annotations

from pathlib import Path

import pytest

LIST = Path(__file__).with_name("slow_tests.txt")


def listed() -> frozenset[str]:
    """The node ids in the list; what follows a `#` at the beginning of a line is a comment."""
    lines = LIST.read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


@pytest.hookimpl(tryfirst=True)  # before the marks are asked for
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks the listed tests. Raises where a file was collected whole, and the list names a test that it has not."""
    slow = listed()
    for item in items:
        if item.nodeid in slow:
            item.add_marker(pytest.mark.slow)
    whole = {argument for argument in config.args if "::" not in argument}
    if not whole or config.option.keyword:
        return
    found = {item.nodeid for item in items}
    files = {item.nodeid.partition("::")[0] for item in items}
    gone = sorted(name for name in slow - found if name.partition("::")[0] in files)
    if gone and len(whole) == len(config.args):
        raise pytest.UsageError(f"{LIST.name} lists tests that are not there: {', '.join(gone)}")
