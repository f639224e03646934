"""How deep a tree nests: later stages follow the tree by recursion, so that a chain of thousands is refused here."""

from __future__ import annotations

from emdsl.diagnostics.errors import EmmError
from emdsl.syntax import tree

#: Operators, calls and branches within one another (`a + b + c` are two).
DEEPEST_TREE = 200


def check_depth(module: tree.Module) -> None:
    """Raises `EmmError` where the tree nests deeper than `DEEPEST_TREE`; itself it does not recurse."""
    waiting: list[tuple[object, int]] = [(module, 0)]
    while waiting:
        item, depth = waiting.pop()
        if isinstance(item, tuple):
            waiting += [(part, depth) for part in item if isinstance(part, (tuple, tree.Node))]
        elif isinstance(item, tree.Node):
            if depth > DEEPEST_TREE:
                raise EmmError(
                    "nested-too-deeply", f"this expression nests more than {DEEPEST_TREE} operators",
                    span=item.span, label="too deep",
                    help="give the inner parts names with `let`, or use `sum(i in idx: ...)`",
                )  # fmt: skip
            waiting += [(part, depth + 1) for part in vars(item).values() if isinstance(part, (tuple, tree.Node))]
