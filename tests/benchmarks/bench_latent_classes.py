"""Plain EM iterations of latent classes, beside StepMix.

Run it as `python -m tests.benchmarks.bench_latent_classes`; without StepMix it prints our time alone.

100,000 rows of ten items of four levels, four classes, as they are and with missing cells. Both run exactly the same
number of iterations from the same start in the same process; the log-likelihoods must agree. (Of a missing cell StepMix
counts nothing, and we the share of each level, as of any hidden variable: the two paths differ, so with missing cells
the log-likelihoods at the start are compared.)
"""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import emdsl
from tests.benchmarks.clock import seconds_per_iteration, verdict

ROWS, ITEMS, LEVELS, CLASSES = 100_000, 10, 4, 4
TARGET = 8.0
ITERATIONS = 20

Codes = NDArray[np.int64]
Array = NDArray[np.float64]

MODEL = f"""
model LatentClasses
index class = 1..{CLASSES}
index item = columns("y*")
index level = 0..{LEVELS - 1}
param share : simplex[class]
param prob[class, item] : simplex[level]
for each row:
    latent   z ~ Categorical(share)
    observed y[item] ~ Categorical(prob[z, item])
"""


def answers() -> tuple[Codes, Array]:
    """Simulated answers, and laws of the items `(classes, items, levels)` to start from."""
    rng = np.random.default_rng(0)
    laws = rng.dirichlet(np.ones(LEVELS), size=(CLASSES, ITEMS))
    truth = rng.integers(CLASSES, size=ROWS)
    chances = laws[truth].cumsum(axis=-1)
    codes = (rng.random((ROWS, ITEMS, 1)) > chances).sum(axis=-1).clip(max=LEVELS - 1)
    start = 0.7 * laws + 0.3 * rng.dirichlet(np.ones(LEVELS), size=(CLASSES, ITEMS))
    return codes, start


def run_emdsl(codes: Codes, holes: NDArray[np.bool_], start: Array, iterations: int) -> float:
    """The log-likelihood after that many iterations."""
    names = [f"y{k}" for k in range(ITEMS)]
    classes, levels = [str(k + 1) for k in range(CLASSES)], [str(k) for k in range(LEVELS)]
    init: dict[str, Any] = {
        "share": dict.fromkeys(classes, 1 / CLASSES),
        "prob": {
            k: {item: dict(zip(levels, map(float, law), strict=True)) for item, law in zip(names, own, strict=True)}
            for k, own in zip(classes, start, strict=True)
        },
    }
    table = {name: np.where(holes[:, k], np.nan, codes[:, k]) for k, name in enumerate(names)}
    fit = emdsl.loads(MODEL).fit(
        table, init=init, starts=1, tol=0, max_iter=iterations, accelerate="none", se="none",
    )  # fmt: skip
    return float(fit.loglik)


def run_stepmix(codes: Codes, holes: NDArray[np.bool_], start: Array, iterations: int) -> float:
    """The log-likelihood after that many iterations, likewise."""
    from stepmix.stepmix import StepMix

    class FromStart(StepMix):  # type: ignore[misc]
        """StepMix begins at random; this one where it is told."""

        def _initialize_parameters(self, X: Any, random_state: Any) -> None:
            super()._initialize_parameters(X, random_state)
            self.weights_ = np.full(CLASSES, 1 / CLASSES)
            self.log_weights_ = np.log(self.weights_)
            self._mm.parameters["pis"] = start.reshape(CLASSES, ITEMS * LEVELS)

    kind = "categorical_nan" if holes.any() else "categorical"
    # StepMix makes an E-step, then an M-step: its last M-step has no E-step yet.
    model = FromStart(
        CLASSES, measurement=kind, max_iter=iterations, abs_tol=0, rel_tol=0, n_init=1, random_state=0, progress_bar=0
    )
    table = np.where(holes, np.nan, codes) if holes.any() else codes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it did not converge: asked for are exactly so many iterations
        model.fit(table)
    if model.n_iter_ != iterations:
        raise RuntimeError(f"StepMix stopped after {model.n_iter_} of {iterations} iterations")
    return float((model.lower_bound_ if holes.any() and iterations == 1 else model.score(table)) * len(codes))


def agreeing(codes: Codes, holes: NDArray[np.bool_], start: Array) -> tuple[float, float]:
    """The log-likelihoods that must agree: after three iterations, or, with missing cells, at the start."""
    if holes.any():
        return run_emdsl(codes, holes, start, 0), run_stepmix(codes, holes, start, 1)
    return run_emdsl(codes, holes, start, 3), run_stepmix(codes, holes, start, 3)


def main() -> None:
    """Prints one line for full rows, one for rows with missing cells."""
    codes, start = answers()
    for share in (0.0, 0.05):
        holes = np.random.default_rng(1).random(codes.shape) < share
        what = f"{ROWS:,} rows, {ITEMS} items of {LEVELS}, {CLASSES} classes, {share:.0%} missing"
        fast = seconds_per_iteration(partial(run_emdsl, codes, holes, start), ITERATIONS)
        try:
            ours, theirs = agreeing(codes, holes, start)
        except ImportError:
            print(f"{what}: emdsl {fast * 1e3:7.1f} ms an iteration; StepMix is not installed")
            continue
        if not np.isclose(ours, theirs, rtol=1e-9):
            raise RuntimeError(f"log-likelihoods differ: {ours} and {theirs}")
        slow = seconds_per_iteration(partial(run_stepmix, codes, holes, start), ITERATIONS)
        print(
            f"{what}: emdsl {fast * 1e3:7.1f} ms, StepMix {slow * 1e3:7.1f} ms an iteration, "
            f"{verdict(slow / fast, TARGET)}"
        )


if __name__ == "__main__":
    main()
