"""Expected counts by code: the two ways of adding them up agree, whatever the number of codes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from emdsl.runtime import carriers
from emdsl.runtime.carriers import Block, take_reverse
from emdsl.runtime.pieces import PieceData


def piece(rng: np.random.Generator, codes: int, elements: int, terms: int, rows: int) -> PieceData:
    """A look-up by code, with statistics by row if it has several terms."""
    found = PieceData(
        name="p", by_row=False, hidden=(2, 3), elements=(elements,), codes=(codes,), terms=terms, rows=rows,
        addresses=[], slots=[], knowns={}, columns=codes,
    )  # fmt: skip
    found.code = rng.integers(0, codes, (elements, rows))
    if terms > 1:
        found.statistics = rng.normal(size=(elements, terms, rows))
    return found


@pytest.mark.parametrize("terms", [1, 3])
@pytest.mark.parametrize("elements", [1, 2])
def test_codes_that_occur_alone(terms: int, elements: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(terms + elements)
    c = piece(rng, 40, elements, terms, 60)
    block = Block((), (), (), (), (), ())
    shape = (2, 3, elements, 40) if terms == 1 else (2, 3, elements, 40, terms)
    expected: Any = np.zeros(shape)
    sums: dict[int, Any] = {}
    assert c.code is not None
    adjoint = rng.random((2, 3, 60))
    for element in range(elements):
        for row in range(60):
            part = adjoint[..., row]
            if c.statistics is not None:
                part = part[..., None] * c.statistics[element, :, row]
            expected[:, :, element, c.code[element, row]] += part
    for many in (0, 10**9):  # always by the codes that occur, never
        monkeypatch.setattr(carriers, "MANY_CODES", many)
        sums[many] = np.zeros(shape)
        for rows in (slice(0, 25), slice(25, 60)):
            take_reverse(adjoint[..., rows], c, rows, block, sums[many])
    assert np.allclose(sums[0], expected, rtol=1e-13, atol=1e-13)
    assert np.allclose(sums[10**9], expected, rtol=1e-13, atol=1e-13)
    assert len(c.local) == 2 * elements
