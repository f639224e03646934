"""Haplotype frequencies from unphased doses: ten two-allele loci, 1,024 haplotypes, 500 people with missing cells.

Run it as `python -m tests.benchmarks.bench_haplotypes`. A table of all pairs of haplotypes would hold 1,048,576 cells a
person; the states that the doses leave possible are listed in its place. A whole fit runs in a process of its own, for
its peak resident memory.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from emdsl.compiler import load_text
from emdsl.request import FitRequest
from tests.benchmarks.bench_large_file import PROGRAM
from tests.laws.test_pruning import constant_file, haplotypes

LOCI, PEOPLE, ITERATIONS = 10, 500, 200
TARGET_GIB = 1.0


def main() -> None:
    """Prints the number of states, the time to list them, of 200 EM iterations and of a fit, and its peak memory."""
    text, columns, carries = haplotypes(LOCI, PEOPLE)
    with tempfile.TemporaryDirectory() as folder:
        const = constant_file(Path(folder), carries)
        model, table = Path(folder) / "haplotypes.emm", Path(folder) / "people.csv"
        model.write_text(text, encoding="utf-8")
        with table.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))
        compiled = load_text(text)
        bound = compiled.bind(str(table), FitRequest(const=const))
        begun = time.perf_counter()
        problem = compiled.problem(bound, FitRequest(const=const))
        planned = time.perf_counter() - begun
        theta = problem.initial()
        begun = time.perf_counter()
        for _ in range(ITERATIONS):
            theta = problem.maximize(theta, problem.expect(theta).statistics)
        iterated = time.perf_counter() - begun
        command = ["fit", str(model), str(table), "--const", f"carries={const['carries']}", "--format", "json"]
        begun = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, *command], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        spent = time.perf_counter() - begun
    if status != 0:
        raise RuntimeError(f"the fit failed with status {status}")
    (pruning,) = problem.program.prunings
    peak = usage.ru_maxrss / 2**20
    print(
        f"{LOCI} loci, {PEOPLE} people: {pruning.possible.total:,} states in place of {PEOPLE * pruning.dense:,}; "
        f"planned in {planned:.2f} s, {ITERATIONS} EM iterations {iterated:.2f} s; a fit of 50 starts {spent:.1f} s, "
        f"peak {peak:.2f} GiB (target {TARGET_GIB:g}{'' if peak <= TARGET_GIB else ', MISSED'})"
    )


if __name__ == "__main__":
    main()
