"""Units that had to meet a condition to be in the data: how EM makes up for those that did not."""

from __future__ import annotations

from collections.abc import Iterator

from emdsl.derive.scopes import Reading, weight_names
from emdsl.ir.derivation import Step
from emdsl.ir.model import Model


def selection_steps(model: Model, reading: Reading) -> Iterator[Step]:
    """One step for each plate with a condition: the expected number of units passed over, and what it adds."""
    for plate in dict.fromkeys(given.plate for given in model.givens):
        conditions = [given.text.removeprefix("given ") for given in model.givens if given.plate == plate]
        condition = " and ".join(f"({text})" if len(conditions) > 1 else text for text in conditions)
        weight = "".join(f"{name}*" for name in weight_names(plate, model))
        p = reading.chance
        yield Step(
            "selection",
            plate,
            f"the likelihood of each {plate} is divided by {p} = P({condition})",
            f"E[number passed over for each {plate} in the data] = {weight}(1 - {p})/{p}",
            f"those passed over follow the model given that the condition fails: each statistic T below gains {weight}"
            f"(1 - {p})/{p}*E[T | not ({condition})]\n"
            "their number is geometric (Dempster, Laird & Rubin 1977), so each M-step stays as it is and the "
            "log-likelihood never falls",
        )
