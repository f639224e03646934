"""Cells of finite variables: labels, alternatives `a|b`, genotypes `A/B` and `A/_`, 0/1 in their spellings."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from emdsl.data.index_sets import BINARY
from emdsl.data.numerals import numeral

_TRUTH = {"false": "0", "true": "1"}


class UnknownLabel(Exception):
    """A cell, or one of its parts, is not what it should be. `part` is what was not understood."""

    def __init__(self, part: str) -> None:
        super().__init__(part)
        self.part = part


@dataclass
class CellCodes:
    """Codes of the cells of one finite variable; sets of values are numbered in the order in which they come up.

    `index_set` names the labels (the built-in one takes `true` and `false` too), `genotype`: values are pairs.
    """

    index_set: str
    labels: tuple[str, ...]
    genotype: bool
    _codes: dict[str, int] = field(init=False)
    _sets: dict[bytes, int] = field(init=False, default_factory=dict)
    _masks: list[NDArray[np.bool_]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self._codes = {label: code for code, label in enumerate(self.labels)}

    @property
    def values(self) -> int:
        """The number of values: labels, or ordered pairs of labels."""
        return len(self.labels) ** 2 if self.genotype else len(self.labels)

    @property
    def sets(self) -> NDArray[np.bool_] | None:
        """The sets (number, values) that codes beyond `values` stand for, None if there are none."""
        return np.array(self._masks) if self._masks else None

    def missing(self) -> int:
        """The code of an empty cell: the set of all values."""
        return self._set(np.ones(self.values, dtype=bool))

    def code(self, cell: str) -> int:
        """The code of a cell; one that lists alternatives has a code of `values` or more. Raises `UnknownLabel`."""
        whole = self._single(cell)
        if whole is not None:
            return whole
        mask = np.zeros(self.values, dtype=bool)
        for alternative in cell.split("|"):
            mask |= self._mask(alternative)
        allowed = np.flatnonzero(mask)
        if self.genotype:
            allowed = allowed[allowed // len(self.labels) <= allowed % len(self.labels)]
        return int(allowed[0]) if len(allowed) == 1 else self._set(mask)

    def _single(self, cell: str) -> int | None:
        """The code of a cell that is one value, None if it is not."""
        if self.genotype:
            pair = self._pair(cell)
            return None if pair is None or -1 in pair else min(pair) * len(self.labels) + max(pair)
        if cell in self._codes:
            return self._codes[cell]
        if self.index_set == BINARY:
            return self._codes.get(_as_binary(cell))
        return None

    def _mask(self, alternative: str) -> NDArray[np.bool_]:
        mask = np.zeros(self.values, dtype=bool)
        if not self.genotype:
            code = self._single(alternative)
            code = self._single(alternative.strip()) if code is None else code
            if code is None:
                raise UnknownLabel(alternative)
            mask[code] = True
            return mask
        pair = self._pair(alternative)
        if pair is None:
            raise UnknownLabel(alternative)
        square = mask.reshape(len(self.labels), len(self.labels))
        left, right = (slice(None) if code < 0 else slice(code, code + 1) for code in pair)
        square[left, right] = True
        square[right, left] = True
        return mask

    def _pair(self, text: str) -> tuple[int, int] | None:
        """The codes of `A/B`, -1 for `_`. Labels may hold a `/` of their own."""
        for position, character in enumerate(text):
            if character != "/":
                continue
            left, right = self._allele(text[:position]), self._allele(text[position + 1 :])
            if left is not None and right is not None:
                return left, right
        return None

    def _allele(self, text: str) -> int | None:
        for spelled in (text, text.strip()):
            if spelled in self._codes:
                return self._codes[spelled]
        return -1 if text.strip() == "_" else None

    def _set(self, mask: NDArray[np.bool_]) -> int:
        key = mask.tobytes()
        if key not in self._sets:
            self._sets[key] = len(self._masks)
            self._masks.append(mask)
        return self.values + self._sets[key]


def _as_binary(cell: str) -> str:
    """`0` or `1` for a spelling of it: `TRUE`, `false`, `1.0`; the cell itself if it is none."""
    text = cell.strip()
    value = numeral(text)
    if value is not None and value in (0.0, 1.0):
        return str(int(value))
    return _TRUTH.get(text.lower(), cell)
