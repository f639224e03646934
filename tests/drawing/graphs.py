"""Models whose diagrams are under test: all that are shipped, and some that are awkward to draw."""

from __future__ import annotations

from functools import cache

from emdsl.drawing.diagram import Diagram, diagram
from emdsl.graph.resolve import resolve
from emdsl.ir.model import Model
from emdsl.syntax.parser import parse
from tests.derive.models import SHIPPED

AWKWARD = {
    "back": """
model Back "a chain whose arrow leads up, a prior, a factor"
param q : positive
const known = 3
param mu : real ~ Normal(known, q)
for each series:
    for each step in sequence by when:
        latent a ~ Normal(mu, 1) first, Normal(prev(b), q) after
        latent b ~ Normal(a, 1)
        observed y ~ Normal(b, 1)
        let extra = a*2
        factor -extra^2
""",
    "second": """
model Second "a chain of the second order & <odd> characters"
index state = {s1, s2}
index face = 1..6
param A[state, state] : simplex[state]
param start : simplex[state]
param e[state] : simplex[face]
for each roll in sequence:
    latent die ~ Categorical(start) first, Categorical(A[prev(die, 2), prev(die)]) after
    observed face ~ Categorical(e[die])
""",
    "long": """
model Long
const rate_constant = 0.5
param a_rather_long_parameter_name : real
param mu : real ~ Normal(0, tau)
param tau : positive ~ Gamma(2, rate_constant)
for each person:
    input a_rather_long_column_name : real
    latent θ ~ Normal(mu, 1)
    observed an_observed_variable ~ Normal(a_rather_long_parameter_name*a_rather_long_column_name + θ, tau)
""",
    "bare": """
model Bare
param p : unit
for each toss:
    observed heads ~ Bernoulli(p)
""",
    "evidence": """
model Evidence "units that had to meet a condition, bounds in two columns, a joint draw"
index answer = {no, yes}
param p : simplex[answer, answer]
param mu : real
for each person:
    weight   count
    latent   first, second ~ Categorical(p)
    observed said ~ case first, second:
        no, no -> Bernoulli(1/10)
        _, _   -> Bernoulli(9/10)
    observed x between lo and hi ~ Normal(mu, 1)
    given said == 1
""",
}


@cache
def models() -> dict[str, Model]:
    """Each model under its name."""
    texts = {path.stem: path.read_text(encoding="utf-8") for path in SHIPPED} | AWKWARD
    return {name: resolve(parse(text), name="Model") for name, text in texts.items()}


@cache
def diagram_of(name: str) -> Diagram:
    """The diagram of a model."""
    return diagram(models()[name])


NAMES = (*(path.stem for path in SHIPPED), *AWKWARD)
