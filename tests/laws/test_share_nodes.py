"""Hidden shares summed over nodes and draws, against integrals that SciPy takes and sums over all that is hidden."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy import integrate, optimize, special, stats

import emdsl
from emdsl.compiler import CompiledModel, load_text
from emdsl.diagnostics.errors import EmmError
from emdsl.plan.drawn_fit import loglik_error
from emdsl.plan.problem import BoundProblem
from emdsl.plan.program import Program
from emdsl.plan.share_draws import with_draws
from emdsl.request import FitRequest
from emdsl.runtime.domains import Coordinates
from tests.laws.bound_models import take

TOPICS = (
    "index topic = {topics}\nindex word = {{a, b, c}}\nparam alpha[topic] : positive\n"
    "param phi[topic] : simplex[word]\n"
    "for each doc:\n    latent   p[topic] ~ Dirichlet(alpha)\n    for each place:\n"
    "        latent   z : topic ~ Categorical(p)\n        observed w ~ Categorical(phi[z])\n"
)
ADMIXTURE = (
    "index pop = {A, B}\nindex locus = levels(locus)\nparam alpha[pop] : positive\nparam f[pop, locus] : unit\n"
    "for each person:\n    latent   q[pop] ~ Dirichlet(alpha)\n    for each copy:\n        input    locus : locus\n"
    "        latent   origin : pop ~ Categorical(q)\n        observed allele ~ Bernoulli(f[origin, locus])\n"
)
MEMBERSHIP = (
    "index class = {c1, c2}\nindex item = columns(y1, y2, y3)\nparam a[class] : positive\n"
    "param chance[class, item] : unit\nfor each person:\n    latent   g[class] ~ Dirichlet(a)\n"
    "    latent   z[item] : class ~ Categorical(g)\n    observed y[item] ~ Bernoulli(chance[z[item], item])\n"
)
TWO_SHARES = (
    "index side = {up, down}\nparam a[side] : positive\nparam b[side] : positive\nfor each row:\n"
    "    input    n : natural\n    latent   p[side] ~ Dirichlet(a)\n    latent   q[side] ~ Dirichlet(b)\n"
    "    observed y ~ Binomial(n, p[up]*q[up])\n"
)
ONE_SHARE = (
    "index side = {up, down}\nparam a[side] : positive\nfor each row:\n    input    n : natural\n"
    "    latent   p[side] ~ Dirichlet(a)\n    observed y ~ Binomial(n, p[up])\n"
)
BESIDE = (
    "index side = {up, down}\nparam m : positive\nfor each row:\n    latent   p[side] ~ Dirichlet(2)\n"
    "    latent   u ~ Gamma(m, 1)\n    observed y ~ Poisson(u*p[up])\n"
)

PHI = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.25, 0.5, 0.25], [0.3, 0.05, 0.65]])
DOCS = ("a", "cab", "aaabaaca", "ccbcabcbcc", "ab" * 6 + "ccc")
TABLE = {"doc": [str(k) for k, doc in enumerate(DOCS) for _ in doc], "w": [word for doc in DOCS for word in doc]}


def _topics(count: int) -> str:
    return TOPICS.format(topics="{" + ", ".join(f"t{k}" for k in range(count)) + "}")


def _theta(alpha: list[float]) -> dict[str, Any]:
    return {"alpha": np.array(alpha), "phi": PHI[: len(alpha)]}


def _chances(doc: str, shares: np.ndarray) -> float:
    return float(np.prod([shares @ PHI[: len(shares), "abc".index(word)] for word in doc]))


def _integrated(doc: str, alpha: list[float]) -> float:
    """The chance of a document, by integration over a broken stick (QUADPACK's rule for powers at both ends)."""
    if len(alpha) == 1:
        return _chances(doc, np.ones(1))

    def over(made: np.ndarray, stick: float, left: list[float]) -> float:
        if len(left) == 1:
            return _chances(doc, np.append(made, stick))
        a, b = left[0], sum(left[1:])
        value, _ = integrate.quad(
            lambda v: over(np.append(made, stick * v), stick * (1 - v), left[1:]), 0, 1, weight="alg",
            wvar=(a - 1, b - 1), epsabs=0, epsrel=1e-9,
        )  # fmt: skip
        return float(value / special.beta(a, b))

    return over(np.zeros(0), 1.0, alpha)


def _counted(doc: str, alpha: list[float]) -> float:
    """The chance of a document, summed over how many of its words come from each topic."""
    size = len(alpha)

    @cache
    def ways(place: int) -> dict[tuple[int, ...], float]:
        if place == 0:
            return {(0,) * size: 1.0}
        found: dict[tuple[int, ...], float] = {}
        for counts, weight in ways(place - 1).items():
            for topic in range(size):
                more = tuple(n + (k == topic) for k, n in enumerate(counts))
                found[more] = found.get(more, 0.0) + weight * PHI[topic, "abc".index(doc[place - 1])]
        return found

    a = np.array(alpha)
    constant = special.gammaln(a.sum()) - special.gammaln(a.sum() + len(doc)) - special.gammaln(a).sum()
    return float(sum(w * np.exp(constant + special.gammaln(a + n).sum()) for n, w in ways(len(doc)).items()))


@pytest.mark.parametrize("alpha", [[0.1, 0.1], [0.05, 3.0], [1.0, 1.0], [0.1, 0.1, 0.1], [0.02, 0.5, 2.0]])
def test_the_log_likelihood_of_topics_is_that_of_integration(alpha: list[float]) -> None:
    found = take(_topics(len(alpha)), TABLE).problem.expect(_theta(alpha)).loglik
    assert found == pytest.approx(sum(np.log(_counted(doc, alpha)) for doc in DOCS), abs=1e-6)
    some = DOCS[:3]  # the two references say the same
    assert [_integrated(doc, alpha) for doc in some] == pytest.approx([_counted(doc, alpha) for doc in some], rel=1e-6)


def test_two_shares_under_one_law() -> None:
    n, y = [4, 7, 12], [1, 5, 3]
    a, b = [0.3, 0.2], [2.0, 0.4]
    theta = {"a": np.array(a), "b": np.array(b)}
    found = take(TWO_SHARES, {"n": n, "y": y}).problem.expect(theta).loglik

    def chance(count: int, seen: int) -> float:
        def inner(p: float) -> float:
            return float(
                integrate.quad(lambda q: stats.binom.pmf(seen, count, p * q), 0, 1, weight="alg",
                               wvar=(b[0] - 1, b[1] - 1))[0]
            )  # fmt: skip

        outer, _ = integrate.quad(inner, 0, 1, weight="alg", wvar=(a[0] - 1, a[1] - 1))
        return float(outer / float(special.beta(*np.array(a))) / float(special.beta(*np.array(b))))

    assert found == pytest.approx(sum(np.log(chance(*pair)) for pair in zip(n, y, strict=True)), abs=1e-6)


def test_shares_beside_another_number() -> None:
    """`Poisson(u*p)` with both hidden: the number is laid on nodes, the shares over their simplex."""
    y, m = [0, 2, 5, 1], 1.7
    table = emdsl.loads(BESIDE).fit({"y": y}, init={"m": m}, max_iter=0)

    def chance(seen: int) -> float:  # given p a gamma number makes counts negative binomial
        value, _ = integrate.quad(lambda p: stats.nbinom.pmf(seen, m, 1 / (1 + p)) * 6 * p * (1 - p), 0, 1)
        return float(value)

    assert {item.placing for item in emdsl.loads(BESIDE).compiled.derivation.integrals} == {"shares", "laid"}
    assert table.loglik == pytest.approx(sum(np.log(chance(seen)) for seen in y), abs=1e-6)


@pytest.mark.parametrize("count", [2, 3])
def test_the_score_is_the_slope_of_the_log_likelihood(count: int) -> None:
    problem = take(_topics(count), TABLE).problem
    theta = _theta([0.3, 0.8, 1.5][:count])
    coordinates = Coordinates(problem.spaces, theta)
    free = coordinates.free(theta)
    score = coordinates.pullback(theta, problem.gradient(theta, problem.expect(theta).statistics))
    for k in range(len(free)):
        step = 1e-5 * np.eye(len(free))[k]
        up, down = (problem.expect(coordinates.theta(free + side * step)).loglik for side in (1, -1))
        assert score[k] == pytest.approx((up - down) / 2e-5, abs=1e-5)


@pytest.mark.parametrize("text", [_topics(2), _topics(3), ADMIXTURE, MEMBERSHIP])
def test_sums_by_code_are_those_row_by_row(text: str) -> None:
    rng = np.random.default_rng(4)
    table: dict[str, Any] = TABLE
    if text == MEMBERSHIP:
        table = {f"y{k}": rng.integers(0, 2, 9) for k in (1, 2, 3)}
    if text == ADMIXTURE:
        table = {"person": [1] * 6 + [2] * 6, "locus": list("kkllmm") * 2, "allele": rng.integers(0, 2, 12)}
    compiled = load_text(text)
    bound = take(CompiledModel(text, None, compiled.derivation), table).bound
    theta = BoundProblem(compiled.derivation, bound, {}, {}).initial()
    theta = {name: value * (0.8 + 0.4 * rng.random(value.shape)) for name, value in theta.items()}
    fast, slow = (Program(compiled.derivation, bound, by_code=by_code) for by_code in (True, False))
    assert any(type(node).__name__ == "CodedLogSumExp" for node in fast.nodes)
    assert not any(type(node).__name__ == "CodedLogSumExp" for node in slow.nodes)
    (one, found), (other, expected) = fast.expect(theta), slow.expect(theta)
    assert one == pytest.approx(other, rel=1e-12)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, rel=1e-9, abs=1e-12)


def test_estimates_are_those_of_direct_maximisation() -> None:
    n, y = [9] * 14, [0, 1, 1, 2, 3, 3, 4, 5, 6, 8, 9, 9, 2, 7]
    fit: Any = emdsl.loads(ONE_SHARE).fit({"n": n, "y": y}, starts=2)

    def minus(u: np.ndarray) -> float:
        return -float(np.sum(stats.betabinom.logpmf(y, n, *np.exp(u))))

    best: Any = optimize.minimize(minus, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-12})
    assert fit.converged
    assert fit.loglik == pytest.approx(-best.fun, abs=1e-6)
    assert [fit.params["a"]["up"], fit.params["a"]["down"]] == pytest.approx(np.exp(best.x), rel=1e-4)


def test_estimates_of_admixture_are_those_of_direct_maximisation() -> None:
    rng = np.random.default_rng(8)
    f, people, loci = np.array([[0.1, 0.85, 0.2, 0.9], [0.9, 0.2, 0.8, 0.15]]), 60, 4
    q = rng.beta(0.5, 0.5, people)
    seen = rng.binomial(6, q[:, None] * f[0] + (1 - q[:, None]) * f[1])
    table: dict[str, list[Any]] = {"person": [], "locus": [], "allele": [], "count": []}
    for person, locus in product(range(people), range(loci)):
        for allele, count in ((1, seen[person, locus]), (0, 6 - seen[person, locus])):
            for name, value in zip(table, (person, f"l{locus}", allele, int(count)), strict=True):
                table[name].append(value)
    text = ADMIXTURE.replace("for each copy:\n", "for each copy:\n        weight   count\n")
    fit: Any = emdsl.loads(text.replace("param alpha[pop]", "param alpha")).fit(table, starts=4)

    def minus(u: np.ndarray) -> float:
        a, chance = np.exp(u[0]), special.expit(u[1:]).reshape(2, loci)
        v, weights = special.roots_jacobi(20, a - 1, a - 1)  # exact: the chance of a person is a polynomial
        nodes = (1 + v) / 2
        at = nodes[:, None] * chance[0] + (1 - nodes[:, None]) * chance[1]
        law = weights / weights.sum()
        logs = np.log(at) @ seen.T + np.log1p(-at) @ (6 - seen).T
        return -float(np.log(law @ np.exp(logs)).sum())

    found = [fit.params["f"][k][f"l{j}"] for k in "AB" for j in range(loci)]
    start = np.array([np.log(fit.params["alpha"]), *special.logit(np.clip(found, 1e-4, 1 - 1e-4))])
    best = optimize.minimize(minus, start + 0.1, method="BFGS", options={"gtol": 1e-7})
    assert fit.converged
    assert fit.loglik == pytest.approx(-best.fun, abs=1e-4)
    assert start[0] == pytest.approx(best.x[0], abs=2e-3)
    assert special.expit(start[1:]) == pytest.approx(special.expit(best.x[1:]), abs=1e-3)


def test_labels_of_three_shares_are_put_in_order() -> None:
    """The nodes break a stick in the order of labels, so that few of them tell a relabelled model apart a little."""
    text = _topics(3).replace("param alpha[topic]", "param alpha") + "order topic by phi[topic, a]\n"
    fit: Any = emdsl.loads(text).fit(TABLE, fix={"alpha": 0.4}, starts=1, max_iter=3, se="none")
    chances = [fit.params["phi"][f"t{k}"]["a"] for k in range(3)]
    assert chances == sorted(chances)


def test_the_posterior_of_shares_and_of_what_is_drawn_from_them() -> None:
    """Means of shares by unit, and the chances of each row's topic, by sums over all topics of a document."""
    alpha, doc = [0.4, 0.7], "acb"
    table = {"doc": ["x"] * 3, "w": list(doc)}
    compiled = load_text(_topics(2))
    found = compiled.posterior(take(compiled, table).bound, _theta(alpha))
    chances, a = {}, np.array(alpha)
    for z in product(range(2), repeat=3):
        n = np.bincount(z, minlength=2)
        law = special.gammaln(a + n).sum()
        chances[z] = np.exp(law) * np.prod([PHI[k, "abc".index(word)] for k, word in zip(z, doc, strict=True)])
    total = sum(chances.values())
    means = sum(c * (a + np.bincount(z, minlength=2)) / (a.sum() + 3) for z, c in chances.items()) / total
    (shares,), (topic,) = found.numbers, found.marginals
    assert shares.mean[:, 0] == pytest.approx(means, abs=1e-9)
    for place in range(3):
        first = sum(c for z, c in chances.items() if z[place] == 0) / total
        assert topic.probabilities[0, place] == pytest.approx(first, abs=1e-9)


# --- draws ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [[0.1, 0.1], [2.0, 1.0, 0.5], [0.1, 0.3, 0.1, 0.2]])
def test_draws_say_what_integration_says_within_their_error(alpha: list[float]) -> None:
    theta = {"alpha": {f"t{k}": a for k, a in enumerate(alpha)},
             "phi": {f"t{k}": dict(zip("abc", PHI[k], strict=True)) for k in range(len(alpha))}}  # fmt: skip
    fit: Any = emdsl.loads(_topics(len(alpha))).fit(TABLE, init=theta, max_iter=0, plan="monte-carlo")
    simulation = fit.to_dict()["simulation"]
    expected = sum(np.log(_counted(doc, alpha)) for doc in DOCS)
    assert 0 < simulation["loglik_error"] < 0.2
    assert abs(fit.loglik - expected) < 4 * simulation["loglik_error"]


def test_errors_of_draws_are_those_of_many_seeds() -> None:
    """The simulation error that a fit states is the spread over seeds."""
    compiled = load_text(_topics(4), purpose="draws")
    theta, bound = _theta([0.2, 0.4, 0.3, 0.5]), take(load_text(_topics(4)), TABLE).bound
    logliks, errors = [], []
    for seed in range(12):
        drawn = with_draws(compiled.derivation, replace(bound, seed=seed), theta, 200)
        problem = BoundProblem(compiled.derivation, drawn, {}, {})
        logliks.append(problem.expect(theta).loglik)
        errors.append(loglik_error(problem, theta))
    expected = sum(np.log(_counted(doc, [0.2, 0.4, 0.3, 0.5])) for doc in DOCS)
    assert abs(np.mean(logliks) - expected) < 4 * np.std(logliks) / np.sqrt(12) + 1e-3
    assert 0.4 < np.std(logliks) / np.mean(errors) < 2.5


def test_estimates_by_draws_are_those_by_nodes_within_their_error() -> None:
    n, y = [9] * 14, [0, 1, 1, 2, 3, 3, 4, 5, 6, 8, 9, 9, 2, 7]
    model = emdsl.loads(ONE_SHARE)
    by_nodes: Any
    by_draws: Any
    by_nodes, by_draws = (model.fit({"n": n, "y": y}, starts=1, plan=plan) for plan in ("auto", "monte-carlo"))
    simulation = by_draws.to_dict()["simulation"]
    assert by_draws.converged and simulation["met"]
    assert abs(by_draws.loglik - by_nodes.loglik) < 4 * simulation["loglik_error"]
    for side in ("up", "down"):
        off = abs(by_draws.params["a"][side] - by_nodes.params["a"][side])
        assert off < 4 * simulation["errors"]["a"][side]
        assert simulation["errors"]["a"][side] < 0.2 * by_nodes.se["a"][side]


def test_draws_are_the_same_for_the_same_seed() -> None:
    one, other, third = (
        emdsl.loads(_topics(4)).fit(TABLE, starts=1, max_iter=0, seed=seed).loglik for seed in (3, 3, 4)
    )  # fmt: skip
    assert one == other
    assert one != third


@pytest.mark.parametrize(
    ("plan", "shares", "code"),
    [("exact", 2, "not-exact"), ("exact", 4, "not-exact"), ("quadrature", 4, "no-quadrature")],
)
def test_a_plan_that_cannot_be_is_refused(plan: str, shares: int, code: str) -> None:
    with pytest.raises(EmmError) as caught:
        emdsl.loads(_topics(shares)).fit(TABLE, plan=plan)
    assert caught.value.code == code


def test_a_law_that_comes_too_near_the_corners_is_no_estimate() -> None:
    """Each unit wholly of one kind: the estimate is a mixture, which no Dirichlet law is."""
    fit: Any = emdsl.loads(ONE_SHARE).fit({"n": [8] * 10, "y": [0, 8] * 5}, starts=1)
    assert not fit.converged
    assert any("of its mass where no node is" in said for said in fit.warnings)


def test_posteriors_by_draws_are_those_by_nodes() -> None:
    alpha = [0.4, 0.7, 0.2]
    by_nodes, by_draws = load_text(_topics(3)), load_text(_topics(3), purpose="draws")
    bound = take(by_nodes, TABLE).bound
    one, other = (model.posterior(bound, _theta(alpha)) for model in (by_nodes, by_draws))
    assert other.numbers[0].mean == pytest.approx(one.numbers[0].mean, abs=0.03)
    assert other.numbers[0].sd == pytest.approx(one.numbers[0].sd, abs=0.03)
    assert other.marginals[0].probabilities == pytest.approx(one.marginals[0].probabilities, abs=0.03)
    assert any("simulated, by 2000 weighted draws" in note for note in other.notes)


@pytest.mark.parametrize("shares", [2, 4])
def test_a_model_with_shares_is_checked_simulated_and_predicted(shares: int) -> None:
    model = emdsl.loads(_topics(shares))
    params = {
        "alpha": {f"t{k}": 0.5 for k in range(shares)},
        "phi": {f"t{k}": dict(zip("abc", map(float, PHI[k]), strict=True)) for k in range(shares)},
    }
    drawn = model.simulate(None, params, seed=1, latent=True, design=TABLE)
    assert np.sum([drawn[f"p_t{k}"] for k in range(shares)], axis=0) == pytest.approx(np.ones(len(TABLE["w"])))
    said = "\n".join(model.compiled.check(TABLE, FitRequest()))
    assert ("by draws" if shares == 4 else "over one grid of nodes in their simplex") in said
    # the topic of the only word of a document is known from this word and the mean shares
    topic = PHI[:shares, 0] / PHI[:shares, 0].sum()
    alone = model.predict(TABLE, params).iloc[0]
    found = [float(alone[f"P(w={word})"]) for word in "abc"]
    assert found == pytest.approx(list(topic @ PHI[:shares]), abs=1e-6 if shares == 2 else 0.05)
