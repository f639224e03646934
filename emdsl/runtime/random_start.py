"""Random responsibilities for the first E-step of a start."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.problem import Array

#: Units given to each value of a hidden variable, and the share with which all others count: where hidden values select
#: densities (tried on iris and faithful, three components) and where they do not (latent classes, Poisson chains).
#: More of either start too near the symmetric point, where short starts run out of time.
DENSE = (1, 0.03)
DISCRETE = (5, 0.1)
#: Sharp starts, for where the best of the others has one law for two values: one unit given to each value, and all
#: others together count for this much of a unit. Laws that take up what differs in a shape or a size (negative
#: binomial, beta, inverse Gaussian) have a maximum there, not a saddle, to which every start leads that begins near it.
SHARP_SHARE = 0.01
#: Units of a chain keep the value given to one of them for a while: up to so many on average, drawn for each start.
#: Single units say nothing about how long a state lasts, and short starts then stay where states follow each other as
#: if by chance (a casino of 20 visits: 7.1 short of the best log-likelihood with every seed).
LONGEST_STAY = 16.0
#: The log-potential that gives a unit to a value: large enough to decide, small enough to yield to impossible evidence.
DECISIVE = 50.0


def draw_potentials(
    rng: np.random.Generator,
    latents: Sequence[tuple[str, int, int]],
    parents: Sequence[NDArray[np.intp]],
    sizes: Sequence[int],
    *,
    dense: bool,
    sharp: bool,
    chains: Sequence[bool],
) -> tuple[dict[str, Array], tuple[Array, ...]]:
    """Log-potentials `(values, units)` of each hidden variable, and for each level the weight of its units in the
    statistics. `sharp`: see SHARP_SHARE.

    `latents` lists name, level and number of values; `parents[k]` the unit of level k - 1 of each unit of level k;
    `sizes` the number of units of each level; `dense` whether some density is selected. A few units are given to each
    value; they, what lies below and what lies above them count fully, everything else with a small share. `chains`
    says of which levels the units follow each other: there stretches are given in place of single units.
    """
    units_a_value, share = DENSE if dense else DISCRETE
    units_a_value = 1 if sharp else units_a_value
    potentials: dict[str, Array] = {}
    chosen = [np.zeros(size, dtype=bool) for size in sizes]
    for name, level, values in latents:
        n = sizes[level]
        table = np.zeros((values, n))
        each = min(units_a_value, max(1, n // max(values, 1)))
        units = rng.permutation(n)[: each * values]
        owner = np.arange(len(units)) % values
        if n < values:  # as of what is drawn once for all data: any value may be the one
            owner = rng.permutation(values)[: len(units)]
        if chains[level]:
            units, owner = _stretches(rng, units, owner, parents[level])
        table[:, units] = -DECISIVE
        table[owner, units] = DECISIVE
        potentials[name] = table
        chosen[level][units] = True
    for level in range(1, len(sizes)):
        chosen[level] |= chosen[level - 1][parents[level]]
    for level in range(len(sizes) - 1, 0, -1):
        np.logical_or.at(chosen[level - 1], parents[level], chosen[level])
    shares = [SHARP_SHARE / mask.size if sharp else share for mask in chosen]
    return potentials, tuple(np.where(mask, 1.0, part) for mask, part in zip(chosen, shares, strict=True))


def _stretches(
    rng: np.random.Generator, units: NDArray[np.intp], owner: NDArray[np.intp], parent: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Each unit with those that follow it in its chain for a geometric while, and their owners.

    A stretch ends where the next begins and where its chain ends.
    """
    stay = np.exp(rng.uniform(0.0, np.log(LONGEST_STAY)))
    lengths = rng.geometric(1.0 / stay, size=len(units))
    order = np.argsort(units)
    units, owner, lengths = units[order], owner[order], lengths[order]
    ends = np.minimum(units + lengths, np.append(units[1:], len(parent)))
    ends = np.minimum(ends, np.searchsorted(parent, parent[units], side="right"))
    counts = ends - units
    offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(units, counts) + offsets, np.repeat(owner, counts)
