"""Independent references for predictions: conditional normal laws, Kalman's filter, and integrals over a fine line."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

import numpy as np
from scipy import optimize

from emdsl.plan.laying import with_laid_nodes
from emdsl.predict.prediction import Prediction, predict
from tests.laws.bound_models import take


def predicted(text: str, columns: Any, theta: Any, **chosen: Any) -> Prediction:
    """A model's prediction at known parameters, for a table without the cache."""
    taken = take(dedent(text), columns)
    values = {name: np.asarray(value, dtype=float) for name, value in theta.items()}
    derivation = taken.compiled.derivation
    return predict(derivation, with_laid_nodes(derivation, taken.bound, values), values, **chosen)


def one(prediction: Prediction, name: str) -> Any:
    return next(item for item in prediction.variables if item.name == name)


def conditional(mean: Any, covariance: Any, seen: Any) -> tuple[Any, Any]:
    """Mean and covariance of a jointly normal vector given those of its elements that are seen (NaN: the others)."""
    known = ~np.isnan(seen)
    gain = covariance[:, known] @ np.linalg.inv(covariance[np.ix_(known, known)])
    return mean + gain @ (seen[known] - mean[known]), covariance - gain @ covariance[known]


def kalman(y: Any, start: Any, transition: Any, noise: Any, look: Any, sd: float) -> tuple[list[Any], list[Any]]:
    """Filtered means and covariances of the state (Kalman 1960): `start` mean and covariance of the first, `look` the
    row that gives the expected observation."""
    mean, covariance = start
    means, covariances = [], []
    for k, value in enumerate(y):
        if k:
            mean, covariance = transition @ mean, transition @ covariance @ transition.T + noise
        if not np.isnan(value):
            gain = covariance @ look / (look @ covariance @ look + sd**2)
            mean = mean + gain * (value - look @ mean)
            covariance = covariance - np.outer(gain, look @ covariance)
        means.append(mean)
        covariances.append(covariance)
    return means, covariances


def quantile(cdf: Any, tail: float, low: float, high: float) -> float:
    """Where a distribution function reaches a probability."""
    return float(optimize.brentq(lambda x: cdf(x) - tail, low, high, xtol=1e-12))
