"""Plain EM iterations of probabilistic latent semantic analysis on a table of word counts: seconds and memory.

Run it as `python -m tests.benchmarks.bench_topics` (with three numbers for other sizes: rows, documents, words).

A million cells of 20,000 documents by 20,000 words, ten topics: 380,000 free parameters. A table of documents by words
would hold 400 million numbers (3 GB), and one by topics ten times as many; nothing here may be of that size.
"""

from __future__ import annotations

import resource
import sys

import numpy as np
from numpy.typing import NDArray

import emdsl
from tests.benchmarks.clock import seconds_per_iteration
from tests.laws.bound_models import ROOT

ROWS, DOCUMENTS, WORDS, TOPICS = 1_000_000, 20_000, 20_000, 10
ITERATIONS = 5


def cells(rows: int, documents: int, words: int) -> dict[str, NDArray[np.int64]]:
    """Cells of documents by words, some drawn twice."""
    rng = np.random.default_rng(0)
    document = np.sort(rng.integers(0, documents, rows))
    word = np.minimum((words * rng.random(rows) ** 2).astype(np.int64), words - 1)
    return {"doc": document, "word": word, "count": rng.integers(1, 5, rows)}


def megabytes() -> float:
    """The most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Prints one line."""
    rows, documents, words = (int(size) for size in sys.argv[1:4]) if len(sys.argv) > 3 else (ROWS, DOCUMENTS, WORDS)
    table = cells(rows, documents, words)
    model = emdsl.load(str(ROOT / "models" / "plsa.emm"))
    before = megabytes()

    def run(iterations: int) -> None:
        model.fit(table, set={"K": TOPICS}, starts=1, tol=0, max_iter=iterations, accelerate="none", se="none")

    seconds = seconds_per_iteration(run, ITERATIONS)
    print(
        f"{rows:,} cells, {documents:,} documents, {words:,} words, {TOPICS} topics: {seconds * 1e3:.0f} ms an "
        f"iteration, {megabytes() - before:.0f} MB above the {before:.0f} MB of data and libraries"
    )


if __name__ == "__main__":
    main()
