"""The module of NumPy source that a fit runs: formulas of every piece, the E-step over a block, the updates."""

from __future__ import annotations

from collections.abc import Sequence

from emdsl.ir.derivation import Derivation
from emdsl.plan.block_source import block_function
from emdsl.plan.formulas import (
    completion_functions,
    density_function,
    derivative_functions,
    eta_function,
    law_functions,
    names_in,
    statistic_function,
    update_function,
)
from emdsl.plan.nodes import Node
from emdsl.plan.vectors import parts_of

HEADER = '''"""EM for the model {name}: generated from its derivation, do not edit."""

import numpy as np

from emdsl.runtime.carriers import affine, affine_reverse, take, take_reverse, times_weight, weighted
from emdsl.runtime.drawn import drawn_log_sum_exp, drawn_log_sum_exp_reverse
from emdsl.runtime.functions import (
    Phi, abs_, at_most, atan2, below, cos, digamma, exp, i1_over_i0, lgamma, lgamma_step, log, log1p, log_Phi, log_i0,
    log_logistic, logistic, max_, min_, pi, polygamma, polygamma_step, probit, sign, sin, sqrt, tan, trigamma, where,
)
from emdsl.runtime.fused import take_fused, take_fused_reverse
from emdsl.runtime.kernels import (
    log_sum_exp, log_sum_exp_reverse, segment_sum, segment_sum_reverse, take_log,
)
from emdsl.runtime.openings import window_adjoints, window_emissions
from emdsl.runtime.pruned import pruned_log_sum_exp, pruned_log_sum_exp_reverse
from emdsl.runtime.scan import scan_forward, scan_reverse
from emdsl.runtime.selection import unseen, unseen_reverse
'''


#: Modules of functions that few models need, and what they hold.
FURTHER = {
    "emdsl.runtime.log_sums": (
        "interval_bend", "interval_slope", "log1mexp", "log_add", "log_interval", "log_subtract",
    ),
    "emdsl.runtime.tails": tuple(
        f"{kind}{name}"
        for kind in ("bend_", "", "slope_")
        for name in ("log_betabinomial", "log_betainc", "log_gammap", "log_gammaq", "log_laplace", "log_student")
    ),
}  # fmt: skip


def _further(sections: Sequence[Sequence[str]]) -> list[str]:
    """Imports of the functions that the formulas call beyond those of the header."""
    used = names_in(*(line for section in sections for line in section))
    lines = []
    for module, names in FURTHER.items():
        wanted = ", ".join(name for name in names if name in used)
        if wanted:
            lines.append(f"from {module} import {wanted}")
    return lines


def formula_source(derivation: Derivation) -> str:
    """The part of the module that binding needs: densities at points of continuous hidden variables, and
    the normal laws of these."""
    inside = {name for integral in derivation.integrals for name in integral.pieces}
    sections: list[Sequence[str]] = [HEADER.format(name="formulas").splitlines()]
    own = [piece for piece in derivation.pieces if piece.name in inside and piece.form in ("rows", "log-sum-exp")]
    sections += [density_function(piece) for piece in own]
    sections += [law_functions(piece) for piece in own if piece.law is not None]
    for piece in (piece for piece in derivation.pieces if piece.name in inside):
        for part, _ in parts_of(piece):
            sections += [density_function(part), derivative_functions(part)]
    sections[0] = [*sections[0], *_further(sections[1:])]
    return "\n\n\n".join("\n".join(section) for section in sections) + "\n"


def program_source(derivation: Derivation, root: Node, random_root: Node, weighted_root: Node | None) -> str:
    """The whole module as text. `weighted_root`: of sums over a few rows that stand for all, if there are any."""
    name = derivation.model.name
    sections: list[Sequence[str]] = [
        HEADER.format(name="".join(c for c in name if c.isprintable() and c not in '"\\')).splitlines()
    ]
    texts = {factor.name: factor.text for factor in derivation.model.factors}
    for piece in derivation.pieces:
        title = _comment(texts.get(piece.factor, piece.name))
        if piece.form == "separable":
            sections.append([title, *eta_function(piece)])
            if not piece.prior:
                sections.append(statistic_function(piece))
            if piece.shifts:
                sections.append(density_function(piece))
        elif piece.form in ("rows", "log-sum-exp"):
            sections.append([title, *density_function(piece)])
        if piece.form in ("separable", "rows", "log-sum-exp"):
            sections.append(derivative_functions(piece))
        if piece.completion is not None:
            sections.append(completion_functions(piece))
        for number, (part, _) in enumerate(parts_of(piece)):
            sections.append([*([title] if number == 0 else []), *density_function(part)])
            sections.append(derivative_functions(part))
    pieces = {piece.name: piece for piece in derivation.pieces}
    for update in derivation.updates:
        if update.rule in ("simplex", "bound", "closed form"):
            sections.append(update_function(update, pieces))
    sections.append(
        [
            "# E-step: log-evidence of a block of units forward, posterior weights in reverse",
            *block_function(root, "expectation"),
        ]
    )
    if weighted_root is not None:
        sections.append(
            [
                "# The same for a few rows that stand for all, each with its weight",
                *block_function(weighted_root, "weighted_expectation"),
            ]
        )
    sections.append(["# The first E-step of a random start", *block_function(random_root, "random_expectation")])
    sections[0] = [*sections[0], *_further(sections[1:])]
    return "\n\n\n".join("\n".join(section) for section in sections) + "\n"


def _comment(text: str) -> str:
    return "# " + " ".join(text.split())
