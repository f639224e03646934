"""Maximum likelihood of a regression with random intercepts, beside statsmodels, and of a million rows by emdsl alone.

Run it as `python -m tests.benchmarks.bench_random_effects`; the first part needs `pip install statsmodels`.

50,000 rows in 5,000 groups: both fit from their own starts to convergence in the same process, binding and standard
errors included; the log-likelihoods must agree to 1e-4. A million rows in 100,000 groups: the whole of `emdsl fit` of a
CSV file in a process of its own, standard errors included, with nothing in its cache; the slope must be that which the
rows were drawn with.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import emdsl
from tests.benchmarks.clock import verdict

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "import sys; from emdsl.cli.main import main; sys.exit(main())"

ROWS, GROUPS, TARGET = 50_000, 5_000, 10.0
MANY_ROWS, MANY_GROUPS = 1_000_000, 100_000
MANY_TARGET = 20.0  # seconds
REPEATS = 3
SLOPE = 0.5

Columns = dict[str, NDArray[np.float64] | NDArray[np.intp]]

MODEL = """
model RandomIntercepts
param mu : real
param b : real
param tau : positive
param sigma : positive
for each g:
    latent u ~ Normal(0, tau)
    for each row:
        input x : real
        observed y ~ Normal(mu + b*x + u, sigma)
"""


def grouped(rows: int, groups: int) -> Columns:
    """Groups of equal size, whose intercepts spread by 0.7 around 2; the noise has a spread of 1."""
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(groups), rows // groups)
    x = rng.normal(size=rows)
    return {"g": g, "x": x, "y": 2.0 + SLOPE * x + rng.normal(0, 0.7, groups)[g] + rng.normal(size=rows)}


def run_emdsl(columns: Columns) -> float:
    """The highest log-likelihood."""
    fit = emdsl.loads(MODEL).fit(columns)
    if not fit.converged:
        raise RuntimeError("emdsl did not converge")
    return float(fit.loglik)


def run_statsmodels(columns: Columns) -> float:
    """The highest log-likelihood, likewise (not the restricted one, which is the default there)."""
    from statsmodels.regression.mixed_linear_model import MixedLM

    design = np.column_stack((np.ones(len(columns["x"])), columns["x"]))
    fit = MixedLM(columns["y"], design, groups=columns["g"]).fit(reml=False)
    if not fit.converged:
        raise RuntimeError("statsmodels did not converge")
    return float(fit.llf)


def lowest_seconds(run: Callable[[Columns], float], columns: Columns, repeats: int) -> tuple[float, float]:
    """What `run` returns, and the lowest of `repeats` times it takes."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        value = run(columns)
        taken.append(time.perf_counter() - start)
    return value, min(taken)


def beside_statsmodels() -> None:
    """Prints the line of the smaller table."""
    if importlib.util.find_spec("statsmodels") is None:
        print("statsmodels is not installed: nothing to compare with")
        return
    columns = grouped(ROWS, GROUPS)
    run_emdsl(columns)  # compiles
    ours, fast = lowest_seconds(run_emdsl, columns, REPEATS)
    theirs, slow = lowest_seconds(run_statsmodels, columns, REPEATS)
    if abs(ours - theirs) > 1e-4:
        raise RuntimeError(f"log-likelihoods differ: {ours} and {theirs}")
    print(
        f"{ROWS:,} rows in {GROUPS:,} groups: emdsl {fast:.3f} s, statsmodels {slow:.3f} s a fit, "
        f"{verdict(slow / fast, TARGET)}; log-likelihoods {ours:.6f} and {theirs:.6f}"
    )


def peak_bytes() -> int | None:
    """The most memory that a finished process of this one held; None where the system does not say."""
    if importlib.util.find_spec("resource") is None:
        return None
    import resource

    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def alone() -> None:
    """Prints the line of the larger table."""
    with tempfile.TemporaryDirectory() as folder:
        model, table = Path(folder, "model.emm"), Path(folder, "table.csv")
        model.write_text(MODEL, encoding="utf-8")
        columns = grouped(MANY_ROWS, MANY_GROUPS)
        with table.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))
        size = table.stat().st_size
        environment = {**os.environ, "XDG_CACHE_HOME": folder, "LOCALAPPDATA": folder}
        command = [sys.executable, "-c", PROGRAM, "fit", str(model), str(table), "--format", "json", "--quiet"]
        start = time.perf_counter()
        done = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE)
        seconds = time.perf_counter() - start
    fit = json.loads(done.stdout)
    if not fit["converged"] or abs(fit["params"]["b"] - SLOPE) > 0.01:
        raise RuntimeError(f"not the fit of this table: converged {fit['converged']}, {fit['params']}")
    peak = peak_bytes()
    memory = "peak memory unknown" if peak is None else f"peak memory {peak / 2**20:,.0f} MiB"
    print(
        f"{MANY_ROWS:,} rows in {MANY_GROUPS:,} groups, a CSV file of {size / 2**20:.0f} MiB: {seconds:.1f} s "
        f"(target {MANY_TARGET:g} s{'' if seconds <= MANY_TARGET else ', MISSED'}), {memory}"
    )


def main() -> None:
    """Prints one line for each table."""
    alone()  # first: before this process runs any other
    beside_statsmodels()


if __name__ == "__main__":
    main()
