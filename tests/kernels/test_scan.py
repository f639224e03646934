"""Sums over the paths of chains: against enumeration, against row-by-row recursion in extended precision, and their
laws."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from numpy.typing import NDArray

from emdsl.runtime import chains
from emdsl.runtime.chains import ChainLayout, chain_layout
from emdsl.runtime.scan import scan_forward, scan_reverse
from emdsl.runtime.scan_log import log_marginals, log_messages, log_pairs, log_total
from tests.kernels.enumeration import enumerate_paths, row_by_row

Array = NDArray[np.float64]
Starts = NDArray[np.intp]


@pytest.fixture(autouse=True)
def _no_warning_of_numpy():
    with np.errstate(all="raise", under="ignore"), warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def offsets(lengths: list[int] | NDArray[np.int64]) -> Starts:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.intp)


def is_cut(layout: ChainLayout, outer: int, states: int) -> bool:
    return layout.schedule(outer, states).pieces is not None


def logs(probabilities: Array, zero: float = -np.inf) -> Array:
    return np.log(probabilities, out=np.full(probabilities.shape, zero), where=probabilities > 0)


class TestEnumeration:
    """Small random chains: ragged, empty, with impossible factors, in every form that the arguments may take."""

    @pytest.mark.parametrize("row_wise", [False, True])
    @pytest.mark.parametrize("first_by_chain", [False, True])
    @pytest.mark.parametrize("emits", [False, True])
    @pytest.mark.parametrize("zero", [None, -np.inf, -1e300])
    def test_evidence_and_adjoints(self, row_wise: bool, first_by_chain: bool, emits: bool, zero: float | None) -> None:
        rng = np.random.default_rng([row_wise, first_by_chain, emits, zero is None])
        for _ in range(4):
            outer, states = int(rng.integers(1, 3)), int(rng.integers(1, 4))
            lengths = rng.integers(0, 6, size=rng.integers(1, 5))
            starts, rows = offsets(lengths), int(lengths.sum())

            def factors(*shape: int) -> Array:
                values = 2.0 * rng.normal(size=shape)
                if zero is not None:
                    values[rng.random(shape) < 0.3] = zero
                return values

            arguments = [
                factors(outer, states, len(lengths)) if first_by_chain else factors(outer, states),
                factors(outer, states, states, rows) if row_wise else factors(outer, states, states),
                factors(outer, states, rows) if emits else None,
            ]
            self.check(arguments, starts, rng)

    def check(self, arguments: list[Array | None], starts: Starts, rng: np.random.Generator) -> None:
        first, step, emit = arguments
        assert first is not None
        assert step is not None
        layout = chain_layout(starts)
        expected = enumerate_paths(first, step, emit, starts)
        evidence, tape = scan_forward(first, step, emit, layout)
        same = evidence == expected
        assert np.allclose(evidence[~same], expected[~same], rtol=1e-12, atol=1e-12)
        adjoint = rng.random(evidence.shape) + 0.1
        adjoints = scan_reverse(tape, adjoint)
        assert adjoints[0].shape == first.shape
        assert adjoints[1].shape == step.shape
        assert adjoints[2].shape == (*first.shape[:2], starts[-1])
        possible = np.where(expected > -np.inf, adjoint, 0.0)
        assert np.allclose(adjoints[2].sum(axis=1), np.repeat(possible, np.diff(starts), axis=1), atol=1e-13)
        for place, (values, derivative) in enumerate(zip(arguments, adjoints, strict=True)):
            if values is None or not values.size:
                continue
            index = tuple(int(rng.integers(size)) for size in values.shape)
            if values[index] < -1e290:
                assert derivative[index] == 0.0
                continue
            change = np.zeros(values.shape)
            change[index] = 1e-5
            totals = []
            for moved in (values + change, values - change):
                bent_first, bent_step = (moved if place == 0 else first), (moved if place == 1 else step)
                bent = enumerate_paths(bent_first, bent_step, moved if place == 2 else emit, starts)
                totals.append(np.sum(possible * np.where(possible > 0, bent, 0.0)))
            difference = (totals[0] - totals[1]) / 2e-5
            assert difference == pytest.approx(derivative[index], abs=1e-7)


def long_chains(kind: str, seed: int, row_wise: bool, scale: float) -> tuple[Array, Array, Array, Starts]:
    """Chains long enough to be cut, with transitions of a kind and emissions that change their favourite every 20
    rows."""
    rng = np.random.default_rng([seed, int(scale)])
    outer, states = int(rng.integers(1, 3)), int(rng.integers(3, 6))
    lengths = rng.integers(0, 300, size=3)
    rows = int(lengths.sum())
    transitions = rng.dirichlet(np.ones(states), size=(outer, rows) if row_wise else (outer, 1))
    transitions = np.stack([rng.permuted(transitions, axis=-1) for _ in range(states)], axis=2)
    masks = {
        "dense": np.ones((states, states)),
        "sticky": np.eye(states) + 1e-9,
        "left to right": np.triu(np.ones((states, states))),
        "disconnected": np.eye(states),
        "cyclic": np.roll(np.eye(states), 1, axis=1),
        "ring": np.eye(states) + np.roll(np.eye(states), 1, axis=1),
        "nearly impossible": np.where(np.eye(states) > 0, 1.0, 1e-200),
    }
    step = np.moveaxis(logs(transitions * masks[kind]), 1, -1)
    first = logs(rng.dirichlet(np.ones(states), size=outer))
    if kind == "left to right":
        first[:, 1:] = -np.inf
    drift = np.repeat(rng.normal(size=(outer, states, rows // 20 + 1)), 20, axis=-1)[..., :rows]
    emit = scale * drift + rng.normal(size=(outer, states, rows))
    return first, step if row_wise else step[..., 0], emit, offsets(lengths)


KINDS = ["dense", "sticky", "left to right", "disconnected", "cyclic", "ring", "nearly impossible"]


class TestLongChains:
    """Chains that are cut, whose states may be as far apart as no scaled probability can hold."""

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("row_wise", [False, True])
    @pytest.mark.parametrize("scale", [1.0, 30.0, 1000.0])
    def test_against_row_by_row(self, kind: str, row_wise: bool, scale: float) -> None:
        first, step, emit, starts = long_chains(kind, 1, row_wise, scale)
        layout = chain_layout(starts)
        assert is_cut(layout, *first.shape)
        every = step if row_wise else np.repeat(step[..., None], starts[-1], axis=-1)
        expected, marginals, pairs = row_by_row(first, every, emit, starts)
        evidence, tape = scan_forward(first, step, emit, layout)
        _, d_step, d_emit = scan_reverse(tape, np.ones(evidence.shape))
        assert np.allclose(evidence, expected, rtol=1e-12)
        assert np.allclose(d_emit, marginals, rtol=0, atol=1e-10)
        assert np.allclose(d_step, pairs if row_wise else pairs.sum(axis=-1), rtol=0, atol=1e-9 if row_wise else 1e-7)

    @pytest.mark.parametrize("kind", KINDS)
    def test_cut_or_whole_is_the_same(self, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        first, step, emit, starts = long_chains(kind, 2, False, 30.0)
        cut, whole = chain_layout(starts), chain_layout(starts)
        assert is_cut(cut, *first.shape)
        monkeypatch.setattr(chains, "SHORTEST_CUT", int(starts[-1]))
        assert not is_cut(whole, *first.shape)
        self.compare(first, step, emit, cut, whole)

    def test_the_width_of_blocks_is_of_no_account(self, monkeypatch: pytest.MonkeyPatch) -> None:
        first, step, emit, starts = long_chains("left to right", 3, False, 3.0)
        wide, narrow = chain_layout(starts), chain_layout(starts)
        wide.schedule(*first.shape)
        monkeypatch.setattr(chains, "NUMBERS_A_STEP", 40)
        assert len(narrow.schedule(*first.shape).cut) > len(wide.schedule(*first.shape).cut)
        self.compare(first, step, emit, wide, narrow)

    @staticmethod
    def compare(first: Array, step: Array, emit: Array, one: ChainLayout, other: ChainLayout) -> None:
        results = []
        for layout in (one, other):
            evidence, tape = scan_forward(first, step, emit, layout)
            results.append((evidence, *scan_reverse(tape, np.ones(evidence.shape))))
        for value, twin in zip(*results, strict=True):
            assert np.allclose(value, twin, rtol=1e-10, atol=1e-10)


class TestTraps:
    """What one common scale gets wrong."""

    @pytest.mark.parametrize("rows", [40, 512, 5000])
    def test_disconnected_states_that_even_out(self, rows: int) -> None:
        # Each state is e^-4096 in one half of the chain and 1 in the other: half of each is e^-4096, and a kernel that
        # loses the state which is behind in the middle says half of that, -4096.69.
        emit = np.zeros((1, 2, rows))
        emit[0, 1, : rows // 2] = emit[0, 0, rows // 2 :] = -4096.0 / (rows // 2)
        evidence, tape = scan_forward(np.log([[0.5, 0.5]]), logs(np.eye(2))[None], emit, chain_layout(offsets([rows])))
        assert evidence[0, 0] == pytest.approx(-4096.0, abs=1e-8)
        d_first, d_step, d_emit = scan_reverse(tape, np.ones((1, 1)))
        assert np.allclose(d_emit, 0.5)
        assert np.allclose(d_first, 0.5)
        assert np.allclose(d_step[0], np.eye(2) * (rows - 1) / 2)

    @pytest.mark.parametrize("rows", [39, 510, 3000])
    def test_a_state_lost_from_both_ends(self, rows: int) -> None:
        # Behind by e^1000 after the first third, ahead by e^1000 after the second, even at the end: lost by a forward
        # pass and by a backward pass as well, so that comparing the two finds nothing.
        third = rows // 3
        emit = np.zeros((1, 2, rows))
        emit[0, 0, :third] = emit[0, 0, 2 * third :] = -1000.0 / third
        emit[0, 1, third : 2 * third] = -2000.0 / third
        evidence, tape = scan_forward(np.log([[0.5, 0.5]]), logs(np.eye(2))[None], emit, chain_layout(offsets([rows])))
        assert evidence[0, 0] == pytest.approx(-2000.0, abs=1e-8)
        assert np.allclose(scan_reverse(tape, np.ones((1, 1)))[2], 0.5)

    @pytest.mark.parametrize("depth", [200, 640, 667, 680, 690, 695, 703, 709, 715, 735, 745, 760, 1400])
    @pytest.mark.parametrize("rows", [30, 150])
    @pytest.mark.parametrize("connected", [False, True])
    @pytest.mark.parametrize("sudden", [False, True])
    def test_a_state_that_comes_back(self, depth: int, rows: int, connected: bool, sudden: bool) -> None:
        # down to the very edge of what scaled probabilities can hold, past it, and back
        third = rows // 3
        drops = np.zeros((2, rows))
        drops[0, :third] = drops[1, third : 2 * third] = -depth / third
        drops[1, 2 * third :] = -0.5
        if sudden:
            for state, first in ((0, 0), (1, third)):
                drops[state, first : first + third] = 0.0
                drops[state, first] = -depth
        starts = offsets([rows])
        step = logs(np.array([[[0.9, 0.1 * connected], [0.0, 0.8]]]))
        every = np.repeat(step[..., None], rows, axis=-1)
        expected, marginals, pairs = row_by_row(np.log([[0.5, 0.5]]), every, drops[None], starts)
        evidence, tape = scan_forward(np.log([[0.5, 0.5]]), step, drops[None], chain_layout(starts))
        _, d_step, d_emit = scan_reverse(tape, np.ones((1, 1)))
        assert np.allclose(evidence, expected, rtol=1e-12)
        assert np.allclose(d_emit, marginals, rtol=0, atol=1e-10)
        assert np.allclose(d_step, pairs.sum(axis=-1), rtol=0, atol=1e-9)

    def test_a_first_piece_that_only_the_later_ones_make_possible(self) -> None:
        # seen from its own piece alone, the state that the rest excludes is the only one; then it is impossible
        emit = np.zeros((1, 2, 100))
        emit[0, 1, :10] = -300.0
        emit[0, 0, 13] = -np.inf
        layout = chain_layout(offsets([100]))
        assert is_cut(layout, 1, 2)
        evidence, tape = scan_forward(np.log([[0.5, 0.5]]), logs(np.eye(2))[None], emit, layout)
        assert evidence[0, 0] == pytest.approx(np.log(0.5) - 3000.0)
        assert np.allclose(scan_reverse(tape, np.ones((1, 1)))[2][0, 1], 1.0)

    def test_a_state_that_only_later_rows_bring_back(self) -> None:
        # The first row all but excludes the state that the rest, row by row, cannot do without.
        emit = np.full((1, 2, 300), 0.0)
        emit[0, 0, 0] = -2000.0
        emit[0, 1, 100:] = -50.0
        evidence, tape = scan_forward(np.log([[0.5, 0.5]]), logs(np.eye(2))[None], emit, chain_layout(offsets([300])))
        assert evidence[0, 0] == pytest.approx(-2000.0 + np.log(0.5), abs=1e-8)
        assert np.allclose(scan_reverse(tape, np.ones((1, 1)))[2][0, 0], 1.0)

    @pytest.mark.parametrize("rows", [40, 5000])
    @pytest.mark.parametrize("rare", [1e-25, 1e-60])
    def test_a_rare_transition_at_every_row(self, rows: int, rare: float) -> None:
        # the rows leave one path, each of whose steps is rare: its weight cannot be held for many steps
        emit = np.full((1, 2, rows), -np.inf)
        emit[0, np.arange(rows) % 2, np.arange(rows)] = 0.0
        step = np.log([[[1.0, rare], [rare, 1.0]]])
        evidence, tape = scan_forward(np.log([[0.5, 0.5]]), step, emit, chain_layout(offsets([rows])))
        assert evidence[0, 0] == pytest.approx(np.log(0.5) + (rows - 1) * np.log(rare), rel=1e-13)
        _, d_step, d_emit = scan_reverse(tape, np.ones((1, 1)))
        assert np.allclose(d_emit[0], np.exp(emit[0]))
        assert np.allclose(d_step[0], [[0, rows // 2], [(rows - 1) // 2, 0]])

    def test_only_doubtful_chains_go_to_the_log_kernel(self) -> None:
        emit = np.zeros((1, 2, 200))
        emit[0, 1, 100:150] = emit[0, 0, 150:] = -40.0
        layout = chain_layout(offsets([100, 100]))
        _, tape = scan_forward(np.log([[0.5, 0.5]]), logs(np.eye(2))[None], emit, layout)
        assert tape.log_chains is not None
        assert list(tape.log_chains.chains) == [1]

    @pytest.mark.parametrize("kind", ["dense", "cyclic", "ring", "left to right"])
    def test_ordinary_chains_do_not(self, kind: str) -> None:
        first, step, emit, starts = long_chains(kind, 4, False, 1.0)
        assert scan_forward(first, step, emit, chain_layout(starts))[1].log_chains is None


class TestImpossibleEvidence:
    @pytest.mark.parametrize("zero", [-np.inf, -1e300])
    @pytest.mark.parametrize("lengths", [[5, 3], [500, 3], [400, 300]], ids=str)
    @pytest.mark.parametrize("row", [0, 2, 4])
    @pytest.mark.parametrize("dense", [True, False])
    def test_of_one_row(self, zero: float, lengths: list[int], row: int, dense: bool) -> None:
        rng = np.random.default_rng(3)
        starts = offsets(lengths)
        emit = rng.normal(size=(2, 3, starts[-1]))
        emit[0, :, row] = zero
        step = logs(np.full((2, 3, 3), 1 / 3) if dense else np.triu(np.full((2, 3, 3), 1 / 3)), zero)
        evidence, tape = scan_forward(np.zeros((2, 3)), step, emit, chain_layout(starts))
        assert evidence[0, 0] == -np.inf
        assert np.isfinite(evidence[[0, 1, 1], [1, 0, 1]]).all()
        d_first, d_step, d_emit = scan_reverse(tape, np.full((2, 2), 2.0))
        assert np.array_equal(d_emit[0, :, : lengths[0]], np.zeros((3, lengths[0])))
        assert np.allclose(d_emit[0, :, lengths[0] :].sum(axis=0), 2.0)
        assert d_first[0].sum() == pytest.approx(2.0)
        assert d_step[0].sum() == pytest.approx(2.0 * (lengths[1] - 1))
        assert d_step[1].sum() == pytest.approx(2.0 * (sum(lengths) - 2))

    def test_of_everything(self) -> None:
        layout = chain_layout(offsets([200]))
        evidence, tape = scan_forward(
            np.full((1, 2), -1e300), np.full((1, 2, 2), -1e300), np.zeros((1, 2, 200)), layout
        )
        assert evidence[0, 0] == -np.inf
        assert all(not adjoint.any() for adjoint in scan_reverse(tape, np.ones((1, 1))))


class TestLaws:
    def test_permuting_chains_changes_nothing(self) -> None:
        rng = np.random.default_rng(5)
        lengths = np.array([7, 0, 300, 1, 7, 90, 64, 200])
        order = rng.permutation(len(lengths))
        starts, shuffled = offsets(lengths), offsets(lengths[order])
        rows = np.concatenate([np.arange(starts[chain], starts[chain + 1]) for chain in order])
        first, step = np.log(rng.dirichlet(np.ones(3), size=1)), np.log(rng.dirichlet(np.ones(3), size=(1, 3)))
        emit = rng.normal(size=(1, 3, starts[-1]))
        weights = rng.random((1, len(lengths)))
        evidence, tape = scan_forward(first, step, emit, chain_layout(starts))
        moved, moved_tape = scan_forward(first, step, emit[..., rows], chain_layout(shuffled))
        assert np.allclose(moved, evidence[:, order], rtol=1e-13)
        d_first, d_step, d_emit = scan_reverse(tape, weights)
        e_first, e_step, e_emit = scan_reverse(moved_tape, weights[:, order])
        assert np.allclose(e_first, d_first, rtol=1e-12)
        assert np.allclose(e_step, d_step, rtol=1e-12)
        assert np.allclose(e_emit, d_emit[..., rows], rtol=0, atol=1e-12)

    @pytest.mark.parametrize("weight", [0.0, -1.0, 1e15])
    def test_adjoints_of_any_size(self, weight: float) -> None:
        first, step, emit, starts = long_chains("dense", 11, False, 1.0)
        evidence, tape = scan_forward(first, step, emit, chain_layout(starts))
        unit, scaled = (scan_reverse(tape, np.full(evidence.shape, value)) for value in (1.0, weight))
        for one, other in zip(unit, scaled, strict=True):
            assert np.allclose(other, weight * one, rtol=1e-12, atol=0)

    def test_a_tape_may_be_reversed_twice(self) -> None:
        first, step, emit, starts = long_chains("disconnected", 6, False, 30.0)
        evidence, tape = scan_forward(first, step, emit, chain_layout(starts))
        once, twice = (scan_reverse(tape, np.ones(evidence.shape)) for _ in range(2))
        for one, other in zip(once, twice, strict=True):
            assert np.array_equal(one, other)

    def test_arguments_are_left_alone(self) -> None:
        first, step, emit, starts = long_chains("left to right", 7, True, 30.0)
        copies = first.copy(), step.copy(), emit.copy()
        evidence, tape = scan_forward(first, step, emit, chain_layout(starts))
        scan_reverse(tape, np.ones(evidence.shape))
        for value, copy in zip((first, step, emit), copies, strict=True):
            assert np.array_equal(value, copy)

    def test_factors_into_first_rows_are_not_read(self) -> None:
        first, step, emit, starts = long_chains("dense", 8, True, 1.0)
        layout = chain_layout(starts)
        spoilt = step.copy()
        spoilt[..., layout.first_rows] = np.nan
        evidence, _ = scan_forward(first, step, emit, layout)
        with np.errstate(invalid="ignore"):
            again, tape = scan_forward(first, spoilt, emit, layout)
        assert np.array_equal(evidence, again)
        d_step = scan_reverse(tape, np.ones(evidence.shape))[1]
        assert not d_step[..., layout.first_rows].any()

    def test_no_rows_at_all(self) -> None:
        layout = chain_layout(offsets([0, 0]))
        evidence, tape = scan_forward(np.zeros((1, 2)), np.zeros((1, 2, 2)), np.zeros((1, 2, 0)), layout)
        assert np.array_equal(evidence, [[0.0, 0.0]])
        d_first, d_step, d_emit = scan_reverse(tape, np.ones((1, 2)))
        assert not d_first.any()
        assert not d_step.any()
        assert d_emit.shape == (1, 2, 0)

    def test_long_chains_keep_their_digits(self) -> None:
        # independent rows: every path sums apart, and the evidence is a plain sum
        rng = np.random.default_rng(9)
        share = np.log(rng.dirichlet(np.ones(3)))
        emit = 5.0 * rng.normal(size=(1, 3, 100_000))
        evidence, tape = scan_forward(share[None], np.tile(share, (1, 3, 1)), emit, chain_layout(offsets([100_000])))
        joint = share[:, None] + emit[0]
        totals = np.logaddexp.reduce(joint, axis=0)
        assert evidence[0, 0] == pytest.approx(np.sum(totals), rel=1e-13)
        assert np.allclose(scan_reverse(tape, np.ones((1, 1)))[2][0], np.exp(joint - totals), rtol=0, atol=1e-12)


class TestLogKernel:
    """The log kernel by itself, cut and whole."""

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("shortest", [16, 10_000])
    def test_against_row_by_row(self, kind: str, shortest: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(chains, "SHORTEST_CUT", shortest)
        first, step, emit, starts = long_chains(kind, 10, True, 300.0)
        layout = chain_layout(starts)
        potential = step + emit[:, None]
        opening = np.repeat(first[..., None], layout.chains, axis=-1)
        opening[..., layout.lengths > 0] += emit[..., layout.first_rows]
        messages = log_messages(opening, potential, layout)
        expected, marginals, pairs = row_by_row(first, step, emit, starts)
        weights = np.random.default_rng(0).random(expected.shape)
        by_row = np.repeat(weights, layout.lengths, axis=-1)
        assert np.allclose(messages.evidence, expected, rtol=1e-13)
        assert np.allclose(log_marginals(messages, layout, weights), marginals * by_row[:, None], atol=1e-10)
        found = log_pairs(messages, potential, layout, weights)
        assert np.allclose(found, pairs * by_row[:, None, None], atol=1e-10)


class TestSchedule:
    @pytest.mark.parametrize(
        "lengths", [[200_000], [10] * 1000, [0, 700, 3, 0, 49, 1], [1], [300, 300, 10_000]], ids=str
    )
    @pytest.mark.parametrize("states", [1, 3, 60])
    def test_every_row_has_one_place(self, lengths: list[int], states: int) -> None:
        layout = chain_layout(offsets(lengths))
        schedule = layout.schedule(1, states)
        seen = np.zeros(layout.size, dtype=int)
        for lanes in schedule.whole + schedule.cut:
            assert lanes.widths[0] == len(lanes)
            assert all(a >= b for a, b in zip(lanes.widths, lanes.widths[1:], strict=False))
            for step in range(len(lanes.widths)):
                seen[lanes.rows(step)] += 1
        assert (seen == 1).all()

    def test_a_schedule_is_made_once(self) -> None:
        layout = chain_layout(offsets([500, 20]))
        assert layout.schedule(1, 3) is layout.schedule(1, 3)

    def test_many_states_are_not_cut(self) -> None:
        assert not is_cut(chain_layout(offsets([5000])), 1, 60)


def test_small_tables_and_large_ones_have_the_same_sums() -> None:
    table = np.random.default_rng(5).normal(scale=300.0, size=(2, 3, 4, 100))
    table[0, :, 1, :3] = -np.inf
    table[1, :, 2, :2] = -1e300
    large = log_total(table, 1)
    small = np.concatenate([log_total(table[..., [k]], 1) for k in range(100)], axis=-1)
    np.testing.assert_allclose(small, large, rtol=1e-14)
    assert (small[0, 0, 1, :3] == -np.inf).all() and (small[1, 0, 2, :2] == -np.inf).all()
