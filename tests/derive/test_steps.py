"""What a derivation says, step by step."""

from __future__ import annotations

import re

import pytest

from tests.derive.models import SHIPPED, USER_FAMILY, derived, model_of, shipped, step
from tests.work import python_calls

#: Traces of the machinery that must not show in a text: SymPy's spelling, and the symbols of generated code.
MACHINERY = re.compile(r"\*\*|sympy|Symbol|loggamma|polygamma|log_logistic|\b[SR]\d\b|<class|\bcentre\b|\bx_\b|e_1")


def mixture(law: str, *parameters: str) -> str:
    declared = "\n".join(f"param {parameter}" for parameter in parameters)
    return (
        f"index c = 1..2\nparam share : simplex[c]\n{declared}\n"
        f"for each row:\n    latent z ~ Categorical(share)\n    observed x ~ {law}\n"
    )


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_texts_are_clean_and_every_parameter_has_its_update(path) -> None:
    derivation = shipped(path.stem)
    for item in derivation.steps:
        assert item.rule and item.after
        for text in (item.before, item.after, item.note):
            assert not MACHINERY.search(text), text
            assert text == text.strip()
            for bracket in ("()", "[]", "{}"):
                assert text.count(bracket[0]) == text.count(bracket[1]), text
    rules = [item.rule for item in derivation.steps]
    assert rules[0] == "complete-data log-likelihood"
    updated = [name for item in derivation.steps[rules.index("Q") :] for name in item.subject.split(", ")]
    assert {parameter.name for parameter in derivation.model.parameters} <= set(updated)


def test_complete_data_log_likelihood_has_plates_weights_and_indices() -> None:
    after = step(shipped("peppered_moth"), "complete-data log-likelihood").after
    assert after == "sum over moth: count * (log(p[genotype.1]) + log(p[genotype.2]))"
    nested = step(shipped("subject_classes"), "complete-data log-likelihood")
    assert nested.before == "sum over subject: (log P(class) + sum over visit: log f(score | class, age))"


def test_normal_mean_and_sd_are_the_textbooks() -> None:
    derivation = shipped("univariate_mixture")
    mean, sd = step(derivation, "closed form", "mu"), step(derivation, "closed form", "sigma")
    assert mean.before == "dQ/dmu[z] = sum(eruption: w[z]*(waiting - mu[z]))/sigma[z]^2 = 0"
    assert mean.after == "mu[z] = sum(eruption: w[z]*waiting)/N[z]"
    # Never one closed form substituted into another: the new mean stands in the variance.
    assert sd.after == "sigma[z]^2 = sum(eruption: w[z]*(waiting - mu_new[z])^2)/N[z]"
    assert step(derivation, "statistics", "N[z]").after == "N[z] = sum(eruption: w[z])"


def test_a_shared_parameter_is_summed_over_the_cells() -> None:
    sigma = step(shipped("regression_mixture_shared_sigma"), "closed form", "sigma")
    assert sigma.after == "sigma^2 = sum(point, z: w[z]*(yn - m_new)^2)/N"
    slope = step(shipped("regression_mixture_shared_slope"), "linear")
    assert slope.after.startswith("sum(point, z: w[z]*d*d'/sigma[z]^2)*b = sum(point, z: w[z]*d*yn/sigma[z]^2)")
    assert "conditional: sigma at the current values" in slope.note
    own = step(shipped("regression_mixture"), "linear")
    assert own.after.startswith("sum(point: w[z]*d*d')*b = sum(point: w[z]*d*yn)")
    assert "d = (1, x, x^2)" in own.after and "one system for each z" in own.after


def test_gene_counting_is_the_simplex_rule() -> None:
    found = step(shipped("peppered_moth"), "simplex")
    assert "lambda*(1 - sum(i in allele: p[i]))" in found.before
    assert found.after == "p[i] = n[i]/sum(i in allele: n[i])\nwith n[i] = N[genotype.1 = i] + N[genotype.2 = i]"


def test_linkage_closes_and_says_which_cells_count() -> None:
    found = step(shipped("linkage"), "closed form")
    assert found.after == "theta = N[origin in {y1b, y4}]/(N[origin in {y2, y3}] + N[origin in {y1b, y4}])"


def test_newton_says_why() -> None:
    found = step(shipped("linkage_coarse"), "newton")
    assert "no closed form: theta: its stationarity has no closed form" in found.note
    found = step(shipped("logistic_regression"), "newton")
    assert "dQ/dm = low - logistic(m)" in found.before
    assert "d2Q/dm^2 = -logistic(-m)*logistic(m)" in found.before


def test_matrix_update() -> None:
    found = step(shipped("gaussian_mixture"), "matrix")
    assert found.before.endswith("R = sum(point: w[z]*(x - mu_new[z])*(x - mu_new[z])')")
    assert found.after == "Sigma[z] = R/N[z]"


def test_a_chain_is_summed_out_forward_and_backward() -> None:
    found = step(shipped("earthquakes"), "posterior")
    assert "a[regime] = P(count | regime)*P(regime) in the first year" in found.after
    counts = step(shipped("earthquakes"), "simplex", "A").after
    assert counts == "A[prev(regime), regime] = N[prev(regime), regime]/sum(regime: N[prev(regime), regime])"


def test_a_family_of_ones_own_is_derived_too() -> None:
    derivation = derived(USER_FAMILY)
    assert step(derivation, "closed form").after == "s[z]^2 = sum(gust: w[z]*speed^2)/(2*N[z])"
    separation = step(derivation, "separation", "speed")
    assert separation.after.splitlines() == ["T = 1        eta = -2*log(s[z])", "T = speed^2  eta = -1/(2*s[z]^2)"]
    assert separation.note == "free of parameters: log(speed)"


def test_names_are_the_users() -> None:
    derivation = derived(mixture("Normal(μ[z], σ[z])", "μ[c] : real", "σ[c] : positive"))
    assert step(derivation, "closed form", "μ").after == "μ[z] = sum(row: w[z]*x)/N[z]"
    taken = derived(mixture("Normal(w[z], N)", "w[c] : real", "N : positive"))
    assert step(taken, "closed form", "w").after == "w[z] = sum(row: gamma[z]*x)/count[z]"


def test_a_parameter_given_by_labels_is_read_label_by_label() -> None:
    text = (
        "index k = {a, b}\nparam share : simplex[k]\nparam m[k] : real\n"
        "for each row:\n    latent z ~ Categorical(share)\n"
        "    observed x ~ case z:\n        a -> Normal(m[a], 1)\n        b -> Normal(m[b], 1)\n"
    )
    after = step(derived(text), "closed form", "m").after
    assert after.splitlines() == ["m[a] = sum(row, z = a: w[z]*x)/N[z = a]", "m[b] = sum(row, z = b: w[z]*x)/N[z = b]"]


def test_a_prior_is_part_of_the_derivation() -> None:
    text = "param rate : positive ~ Gamma(2, 1)\nfor each row:\n    observed x ~ Poisson(rate)\n"
    derivation = derived(text)
    assert step(derivation, "prior").subject == "rate"
    assert step(derivation, "closed form").after == "rate = (sum(row: x) + 1)/(N + 1)"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_derivation_takes_little_work(path) -> None:
    from emdsl.derive.derive import derive

    model = model_of(path.read_text(encoding="utf-8"))
    derive(model)  # the first one of a process loads parts of SymPy
    assert python_calls(lambda: derive(model)) < 1_500_000  # somewhat over a million in a second


NESTED = """
index c = 1..2
index k = 1..3
param share : simplex[c]
param q[c] : simplex[k]
param mu[k] : real
for each school:
    latent t ~ Categorical(share)
    for each pupil:
        weight n
        latent z ~ Categorical(q[t])
        for each test:
            observed x ~ Normal(mu[z], 1)
"""


def test_a_nested_posterior_is_given_what_is_hidden_around_it() -> None:
    derivation = derived(NESTED)
    inner, outer = step(derivation, "posterior", "z"), step(derivation, "posterior", "t")
    assert inner.before == "P(z | t, x) is proportional to P(z | t)*prod(test: f(x | z))"
    assert inner.after.splitlines()[1] == "w[t, z] = n*w[t]*P(z | t, x)"
    assert "prod(pupil: (sum(z: P(z | t)*prod(test: f(x | z))))^n)" in outer.before
    assert step(derivation, "closed form", "mu").after == "mu[z] = sum(test: w[z]*x)/N[z]"


def test_a_weight_inside_a_hidden_variables_plate_stands_beside_its_posterior_weight() -> None:
    text = (
        "index c = 1..2\nparam share : simplex[c]\nparam mu[c] : real\n"
        "for each dog:\n    latent k ~ Categorical(share)\n"
        "    for each day:\n        weight n\n        observed x ~ Normal(mu[k], 1)\n"
    )
    derivation = derived(text)
    assert step(derivation, "posterior").before == "P(k | x) is proportional to P(k)*prod(day: f(x | k)^n)"
    assert step(derivation, "closed form").after == "mu[k] = sum(day: n*w[k]*x)/N_day[k]"
