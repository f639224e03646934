"""What is expected of open cells of observed numbers that other laws look at: what all data say of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emdsl.ir.open_cells import mask_name
from emdsl.plan.posterior_laws import PosteriorLaws
from emdsl.predict.predictor import Predicted


def with_open_cells(name: str, elements: Sequence[Predicted], program: PosteriorLaws) -> str:
    """Puts the posterior means of the open cells of a variable in place of what its own law expects of them; `elements`
    are all of an array, in order. A note for the reader.
    """
    number = next(item for item in program.hidden_numbers if item.name == name)
    where = np.asarray(program.bound.values[mask_name(name)].array).reshape(len(elements), -1) != 0
    for element, here, mean in zip(elements, where, number.mean, strict=True):
        assert element.expected is not None and element.low is not None and element.high is not None
        element.expected[here] = mean[here]
        element.low[here] = element.high[here] = np.nan
    return (
        f"where a cell of {name} is open, what is expected of it is what all data say, without an interval: emdsl "
        "posterior gives its standard deviation"
    )
