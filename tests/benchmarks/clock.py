"""How the benchmarks measure."""

from __future__ import annotations

import time
from collections.abc import Callable


def seconds_per_iteration(run: Callable[[int], object], iterations: int, repeats: int = 3) -> float:
    """Seconds of one iteration: of `run(1 + iterations)` less `run(1)`, so that binding and starting do not count.

    Of each the quickest of `repeats` runs is taken, which is the least disturbed by other work on the machine.
    """
    run(1)  # compiles, fills caches
    short = min(_seconds(run, 1) for _ in range(repeats))
    return (min(_seconds(run, 1 + iterations) for _ in range(repeats)) - short) / iterations


def _seconds(run: Callable[[int], object], iterations: int) -> float:
    start = time.perf_counter()
    run(iterations)
    return time.perf_counter() - start


def verdict(ratio: float, target: float) -> str:
    """The ratio beside its target."""
    return f"{ratio:5.1f}x (target {target:g}x{'' if ratio >= target else ', MISSED'})"
