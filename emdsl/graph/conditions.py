"""`given cond`: the condition that a unit met to be in the data."""

from __future__ import annotations

from emdsl.graph.expressions import number
from emdsl.graph.failures import failure
from emdsl.graph.names import Names
from emdsl.graph.values import scalar
from emdsl.ir.expressions import ParameterRef, VariableRef, walk
from emdsl.ir.model import Given
from emdsl.syntax import tree
from emdsl.syntax.printer import print_expr


def given(node: tree.GivenStmt, plate: str, names: Names) -> Given:
    """The condition of a plate: over finite observed variables, inputs and constants, at least one of them observed."""
    text = f"given {print_expr(node.condition)}"
    condition = scalar(number(node.condition, names.scope_of(plate), names), node.condition)
    observed = False
    for item in walk(condition):
        match item:
            case ParameterRef(name):
                raise failure("given", f"a condition is about what is observed, not about the parameter `{name}`", node)
            case VariableRef(name, _, lag):
                observed |= _check(name, lag, plate, node, names)
    if not observed:
        raise failure("given", f"`{text}` looks at nothing that is observed of each {plate}", node, "given y == 1")
    return Given(plate, condition, text)


def _check(name: str, lag: int, plate: str, node: tree.GivenStmt, names: Names) -> bool:
    """Whether a variable of the condition is observed of the unit. Raises where a condition cannot look at it."""
    head = names.heads[name] if name in names.heads else names.heads[name.rpartition(".")[0]]
    if lag:
        raise failure("given", f"a condition looks at its own unit, not at `prev({head.name})`", node)
    if head.kind == "input":
        return False
    if head.kind == "latent":
        raise failure(
            "given", f"a condition is about what is observed, and `{head.name}` is hidden", node,
            f"observed seen = {head.name}",
        )  # fmt: skip
    if head.domain.kind != "finite":
        raise failure(
            "given", f"a condition is about finite variables, and `{head.name}` is not finite", node,
            f"observed {head.name} ~ … truncated to (a, b)",
        )  # fmt: skip
    return head.plate == plate
