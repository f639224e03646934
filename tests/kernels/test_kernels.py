"""The array kernels against their definitions, and each reverse against the derivative of its kernel."""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from emdsl.runtime.functions import LOG_ZERO
from emdsl.runtime.kernels import (
    eta_log,
    extend_codes,
    extend_codes_reverse,
    log_sum_exp,
    log_sum_exp_reverse,
    segment_sum,
    segment_sum_reverse,
    take_log,
    take_log_reverse,
)

Array = NDArray[np.float64]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20)


@pytest.fixture(autouse=True)
def _no_warning_of_numpy():
    with np.errstate(all="raise", under="ignore"), warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_the_logarithm_of_an_eta_table_has_no_infinity() -> None:
    assert np.array_equal(eta_log(np.array([0.0, 1.0, np.e])), [LOG_ZERO, 0.0, 1.0])
    assert eta_log(0.0).shape == ()


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1), (-1,), (0, 1, 2)])
def test_log_sum_exp_and_its_reverse(rng: np.random.Generator, axes: tuple[int, ...]) -> None:
    table = 30.0 * rng.normal(size=(3, 4, 5))
    expected = np.log(np.exp(table).sum(axis=axes))
    out, soft = log_sum_exp(table.copy(), axes)
    assert out.shape == expected.shape
    assert np.allclose(out, expected, rtol=1e-14)
    adjoint = rng.normal(size=out.shape)
    d_table = log_sum_exp_reverse(soft, adjoint)
    kept = np.exp(table - np.expand_dims(expected, axes)) * np.expand_dims(adjoint, axes)
    assert np.allclose(d_table, kept, rtol=1e-12)


def test_the_reverse_overwrites_the_weights(rng: np.random.Generator) -> None:
    _, soft = log_sum_exp(rng.normal(size=(3, 5)), (0,))
    assert np.shares_memory(log_sum_exp_reverse(soft, np.ones(5)), soft.weights)


@pytest.mark.parametrize("shift", [0.0, -400.0, 400.0, -800.0, 800.0, -1e5, 1e5])
def test_log_sum_exp_of_any_size(rng: np.random.Generator, shift: float) -> None:
    """Beyond the range of the exponential the largest is taken out first; the digits are the same."""
    table = rng.normal(size=(3, 5))
    expected = np.log(np.exp(table).sum(axis=0)) + shift
    out, soft = log_sum_exp(table + shift, (0,))
    np.testing.assert_allclose(out, expected, rtol=1e-13, atol=1e-10)
    shares = np.exp(table) / np.exp(table).sum(axis=0)
    np.testing.assert_allclose(log_sum_exp_reverse(soft, np.ones(5)), shares, rtol=1e-9)


@pytest.mark.parametrize("zero", [-np.inf, LOG_ZERO, 3 * LOG_ZERO])
def test_impossible_evidence_is_minus_infinity_and_its_reverse_zero(zero: float) -> None:
    table = np.array([[zero, 0.0, zero], [zero, zero, -2.0], [LOG_ZERO, 1.0, -1e5]])
    out, soft = log_sum_exp(table, (0,))
    assert np.allclose(out, [-np.inf, np.log(1 + np.e), -2.0])
    d_table = log_sum_exp_reverse(soft, np.array([5.0, 1.0, 2.0]))
    assert np.array_equal(d_table[:, 0], np.zeros(3))
    assert np.array_equal(d_table.sum(axis=0), [0.0, 1.0, 2.0])


@pytest.mark.parametrize(
    "lengths", [[2, 3, 1], [0, 2, 0, 0, 3, 0], [1, 1, 1], [4, 4, 4], [0, 0], [0], [5]], ids=lambda lengths: str(lengths)
)
def test_segment_sum_and_its_reverse(rng: np.random.Generator, lengths: list[int]) -> None:
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.intp)
    array = rng.normal(size=(2, 3, starts[-1]))
    expected = np.stack([array[..., a:b].sum(axis=-1) for a, b in pairwise(starts)], axis=-1)
    sums = segment_sum(array, starts)
    assert np.allclose(sums, expected, rtol=1e-13, atol=1e-14)
    adjoint = rng.normal(size=sums.shape)
    parent = np.repeat(np.arange(len(lengths)), lengths)
    assert np.array_equal(segment_sum_reverse(adjoint, starts), adjoint[..., parent])


def test_segment_sum_keeps_impossible_evidence_in_its_segment() -> None:
    array = np.array([[0.0, -np.inf, 1.0, 2.0], [-1e300, -1e300, 1.0, 1.0]])
    assert np.array_equal(segment_sum(array, np.array([0, 2, 4])), [[-np.inf, 3.0], [-2e300, 2.0]])


def test_segment_sum_does_not_share_memory(rng: np.random.Generator) -> None:
    array = rng.normal(size=(2, 3))
    assert not np.shares_memory(segment_sum(array, np.arange(4)), array)


@pytest.mark.parametrize("cells", [(), (3,), (40,), (2, 5)], ids=str)
@pytest.mark.parametrize("size", [1, 4, 30])
def test_take_log_and_its_reverse(rng: np.random.Generator, cells: tuple[int, ...], size: int) -> None:
    codes = rng.integers(0, size, 50)
    table = rng.normal(size=(*cells, size))
    assert np.array_equal(take_log(table, codes), table[..., codes])
    adjoint = rng.normal(size=(*cells, 50))
    expected = adjoint @ (codes[:, None] == np.arange(size))
    counts = take_log_reverse(adjoint, codes, size)
    assert counts.shape == table.shape
    assert np.allclose(counts, expected, atol=1e-13)


@pytest.mark.parametrize("cells", [(), (3,), (40,)], ids=str)
@pytest.mark.parametrize("elements", [0, 1, 3])
def test_take_log_sums_over_elements(rng: np.random.Generator, cells: tuple[int, ...], elements: int) -> None:
    codes = rng.integers(0, 4, (elements, 50))
    table = rng.normal(size=(*cells, elements, 4))
    taken = take_log(table, codes)
    assert taken.shape == (*cells, 50)
    assert np.allclose(taken, sum((table[..., e, codes[e]] for e in range(elements)), np.zeros((*cells, 50))))
    adjoint = rng.normal(size=taken.shape)
    counts = take_log_reverse(adjoint, codes, 4)
    assert counts.shape == table.shape
    for element in range(elements):
        assert np.allclose(counts[..., element, :], adjoint @ (codes[element][:, None] == np.arange(4)), atol=1e-13)


def test_codes_of_sets_sum_their_probabilities(rng: np.random.Generator) -> None:
    table = np.log(rng.dirichlet(np.ones(4), size=(2, 3)))
    sets = np.array([[True] * 4, [True, False, True, False], [False, True, False, False], [False] * 4])
    extended = extend_codes(table, sets)
    assert np.array_equal(extended[..., :4], table)
    with np.errstate(divide="ignore"):
        assert np.allclose(extended[..., 4:], np.log(np.exp(table) @ sets.T), atol=1e-14)
    adjoint = rng.random(extended.shape)
    share = np.exp(table[..., None, :]) * sets / np.maximum(np.exp(extended[..., 4:, None]), 1e-300)
    expected = adjoint[..., :4] + np.einsum("...sc,...s->...c", share, adjoint[..., 4:])
    assert np.allclose(extend_codes_reverse(extended, sets, adjoint), expected, rtol=1e-13)


def test_sets_of_rare_codes_keep_their_digits() -> None:
    table = np.array([0.0, -900.0, -901.0])
    sets = np.array([[False, True, True]])
    extended = extend_codes(table, sets)
    assert np.isclose(extended[3], -900.0 + np.log1p(np.exp(-1.0)), rtol=1e-15)
    shares = extend_codes_reverse(extended, sets, np.array([0.0, 0.0, 0.0, 1.0]))
    assert np.allclose(shares, [0.0, 1 / (1 + np.exp(-1.0)), 1 / (1 + np.e)])


@pytest.mark.parametrize("zero", [-np.inf, LOG_ZERO])
def test_impossible_sets_give_nothing_back(zero: float) -> None:
    table = np.array([0.0, zero, zero])
    sets = np.array([[False, True, True], [True, True, False]])
    extended = extend_codes(table, sets)
    assert extended[3] <= LOG_ZERO
    assert np.array_equal(extend_codes_reverse(extended, sets, np.ones(5)), [2.0, 1.0, 1.0])
