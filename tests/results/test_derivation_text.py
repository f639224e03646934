from __future__ import annotations

import pytest

from emdsl.diagnostics.errors import EmmError
from emdsl.ir.derivation import Derivation, Step
from emdsl.results.derivation_text import DerivationText, derivation_sections
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
    assert derivation_sections(()) == []


def test_other_formats_are_refused() -> None:
    for write, name in ((derivation().to_latex, "LaTeX"), (derivation().to_html, "HTML")):
        with pytest.raises(EmmError) as caught:
            write()
        assert str(caught.value) == (
            f"error[not-available]: a derivation as {name} is not available in this version of emdsl"
        )
