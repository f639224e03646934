"""The table of a fit, to the letter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from emdsl.results.result import Fit
from tests.results.outcomes import example, model, outcome, state, with_prior, without_errors

SUMMARY = """\
Example: an example

data             moths.csv: 3 rows, 622 units
missing cells    1 (x 1)
estimator        maximum likelihood
log-likelihood   -600.480980
free parameters  8
AIC, BIC         1216.962, 1252.400 (n = 620)
converged        yes, by the Newton decrement, after 14 iterations
still to gain    less than 1e-12 of log-likelihood
starts           2 of 3 reached this log-likelihood
standard errors  observed

parameter                    estimate  std. error    2.5 %   97.5 %
p.C                         0.2500         0.0125   0.2263   0.2753  frequencies
p.I                         0.7500         0.0125   0.7247   0.7737
p["rs1.2"]                  0              –        –        –       at the boundary
mu.eruptions               -1.500          0.500   -2.480   -0.520
mu.waiting                 70.2           12.2     46.2     94.3
Sigma.eruptions.eruptions   2.000          0.100    1.813    2.206
Sigma.eruptions.waiting     0.500          0.200    0.108    0.892
Sigma.waiting.waiting       1.000          0.300    0.555    1.800
tau                         0.0010000      –        –        –       spread of τ, not determined by the data

report           estimate  std. error     2.5 %    97.5 %
twice            0.002000    0.000100  0.001800  0.002200  twice the spread
shift.eruptions  1.0000      –         –         –
shift.waiting    2.0000      –         –         –

warning: the first warning
warning: the second"""

WITHOUT_ERRORS = """\
Example: an example

data             moths.csv: 3 rows, 622 units
missing cells    1 (x 1)
estimator        maximum likelihood
log-likelihood   -600.480980
free parameters  8
AIC, BIC         1216.962, 1252.400 (n = 620)
converged        no: the limit of iterations was reached, after 2 iterations

parameter                    estimate
p.C                         0.25000    frequencies
p.I                         0.75000
p["rs1.2"]                  0
mu.eruptions               -1.5000
mu.waiting                 70.250
Sigma.eruptions.eruptions   2.0000
Sigma.eruptions.waiting     0.50000
Sigma.waiting.waiting       1.0000
tau                         0.0010000  spread of τ

report            estimate
twice            0.0020000  twice the spread
shift.eruptions  1.0000
shift.waiting    2.0000"""


def test_the_summary() -> None:
    assert example().summary() == SUMMARY
    assert str(example()) == SUMMARY


def test_without_standard_errors_their_columns_are_left_out() -> None:
    assert without_errors().summary() == WITHOUT_ERRORS


def test_warnings_may_be_left_to_another_place() -> None:
    assert example().summary(warnings=False) == SUMMARY.partition("\n\nwarning")[0]


def test_a_map_estimate_says_so() -> None:
    lines = with_prior().summary().splitlines()
    assert "estimator        posterior mode (MAP)" in lines
    assert "with log prior   -605.500000" in lines
    assert not any(line.startswith("AIC") for line in lines)


def test_what_is_still_to_be_gained() -> None:
    found = example(state=state(converged=False, stopped_by="tolerance", decrement=2.345e-4, iterations=1))
    lines = found.summary().splitlines()
    assert "converged        no: the log-likelihood stopped rising, after 1 iteration" in lines
    assert "still to gain    0.00023 of log-likelihood" in lines


def long_array() -> Fit:
    """A fit whose `mu` has 100 elements."""
    labels = tuple(map(str, range(100)))
    bound = replace(outcome().bound, indexes={**outcome().bound.indexes, "dim": labels})
    short = replace(model(), parameters=(model().parameter("mu"),), reports=())
    stopped = state(theta={"mu": np.arange(100.0)}, uncertainty=None, boundary=(), unidentified=())
    return Fit(outcome(model=short, bound=bound, state=stopped))


def test_a_long_array_is_cut_short_unless_everything_is_asked_for() -> None:
    lines = long_array().summary(everything=False, warnings=False).splitlines()
    assert lines[-2:] == ["mu.39       39.000", "and 60 more elements: --verbose shows all of them"]
    assert long_array().summary(warnings=False).splitlines()[-1] == "mu.99       99.000"


def test_a_model_without_parameters() -> None:
    bare = replace(model(), parameters=(), reports=(), description="")
    lines = example(model=bare, warnings=()).summary().splitlines()
    assert lines[0] == "Example" and lines[-1] == "standard errors  observed"
