"""The order in which hidden variables are summed out, the tables that this takes, and what an E-step costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from emdsl.data.bound import Bound
from emdsl.data.wording import count_of
from emdsl.ir.derivation import Derivation, Integral, Piece
from emdsl.ir.expressions import ConstantRef, Expression, Number, VariableRef, walk
from emdsl.ir.latents import home_plate
from emdsl.ir.model import Labels, Model, Range
from emdsl.plan.crossing import base
from emdsl.plan.evaluation import axis_of
from emdsl.plan.leaves import codes_of
from emdsl.plan.nodes import (
    Add,
    Affine,
    CodedLogSumExp,
    Crossing,
    DrawnLogSumExp,
    Fused,
    LogSumExp,
    Node,
    PrunedLogSumExp,
    Quadratic,
    RowDensity,
    Scan,
    SegmentSum,
    Take,
)
from emdsl.plan.program import Program
from emdsl.plan.pruning import states_of
from emdsl.plan.unrolling import CHOSEN
from emdsl.runtime.crossing import CrossedSum
from emdsl.runtime.openings import label_before, lag_of
from emdsl.runtime.pruned import PossibleStates


@dataclass(frozen=True)
class Elimination:
    """Hidden variables of a plate summed out of a table over `axes` (`z`, or `z@1` for its value a unit before)."""

    plate: str | None
    variables: tuple[str, ...]
    axes: tuple[str, ...]
    chained: bool = False
    possible: PossibleStates | None = None
    crossed: CrossedSum | None = None


def sizes_without_data(model: Model) -> dict[str, int | None]:
    """The number of labels of each index set; None where only the data tell."""
    return {item.name: _size(item.source, model) for item in model.index_sets}


def _size(source: object, model: Model) -> int | None:
    match source:
        case Labels(labels):
            return len(labels)
        case Range(low, high):
            ends = _whole(low, model), _whole(high, model)
            return None if ends[0] is None or ends[1] is None else ends[1] - ends[0] + 1
    return None


def _whole(expression: Expression, model: Model) -> int | None:
    match expression:
        case Number(value) if value == int(value):
            return int(value)
        case ConstantRef(name, ()):
            given = model.constant(name).value
            return _whole(given, model) if isinstance(given, Number | ConstantRef) else None
    return None


# --- from the structure alone -----------------------------------------------------------------------------------------


def eliminations(derivation: Derivation) -> list[Elimination]:
    """The plan as the model's structure gives it, innermost plate first, sizes unknown."""
    model = derivation.model
    scopes: dict[str | None, list[set[str]]] = {}
    integrated = [item for item in derivation.integrals if item.method != "grid"]
    continuous = {name for item in integrated for name in item.latents}
    inside = {name for item in integrated for name in item.pieces}
    for piece in derivation.pieces:
        if not piece.prior and piece.name not in inside:
            scopes.setdefault(piece.plate, []).append(_hidden(piece, model))
    for item in integrated:
        own = _union([_hidden(piece, model) for piece in derivation.pieces if piece.name in item.pieces])
        left = {axis for axis in own if axis.partition("@")[0] not in continuous}
        scopes.setdefault(_home(item, model), []).append(left)
    for map_ in model.maps:
        scopes.setdefault(map_.plate, []).append(_hidden_in(map_.value, model))
    found: list[Elimination] = []
    outer: list[set[str]] = []
    for plate in [*(item.name for item in reversed(model.plates)), None]:
        tables = [scope for scope in [*scopes.get(plate, []), *outer] if scope]
        latents = [
            v.name
            for v in model.variables
            if v.kind == "latent" and v.plate == plate and not v.components and v.name not in continuous
        ]
        lagged = {axis for scope in tables for axis in scope if "@" in axis and axis.partition("@")[0] in latents}
        looked_back_at = {axis.partition("@")[0] for axis in lagged}
        beside = _beside(derivation, looked_back_at)
        chain = [name for name in latents if name in looked_back_at | beside]
        for name in sorted((n for n in latents if n not in chain), key=lambda n: _joint(n, tables)):
            axes = _union([scope for scope in tables if name in scope]) | {name}
            found.append(Elimination(plate, (name,), _ordered(axes, model)))
            tables = [scope for scope in tables if name not in scope] + [axes - {name}]
        if chain:
            memory = max(map(lag_of, lagged))
            axes = _union(tables) | {label_before(name, lag) for name in chain for lag in range(memory + 1)}
            found.append(Elimination(plate, tuple(chain), _ordered(axes, model), chained=True))
            tables = [{axis for axis in axes if axis.partition("@")[0] not in chain}]
        outer = [scope for scope in tables if scope]
    return found


def _beside(derivation: Derivation, chain: set[str]) -> set[str]:
    """What the laws of these hidden variables look at that hold for the first units of a chain alone, or for the others
    alone: it is part of the chain's state."""
    laws = [p for p in derivation.pieces if p.target is not None and p.target.name in chain and p.when != "always"]
    looked_at = {axis for piece in laws for axis in _hidden(piece, derivation.model) if "@" not in axis}
    return {name for name in looked_at if derivation.model.variable(name).values is not None}


def _home(integral: Integral, model: Model) -> str | None:
    """The plate of the units of an integral: around a chain; None where it is across the whole data set."""
    plates = {model.variable(name).plate for name in integral.latents}
    if len(plates) > 1:
        return home_plate(integral.latents, integral.lag, model) if integral.method == "gaussian" else None
    (plate,) = plates
    parent = {item.name: item.parent for item in model.plates}
    return parent[plate] if integral.lag and plate is not None else plate


def _joint(name: str, tables: Sequence[set[str]]) -> int:
    return len(_union([scope for scope in tables if name in scope]))


def _union(scopes: Sequence[set[str]]) -> set[str]:
    return set().union(*scopes)


def _hidden(piece: Piece, model: Model) -> set[str]:
    parts = (piece.atoms, tuple(k.value for k in piece.knowns), piece.guards, piece.vector, piece.stationary,
             piece.multiplier)  # fmt: skip
    return _hidden_in(parts, model)


def _hidden_in(parts: object, model: Model) -> set[str]:
    nodes = (node for node in walk(parts) if isinstance(node, VariableRef))
    return {axis_of(node) for node in nodes if model.variable(node.name).kind == "latent"}


def _ordered(axes: set[str], model: Model) -> tuple[str, ...]:
    order = {variable.name: at for at, variable in enumerate(model.variables)}
    return tuple(sorted(axes, key=lambda axis: (order[axis.split("@")[0]], -lag_of(axis))))


# --- from the program -------------------------------------------------------------------------------------------------


def planned(program: Program) -> Iterator[Elimination]:
    """The plan that a program carries out."""
    model = program.derivation.model
    for node in program.nodes:
        plate = _plate(program.bound, node)
        match node:
            case LogSumExp(source=source, over=over):
                yield Elimination(plate, over, _ordered(set(source.axes), model))
            case DrawnLogSumExp(over=variable, axes=axes):
                yield Elimination(plate, (variable,), _ordered({*axes, variable}, model))
            case CodedLogSumExp(over=over, axes=axes):
                yield Elimination(plate, over, _ordered({*axes, *over}, model))
            case PrunedLogSumExp(over=over, axes=axes):
                possible = states_of(node, program.prunings)
                yield Elimination(plate, over, (*axes, *over), possible=possible)
            case Crossing():
                chosen = program.bound.chosen
                names = dict.fromkeys(base(axis) for item in node.inputs for axis in item.axes)
                arrays = dict.fromkeys(name.partition(CHOSEN)[0] for name in names if name in chosen)
                inside = {element for name in names if name in chosen for element in chosen[name].elements}
                others = (name for name in names if name not in chosen and name not in inside)
                yield Elimination(None, (*arrays, *others), (), crossed=program.constants[node.number])
            case Scan(step=step, states=states, level=level):
                inner = program.bound.levels[level + 1].plate
                yield Elimination(inner, states, _ordered(set(step.axes), model), chained=True)


def _plate(bound: Bound, node: Node) -> str | None:
    return bound.levels[node.level].plate


# --- words ------------------------------------------------------------------------------------------------------------


def plan_lines(found: Sequence[Elimination], sizes: Mapping[str, int | None]) -> list[str]:
    """One line for each elimination; `sizes` by axis, None where unknown."""
    if not found:
        return ["nothing is hidden: there is no posterior to compute"]
    return [f"{number}. {_line(item, sizes)}" for number, item in enumerate(found, start=1)]


def _line(item: Elimination, sizes: Mapping[str, int | None]) -> str:
    names = ", ".join(item.variables)
    place = f"in each {item.plate}" if item.plate is not None else "for the whole data set"
    if item.possible is not None:
        return f"{names}: summed out {place}, {_listed(item, sizes)}"
    if item.crossed is not None:
        found = item.crossed
        return (
            f"{names}: rows tie those of different units together; summed out one after the other, the largest table "
            f"{count_of(found.largest, 'cell')}, all together {count_of(found.cells, 'cell')}"
        )
    table = f"a table over {', '.join(map(axis_text, item.axes))} ({_cells(item.axes, sizes)})"
    if item.chained:
        return f"{names}: forward and backward along the chain over {item.plate}, {table} at each step"
    return f"{names}: summed out {place}, {table}"


def _listed(item: Elimination, sizes: Mapping[str, int | None]) -> str:
    """A list of the states that what is seen leaves possible, beside the table that it takes the place of."""
    assert item.possible is not None
    outer = item.axes[: -len(item.variables)]
    around = f", times {_cells(outer, sizes)} of {', '.join(map(axis_text, outer))}" if outer else ""
    dense = _cells(item.axes, sizes)
    total, most = count_of(item.possible.total, "possible state"), item.possible.most
    return f"{total} in all (at most {most} in one{around}) in place of {dense} each"


def axis_text(axis: str) -> str:
    """`prev(z)` for `z@1`."""
    name, _, lag = axis.partition("@")
    return name if not lag else f"prev({name})" if lag == "1" else f"prev({name}, {lag})"


def _cells(axes: Sequence[str], sizes: Mapping[str, int | None]) -> str:
    known = [sizes.get(axis) for axis in axes]
    if any(size is None for size in known):
        return "its size is known with the data"
    total = 1
    for size in known:
        total *= size or 1
    return count_of(total, "cell")


# --- cost -------------------------------------------------------------------------------------------------------------


def cost_lines(program: Program) -> list[str]:
    """The largest table, the operations of an E-step, and the memory that the data take."""
    largest = max(program.cells(node) for node in program.nodes)
    by_row = max((program.cells(node) for node in program.nodes if node.rows), default=1)
    block = max((size for item in program.blocks for size in item.n), default=0)
    array = _bytes(8 * max(largest, by_row * block))
    beside = " beside the integrals" if program.integrals else ""
    return [
        *_joint_codes(program),
        *_sums_by_code(program),
        *_standing_rows(program),
        f"largest table: {count_of(largest, 'number')} a unit",
        f"one E-step: about {_short(2 * sum(_operations(program, node) for node in program.nodes))} operations{beside}",
        f"memory: {_bytes(_held(program))} for the data, {array} for the largest array",
        f"{count_of(len(program.blocks), 'block')} of at most {count_of(block, 'row')}",
    ]


def _joint_codes(program: Program) -> Iterator[str]:
    for node in program.nodes:
        if isinstance(node, Fused):
            joint = codes_of(node, program.passes.joint)
            items = sum(len(item.members) for item in joint.joint)
            codes = ", ".join(str(item.patterns.shape[1]) for item in joint.joint)
            count = count_of(len(joint.joint), "joint code")
            yield f"{count_of(items, 'item')} read under {count} ({codes} values that occur)"


def _sums_by_code(program: Program) -> Iterator[str]:
    for node in program.nodes:
        if isinstance(node, CodedLogSumExp):
            rows = program.bound.levels[node.level].size
            codes = count_of(program.constants[node.number].columns, "value")
            yield f"{', '.join(node.over)}: one sum for each of {codes} that {count_of(rows, 'row')} show"


def _standing_rows(program: Program) -> Iterator[str]:
    if program.condensed is not None and program.condensed.applies:
        rows = count_of(program.bound.levels[1].size, "row")
        yield f"{rows} that differ in one number: EM sums over a few of them, which stand for all to rounding"


def _operations(program: Program, node: Node) -> int:
    """Multiplications and the like of the forward pass, an exponential counted as ten."""
    rows = program.bound.levels[node.level].size if node.rows else 1
    width = program.cells(node)
    match node:
        case Add(inputs=inputs):
            return rows * width * len(inputs)
        case Affine(piece=name):
            return rows * width * program.pieces[name].data.terms
        case DrawnLogSumExp(over=variable):
            return rows * width * (10 + program.sizes[variable])
        case CodedLogSumExp(over=over):
            codes = int(program.constants[node.number].columns)
            states = int(np.prod([program.sizes[axis] for axis in over]))
            return width * (rows + codes * (10 + states))
        case Fused():
            return rows * width * len(codes_of(node, program.passes.joint).joint)
        case Take(pieces=names):
            return rows * width * program.pieces[names[0]].data.terms
        case Quadratic(piece=name):
            if name in program.vectors:
                return rows * width * program.vectors[name].d ** 2
            return rows * width * program.gaussians[name].data.monomials
        case RowDensity():
            return rows * width * 20
        case PrunedLogSumExp(inputs=inputs):
            return rows * width * (10 + len(inputs))
        case LogSumExp(source=source):
            return rows * program.cells(source) * 10
        case Scan(step=step, level=level):
            return program.bound.levels[level + 1].size * program.cells(step) * 2
        case Crossing():
            return 10 * int(program.constants[node.number].cells)
        case SegmentSum(source=source):
            return program.bound.levels[source.level].size * width
    return rows * width


def _held(program: Program) -> int:
    total = 0
    for item in program.pieces.values():
        arrays = [item.data.statistics, item.data.code, *item.data.knowns.values()]
        total += sum(array.nbytes for array in arrays if array is not None)
    pruned = {name for item in program.prunings for name in item.maps}
    total += sum(item.code.nbytes + 8 * item.numbers * (name not in pruned) for name, item in program.maps.items())
    total += sum(item.possible.nbytes for item in program.prunings)
    return int(total + sum(piece.data.x.nbytes for piece in program.gaussians.values()))


def _short(number: float) -> str:
    for size, word in ((1e12, "million million"), (1e9, "thousand million"), (1e6, "million"), (1e3, "thousand")):
        if number >= size:
            return f"{number / size:.3g} {word}"
    return str(int(number))


def _bytes(number: float) -> str:
    for size, word in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= size:
            return f"{number / size:.3g} {word}"
    return f"{int(number)} bytes"
