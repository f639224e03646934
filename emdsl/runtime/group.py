"""Newton's method on Q for a group of parameters, halved until Q rises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.assembly import Assembly
from emdsl.runtime.centring import Centring
from emdsl.runtime.conjugate import conjugate_ascent
from emdsl.runtime.domains import Coordinates
from emdsl.runtime.integrals.assembly import PointAssembly
from emdsl.runtime.problem import Array, Theta
from emdsl.runtime.stationary import StationaryPart
from emdsl.runtime.vector_density import VectorDensity

#: Newton steps in one M-step; the next M-step goes on where this one stopped (a generalised EM algorithm).
MOST_STEPS = 12
#: A group with more coordinates builds no matrix of second derivatives: its steps come from conjugate gradients.
MOST_DENSE = 1000
#: A step that promises less than this share of |Q| is not worth taking.
SMALLEST_GAIN = 1e-14
_HALVINGS = 30


@dataclass
class Group:
    """Parameters that are updated together: their free coordinates, the pieces they occur in, their places in the
    vector of all. `centring` says how the vector that formulas see differs from the parameters.
    """

    coordinates: Coordinates
    assemblies: Sequence[Assembly | PointAssembly | StationaryPart | VectorDensity]
    offsets: Mapping[str, int]
    quadratic: bool
    most_steps: int = MOST_STEPS
    centring: Centring | None = None

    def __post_init__(self) -> None:
        spaces = self.coordinates.spaces
        self.members = np.concatenate([self.offsets[s.name] + np.arange(int(np.prod(s.shape))) for s in spaces])
        self._cache: dict[Any, Any] = {}
        self.linear = all(space.kind in ("real", "contrast") for space in spaces)
        self.change = None if self.centring is None else self.centring.matrix(self.members)

    def maximize(self, theta: Theta, statistics: Mapping[str, Any], vector: Any) -> dict[str, Array]:
        """The group's parameters after Newton steps from theta; unchanged where no step raises Q."""
        current = {name: np.asarray(value) for name, value in theta.items()}
        names = [space.name for space in self.coordinates.spaces]
        u = self.coordinates.free(current)
        if not len(u):
            return {name: current[name] for name in names}
        value = self._value(current, vector(current), statistics)
        exact = self.quadratic and self.linear and len(u) <= MOST_DENSE
        for _ in range(1 if exact else self.most_steps):
            gradient, step = self._step(current, u, statistics, vector)
            promised = float(gradient @ step)
            if not promised > SMALLEST_GAIN * (1.0 + abs(value)):
                break
            found = self._climb(current, u, step, value, statistics, vector)
            if found is None:
                break
            current, u, value = found
        return {name: current[name] for name in names}

    def _step(self, theta: Theta, u: Array, statistics: Mapping[str, Any], vector: Any) -> tuple[Array, Array]:
        """The gradient of Q in the group's coordinates, and the step that it and the curvature call for."""
        if len(u) <= MOST_DENSE:
            gradient, hessian = self._derivatives(theta, vector(theta), statistics)
            return gradient, ascent(gradient, hessian)

        def gradient_at(place: Array) -> Array:
            return self._gradient({**theta, **self.coordinates.theta(place)}, statistics, vector)

        gradient = gradient_at(u)
        return gradient, conjugate_ascent(gradient_at, u, gradient)

    def _gradient(self, theta: Theta, statistics: Mapping[str, Any], vector: Any) -> Array:
        v = vector(theta)
        full = np.zeros(len(v))
        for item in self.assemblies:
            item.gradient(theta, v, statistics[item.data.name], full)
        if self.change is not None:
            return np.asarray((self.change @ self.coordinates.jacobian(theta)).T @ full[self.members])
        return self.coordinates.pullback(theta, self._split(full[self.members]))

    def _climb(
        self, current: dict[str, Array], u: Array, step: Array, value: float, statistics: Mapping[str, Any], vector: Any
    ) -> tuple[dict[str, Array], Array, float] | None:
        scale = 1.0
        for _ in range(_HALVINGS):
            trial_u = u + scale * step
            trial = {**current, **self.coordinates.theta(trial_u)}
            trial_value = self._value(trial, vector(trial), statistics)
            if trial_value >= value:
                return trial, trial_u, trial_value
            scale *= 0.5
        return None

    def _value(self, theta: Theta, v: Array, statistics: Mapping[str, Any]) -> float:
        total = sum(item.value(theta, v, statistics[item.data.name]) for item in self.assemblies)
        return float(total) if np.isfinite(total) else -np.inf

    def _derivatives(self, theta: Theta, v: Array, statistics: Mapping[str, Any]) -> tuple[Array, Array]:
        full = np.zeros(len(v))
        local = self._local(len(v))
        raw = np.zeros((len(self.members), len(self.members)))
        for item in self.assemblies:
            statistic = statistics[item.data.name]
            item.gradient(theta, v, statistic, full)
            item.hessian(theta, v, statistic, local, raw, self._cache)
        element = full[self.members]
        if self.change is not None:
            # Products with the change of coordinates cancel exactly: nothing is lost where inputs are far from 0.
            both = self.change @ self.coordinates.jacobian(theta)
            bend = 0.0 if self.linear else self._curvature(theta, self.change.T @ element)
            return both.T @ element, both.T @ raw @ both + bend
        gradient = self.coordinates.pullback(theta, self._split(element))
        if self.linear:
            # Real parameters are their own coordinates: only the fixed ones drop out.
            free = self._free()
            return gradient, raw[np.ix_(free, free)]
        jacobian = self.coordinates.jacobian(theta)
        return gradient, jacobian.T @ raw @ jacobian + self._curvature(theta, element)

    def _free(self) -> NDArray[np.intp]:
        if "free" not in self._cache:
            self._cache["free"] = np.flatnonzero(~np.concatenate([s.fixed.ravel() for s in self.coordinates.spaces]))
        found: NDArray[np.intp] = self._cache["free"]
        return found

    def _local(self, size: int) -> NDArray[np.intp]:
        if "local" not in self._cache:
            local = np.full(size, -1, dtype=np.intp)
            local[self.members] = np.arange(len(self.members))
            self._cache["local"] = local
        found: NDArray[np.intp] = self._cache["local"]
        return found

    def _curvature(self, theta: Theta, element: Array) -> Array:
        """The Hessian's part from the bend of the coordinates, `sum_k g_k d2 x_k / du du'`, by central differences of
        `J(u)' g`.
        """
        split = self._split(element)
        u = self.coordinates.free(theta)
        out = np.empty((len(u), len(u)))
        width = 1e-5
        for k in range(len(u)):
            shift = np.zeros(len(u))
            shift[k] = width
            up = self.coordinates.pullback(self.coordinates.theta(u + shift), split)
            down = self.coordinates.pullback(self.coordinates.theta(u - shift), split)
            out[k] = (up - down) / (2 * width)
        return 0.5 * (out + out.T)

    def _split(self, element: Array) -> dict[str, Array]:
        parts, at = {}, 0
        for space in self.coordinates.spaces:
            size = int(np.prod(space.shape))
            parts[space.name] = element[at : at + size].reshape(space.shape)
            at += size
        return parts


#: Curvature below this share of the largest is rounding: the data say nothing about that coordinate.
NO_INFORMATION = 1e-26
#: A gradient below this is rounding where there is no curvature.
SLOPE = 1e-8


def ascent(gradient: Array, hessian: Array) -> Array:
    """The Newton step `-H^-1 g`; where H is not negative definite, its eigenvalues are turned and bounded away from 0.

    A coordinate without curvature stays where it is if no unit touches it, and goes uphill if it has a slope.
    """
    gradient = np.where(np.isfinite(gradient), gradient, 0.0)
    if not np.isfinite(hessian).all():
        return gradient
    curvature = np.abs(np.diagonal(hessian))
    known = curvature > NO_INFORMATION * curvature.max(initial=0.0)
    if known.all():
        return _scaled_step(gradient, hessian)
    # A slope without curvature is that of a kink: go one unit uphill, and let the climb halve it.
    step = np.where(np.abs(gradient) > SLOPE, np.sign(gradient), 0.0)
    step[known] = _scaled_step(gradient[known], hessian[np.ix_(known, known)])
    return step


def _scaled_step(gradient: Array, hessian: Array) -> Array:
    scale = np.sqrt(np.abs(np.diagonal(hessian)))
    scaled = -hessian / np.outer(scale, scale)
    try:
        factor = np.linalg.cholesky(scaled)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(scaled)
        values = np.maximum(np.abs(values), 1e-8 * max(float(np.abs(values).max()), 1e-300))
        return np.asarray(vectors @ ((vectors.T @ (gradient / scale)) / values) / scale)
    half = np.linalg.solve(factor, gradient / scale)
    return np.asarray(np.linalg.solve(factor.T, half) / scale)
