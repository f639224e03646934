"""EM iterations of the model of Dawid & Skene (1979), beside crowd-kit, or its algorithm where it is not installed.

Run it as `python -m tests.benchmarks.bench_dawid_skene`.

500,000 answers of 1,000 annotators on 50,000 items with four labels. crowd-kit starts from the majority vote, and so
does emdsl here (its parameters are those of the first M-step); both then run the same number of iterations, and the
prevalences must agree. crowd-kit raises expected counts to 1e-10 at least, hence the tolerance.
"""

from __future__ import annotations

import importlib.util
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import emdsl
from tests.benchmarks.clock import seconds_per_iteration, verdict
from tests.laws.bound_models import ROOT

ANSWERS, ITEMS, ANNOTATORS, LABELS = 500_000, 50_000, 1_000, 4
ITERATIONS = 10
#: The second is not to be slower than what one would write for the occasion.
TARGETS = {"crowd-kit": 3.0, "plain NumPy": 1.0}

Array = NDArray[np.float64]
Codes = NDArray[np.intp]


def answers() -> tuple[Codes, Codes, Codes]:
    """Item, annotator and answer of each row: annotators are right with 0.4 to 0.9."""
    rng = np.random.default_rng(0)
    truth = rng.choice(LABELS, ITEMS, p=[0.4, 0.3, 0.2, 0.1])
    skill = rng.uniform(0.4, 0.9, ANNOTATORS)
    item = np.repeat(np.arange(ITEMS), ANSWERS // ITEMS)
    annotator = rng.integers(0, ANNOTATORS, ANSWERS)
    right = rng.random(ANSWERS) < skill[annotator]
    return item, annotator, np.where(right, truth[item], rng.integers(0, LABELS, ANSWERS))


def maximised(item: Codes, annotator: Codes, answer: Codes, share: Array) -> tuple[Array, Array]:
    """The M-step at posterior shares `(items, labels)`: prevalence and confusion `(annotators, truth, answer)`."""
    code = annotator * LABELS + answer
    by_truth = [np.bincount(code, share[item, k], ANNOTATORS * LABELS) for k in range(LABELS)]
    counts = np.stack(by_truth, axis=1).reshape(ANNOTATORS, LABELS, LABELS).transpose(0, 2, 1)
    return share.mean(axis=0), counts / np.maximum(counts.sum(axis=2, keepdims=True), 1e-300)


def majority(item: Codes, answer: Codes) -> Array:
    """The share of each label among the answers on an item."""
    votes: Array = np.bincount(item * LABELS + answer, minlength=ITEMS * LABELS).reshape(ITEMS, LABELS).astype(float)
    return np.asarray(votes / votes.sum(axis=1, keepdims=True))


def nested(array: Array) -> Any:
    """An array as dictionaries by number."""
    if array.ndim == 0:
        return float(array)
    return {str(k): nested(np.asarray(part)) for k, part in enumerate(array)}


def run_emdsl(columns: dict[str, Codes], start: dict[str, Any], iterations: int) -> Array:
    """The prevalence after that many iterations."""
    fit = emdsl.load(str(ROOT / "models" / "dawid_skene.emm")).fit(
        columns, init=start, starts=1, tol=0, max_iter=iterations, accelerate="none", se="none"
    )
    params: Any = fit.params
    return np.array([params["prevalence"][str(k)] for k in range(LABELS)])


def run_crowdkit(frame: Any, iterations: int) -> Array:
    """The prevalence after that many iterations of crowd-kit."""
    from crowdkit.aggregation import DawidSkene

    model = DawidSkene(n_iter=iterations, tol=-np.inf)
    model.fit(frame)
    return np.asarray(model.priors_.sort_index(), dtype=float)


def run_numpy(item: Codes, annotator: Codes, answer: Codes, iterations: int) -> Array:
    """The same algorithm on arrays, as one would write it for the occasion."""
    share = majority(item, answer)
    for _ in range(iterations):
        prevalence, confusion = maximised(item, annotator, answer, share)
        said = np.log(np.maximum(confusion, 1e-300))[annotator, :, answer]
        joint = np.log(prevalence) + np.stack([np.bincount(item, said[:, k], ITEMS) for k in range(LABELS)], axis=1)
        share = np.exp(joint - joint.max(axis=1, keepdims=True))
        share /= share.sum(axis=1, keepdims=True)
    return maximised(item, annotator, answer, share)[0]


def main() -> None:
    """Prints one line for each peer that there is."""
    item, annotator, answer = answers()
    prevalence, confusion = maximised(item, annotator, answer, majority(item, answer))
    start = {"prevalence": nested(prevalence), "confusion": nested(confusion)}
    ours = partial(run_emdsl, {"item": item, "annotator": annotator, "answer": answer}, start)
    peers = {"plain NumPy": partial(run_numpy, item, annotator, answer)}
    if importlib.util.find_spec("crowdkit") is None:
        print("crowd-kit is not installed: measured beside its algorithm in plain NumPy alone")
    else:
        import pandas as pd

        frame = pd.DataFrame({"task": item, "worker": annotator, "label": answer})
        peers = {"crowd-kit": partial(run_crowdkit, frame), **peers}
    fast = seconds_per_iteration(ours, ITERATIONS)
    for name, run in peers.items():
        if not np.allclose(ours(5), run(5), rtol=0, atol=1e-6):
            raise RuntimeError(f"the prevalences differ from those of {name}: {ours(5)} and {run(5)}")
        slow = seconds_per_iteration(run, ITERATIONS)
        print(
            f"{ANSWERS:,} answers, {ITEMS:,} items, {ANNOTATORS:,} annotators: emdsl {fast * 1e3:.1f} ms, "
            f"{name} {slow * 1e3:.1f} ms an iteration, {verdict(slow / fast, TARGETS[name])}"
        )


if __name__ == "__main__":
    main()
