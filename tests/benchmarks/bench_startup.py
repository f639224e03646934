"""How long `emdsl fit` of the moths takes, first and again, beside `import numpy`.

Run it as `python -m tests.benchmarks.bench_startup`.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FIT = ["fit", "models/peppered_moth.emm", "models/data/peppered_moth.csv", "--format", "json"]
PROGRAM = "import sys; from emdsl.cli.main import main; sys.exit(main())"
REPEATS = 9
FIRST_TARGET = 2.5  # seconds
AGAIN_TARGET = 4.0  # times `import numpy`


def seconds(arguments: list[str], cache: str) -> float:
    """The wall time of a process of this interpreter."""
    environment = {**os.environ, "XDG_CACHE_HOME": cache, "LOCALAPPDATA": cache}
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Prints both times and how they stand to their targets."""
    fit = ["-c", PROGRAM, *FIT]
    seconds(fit, tempfile.mkdtemp())  # byte code and disk caches, which an installation has
    first = statistics.median(seconds(fit, tempfile.mkdtemp()) for _ in range(3))
    cache = tempfile.mkdtemp()
    seconds(fit, cache)
    again = statistics.median(seconds(fit, cache) for _ in range(REPEATS))
    numpy = statistics.median(seconds(["-c", "import numpy"], cache) for _ in range(REPEATS))
    print(f"first fit {first:.2f} s (target {FIRST_TARGET} s{'' if first <= FIRST_TARGET else ', MISSED'})")
    print(
        f"again {again:.3f} s, import numpy {numpy:.3f} s: {again / numpy:.1f} times "
        f"(target at most {AGAIN_TARGET:g}{'' if again <= AGAIN_TARGET * numpy else ', MISSED'})"
    )


if __name__ == "__main__":
    main()
