"""Latent counts: finite variables whose values are the numbers from 0, or from below 0, to a bound."""

from __future__ import annotations

from collections.abc import Iterator

from emdsl.families.categorical import FINITE
from emdsl.families.family import Support
from emdsl.graph.constants import exact_value, is_whole
from emdsl.graph.expressions import number
from emdsl.graph.failures import failure
from emdsl.graph.laws import laws
from emdsl.graph.names import Names, Scope
from emdsl.graph.values import scalar
from emdsl.ir.expressions import Expression
from emdsl.ir.model import Counts, IndexSet
from emdsl.syntax import tree


def bounds(node: tree.LatentStmt | tree.ObservedStmt) -> Iterator[tree.UpTo]:
    """Every `up to` of a statement's law, those of a case's branches too."""
    written = node.law
    for part in (written.first, written.after) if isinstance(written, tree.ChainLaw) else (written,):
        if part is not None:
            found = [*part.modifiers, *(item for law in laws(part) if law is not part for item in law.modifiers)]
            yield from (item for item in found if isinstance(item, tree.UpTo))


def counted(found: Support, name: str, node: tree.Node, names: Names) -> Support:
    """The support of a latent count as a finite one, over an index set of its own under the variable's name; any other
    support as it is. Raises where `up to` bounds something else."""
    if not isinstance(node, tree.LatentStmt | tree.ObservedStmt):
        return found
    written = tuple(bounds(node))
    if not isinstance(node, tree.LatentStmt) or found.domain.kind not in ("natural", "integer"):
        if written:
            seen = isinstance(node, tree.ObservedStmt)
            what = f"the values of `{name}` are observed" if seen else "it draws no counts"
            raise failure("up-to", f"`up to` bounds a latent count: {what}", written[0])
        return found
    tops = list(dict.fromkeys(_top(item, names) for item in written))
    if len(tops) > 1:
        raise failure("up-to", f"`{name}` has two bounds", written[1], "the same `up to` in every branch")
    label_set = name
    while label_set in names.index_sets or label_set in names.plates:
        label_set += "'"
    top = tops[0] if tops else None
    signed = found.domain.kind == "integer"
    names.index_sets[label_set] = IndexSet(label_set, Counts(top, signed))
    last = None if top is None else exact_value(top, names)
    values = None if last is None else range(-int(last) if signed else 0, int(last) + 1)
    names.sizes[label_set] = None if values is None else tuple(map(str, values))
    return Support(FINITE, label_set)


def _top(node: tree.UpTo, names: Names) -> Expression:
    expression = scalar(number(node.bound, Scope(locals={}), names), node.bound)
    value = exact_value(expression, names)
    if value is not None and not (is_whole(value) and value >= 1):
        raise failure("up-to", f"the bound of a latent count is a whole number of 1 or more, found {value}", node)
    return expression
