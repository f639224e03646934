"""Random starts: the same for the same seed, the degenerate ones dropped, and counted by where they end."""

from __future__ import annotations

import numpy as np
import pytest

from emdsl.runtime.fitting import FitOptions, fit
from emdsl.runtime.starts import search
from tests.runtime.hand_written import NormalMixture, PoissonMixture

RNG = np.random.default_rng(4)
THREE = np.concatenate([RNG.normal(0, 1, 60), RNG.normal(6, 1, 60), RNG.normal(7, 0.3, 30)])
COUNTS = PoissonMixture(np.arange(8.0), np.array([30, 60, 70, 60, 40, 20, 12, 5.0]), 2)


def test_the_same_seed_gives_the_same_digits():
    one, two = (fit(NormalMixture(THREE, 3), FitOptions(seed=3)) for _ in range(2))
    assert one.loglik == two.loglik and one.trace == two.trace and one.starts.dropped == two.starts.dropped
    np.testing.assert_array_equal(one.starts.logliks, two.starts.logliks)
    other = fit(NormalMixture(THREE, 3), FitOptions(seed=4))
    assert not np.array_equal(one.starts.logliks, other.starts.logliks, equal_nan=True)


def test_a_start_does_not_depend_on_how_many_there_are():
    few, many = (search(COUNTS, COUNTS.initial(), count, 0, given=False) for count in (3, 6))
    first = [sorted(found.starts, key=lambda s: s.number)[0].trace[:5] for found in (few, many)]
    assert first[0] == first[1]


def test_every_start_of_an_easy_model_reaches_the_best():
    state = fit(COUNTS, FitOptions(starts=12))
    assert state.starts.run == state.starts.at_best == len(state.starts.logliks) == 12
    assert state.loglik >= max(state.starts.logliks) - 1e-12
    assert max(state.starts.logliks) == pytest.approx(state.loglik, abs=1e-3)


def test_degenerate_starts_are_dropped_before_the_choice():
    class Fussy(PoissonMixture):
        """Calls every point degenerate whose first component is the larger one."""

        def degenerate(self, theta, statistics):
            return "the first component is the larger" if theta["share"][0] > 0.5 else None

    state = fit(Fussy(COUNTS.y, COUNTS.w), FitOptions(starts=20))
    dropped = state.starts.dropped
    assert 0 < len(dropped) < 20 and all(reason == "the first component is the larger" for _, reason in dropped)
    assert np.isnan([state.starts.logliks[number - 1] for number, _ in dropped]).all()
    assert state.theta["share"][0] < 0.5 and state.starts.at_best <= 20 - len(dropped)


def test_where_all_starts_are_degenerate_the_fit_says_so():
    class Hopeless(PoissonMixture):
        def degenerate(self, theta, statistics):
            return "too few units"

    state = fit(Hopeless(COUNTS.y, COUNTS.w), FitOptions(starts=4))
    assert state.warnings[0].startswith("all 4 random starts were dropped (too few units)")
    assert any("degenerate optimum: too few units" in text for text in state.warnings)


def test_the_given_values_are_start_one_exactly():
    problem = PoissonMixture(COUNTS.y, COUNTS.w)
    told = []
    search(
        problem, problem.initial(), 3, 0, given=True,
        progress=lambda stage, number, iterate: told.append((number, iterate)),
    )  # fmt: skip
    current = problem.initial()
    for _ in range(20):
        current = problem.maximize(current, problem.expect(current).statistics)
    np.testing.assert_array_equal(told[0][1].theta["rate"], current["rate"])


def test_one_start_of_several_is_suspicious():
    class Lucky(PoissonMixture):
        """Only one start leaves the place where all components are equal."""

        def random_expectation(self, rng, theta):
            found = super().random_expectation(rng, theta)
            size, total = found.statistics
            lucky = rng.random() < 0.12
            return found if lucky else type(found)(found.loglik, (size, size * total.sum() / size.sum()))

    runs = [fit(Lucky(COUNTS.y, COUNTS.w), FitOptions(starts=10, seed=seed)) for seed in range(12)]
    ones = [state for state in runs if state.starts.at_best == 1]
    assert ones and all(any("only 1 of 10 starts" in text for text in state.warnings) for state in ones)
    others = [state for state in runs if state.starts.at_best > 1]
    assert not any("only 1 of" in text for state in others for text in state.warnings)
