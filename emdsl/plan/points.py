"""Where hidden numbers are summed, for what is told at known parameters."""

from __future__ import annotations

from emdsl.data.bound import Bound
from emdsl.ir.derivation import Derivation
from emdsl.plan.laying import with_laid_nodes
from emdsl.plan.share_draws import with_draws
from emdsl.plan.share_proposals import drawn_shares
from emdsl.runtime.problem import Theta

#: Draws of hidden shares that posteriors and predictions are told by.
TOLD_BY = 2000


def with_points(derivation: Derivation, bound: Bound, theta: Theta) -> Bound:
    """The data with nodes and draws where these parameters want them."""
    if drawn_shares(derivation):
        return with_draws(derivation, bound, theta, TOLD_BY)
    return with_laid_nodes(derivation, bound, theta)
