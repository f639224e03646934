"""A mixture fitted to a CSV file of five million rows and two columns: peak memory and time.

Run it as `python -m tests.benchmarks.bench_large_file`. The file is written to a temporary folder; the fit runs in a
process of its own, whose peak resident memory is what counts.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROWS, CHUNK = 5_000_000, 500_000
TARGET_GIB = 1.5
PROGRAM = "import sys; from emdsl.cli.main import main; sys.exit(main())"

MODEL = """
model Large
index component = 1..3
index dim = columns(a, b)
param share : simplex[component]
param mu[component, dim] : real
param sigma[component, dim] : positive
for each row:
    latent   z ~ Categorical(share)
    observed x[dim] ~ Normal(mu[z, dim], sigma[z, dim])
order component by share
"""


def write_table(path: Path) -> None:
    """Points around three centres."""
    rng = np.random.default_rng(0)
    centres = np.array([[-3.0, 0.0], [0.0, 2.0], [4.0, -1.0]])
    with path.open("w", encoding="utf-8") as stream:
        stream.write("a,b\n")
        for _ in range(ROWS // CHUNK):
            which = rng.choice(3, size=CHUNK, p=[0.2, 0.3, 0.5])
            np.savetxt(stream, centres[which] + rng.normal(size=(CHUNK, 2)), fmt="%.5f", delimiter=",")


def main() -> None:
    """Prints one line."""
    with tempfile.TemporaryDirectory() as folder:
        table, model = Path(folder) / "large.csv", Path(folder) / "large.emm"
        write_table(table)
        model.write_text(MODEL, encoding="utf-8")
        command = [sys.executable, "-c", PROGRAM, "fit", str(model), str(table), "--starts", "3", "--format", "json"]
        begun = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        spent = time.perf_counter() - begun
        if status != 0:
            raise RuntimeError(f"the fit failed with status {status}")
        peak = usage.ru_maxrss / 2**20
        missed = "" if peak <= TARGET_GIB else ", MISSED"
        size = table.stat().st_size / 2**20
        print(f"{ROWS:,} rows, {size:.0f} MiB of CSV: {spent:.1f} s, peak {peak:.2f} GiB (target {TARGET_GIB}{missed})")


if __name__ == "__main__":
    main()
