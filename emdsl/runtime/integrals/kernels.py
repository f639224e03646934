"""Conjugate kernels: `exp(sum_j a_j t_j(u))` with known integral and known means of the functions `t_j`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from emdsl.runtime.functions import digamma, lgamma, log_logistic, logistic
from emdsl.runtime.integrals.half_normal import integrate_half_normal
from emdsl.runtime.problem import Array


@dataclass(frozen=True)
class Kernel:
    """One kernel. `functions` are its `t_j` by their text; `integrate` takes the coefficients `(j, ...)` and gives the
    log-integral and the means of the functions (NaN and minus infinity where it has no finite integral); `moments`
    gives mean and variance of `u`, which may be infinite; `draw` gives one value for each; `nodes` are points relative
    to the scale of `u` at which log-densities are to be known. `raised` gives `E[u^q]`, infinite where there is none.
    """

    functions: dict[str, Callable[[Array], Array]]
    integrate: Callable[[Array], tuple[Array, Array]]
    moments: Callable[[Array], tuple[Array, Array]]
    draw: Callable[[np.random.Generator, Array], Array]
    nodes: tuple[float, ...]
    bounded: bool = False
    raised: Callable[[Array, float], Array] | None = None


def _gamma(a: Array) -> tuple[Array, Array]:
    """`u^a0 exp(a1 u)`: a gamma law with shape `a0 + 1` and rate `-a1`."""
    shape, rate = a[0] + 1.0, -a[1]
    shape, rate = _proper(shape), _proper(rate)
    return lgamma(shape) - shape * np.log(rate), np.stack([digamma(shape) - np.log(rate), shape / rate])


def _inverse_gamma(a: Array) -> tuple[Array, Array]:
    """`u^a0 exp(a1 / u)`: an inverse gamma law with shape `-a0 - 1` and scale `-a1`."""
    shape, scale = _proper(-a[0] - 1.0), _proper(-a[1])
    return lgamma(shape) - shape * np.log(scale), np.stack([np.log(scale) - digamma(shape), shape / scale])


def _beta(a: Array) -> tuple[Array, Array]:
    """`u^a0 (1 - u)^a1`: a beta law with parameters `a0 + 1`, `a1 + 1`."""
    p, q = _proper(a[0] + 1.0), _proper(a[1] + 1.0)
    total = digamma(p + q)
    return lgamma(p) + lgamma(q) - lgamma(p + q), np.stack([digamma(p) - total, digamma(q) - total])


def _generalised_inverse_gaussian(a: Array) -> tuple[Array, Array]:
    """`u^a0 exp(a1 u + a2 / u)`: `2 K_p(2 w) (b / a)^(p/2)` with `p = a0 + 1`, `a = -a1`, `b = -a2`, `w = sqrt(a b)`.

    Jorgensen (1982), equation 2.1. The mean of the logarithm is a central difference of `log K` in its order.
    """
    from scipy.special import kve

    p, rate, scale = a[0] + 1.0, _proper(-a[1]), _proper(-a[2])
    w = np.sqrt(rate * scale)
    ratio = np.sqrt(scale / rate)

    def log_k(order: Array) -> Array:
        return np.asarray(np.log(kve(order, 2 * w)) - 2 * w)

    step = 1e-5 * np.maximum(1.0, np.abs(p))
    base = log_k(p)
    mean_log = (log_k(p + step) - log_k(p - step)) / (2 * step) + np.log(ratio)
    up, down = np.exp(log_k(p + 1.0) - base), np.exp(log_k(p - 1.0) - base)
    return np.log(2.0) + base + p * np.log(ratio), np.stack([mean_log, up * ratio, down / ratio])


def _gamma_moments(a: Array) -> tuple[Array, Array]:
    shape, rate = _proper(a[0] + 1.0), _proper(-a[1])
    return shape / rate, shape / rate**2


def _inverse_gamma_moments(a: Array) -> tuple[Array, Array]:
    shape, scale = _proper(-a[0] - 1.0), _proper(-a[1])
    mean = np.where(shape > 1.0, scale / (shape - 1.0), np.where(np.isnan(shape), np.nan, np.inf))
    return mean, np.where(shape > 2.0, mean**2 / (shape - 2.0), np.where(np.isnan(shape), np.nan, np.inf))


def _beta_moments(a: Array) -> tuple[Array, Array]:
    p, q = _proper(a[0] + 1.0), _proper(a[1] + 1.0)
    return p / (p + q), p * q / ((p + q) ** 2 * (p + q + 1.0))


def _generalised_moments(a: Array) -> tuple[Array, Array]:
    """`E[u^k] = (b / a)^(k/2) K_{p+k}(2 w) / K_p(2 w)` (Jorgensen 1982)."""
    from scipy.special import kve

    p, rate, scale = a[0] + 1.0, _proper(-a[1]), _proper(-a[2])
    w, ratio = 2 * np.sqrt(rate * scale), np.sqrt(scale / rate)
    base = kve(p, w)
    mean = ratio * kve(p + 1.0, w) / base
    return np.asarray(mean), np.asarray(ratio**2 * kve(p + 2.0, w) / base - mean**2)


def _half_normal(a: Array) -> tuple[Array, Array]:
    """`u^a0 exp(a1 u + a2 u^2)`: a modified half-normal law."""
    return integrate_half_normal(a[0] + 1.0, -a[1], -a[2])


def _half_normal_moments(a: Array) -> tuple[Array, Array]:
    _, means = _half_normal(a)
    return means[1], means[2] - means[1] ** 2


# --- E[u^q] -----------------------------------------------------------------------------------------------------------


def _gamma_raised(a: Array, q: float) -> Array:
    shape, rate = _proper(a[0] + 1.0), _proper(-a[1])
    value = np.exp(lgamma(np.maximum(shape + q, 1e-300)) - lgamma(shape) - q * np.log(rate))
    return np.where(shape + q > 0, value, np.where(np.isnan(shape), np.nan, np.inf))


def _generalised_raised(a: Array, q: float) -> Array:
    from scipy.special import kve

    p, rate, scale = a[0] + 1.0, _proper(-a[1]), _proper(-a[2])
    w = 2 * np.sqrt(rate * scale)
    return np.asarray((scale / rate) ** (q / 2) * kve(p + q, w) / kve(p, w))


def _half_normal_raised(a: Array, q: float) -> Array:
    higher = a.copy()
    higher[0] += q
    with np.errstate(over="ignore"):
        value = np.exp(_half_normal(higher)[0] - _half_normal(a)[0])
    return np.where(higher[0] > -1.0, value, np.where(a[0] > -1.0, np.inf, np.nan))


def _proper(x: Array) -> Array:
    return np.asarray(np.where(x > 0, x, np.nan))


def _draw_gamma(rng: np.random.Generator, a: Array) -> Array:
    return np.asarray(rng.standard_gamma(np.maximum(a[0] + 1.0, 1e-3)) / np.maximum(-a[1], 1e-300))


def _draw_inverse_gamma(rng: np.random.Generator, a: Array) -> Array:
    return np.asarray(np.maximum(-a[1], 1e-300) / rng.standard_gamma(np.maximum(-a[0] - 1.0, 1e-3)))


def _draw_beta(rng: np.random.Generator, a: Array) -> Array:
    drawn = rng.beta(np.maximum(a[0] + 1.0, 1e-3), np.maximum(a[1] + 1.0, 1e-3))
    return np.asarray(np.clip(drawn, 1e-12, 1 - 1e-12))


def _draw_generalised(rng: np.random.Generator, a: Array) -> Array:
    # For a start any law of about the right size will do: log-normal around the mode.
    p, rate, scale = a[0] + 1.0, np.maximum(-a[1], 1e-300), np.maximum(-a[2], 1e-300)
    mode = (p - 1.0 + np.sqrt((p - 1.0) ** 2 + 4 * rate * scale)) / (2 * rate)
    return np.asarray(mode * np.exp(0.5 * rng.standard_normal(mode.shape)))


def _draw_half_normal(rng: np.random.Generator, a: Array) -> Array:
    # For a start any law of about the right size will do: log-normal around the mean of the logarithm.
    middle = np.nan_to_num(_half_normal(a)[1][0])
    return np.asarray(np.exp(middle + 0.5 * rng.standard_normal(middle.shape)))


def _log(u: Array) -> Array:
    return np.log(u)


def _identity(u: Array) -> Array:
    return u


def _square(u: Array) -> Array:
    return u * u


def _reciprocal(u: Array) -> Array:
    return 1.0 / u


def _log_rest(u: Array) -> Array:
    return np.log1p(-u)


#: By the name that the derivation gives.
KERNELS: dict[str, Kernel] = {
    "gamma": Kernel(
        {"log(u)": _log, "u": _identity}, _gamma, _gamma_moments, _draw_gamma, (0.5, 1.0, 2.0), raised=_gamma_raised
    ),
    "inverse gamma": Kernel(
        {"log(u)": _log, "1/u": _reciprocal}, _inverse_gamma, _inverse_gamma_moments, _draw_inverse_gamma,
        (0.5, 1.0, 2.0),
    ),
    "beta": Kernel(
        {"log(u)": _log, "log1p(-u)": _log_rest}, _beta, _beta_moments, _draw_beta, (0.2, 0.5, 0.8), bounded=True
    ),
    "generalised inverse Gaussian": Kernel(
        {"log(u)": _log, "u": _identity, "1/u": _reciprocal}, _generalised_inverse_gaussian, _generalised_moments,
        _draw_generalised, (0.4, 0.8, 1.5, 3.0), raised=_generalised_raised,
    ),
    "modified half-normal": Kernel(
        {"log(u)": _log, "u": _identity, "u^2": _square}, _half_normal, _half_normal_moments, _draw_half_normal,
        (0.4, 0.8, 1.5, 3.0), raised=_half_normal_raised,
    ),
}  # fmt: skip


def kernel_of(name: str, power: float = 1.0) -> Kernel:
    """The kernel of that name in `u^power`: `u^a0 exp(a1 u^c)` is that of a gamma law in `w = u^c`, since `du` is
    `w^(1/c - 1) dw / |c|` (the generalised gamma law of Stacy 1962, and its like).
    """
    base = KERNELS[name]
    if power == 1.0:
        return base
    assert base.raised is not None, "powers are those of positive numbers"
    raised = base.raised

    def inner(a: Array) -> Array:
        return np.asarray(np.concatenate([(a[:1] + 1.0) / power - 1.0, a[1:]]))

    def integrate(a: Array) -> tuple[Array, Array]:
        value, means = base.integrate(inner(a))
        return value - np.log(abs(power)), np.concatenate([means[:1] / power, means[1:]])

    def moments(a: Array) -> tuple[Array, Array]:
        mean = raised(inner(a), 1.0 / power)
        return mean, raised(inner(a), 2.0 / power) - mean**2

    def draw(rng: np.random.Generator, a: Array) -> Array:
        return np.asarray(base.draw(rng, inner(a)) ** (1.0 / power))

    functions: dict[str, Callable[[Array], Array]] = {"log(u)": _log}
    for text, function in list(base.functions.items())[1:]:
        functions[text.replace("u", f"u^{power:g}")] = _of_power(function, power)
    return Kernel(functions, integrate, moments, draw, tuple(node ** (1.0 / power) for node in base.nodes))


def _of_power(function: Callable[[Array], Array], power: float) -> Callable[[Array], Array]:
    return lambda u: function(u**power)


_Function = Callable[[Array], Array]

#: The functions of a beta kernel with `u = logistic(x)`, without loss at either end.
_OF_LOGIT: dict[str, _Function] = {"log(u)": log_logistic, "log1p(-u)": lambda x: np.asarray(log_logistic(-x))}


def line_functions(kernel: Kernel) -> tuple[list[_Function], _Function, _Function]:
    """The kernel's functions as functions of a number x on the line (the logarithm of u, or its logit), the logarithm
    of du/dx, and u."""
    if kernel.bounded:
        functions = [_OF_LOGIT[name] for name in kernel.functions]
        return functions, lambda x: np.asarray(log_logistic(x) + log_logistic(-x)), logistic
    functions = [_identity if name == "log(u)" else _of_logarithm(f) for name, f in kernel.functions.items()]
    return functions, _identity, np.exp


def _of_logarithm(function: _Function) -> _Function:
    return lambda x: function(np.exp(x))


def coefficients(values: Array, points: Array, kernel: Kernel) -> Array:
    """`values` `(*cells, points, units)` of `c + sum_j a_j t_j(u)` at `points` of the same shape: `(1 + functions,
    *cells, units)`, the constant first.
    """
    basis = _basis(points, kernel)
    solved: Array = np.asarray(np.linalg.solve(basis, np.moveaxis(values, -2, -1)[..., None])[..., 0], dtype=np.float64)
    return np.moveaxis(solved, -1, 0)


def weights(means: Array, points: Array, kernel: Kernel) -> Array:
    """`(*cells, points, units)`: weights of the points under which every function has its mean, and 1 the mean 1. They
    may be negative: all that is averaged over them is linear in the functions.
    """
    basis = _basis(points, kernel)
    wanted = np.moveaxis(np.concatenate([np.ones((1, *means.shape[1:])), means]), 0, -1)
    solved = np.linalg.solve(np.swapaxes(basis, -1, -2), wanted[..., None])[..., 0]
    return np.asarray(np.moveaxis(solved, -1, -2))


def _basis(points: Array, kernel: Kernel) -> Array:
    """`(*cells, units, points, 1 + functions)`."""
    columns = [np.ones_like(points), *(function(points) for function in kernel.functions.values())]
    return np.moveaxis(np.asarray(np.stack(columns, axis=-1)), -3, -2)
