"""Probabilities of the labels of an observed finite variable: of a law by trying all, of a map by what it shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emdsl.ir.expressions import VariableRef, rewrite
from emdsl.ir.model import Map
from emdsl.predict.components import Component, DeclaredComponent
from emdsl.predict.laws import Law, drawn_by
from emdsl.predict.mixtures import weighted
from emdsl.runtime.problem import Array
from emdsl.simulate.draws import finite_log


def tried_labels(components: Sequence[Component], name: str) -> Array:
    """`(labels, elements, units)`: the probability of each label of the variable `name`, whatever the others of a
    joint draw are."""
    total: Array | None = None
    for item in components:
        assert isinstance(item, DeclaredComponent)
        law = item.law
        tried = (name, *(other for other in drawn_by(law.statement, law.model) if other != name))
        value = law.evaluator(tried=True).value(rewrite(item.branch.log_density, finite_log))
        density = np.nan_to_num(np.exp(law.aligned(value, *tried)), nan=0.0)
        sizes = [len(law.bound.indexes[law.model.variable(other).values or ""]) for other in tried]
        full = np.broadcast_to(density, (*density.shape[:3], *sizes))
        one = full.sum(axis=tuple(range(4, full.ndim)))
        shares = np.stack([weighted(item.weight, one[..., k]) for k in range(sizes[0])])
        total = shares if total is None else total + shares
    assert total is not None
    return total


def mapped_labels(law: Law, statement: Map, labels: tuple[str, ...], weight: Array) -> Array:
    """`(labels, elements, units)`: how probable it is that a deterministic observation shows a label, or a pair."""
    return np.stack([weighted(weight, one) for one in _shown(law, statement, labels)])


def _shown(law: Law, statement: Map, labels: tuple[str, ...]) -> list[Array]:
    """1 where a deterministic observation is a label, else 0."""
    evaluator = law.evaluator()

    def codes(value: VariableRef) -> Array:
        found = law.aligned(evaluator.code(value))
        source = law.bound.indexes[evaluator.index_set(value)]
        place = np.array([labels.index(label) if label in labels else -1 for label in source])
        return np.asarray(place[found])

    if not isinstance(statement.value, tuple):
        code = codes(statement.value)  # type: ignore[arg-type]
        return [(code == k).astype(float) for k in range(len(labels))]
    one, two = (codes(side) for side in statement.value)  # type: ignore[arg-type]
    low, high = np.minimum(one, two), np.maximum(one, two)
    first, second = np.triu_indices(len(labels))
    return [((low == a) & (high == b)).astype(float) for a, b in zip(first, second, strict=True)]
