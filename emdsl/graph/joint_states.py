"""How many joint states of hidden variables a law looks at, where the model alone says it: what no machine can
enumerate is refused before it is derived."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from emdsl.diagnostics.errors import EmmError
from emdsl.graph.failures import failure
from emdsl.graph.names import Names
from emdsl.ir.expressions import VariableRef, walk
from emdsl.ir.model import Factor, Variable
from emdsl.syntax import tree
from emdsl.syntax.printer import print_expr

#: A law that looks at more joint states than these has no table on any machine; whether fewer fit is known with the
#: data.
MOST_JOINT_STATES = 1_000_000_000


def too_many_states(
    node: tree.Statement, factors: Iterable[Factor], variables: Iterable[Variable], names: Names
) -> Iterator[EmmError]:
    """An error for the statement if one of its factors joins too many hidden variables."""
    hidden = {variable.name: variable for variable in variables if variable.kind == "latent"}
    for factor in factors:
        if not _is_of(factor, node):
            continue
        scope = {
            (item.name, item.lag)
            for item in walk((factor.branches, factor.target))
            if isinstance(item, VariableRef) and item.name in hidden
        }
        sizes = [len(names.static_labels(hidden[name].values or "") or ()) or 1 for name, _ in scope]
        total = 1
        for size in sizes:
            total *= size
        if total > MOST_JOINT_STATES:
            name = factor.name if factor.target is None else factor.target.name
            yield failure(
                "too-large",
                f"`{name}` looks at {len(scope)} hidden variables at once, which have {_shown(total)} joint "
                "states: too many to sum over",
                node,
                "let fewer hidden variables enter one law, or give them fewer values",
            )
            return


def _is_of(factor: Factor, node: tree.Statement) -> bool:
    name = None if factor.target is None else factor.target.name.partition(".")[0]
    match node:
        case tree.LatentStmt(drawn):
            return name in drawn
        case tree.ObservedStmt(drawn_name):
            return name == drawn_name
        case tree.FactorStmt(value):
            return name is None and factor.text == f"factor {print_expr(value)}"
    return False


def _shown(number: int) -> str:
    return f"{number:,}" if number < 10**15 else f"{float(number):.0e}"
