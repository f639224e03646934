"""What is hidden in a chain given its units up to each one alone: whether one sweep filters, or each moment is taken.

One sweep does where everything hidden belongs to a unit of the chain: a chain of finite states by its forward messages
(Hamilton 1989), one of jointly normal numbers by Kalman's filter, numbers that states switch by particles. Anything
else, as what is hidden around chains, chains that look back further and numbers that are simulated, is filtered by what
that means: the data up to each moment are taken as all there are (`data.past`).
"""

from __future__ import annotations

from collections.abc import Iterable

from emdsl.data.past import chain_level
from emdsl.plan.gaussian_method import GaussianEvidence, GaussianMethod
from emdsl.plan.integrals import BoundIntegral, Evidence
from emdsl.plan.nodes import Node, Scan
from emdsl.plan.program import Program
from emdsl.plan.switching import SwitchingChain
from emdsl.runtime.integrals.chain_filter import filtered
from emdsl.runtime.integrals.chain_ties import ChainTies
from emdsl.runtime.problem import Array, Theta


def filters_at_once(program: Program, nodes: Iterable[Node]) -> bool:
    """Whether one sweep of the program's `nodes` filters."""
    model, bound = program.derivation.model, program.bound
    inner = chain_level(model, bound)
    if inner is None:
        return True
    place = {level.plate: number for number, level in enumerate(bound.levels)}
    if any(variable.kind == "latent" and place[variable.plate] < inner for variable in model.variables):
        return False
    if any(isinstance(node, Scan) and (node.axes or node.memory > 1) for node in nodes):
        return False
    return all(_is_filtered(item, inner) for item in program.integrals.values())


def _is_filtered(integral: BoundIntegral, inner: int) -> bool:
    """Whether an integral belongs to one unit of the chain, or is a chain with a filter of its own."""
    if not integral.integral.lag:
        return integral.level >= inner
    method = integral.method
    if isinstance(method, SwitchingChain):
        return True
    return isinstance(method, GaussianMethod) and isinstance(method.ties, ChainTies) and not integral.axes


def filtered_evidence(evidence: Evidence, theta: Theta, v: Array) -> Evidence:
    """The evidence of an integral with the filtered law in place of the smoothed one, if it is a chain."""
    if not isinstance(evidence, GaussianEvidence) or not isinstance(evidence.method.ties, ChainTies):
        return evidence
    ties, centre, spread = evidence.method.ties, evidence.law.mean, evidence.law.spread
    parts = []
    for piece in evidence.method.pieces:
        at, width = ties.gather(centre, piece.sites), ties.gather(spread, piece.sites)
        parts.append((piece.sites, piece.quadratic(theta, v, at, width)))
    return GaussianEvidence(evidence.method, evidence.value, filtered(ties, centre, parts), evidence.by_row)
