"""Of equally likely parameters those that are reported: labels in order, hidden values and directions by convention."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from emdsl.ir.model import Model
from emdsl.plan.anchoring import Echo, agreeing_labels, echoes, relabelled
from emdsl.plan.arrange import arrange, held_in_place, order_not_invariant
from emdsl.plan.narrow_laws import order_of_breaks
from emdsl.plan.path_climbing import doubt
from emdsl.plan.problem import BoundProblem
from emdsl.plan.reflection import Reflection, reflections, turned
from emdsl.runtime.problem import Array, Theta


def arranger(problem: BoundProblem, model: Model) -> Callable[[Theta], dict[str, Array]] | None:
    """The function that puts labels in the order that the model declares, names them after what is observed of them,
    and turns hidden numbers; None where there is nothing to arrange. Raises `order-not-invariant` where the model tells
    the labels apart.
    """
    named = tuple(echoes(model))
    mirrors = reflections(model)
    if not model.orders and not named and not mirrors:
        return None
    bound = problem.program.bound
    stay = held_in_place(model, problem.spaces)

    def put_in_order(theta: Theta) -> dict[str, Array]:
        theta = _with_signs(problem, _with_labels(problem, theta, named), mirrors)
        ordered = arrange(model, bound, theta, stay)
        before, after = problem.expect(theta).loglik, problem.expect(ordered).loglik
        unsure = doubt(problem) + order_of_breaks(problem.program)
        if not abs(before - after) <= 1e-8 * (1.0 + abs(before)) + unsure:
            raise order_not_invariant(model, before, after)
        return ordered

    return put_in_order


def _with_labels(problem: BoundProblem, theta: Theta, named: tuple[Echo, ...]) -> dict[str, Array]:
    """Theta with hidden values named after what is observed of them, where that leaves the log-likelihood as it is."""
    current = {name: np.asarray(value, dtype=float) for name, value in theta.items()}
    fixed = {space.name for space in problem.spaces if np.any(space.fixed)}
    for echo in named:
        expectation = problem.expect(current)
        ranks = agreeing_labels(problem.program, expectation.statistics, echo)
        if ranks is None or fixed & {name for name, _ in echo.places}:
            continue
        renamed = relabelled(current, echo, ranks)
        before = expectation.loglik + problem.log_prior(current)
        after = problem.expect(renamed).loglik + problem.log_prior(renamed)
        if abs(before - after) <= 1e-8 * (1.0 + abs(before)):
            current = renamed
    return current


def _with_signs(problem: BoundProblem, theta: dict[str, Array], mirrors: tuple[Reflection, ...]) -> dict[str, Array]:
    """Theta with hidden numbers turned so that most of what multiplies them is positive, where that leaves the
    log-likelihood as it is.
    """
    for mirror in mirrors:
        waiting = True
        while waiting:
            waiting = False
            before = problem.expect(theta).loglik + problem.log_prior(theta)
            for other in turned(theta, mirror, problem.spaces):
                after = problem.expect(other).loglik + problem.log_prior(other)
                if abs(before - after) <= 1e-8 * (1.0 + abs(before)):
                    theta, waiting = other, True
                    break
    return theta
