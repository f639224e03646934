"""Small models written by hand, each as the fitting loop sees a model: what the fitter is tested on."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from math import lgamma
from pathlib import Path
from typing import Any

import numpy as np

from emdsl.runtime.problem import Array, Expectation, Space, Theta

CASES = Path(__file__).parents[2].parent / "shared" / "cases"


def columns(case: str, file: str = "data.csv") -> dict[str, list[str]]:
    """The columns of a reference case's table, as text."""
    with (CASES / case / file).open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    return {name: [row[name] for row in rows] for name in rows[0]}


def expected(case: str) -> dict[str, Any]:
    """The reference results of a case."""
    found: dict[str, Any] = json.loads((CASES / case / "expected.json").read_text())
    return found


def space(name: str, kind: str, shape: tuple[int, ...], event: int = 0, **more: Any) -> Space:
    """A space labelled by numbers, nothing fixed."""
    labels = tuple(tuple(str(i + 1) for i in range(n)) for n in shape)
    free = np.zeros(shape, dtype=bool)
    return Space(name, kind, shape, event, labels, more.pop("fixed", free), free, **more)


class HandWritten:
    """What most of these problems share: no prior, nothing degenerate, random responsibilities through
    `random_weights`."""

    spaces: tuple[Space, ...] = ()
    has_latent = True
    start: dict[str, Array]

    def initial(self) -> dict[str, Array]:
        return {name: value.copy() for name, value in self.start.items()}

    def log_prior(self, theta: Theta) -> float:
        return 0.0

    def degenerate(self, theta: Theta, statistics: Any) -> str | None:
        return None

    def expect(self, theta: Theta) -> Expectation:
        raise NotImplementedError

    def random_expectation(self, rng: np.random.Generator, theta: Theta) -> Expectation:
        raise NotImplementedError

    def maximize(self, theta: Theta, statistics: Any) -> dict[str, Array]:
        raise NotImplementedError

    def gradient(self, theta: Theta, statistics: Any) -> dict[str, Array]:
        raise NotImplementedError


class PoissonMixture(HandWritten):
    """Counts y (n,) with weights w (n,): a mixture of K Poisson laws. Statistics: (size, total) of each component."""

    def __init__(self, y: Array, w: Array, components: int = 2) -> None:
        self.y, self.w = y, w
        self.constant = np.array([lgamma(value + 1) for value in y])
        self.spaces = (space("share", "simplex", (components,), 1), space("rate", "positive", (components,)))
        mean = float(y @ w / w.sum())
        self.start = {
            "share": np.full(components, 1 / components),
            "rate": mean * np.linspace(0.5, 1.5, components),
        }

    def expect(self, theta: Theta) -> Expectation:
        log_joint = (
            np.log(theta["share"])[:, None]
            + self.y * np.log(theta["rate"])[:, None]
            - theta["rate"][:, None]
            - self.constant
        )
        top = log_joint.max(axis=0)
        joint = np.exp(log_joint - top)
        total = joint.sum(axis=0)
        posterior = joint / total * self.w
        return Expectation(float(self.w @ (top + np.log(total))), (posterior.sum(axis=1), posterior @ self.y))

    def random_expectation(self, rng: np.random.Generator, theta: Theta) -> Expectation:
        posterior = rng.dirichlet(np.full(len(theta["share"]), 0.5), size=len(self.y)).T * self.w
        return Expectation(float("nan"), (posterior.sum(axis=1), posterior @ self.y))

    def maximize(self, theta: Theta, statistics: Any) -> dict[str, Array]:
        size, total = statistics
        return {"share": size / size.sum(), "rate": total / size}

    def gradient(self, theta: Theta, statistics: Any) -> dict[str, Array]:
        size, total = statistics
        return {"share": size / theta["share"], "rate": total / theta["rate"] - size}

    def unit_gradients(self, theta: Theta) -> tuple[dict[str, Array], Array]:
        log_joint = np.log(theta["share"])[:, None] + self.y * np.log(theta["rate"])[:, None] - theta["rate"][:, None]
        posterior = np.exp(log_joint - log_joint.max(axis=0))
        posterior /= posterior.sum(axis=0)
        rate = posterior * (self.y / theta["rate"][:, None] - 1)
        return {"share": (posterior / theta["share"][:, None]).T, "rate": rate.T}, self.w


class NormalMixture(HandWritten):
    """Numbers x (n,): a mixture of K Normal laws. Statistics: size, total and total of squares of each component."""

    def __init__(self, x: Array, components: int) -> None:
        self.x = x
        self.spaces = (
            space("share", "simplex", (components,), 1),
            space("mu", "real", (components,)),
            space("sigma", "positive", (components,)),
        )
        self.start = {
            "share": np.full(components, 1 / components),
            "mu": np.full(components, x.mean()),
            "sigma": np.full(components, x.std()),
        }

    def expect(self, theta: Theta) -> Expectation:
        z = (self.x - theta["mu"][:, None]) / theta["sigma"][:, None]
        log_joint = np.log(theta["share"] / theta["sigma"])[:, None] - 0.5 * z**2 - 0.5 * np.log(2 * np.pi)
        top = log_joint.max(axis=0)
        joint = np.exp(log_joint - top)
        total = joint.sum(axis=0)
        return Expectation(float((top + np.log(total)).sum()), self.sums(joint / total))

    def sums(self, posterior: Array) -> tuple[Array, Array, Array]:
        return posterior.sum(axis=1), posterior @ self.x, posterior @ self.x**2

    def random_expectation(self, rng: np.random.Generator, theta: Theta) -> Expectation:
        k, n = len(theta["mu"]), len(self.x)
        posterior = np.full((k, n), 0.03)
        chosen = rng.permutation(n)[: 2 * k]
        posterior[np.arange(2 * k) % k, chosen] = 1.0
        return Expectation(float("nan"), self.sums(posterior))

    def maximize(self, theta: Theta, statistics: Any) -> dict[str, Array]:
        size, total, squares = statistics
        mu = total / size
        return {"share": size / size.sum(), "mu": mu, "sigma": np.sqrt(squares / size - mu**2)}

    def gradient(self, theta: Theta, statistics: Any) -> dict[str, Array]:
        size, total, squares = statistics
        mu, sigma = theta["mu"], theta["sigma"]
        around = squares - 2 * mu * total + mu**2 * size
        return {
            "share": size / theta["share"],
            "mu": (total - size * mu) / sigma**2,
            "sigma": around / sigma**3 - size / sigma,
        }

    def degenerate(self, theta: Theta, statistics: Any) -> str | None:
        if statistics[0].min() <= 2.5:
            return "a component holds at most 2.5 units"
        return "a sd is near nothing" if theta["sigma"].min() < 0.02 * self.x.std() else None


class AlleleCounts(HandWritten):
    """Gene counting: phenotypes as sets of ordered pairs of alleles, `allowed` (phenotypes, A, A), counts
    (phenotypes,).

    A Dirichlet prior with parameters `prior` (A,), where given. Statistics: the expected number of each allele (A,).
    """

    def __init__(self, allowed: Array, counts: Array, prior: Array | None = None) -> None:
        self.allowed, self.counts = allowed, counts
        alleles = allowed.shape[1]
        self.prior = np.ones(alleles) if prior is None else prior
        self.spaces = (space("p", "simplex", (alleles,), 1),)
        self.start = {"p": np.full(alleles, 1 / alleles)}

    def expect(self, theta: Theta) -> Expectation:
        pairs = self.allowed * np.outer(theta["p"], theta["p"])
        total = pairs.sum(axis=(1, 2))
        posterior = (self.counts / total) @ pairs.reshape(len(total), -1)
        square = posterior.reshape(pairs.shape[1:])
        return Expectation(float(self.counts @ np.log(total)), square.sum(axis=0) + square.sum(axis=1))

    def random_expectation(self, rng: np.random.Generator, theta: Theta) -> Expectation:
        pairs = self.allowed * rng.gamma(0.5, size=self.allowed.shape)
        posterior = (self.counts / pairs.sum(axis=(1, 2))) @ pairs.reshape(len(pairs), -1)
        square = posterior.reshape(pairs.shape[1:])
        return Expectation(float("nan"), square.sum(axis=0) + square.sum(axis=1))

    def maximize(self, theta: Theta, statistics: Any) -> dict[str, Array]:
        counted = statistics + self.prior - 1
        return {"p": counted / counted.sum()}

    def gradient(self, theta: Theta, statistics: Any) -> dict[str, Array]:
        return {"p": (statistics + self.prior - 1) / theta["p"]}

    def log_prior(self, theta: Theta) -> float:
        if np.all(self.prior == 1):
            return 0.0
        constant = lgamma(self.prior.sum()) - sum(lgamma(a) for a in self.prior)
        return constant + float((self.prior - 1) @ np.log(theta["p"]))


class PoissonChain(HandWritten):
    """A hidden Markov model of counts y (n,). Statistics: first state (K,), transitions (K, K), size and total (K,)."""

    def __init__(self, y: Array, states: int) -> None:
        self.y, self.states = y, states
        self.constant = sum(lgamma(value + 1) for value in y)
        self.spaces = (
            space("start", "simplex", (states,), 1),
            space("A", "simplex", (states, states), 1),
            space("rate", "positive", (states,)),
        )
        self.start = {
            "start": np.full(states, 1 / states),
            "A": np.full((states, states), 1 / states),
            "rate": np.full(states, y.mean()),
        }

    def expect(self, theta: Theta) -> Expectation:
        emission = self.y[:, None] * np.log(theta["rate"]) - theta["rate"]
        top = emission.max(axis=1)
        return self.smooth(theta["start"], theta["A"], np.exp(emission - top[:, None]), top.sum() - self.constant)

    def smooth(self, start: Array, transition: Array, emission: Array, shift: float) -> Expectation:
        n = len(emission)
        forward, scale = np.empty_like(emission), np.empty(n)
        for t in range(n):
            step = (start if t == 0 else forward[t - 1] @ transition) * emission[t]
            scale[t] = step.sum()
            forward[t] = step / scale[t]
        backward = np.ones_like(emission)
        pairs = np.zeros_like(transition)
        for t in range(n - 2, -1, -1):
            ahead = emission[t + 1] * backward[t + 1] / scale[t + 1]
            pairs += forward[t][:, None] * transition * ahead
            backward[t] = transition @ ahead
        posterior = forward * backward
        return Expectation(
            float(np.log(scale).sum() + shift), (posterior[0], pairs, posterior.sum(axis=0), self.y @ posterior)
        )

    def random_expectation(self, rng: np.random.Generator, theta: Theta) -> Expectation:
        k = self.states
        emission = np.full((len(self.y), k), 0.1)
        chosen = rng.permutation(len(self.y))[: 5 * k]
        emission[chosen, np.arange(5 * k) % k] = 1.0
        return self.smooth(np.full(k, 1 / k), np.full((k, k), 1 / k), emission, 0.0)

    def maximize(self, theta: Theta, statistics: Any) -> dict[str, Array]:
        first, pairs, size, total = statistics
        return {"start": first / first.sum(), "A": pairs / pairs.sum(axis=1, keepdims=True), "rate": total / size}

    def gradient(self, theta: Theta, statistics: Any) -> dict[str, Array]:
        first, pairs, size, total = statistics
        return {"start": first / theta["start"], "A": pairs / theta["A"], "rate": total / theta["rate"] - size}


class PartlySeenNormal(HandWritten):
    """Vectors x (n, d) from one multivariate Normal law, cells missing at random (NaN).

    Statistics: n, the expected total (d,) and the expected second moments (d, d).
    """

    def __init__(self, x: Array, sigma_fixed: Array | None = None) -> None:
        self.x = x
        d = x.shape[1]
        fixed = np.zeros((d, d), dtype=bool) if sigma_fixed is None else sigma_fixed
        self.spaces = (space("mu", "real", (d,)), space("Sigma", "covariance", (d, d), 2, fixed=fixed))
        self.has_latent = bool(np.isnan(x).any())
        self.start = {"mu": np.nanmean(x, axis=0), "Sigma": np.diag(np.nanvar(x, axis=0))}

    def expect(self, theta: Theta) -> Expectation:
        mu, sigma = theta["mu"], theta["Sigma"]
        loglik, total, second = 0.0, np.zeros_like(mu), np.zeros_like(sigma)
        for row in self.x:
            seen = ~np.isnan(row)
            inner = sigma[np.ix_(seen, seen)]
            sign, logdet = np.linalg.slogdet(inner)
            off = row[seen] - mu[seen]
            weights = np.linalg.solve(inner, sigma[seen]).T
            loglik += -0.5 * (seen.sum() * np.log(2 * np.pi) + logdet + off @ np.linalg.solve(inner, off))
            if sign <= 0:
                loglik = float("nan")
            filled = np.where(seen, row, mu + weights @ off)
            total += filled
            second += np.outer(filled, filled) + sigma - weights @ sigma[seen]
        return Expectation(float(loglik), (len(self.x), total, second))

    def random_expectation(self, rng: np.random.Generator, theta: Theta) -> Expectation:
        filled = np.where(
            np.isnan(self.x), rng.normal(theta["mu"], np.sqrt(np.diag(theta["Sigma"])), self.x.shape), self.x
        )
        return Expectation(float("nan"), (len(filled), filled.sum(axis=0), filled.T @ filled))

    def maximize(self, theta: Theta, statistics: Any) -> dict[str, Array]:
        n, total, second = statistics
        mu = total / n
        return {"mu": mu, "Sigma": np.where(self.spaces[1].fixed, theta["Sigma"], second / n - np.outer(mu, mu))}

    def gradient(self, theta: Theta, statistics: Any) -> dict[str, Array]:
        n, total, second = statistics
        mu, inverse = theta["mu"], np.linalg.inv(theta["Sigma"])
        around = second - np.outer(mu, total) - np.outer(total, mu) + n * np.outer(mu, mu)
        return {"mu": inverse @ (total - n * mu), "Sigma": 0.5 * (inverse @ around @ inverse - n * inverse)}


class RandomIntercepts(HandWritten):
    """Balanced groups y (groups, size): mu + tau h_g + sigma e, whitened, so that tau 0 is an ordinary value.

    Statistics: E h and E h^2 of each group.
    """

    def __init__(self, y: Array) -> None:
        self.y = y
        self.spaces = (space("mu", "real", ()), space("tau", "positive", ()), space("sigma", "positive", ()))
        self.start = {"mu": np.array(y.mean()), "tau": np.array(y.std()), "sigma": np.array(y.std())}

    def expect(self, theta: Theta) -> Expectation:
        groups, size = self.y.shape
        mu, tau, sigma = (float(theta[name]) for name in ("mu", "tau", "sigma"))
        off = self.y - mu
        precision = 1 + size * tau**2 / sigma**2
        mean = tau * off.sum(axis=1) / sigma**2 / precision
        quadratic = (off**2).sum() / sigma**2 - (mean**2).sum() * precision
        loglik = -0.5 * (groups * (size * np.log(2 * np.pi * sigma**2) + np.log(precision)) + quadratic)
        return Expectation(float(loglik), (mean, mean**2 + 1 / precision))

    def random_expectation(self, rng: np.random.Generator, theta: Theta) -> Expectation:
        h = rng.normal(size=len(self.y))
        return Expectation(float("nan"), (h, h**2 + 0.1))

    def maximize(self, theta: Theta, statistics: Any) -> dict[str, Array]:
        h, hh = statistics
        size = self.y.shape[1]
        gram = np.array([[self.y.size, size * h.sum()], [size * h.sum(), size * hh.sum()]])
        mu, tau = np.linalg.solve(gram, [self.y.sum(), h @ self.y.sum(axis=1)])
        left = (self.y**2).sum() - mu * self.y.sum() - tau * (h @ self.y.sum(axis=1))
        return {"mu": np.array(mu), "tau": np.array(abs(tau)), "sigma": np.array(np.sqrt(left / self.y.size))}

    def gradient(self, theta: Theta, statistics: Any) -> dict[str, Array]:
        h, hh = statistics
        size = self.y.shape[1]
        mu, tau, sigma = (float(theta[name]) for name in ("mu", "tau", "sigma"))
        off = self.y - mu
        squares = (off**2).sum() - 2 * tau * (h @ off.sum(axis=1)) + size * tau**2 * hh.sum()
        return {
            "mu": np.array((off.sum() - size * tau * h.sum()) / sigma**2),
            "tau": np.array((h @ off.sum(axis=1) - size * tau * hh.sum()) / sigma**2),
            "sigma": np.array(squares / sigma**3 - self.y.size / sigma),
        }


class Logistic(HandWritten):
    """Logistic regression of y (n,) on x (n, d): nothing hidden, and an M-step that is one halved Newton step."""

    has_latent = False

    def __init__(self, x: Array, y: Array) -> None:
        self.x, self.y = x, y
        self.spaces = (space("w", "real", (x.shape[1],)),)
        self.start = {"w": np.zeros(x.shape[1])}

    def loglik(self, w: Array) -> float:
        eta = self.x @ w
        return float(self.y @ eta - np.logaddexp(0, eta).sum())

    def expect(self, theta: Theta) -> Expectation:
        return Expectation(self.loglik(theta["w"]), None)

    def maximize(self, theta: Theta, statistics: Any) -> dict[str, Array]:
        w = theta["w"]
        p = 1 / (1 + np.exp(-self.x @ w))
        step = np.linalg.solve((self.x.T * (p * (1 - p))) @ self.x, self.x.T @ (self.y - p))
        while self.loglik(w + step) < self.loglik(w) - 1e-12 and np.abs(step).max() > 1e-12:
            step /= 2
        return {"w": w + step}

    def gradient(self, theta: Theta, statistics: Any) -> dict[str, Array]:
        return {"w": self.x.T @ (self.y - 1 / (1 + np.exp(-self.x @ theta["w"])))}


class FactorModel(HandWritten):
    """Rows y (n, d) = nu + load h + psi e with two factors: the loadings are determined up to a rotation only."""

    def __init__(self, y: Array, factors: int) -> None:
        self.y = y
        d = y.shape[1]
        self.spaces = (space("load", "real", (d, factors)), space("psi", "positive", (d,)))
        self.second = (y - y.mean(axis=0)).T @ (y - y.mean(axis=0))
        sd = y.std(axis=0)
        signs = np.where(np.arange(d * factors).reshape(d, factors) % 3 == 0, 1.0, -0.4)
        self.start = {"load": 0.5 * sd[:, None] * signs, "psi": sd}

    def expect(self, theta: Theta) -> Expectation:
        load, psi = theta["load"], theta["psi"]
        n, d = self.y.shape
        sigma = load @ load.T + np.diag(psi**2)
        loglik = -0.5 * (
            n * (d * np.log(2 * np.pi) + np.linalg.slogdet(sigma)[1]) + np.trace(np.linalg.solve(sigma, self.second))
        )
        weights = np.linalg.solve(sigma, load).T
        return Expectation(
            float(loglik),
            (self.second @ weights.T, n * (np.eye(load.shape[1]) - weights @ load) + weights @ self.second @ weights.T),
        )

    def random_expectation(self, rng: np.random.Generator, theta: Theta) -> Expectation:
        moved = {"load": theta["load"] * rng.normal(size=theta["load"].shape), "psi": theta["psi"]}
        return self.expect(moved)

    def maximize(self, theta: Theta, statistics: Any) -> dict[str, Array]:
        cross, hh = statistics
        load = np.linalg.solve(hh, cross.T).T
        variances = (np.diag(self.second) - (load * cross).sum(axis=1)) / len(self.y)
        return {"load": load, "psi": np.sqrt(variances)}

    def gradient(self, theta: Theta, statistics: Any) -> dict[str, Array]:
        cross, hh = statistics
        load, psi = theta["load"], theta["psi"]
        left = np.diag(self.second) - 2 * (load * cross).sum(axis=1) + ((load @ hh) * load).sum(axis=1)
        return {"load": (cross - load @ hh) / psi[:, None] ** 2, "psi": left / psi**3 - len(self.y) / psi}


def numeric_gradient(problem: Any, theta: Mapping[str, Array]) -> dict[str, Array]:
    """The gradient of the penalised log-likelihood in each element by differences (simplexes not kept to sum 1)."""
    out = {}
    for name, value in theta.items():
        slope = np.empty_like(value)
        for place in np.ndindex(*value.shape):
            h = 1e-6 * max(1.0, abs(float(value[place])))
            ends = []
            for sign in (1, -1):
                moved = {key: item.copy() for key, item in theta.items()}
                moved[name][place] += sign * h
                ends.append(problem.expect(moved).loglik + problem.log_prior(moved))
            slope[place] = (ends[0] - ends[1]) / (2 * h)
        out[name] = slope
    return out
