"""The distributions that come with the language."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from emdsl.families.categorical import Categorical
from emdsl.families.dirichlet import Dirichlet
from emdsl.families.family import Family
from emdsl.families.genotype import HardyWeinberg
from emdsl.families.markov import Markov
from emdsl.families.multinomial import Multinomial
from emdsl.families.mvnormal import MVNormal
from emdsl.families.ordinal import Ordinal
from emdsl.families.point import Point
from emdsl.families.wishart import InverseWishart

#: Those whose values are labels, vectors or matrices; the scalar ones are declared in `scalar.emm`.
BUILT_IN: tuple[Family, ...] = (
    Categorical(),
    Markov(),
    HardyWeinberg(),
    Point(),
    Multinomial(),
    Ordinal("OrderedLogistic", "logistic"),
    Ordinal("OrderedProbit", "Phi"),
    MVNormal(),
    Dirichlet(),
    InverseWishart(),
)


@cache
def scalar_declarations() -> str:
    """The text of `scalar.emm`, the scalar distributions declared in the language itself."""
    return Path(__file__).with_name("scalar.emm").read_text(encoding="utf-8")
