"""NumPy source of the E-step over one block of units: every node forward, then every node in reverse."""

from __future__ import annotations

from collections.abc import Sequence

from emdsl.plan.named import START
from emdsl.plan.nodes import (
    Add,
    Affine,
    Beginning,
    FirstRows,
    Indicator,
    LogSumExp,
    Node,
    Potential,
    Power,
    Quadratic,
    RowDensity,
    Scan,
    SegmentSum,
    Table,
    Take,
    Unseen,
    in_order,
)

#: Nodes whose array nobody else holds, so that a sum may be formed in place.
_FRESH = (Affine, Take, RowDensity, Quadratic, LogSumExp, SegmentSum, Power, Scan, FirstRows, Unseen, Beginning)


def block_function(root: Node, name: str) -> list[str]:
    """`NAME(t, c, b, S)` adds the statistics of block `b` to `S` and returns its log-evidence.

    `t` holds the eta tables by node, `c` the bound data by node, `b` the block's ranges.
    """
    nodes = in_order(root)
    lines = [f"def {name}(t, c, b, S):"]
    for node in nodes:
        lines += [f"    {line}" for line in _forward(node)]
    lines.append("    # in reverse: posterior weights, and the statistics that they give")
    lines.append(f"    a{root.number} = np.ones_like(n{root.number})")
    several = any(START in node.axes for node in nodes)
    for node in reversed(nodes):
        if several and isinstance(node, Affine | Take | RowDensity | Quadratic) and START not in node.axes:
            continue  # no parameter occurs in it, so nothing waits for its statistics
        lines += [f"    {line}" for line in _reverse(node)]
    lines.append(f"    return n{root.number}.sum(axis=-1)")
    return lines


def _comment(node: Node) -> str:
    inside = ", ".join((*node.axes, f"units of level {node.level}") if node.rows else node.axes)
    return f"  # {type(node).__name__} ({inside})"


def _rows(node: Node) -> str:
    return f"b.rows[{node.level}]"


def _forward(node: Node) -> list[str]:
    n = f"n{node.number}"
    match node:
        case Table():
            return [f"{n} = t[{node.number}]{_comment(node)}"]
        case Affine():
            return [f"{n} = affine(t[{node.number}], c[{node.number}], {_rows(node)}){_comment(node)}"]
        case Take():
            return [f"{n} = take(t[{node.number}], c[{node.number}], {_rows(node)}){_comment(node)}"]
        case Indicator():
            return [f"{n} = take_log(c[{node.number}].table, c[{node.number}].code[:, {_rows(node)}]){_comment(node)}"]
        case RowDensity():
            return [f"{n} = t[{node.number}].forward({_rows(node)}){_comment(node)}"]
        case Quadratic():
            return [f"{n} = t[{node.number}].forward({_rows(node)}){_comment(node)}"]
        case Potential():
            return [f"{n} = c[{node.number}][..., {_rows(node)}]{_comment(node)}"]
        case Add():
            return _add(node)
        case LogSumExp():
            over = tuple(node.source.axes.index(axis) for axis in node.over)
            return [f"{n}, s{node.number} = log_sum_exp(n{node.source.number}, {over}){_comment(node)}"]
        case Power():
            unit = "" if node.source.rows else "[..., None]"
            weights = f"c[{node.number}][{_rows(node.source)}]"
            return [f"{n} = times_weight(n{node.source.number}{unit}, {weights}){_comment(node)}"]
        case SegmentSum():
            source = f"n{node.source.number}"
            if not node.source.rows:
                return [f"{n} = {source}[..., None] * b.counts[{node.source.level}]{_comment(node)}"]
            return [f"{n} = segment_sum({source}, b.starts[{node.source.level}]){_comment(node)}"]
        case Unseen():
            return [f"{n} = unseen(n{node.source.number}){_comment(node)}"]
        case Beginning(source=source):
            where = f"b.first[{source.level}], {_places(node)}"
            return [f"{n} = first_units(n{source.number}, {where}){_comment(node)}"]
        case FirstRows():
            return [f"{n} = n{node.source.number}[..., b.first[{node.source.level}]]{_comment(node)}"]
        case Scan():
            return _scan(node)
    raise AssertionError(type(node).__name__)


def _aligned(name: str, node: Node, axes: Sequence[str], rows: bool) -> str:
    """`name` viewed on `axes` (and rows): transposed, missing axes of length 1."""
    order = [node.axes.index(axis) for axis in axes if axis in node.axes]
    text = name
    if order != sorted(order):
        full = [*order, len(order)] if node.rows else order
        text += f".transpose({', '.join(map(str, full))})"
    picks = [":" if axis in node.axes else "None" for axis in axes]
    if rows:
        picks.append(":" if node.rows else "None")
    if "None" in picks:
        text += f"[{', '.join(picks)}]"
    return text


def _add(node: Add) -> list[str]:
    n = f"n{node.number}"
    base = next((i for i in node.inputs if isinstance(i, _FRESH) and i.axes == node.axes and i.rows == node.rows), None)
    lines = []
    rest = [item for item in node.inputs if item is not base]
    if base is not None:
        lines.append(f"{n} = n{base.number}{_comment(node)}")
    else:
        sizes = [f"c.size[{axis!r}]" for axis in node.axes] + ([f"b.n[{node.level}]"] if node.rows else [])
        shape = f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"
        first = [_aligned(f"n{item.number}", item, node.axes, node.rows) for item in rest[:2]]
        lines.append(f"{n} = np.empty({shape}){_comment(node)}")
        if not rest:
            lines.append(f"{n}[...] = 0.0")
        elif len(rest) > 1:
            lines.append(f"np.add({first[0]}, {first[1]}, out={n})")
        else:
            lines.append(f"{n}[...] = {first[0]}")
        rest = rest[2:]
    lines += [f"{n} += {_aligned(f'n{item.number}', item, node.axes, node.rows)}" for item in rest]
    return lines


def _scan(node: Scan) -> list[str]:
    number = node.number
    k = f"k{number}"
    return [
        f"o{number}, {k} = {_product(node.axes)}, {_product(node.states)}",
        f"n{number}, s{number} = scan_forward(",
        f"    n{node.first.number}.reshape(o{number}, {k}{', -1' if node.first.rows else ''}),",
        f"    n{node.step.number}.reshape(o{number}, {k}, {k}{', -1' if node.step.rows else ''}),",
        f"    {_emission(node)},",
        f"    b.layouts[{node.level + 1}],",
        ")",
        f"n{number} = n{number}.reshape({_shape(node.axes)}-1){_comment(node)}",
    ]


def _emission(node: Scan) -> str:
    if node.emit is None:
        return "None"
    return f"n{node.emit.number}.reshape(o{node.number}, k{node.number}, -1)"


def _product(axes: Sequence[str]) -> str:
    return " * ".join(f"c.size[{axis!r}]" for axis in axes) or "1"


def _shape(axes: Sequence[str]) -> str:
    return "".join(f"c.size[{axis!r}], " for axis in axes)


def _reverse(node: Node) -> list[str]:
    a = f"a{node.number}"
    match node:
        case Table():
            return [f"S[{node.number}] += {a}"]
        case Affine():
            return [f"S[{node.number}] += affine_reverse({a}, c[{node.number}], {_rows(node)}, b)"]
        case Take():
            return [f"S[{node.number}] += take_reverse({a}, c[{node.number}], {_rows(node)}, b)"]
        case RowDensity():
            return [f"S[{node.number}][..., {_rows(node)}] = weighted({a}, {_rows(node)}, {node.level}, b)"]
        case Quadratic():
            weights = f"weighted({a}, {_rows(node)}, {node.level}, b)"
            return [f"t[{node.number}].collect(S[{node.number}], {weights}, {_rows(node)})"]
        case Potential():
            return [f"S[{node.number}][..., {_rows(node)}] = {a}"]
        case Indicator():
            return []
        case Add():
            return [f"a{item.number} = {_reduced(a, node, item)}" for item in node.inputs]
        case LogSumExp():
            return [f"a{node.source.number} = log_sum_exp_reverse(s{node.number}, {a})"]
        case Power():
            total = "" if node.source.rows else ".sum(axis=-1)"
            return [f"a{node.source.number} = ({a} * c[{node.number}][{_rows(node.source)}]){total}"]
        case SegmentSum():
            if not node.source.rows:
                return [f"a{node.source.number} = {a} @ b.counts[{node.source.level}]"]
            return [f"a{node.source.number} = segment_sum_reverse({a}, b.starts[{node.source.level}])"]
        case Unseen():
            return [f"a{node.source.number} = unseen_reverse(n{node.source.number}, {a})"]
        case Beginning(source=source):
            # The scan looks at the same table: its adjoint is there already.
            where = f"b.first[{source.level}], {_places(node)}"
            return [f"a{source.number} = first_units_reverse(a{source.number}, {a}, {where})"]
        case FirstRows():
            source = node.source
            return [
                f"a{source.number} = np.zeros(n{source.number}.shape)",
                f"a{source.number}[..., b.first[{source.level}]] = {a}",
            ]
        case Scan():
            return _scan_reverse(node)
    raise AssertionError(type(node).__name__)


def _places(node: Beginning) -> str:
    return str(tuple(node.source.axes.index(axis) for axis in node.over))


def _scan_reverse(node: Scan) -> list[str]:
    number = node.number
    lines = [f"d = scan_reverse(s{number}, a{number}.reshape(o{number}, -1))"]
    lines.append(f"a{node.first.number} = d[0].reshape(n{node.first.number}.shape)")
    lines.append(f"a{node.step.number} = d[1].reshape(n{node.step.number}.shape)")
    if node.emit is not None:
        lines.append(f"a{node.emit.number} = d[2].reshape(n{node.emit.number}.shape)")
    return lines


def _reduced(name: str, total: Node, item: Node) -> str:
    """The adjoint of a sum, for one of its inputs: summed over the axes that it lacks, in its own order of axes."""
    missing = [k for k, axis in enumerate(total.axes) if axis not in item.axes]
    if total.rows and not item.rows:
        if isinstance(item, Table):
            # Outside a fit's own data rows count by their weight in the start, see `weighted`.
            name = f"weighted({name}, b.rows[{total.level}], {total.level}, b)"
        missing.append(len(total.axes))
    text = name if not missing else f"{name}.sum(axis={tuple(missing)})"
    kept = [axis for axis in total.axes if axis in item.axes]
    order = [kept.index(axis) for axis in item.axes]
    if order != sorted(order):
        full = [*order, len(order)] if item.rows else order
        text += f".transpose({', '.join(map(str, full))})"
    return text
