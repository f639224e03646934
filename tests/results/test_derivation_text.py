from __future__ import annotations

from emdsl.ir.derivation import Derivation, Step
from emdsl.results.derivation_text import FORMATS, DerivationText
from emdsl.writing.document import sections
from tests.results.outcomes import model

STEPS = (
    Step("simplex", "p", "sum_k N[k] log p[k]", "p[k] = N[k] / sum_j N[j]", "Lagrange, the shares sum to 1"),
    Step("Q", "", "", "sum_j eta_j S_j"),
    Step("complete-data log-likelihood", "x", "log f(x | mu)", "a\n+ b"),
    Step("closed form", "mu, tau", "", "mu = S1 / S0"),
    Step("separation", "z", "", "T = 1  eta = log p[z]"),
    Step("log-density", "z", "z ~ Categorical(p)", "log p[z]"),
    Step("predictor", "x", "", "m = a + b", "below all is done in m"),
)

TEXT = """\
Example: an example

Complete-data log-likelihood
----------------------------
x
    log f(x | mu)
    => a
       + b

Its terms
---------
z [log-density]
    z ~ Categorical(p)
    => log p[z]
x [predictor]
    m = a + b
    below all is done in m

Parameters and data apart
-------------------------
z
    T = 1  eta = log p[z]

Q, the expected complete-data log-likelihood
--------------------------------------------
sum_j eta_j S_j

M-step
------
p [simplex]
    sum_k N[k] log p[k]
    => p[k] = N[k] / sum_j N[j]
    Lagrange, the shares sum to 1
mu, tau [closed form]
    mu = S1 / S0"""


def derivation() -> DerivationText:
    return DerivationText(Derivation(model(), (), (), (), STEPS))


def test_the_text() -> None:
    assert str(derivation()) == derivation().to_text() == TEXT
    assert derivation().steps == STEPS
    assert repr(derivation()) == "<Derivation of Example: 7 steps>"


def test_no_steps_no_sections() -> None:
    assert sections(()) == ()


def test_the_other_formats() -> None:
    found = derivation()
    assert found.to_markdown().startswith("# Example\n\nan example\n\n## Complete-data log-likelihood\n\n")
    assert found.to_latex().startswith("\\documentclass") and found.to_latex().endswith("\\end{document}")
    assert found.to_html().startswith("<!DOCTYPE html>\n") and found._repr_html_() in found.to_html()
    assert [found.written(form) for form in FORMATS] == [
        found.to_text(), found.to_markdown(), found.to_latex(), found.to_html()
    ]  # fmt: skip
