"""NumPy source of the E-step over one block of units: every node forward, then every node in reverse."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from emdsl.plan.named import START
from emdsl.plan.nodes import (
    Add,
    Affine,
    CodedLogSumExp,
    Crossing,
    DrawnLogSumExp,
    FirstRows,
    Fused,
    Indicator,
    LogSumExp,
    Node,
    Opening,
    Potential,
    Power,
    PrunedLogSumExp,
    Quadratic,
    RowDensity,
    Scan,
    SegmentSum,
    Table,
    Take,
    Unseen,
    in_order,
    inputs,
)

#: Nodes whose array nobody else holds, so that a sum may be formed in place.
_FRESH = (
    Affine, Take, Fused, RowDensity, Quadratic, LogSumExp, CodedLogSumExp, DrawnLogSumExp, PrunedLogSumExp,
    SegmentSum, Power, Scan, FirstRows, Unseen, Opening,
)  # fmt: skip


#: Nodes that hold log-factors of the model.
FACTORS = (Table, Affine, Take, Fused, RowDensity, Quadratic)


def block_function(root: Node, name: str, *, factors_alone: bool = False) -> list[str]:
    """`NAME(t, c, b, S)` adds the statistics of block `b` to `S` and returns its log-evidence.

    `t` holds the eta tables by node, `c` the bound data by node, `b` the block's ranges. `factors_alone`: in the place
    of the statistics the expected sum of all log-factors is added to `S["expected"]`.
    """
    nodes = in_order(root)
    users = Counter(item.number for node in nodes for item in inputs(node))
    lines = [f"def {name}(t, c, b, S):"]
    for node in nodes:
        lines += [f"    {line}" for line in (_add(node, users) if isinstance(node, Add) else _forward(node))]
    lines.append("    # in reverse: posterior weights, and the statistics that they give")
    lines.append(f"    a{root.number} = np.ones_like(n{root.number})")
    given: set[int] = set()  # nodes whose adjoint another user has passed on already
    several = any(START in node.axes for node in nodes)
    for node in reversed(nodes):
        if several and isinstance(node, Affine | Take | Fused | RowDensity | Quadratic) and START not in node.axes:
            continue  # no parameter occurs in it, so nothing waits for its statistics
        lines += [f"    {line}" for line in (_expected(node) if factors_alone else _reverse(node))]
        if isinstance(node, Add | Scan | Opening | Crossing):
            lines += [f"    {line}" for line in _passed(node, given)]
            given.update(item.number for item in inputs(node))
    lines.append(f"    return n{root.number}.sum(axis=-1)")
    return lines


def evidence_function(sources: Sequence[Node], name: str) -> list[str]:
    """`NAME(t, c, b)` returns the sum of these nodes: the log-evidence of each unit of a block."""
    nodes = list({node.number: node for source in sources for node in in_order(source)}.values())
    users = Counter(item.number for node in nodes for item in inputs(node))
    lines = [f"def {name}(t, c, b):"]
    for node in nodes:
        lines += [f"    {line}" for line in (_add(node, users) if isinstance(node, Add) else _forward(node))]
    lines.append("    return " + " + ".join(f"n{source.number}" for source in sources))
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
        case Fused():
            return [f"{n} = take_fused(t[{node.number}], c[{node.number}], {_rows(node)}){_comment(node)}"]
        case CodedLogSumExp():
            return [f"{n} = take(t[{node.number}].table, c[{node.number}], {_rows(node)}){_comment(node)}"]
        case Indicator():
            return [f"{n} = take_log(c[{node.number}].table, c[{node.number}].code[:, {_rows(node)}]){_comment(node)}"]
        case RowDensity():
            return [f"{n} = t[{node.number}].forward({_rows(node)}){_comment(node)}"]
        case Quadratic():
            return [f"{n} = t[{node.number}].forward({_rows(node)}){_comment(node)}"]
        case Potential():
            return [f"{n} = c[{node.number}][..., {_rows(node)}]{_comment(node)}"]
        case LogSumExp():
            over = tuple(node.source.axes.index(axis) for axis in node.over)
            return [f"{n}, s{node.number} = log_sum_exp(n{node.source.number}, {over}){_comment(node)}"]
        case DrawnLogSumExp():
            arguments = f"{node.source.axes.index(node.over)}, c[{node.number}], {_rows(node)}"
            return [f"{n}, s{node.number} = drawn_log_sum_exp(n{node.source.number}, {arguments}){_comment(node)}"]
        case PrunedLogSumExp():
            return _pruned(node)
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
        case FirstRows():
            return [f"{n} = n{node.source.number}[..., b.first[{node.source.level}]]{_comment(node)}"]
        case Opening():
            arrays = _arrays(node.tables)
            return [f"{n} = c[{node.number}].forward(({arrays}), b.layouts[{node.level + 1}]){_comment(node)}"]
        case Scan():
            return _scan(node)
        case Crossing():
            starts = "".join(f"{START in item.axes}, " for item in node.inputs)
            forward = f"c[{node.number}].forward(({_arrays(node.inputs)}), ({starts}))"
            return [f"{n}, s{node.number} = {forward}{_comment(node)}"]
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


def _add(node: Add, users: Mapping[int, int]) -> list[str]:
    n = f"n{node.number}"
    own = [item for item in node.inputs if isinstance(item, _FRESH) and users[item.number] == 1]
    base = next((i for i in own if i.axes == node.axes and i.rows == node.rows), None)
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
    number, layout = node.number, f"b.layouts[{node.level + 1}]"
    k = f"k{number}"
    lines = [f"o{number}, {k} = {_product(node.axes)}, {_product(node.states)}"]
    states = k
    if node.memory > 1:
        lines.append(f"w{number}, h{number} = {layout}.windows({node.memory}), {k} ** {node.memory}")
        layout, states = f"w{number}.layout", f"h{number}"
    rows = f"[..., w{number}.rows]" if node.memory > 1 else ""
    return [
        *lines,
        f"n{number}, s{number} = scan_forward(",
        f"    n{node.first.number}.reshape(o{number}, {states}{', -1' if node.first.rows else ''}),",
        f"    n{node.step.number}.reshape(o{number}, {states}, {k}{f', -1){rows}' if node.step.rows else ')'},",
        f"    {_emission(node)},",
        f"    {layout},",
        ")",
        f"n{number} = n{number}.reshape({_shape(node.axes)}-1){_comment(node)}",
    ]


def _emission(node: Scan) -> str:
    if node.emit is None:
        return "None"
    emission = f"n{node.emit.number}.reshape(o{node.number}, k{node.number}, -1)"
    return emission if node.memory == 1 else f"window_emissions({emission}, w{node.number})"


def _pruned(node: PrunedLogSumExp) -> list[str]:
    tables = [_aligned(f"n{item.number}", item, (*node.axes, *_own(node, item)), False) for item in node.inputs]
    listed = ", ".join(tables) + ("," if len(tables) == 1 else "")
    arguments = f"({listed}), c[{node.number}], {_rows(node)}"
    return [f"n{node.number}, s{node.number} = pruned_log_sum_exp({arguments}){_comment(node)}"]


def _own(node: PrunedLogSumExp, item: Node) -> tuple[str, ...]:
    """The variables of a pruned sum that one of its inputs looks at."""
    return tuple(axis for axis in node.over if axis in item.axes)


def _pruned_reverse(node: PrunedLogSumExp) -> list[str]:
    number, lines = node.number, []
    lines.append(f"d = pruned_log_sum_exp_reverse(s{number}, a{number}, c[{number}], {_rows(node)}, b)")
    for place, item in enumerate(node.inputs):
        # Back from the axes of the sum: those that the input lacks have length 1.
        full = (*node.axes, *_own(node, item))
        kept = [axis for axis in full if axis in item.axes]
        absent = tuple(k for k, axis in enumerate(full) if axis not in item.axes)
        text = f"d[{place}]" + (f".squeeze({absent})" if absent else "")
        order = [kept.index(axis) for axis in item.axes]
        if order != sorted(order):
            text += f".transpose({', '.join(map(str, [*order, len(order)] if item.rows else order))})"
        lines.append(f"a{item.number} = {text}")
    return lines


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
        case Take() | CodedLogSumExp():
            return [f"take_reverse({a}, c[{node.number}], {_rows(node)}, b, S[{node.number}])"]
        case Fused():
            return [f"take_fused_reverse({a}, c[{node.number}], {_rows(node)}, b, S[{node.number}])"]
        case RowDensity():
            return [f"S[{node.number}][..., {_rows(node)}] = weighted({a}, {_rows(node)}, {node.level}, b)"]
        case Quadratic():
            weights = f"weighted({a}, {_rows(node)}, {node.level}, b)"
            return [f"t[{node.number}].collect(S[{node.number}], {weights}, {_rows(node)})"]
        case Potential():
            return [f"S[{node.number}][..., {_rows(node)}] = {a}"]
        case Indicator():
            return []
        case Add() | Opening() | Crossing():
            return []
        case LogSumExp():
            return [f"a{node.source.number} = log_sum_exp_reverse(s{node.number}, {a})"]
        case DrawnLogSumExp():
            axis = node.source.axes.index(node.over)
            return [f"a{node.source.number} = drawn_log_sum_exp_reverse(s{node.number}, {axis}, {a})"]
        case PrunedLogSumExp():
            return _pruned_reverse(node)
        case Power():
            total = "" if node.source.rows else ".sum(axis=-1)"
            return [f"a{node.source.number} = ({a} * c[{node.number}][{_rows(node.source)}]){total}"]
        case SegmentSum():
            if not node.source.rows:
                return [f"a{node.source.number} = {a} @ b.counts[{node.source.level}]"]
            return [f"a{node.source.number} = segment_sum_reverse({a}, b.starts[{node.source.level}])"]
        case Unseen():
            return [f"a{node.source.number} = unseen_reverse(n{node.source.number}, {a})"]
        case FirstRows():
            source = node.source
            return [
                f"a{source.number} = np.zeros(n{source.number}.shape)",
                f"a{source.number}[..., b.first[{source.level}]] = {a}",
            ]
        case Scan():
            return _scan_reverse(node)
    raise AssertionError(type(node).__name__)


def _expected(node: Node) -> list[str]:
    """The expected log-factors of a leaf, evaluated anew, for sums may have been formed in their place."""
    if isinstance(node, FACTORS):
        return [*_forward(node), f"S['expected'] += expected_log(a{node.number}, n{node.number})"]
    return _reverse(node)


def _scan_reverse(node: Scan) -> list[str]:
    number = node.number
    lines = [f"d = scan_reverse(s{number}, a{number}.reshape(o{number}, -1))"]
    if node.memory > 1:
        rows, emission = int(node.step.rows), int(node.emit is not None)
        lines.append(f"d = window_adjoints(d, w{number}, k{number}, {rows}, {emission})")
    return lines


def _arrays(nodes: Sequence[Node]) -> str:
    return "".join(f"n{item.number}, " for item in nodes)


def _passed(node: Add | Scan | Opening | Crossing, given: set[int]) -> list[str]:
    """What a node passes on to its inputs, each of which may have other users."""
    match node:
        case Add():
            found = [(item, _reduced(f"a{node.number}", node, item)) for item in node.inputs]
        case Scan():
            sources = (node.first, node.step) if node.emit is None else (node.first, node.step, node.emit)
            found = [(item, f"d[{k}].reshape(n{item.number}.shape)") for k, item in enumerate(sources)]
        case Crossing():
            found = [(item, f"d[{k}]") for k, item in enumerate(node.inputs)]
            return [f"d = s{node.number}.reverse(a{node.number})", *_given(found, given)]
        case Opening():
            arrays = _arrays(node.tables)
            layout = f"b.layouts[{node.level + 1}]"
            reverse = f"d = c[{node.number}].reverse(({arrays}), {layout}, a{node.number})"
            return [reverse, *_given([(item, f"d[{k}]") for k, item in enumerate(node.tables)], given)]
    return _given(found, given)


def _given(found: Sequence[tuple[Node, str]], given: set[int]) -> list[str]:
    return [
        f"a{item.number} = {f'a{item.number} + ' if item.number in given else ''}{text}" for item, text in found
    ]  # fmt: skip


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
