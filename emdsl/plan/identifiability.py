"""Local identifiability: which parameters the data at hand cannot tell apart, whatever their values.

At a point inside the domains, nowhere special, the scores of many parts of the data are set side by side. A direction
in which none of them has a slope is one in which the likelihood does not change: the rank of the scores is the rank of
the information (Goodman 1974; Rothenberg 1971). At the estimate itself the two may differ, where it is a boundary.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emdsl.data.table import Codes
from emdsl.data.wording import listed
from emdsl.diagnostics.errors import EmmError
from emdsl.plan.parts import Parts
from emdsl.plan.problem import BoundProblem
from emdsl.runtime.domains import Coordinates
from emdsl.runtime.problem import Array, Theta

#: More free parameters than these are not looked at.
MOST_PARAMETERS = 200
#: Parts beyond the number of parameters, and units in each part at most.
SPARE, LARGEST_PART = 20, 200
#: A singular value of the scaled scores below this share of the largest is none: scores are good to some 12 digits.
SMALLEST = 1e-8
#: A share in a direction without slope below this is none.
NO_SHARE = 1e-3
#: EM iterations that bring the point near the data, and how far it is then moved (relative, and in free coordinates).
ITERATIONS, MOVED = 3, 0.1
#: Logits and logarithms of the point stay inside these.
INSIDE = 3.0


@dataclass(frozen=True)
class Identifiability:
    """How many of the `free` parameters the data determine, and the groups of elements that they leave open, each with
    the number of its directions without slope."""

    free: int
    rank: int
    confounded: tuple[tuple[tuple[str, ...], int], ...]


def identifiability_lines(parts: Parts, problem: BoundProblem) -> list[str]:
    """What `emdsl check` says."""
    title = "local identifiability, by the scores at a random point"
    size = Coordinates(problem.spaces, problem.initial()).size
    if size > MOST_PARAMETERS:
        return [title, f"  not looked at: {size} free parameters, more than {MOST_PARAMETERS}"]
    try:
        found = identifiability(parts, problem)
    except (EmmError, np.linalg.LinAlgError) as error:
        reason = error.message if isinstance(error, EmmError) else str(error)
        return [title, f"  could not be looked at: {reason}"]
    if found is None:
        return [title, "  could not be looked at: the log-likelihood has no finite slope at the points that were tried"]
    return [title, *(f"  {line}" for line in _said(found))]


def _said(found: Identifiability) -> list[str]:
    if not found.free:
        return ["there is no free parameter"]
    if found.rank == found.free:
        return [f"the data determine all {found.free} free parameters" if found.free > 1 else
                "the data determine the free parameter"]  # fmt: skip
    lines = [f"the data determine {found.rank} of {found.free} free parameters"]
    for names, directions in found.confounded:
        if len(names) == 1:
            lines.append(f"not determined: {listed(names)}")
        else:
            lines.append(f"confounded: {listed(names)} ({directions} of them too many)")
    return lines


def identifiability(parts: Parts, problem: BoundProblem, seed: int = 0) -> Identifiability | None:
    """The rank of the scores; None where no point with finite scores was found."""
    rng = np.random.default_rng(seed)
    for _ in range(3):
        theta = _point(problem, rng)
        coordinates = Coordinates(problem.spaces, theta)
        scores = _scores(parts, problem, coordinates, theta, rng)
        if np.isfinite(scores).all():
            return _rank(scores, coordinates, theta)
    return None


def _point(problem: BoundProblem, rng: np.random.Generator) -> dict[str, Array]:
    """A point near the data and inside all domains, at which nothing is equal by chance."""
    theta = problem.initial()
    with np.errstate(all="ignore"):
        if problem.has_latent:
            near = problem.maximize(theta, problem.random_expectation(rng, theta).statistics)
            for _ in range(ITERATIONS):
                expectation = problem.expect(near)
                if not np.isfinite(expectation.loglik):
                    break
                theta, near = near, problem.maximize(near, expectation.statistics)
        else:
            near = problem.maximize(theta, problem.expect(theta).statistics)
            theta = near if np.isfinite(problem.expect(near).loglik) else theta
        coordinates = Coordinates(problem.spaces, problem.initial())
        u = np.nan_to_num(coordinates.free(theta), posinf=INSIDE, neginf=-INSIDE)
    logs = coordinates.flags("scale_free")
    u = np.where(logs, np.clip(u, -INSIDE, INSIDE), u)
    return coordinates.theta(u + MOVED * np.maximum(np.abs(u), np.where(logs, 1.0, 1e-3)) * rng.standard_normal(len(u)))


def _scores(
    parts: Parts, problem: BoundProblem, coordinates: Coordinates, theta: Theta, rng: np.random.Generator
) -> Array:
    """The score of each part of the data, without priors, `(parts, size)`."""
    rows = []
    before = np.zeros(coordinates.size)
    for chosen in _chosen(parts, coordinates.size, rng):
        part = parts.problem(chosen)
        with np.errstate(all="ignore"):
            statistics = dict(part.expect(theta).statistics)
            for name, item in part.program.pieces.items():
                if item.carrier == "prior":
                    statistics[name] = np.zeros_like(statistics[name])
            score = coordinates.pullback(theta, part.gradient(theta, statistics))
        rows.append(score - before)
        before = score if parts.chained else before
    return np.array(rows).reshape(-1, coordinates.size)


def _chosen(parts: Parts, size: int, rng: np.random.Generator) -> list[Codes]:
    """The rows of each part: some units each; of a chain, longer and longer beginnings."""
    units = parts.units
    count = min(len(units), size + SPARE)
    if parts.chained:
        ends = np.unique(np.linspace(1, min(len(units), count * 10), count).astype(int))
        return [np.concatenate(units[:end]) for end in ends]
    each = min(len(units) // count, LARGEST_PART)
    order = rng.permutation(len(units))
    return [np.concatenate([units[i] for i in order[k * each : (k + 1) * each]]) for k in range(count)]


def _rank(scores: Array, coordinates: Coordinates, theta: Theta) -> Identifiability:
    size = coordinates.size
    if not size:
        return Identifiability(0, 0, ())
    # a unit for each row and each column, so that neither large parts nor small parameters hide others
    scores = scores / np.maximum(np.abs(scores).max(axis=1, keepdims=True), 1e-300)
    scale = np.abs(scores).max(axis=0)
    scale = np.where(scale > SMALLEST * scale.max(initial=0.0), scale, 1.0)
    _, values, right = np.linalg.svd(scores / scale, full_matrices=True)
    rank = int((values > SMALLEST * values.max(initial=0.0)).sum()) if values.max(initial=0.0) > 0 else 0
    open_ = right[rank:].T / scale[:, None]
    jacobian = coordinates.jacobian(theta)
    reach = np.sqrt((jacobian**2).sum(axis=1))
    moved = (jacobian @ open_) / np.where(reach > 0, reach, 1.0)[:, None]
    return Identifiability(size, rank, _groups(moved, coordinates.names))


def _groups(moved: Array, names: tuple[str, ...]) -> tuple[tuple[tuple[str, ...], int], ...]:
    """Elements that move together along the open directions (the columns of `moved`)."""
    basis, _ = np.linalg.qr(moved)
    together: NDArray[np.bool_] = np.abs(basis @ basis.T) > NO_SHARE**2
    waiting = [i for i in range(len(names)) if (basis[i] ** 2).sum() > NO_SHARE**2]
    groups = []
    while waiting:
        group, edge = {waiting[0]}, [waiting[0]]
        while edge:
            near = [i for i in waiting if i not in group and together[edge[-1], i]]
            edge.pop()
            group.update(near)
            edge.extend(near)
        members = sorted(group)
        waiting = [i for i in waiting if i not in group]
        groups.append((tuple(names[i] for i in members), int(np.linalg.matrix_rank(moved[members], tol=1e-6))))
    return tuple(groups)
