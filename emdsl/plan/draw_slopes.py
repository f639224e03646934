"""How a simulated likelihood changes because its draws move with the parameters.

The draws follow the mode as theta moves: `log L(theta) = log mean w(x(theta), theta)`. Its slope is the mean of the
complete-data score over the draws (what an M-step sees), plus what the movement of the draws contributes: the mean of
`d log-joint / dx * dx/dtheta`, and the change of the proposal's normaliser. The first factor does not depend on which
parameter moves; the second takes the law that is drawn from and no density at the draws.
"""

from __future__ import annotations

import numpy as np

from emdsl.plan.monte_carlo import MonteCarlo, SampledEvidence
from emdsl.plan.program import Program
from emdsl.runtime.domains import Coordinates
from emdsl.runtime.problem import Array, Theta

#: Step of differences of the law that is drawn from, in free coordinates.
STEP = 3e-4
#: Step of differences of the log-joint at a draw, in spreads.
WIDTH = 2e-3


def movement(
    method: MonteCarlo, found: SampledEvidence, weights: Array, program: Program, coordinates: Coordinates, theta: Theta
) -> Array:  # fmt: skip
    """That part of the slope in the free coordinates, `(size,)`."""
    pulls = _pulls(method, found, weights, theta, program.vector(theta))
    u = coordinates.free(theta)
    slope = np.zeros(len(u))
    for k in range(len(u)):
        sides = []
        for sign in (1.0, -1.0):
            moved = u.copy()
            moved[k] += sign * STEP
            there = coordinates.theta(moved)
            sides.append(method.beside(there, program.vector(there)))
        normalizer = (sides[0].normalizer - sides[1].normalizer) / (2 * STEP)
        slope[k] = float((normalizer * weights).sum())
        course = (sides[0].law.sample(found.noise) - sides[1].law.sample(found.noise)) / (2 * STEP)
        for term, pull in zip(method.terms, pulls, strict=True):
            slope[k] += float((pull * method.ties.gather(course, term.sites)).sum())
    return slope


def _pulls(method: MonteCarlo, found: SampledEvidence, weights: Array, theta: Theta, v: Array) -> list[Array]:
    """For each term its derivatives in the numbers that it looks at, `(q, *cells, draws, units)`, weighted."""
    ties, x = method.ties, found.draws
    assert method.around is not None
    share = found.share * weights[..., None, :]
    by_unit = share if share.shape[-1] == 1 else method.pieces[0].rows.of_integral(share)
    pulls = []
    for term in method.terms:
        width = WIDTH * ties.gather(method.around[1], term.sites)[..., None, :]
        parts = []
        for some in method.slices(x.shape[-2]):
            at = ties.gather(x[..., some, :], term.sites)
            pull = np.empty(at.shape)
            for i in range(len(at)):
                step = np.zeros((len(at), *width.shape[1:]))
                step[i] = width[i]
                pull[i] = (term.summed(theta, v, at + step) - term.summed(theta, v, at - step)) / (2 * width[i])
            parts.append(pull * by_unit[..., some, :])
        pulls.append(parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-2))
    return pulls
