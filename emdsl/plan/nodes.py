"""The array program of an E-step: what each node computes, on which axes, for the units of which level.

A node without `rows` is the same for every unit. The last node holds the log-evidence of the whole data set.
"""

from __future__ import annotations

from dataclasses import dataclass

from emdsl.runtime.openings import OpeningPart


@dataclass(frozen=True)
class Node:
    """Anything with an array `(*axes, rows)`, or `(*axes)` where `rows` is false. `level`: whose units the rows are."""

    number: int
    axes: tuple[str, ...]
    level: int
    rows: bool


@dataclass(frozen=True)
class Table(Node):
    """Log-factors that vary by cell alone: the sum of the eta tables of static pieces."""

    pieces: tuple[str, ...]


@dataclass(frozen=True)
class Affine(Node):
    """`T @ eta` of a separable piece, summed over its elements."""

    piece: str


@dataclass(frozen=True)
class Take(Node):
    """Entries of eta tables by code, times statistics where there are any; summed over elements. `pieces` share axes
    and codes.
    """

    pieces: tuple[str, ...]


@dataclass(frozen=True)
class Fused(Node):
    """Entries of several tables by code under joint codes: the sum of the `Take`s that it stands for."""

    takes: tuple[Take, ...]


@dataclass(frozen=True)
class CodedLogSumExp(Node):
    """Tables without rows, `still`, and the table of one law, `leaf`, with the hidden variables `over` summed out: once
    for all rows that show the same.
    """

    still: tuple[Table, ...]
    leaf: Take | Affine
    over: tuple[str, ...]


@dataclass(frozen=True)
class Indicator(Node):
    """A constant table of 0 and minus infinity by code: a deterministic observation."""

    map: str


@dataclass(frozen=True)
class RowDensity(Node):
    """A log-density evaluated row by row (forms `rows` and `log-sum-exp`)."""

    piece: str


@dataclass(frozen=True)
class Quadratic(Node):
    """A Gaussian piece: monomials of the centred columns times eta."""

    piece: str


@dataclass(frozen=True)
class Potential(Node):
    """Random log-potentials on a latent variable, for starts."""

    latent: str


@dataclass(frozen=True)
class Add(Node):
    """The sum of tables, their axes aligned."""

    inputs: tuple[Node, ...]


@dataclass(frozen=True)
class LogSumExp(Node):
    """A table with some hidden variables summed out."""

    source: Node
    over: tuple[str, ...]


@dataclass(frozen=True)
class DrawnLogSumExp(Node):
    """A table with a hidden variable summed out whose probabilities are the shares `drawn` of a unit, at each draw."""

    source: Node
    over: str
    drawn: str


@dataclass(frozen=True)
class PrunedLogSumExp(Node):
    """The sum of tables with the hidden variables `over` summed out, over those of their joint states alone that are
    possible in each unit.
    """

    inputs: tuple[Node, ...]
    over: tuple[str, ...]


@dataclass(frozen=True)
class Power(Node):
    """A table times the weight of each unit."""

    source: Node
    plate: str


@dataclass(frozen=True)
class SegmentSum(Node):
    """The sum over the units of each parent unit."""

    source: Node


@dataclass(frozen=True)
class Unseen(Node):
    """`-log P` of the condition that a unit had to meet, from the log-probability of failing it."""

    source: Node


@dataclass(frozen=True)
class FirstRows(Node):
    """The rows of the first unit of each chain."""

    source: Node


@dataclass(frozen=True)
class Opening(Node):
    """The factors of each chain's first window (see `emdsl.runtime.openings`), from `tables` by their `parts`."""

    tables: tuple[Node, ...]
    parts: tuple[OpeningPart, ...]
    states: tuple[str, ...]
    memory: int


@dataclass(frozen=True)
class Scan(Node):
    """The evidence of each chain, its hidden states `states` summed out; `previous` are their axes as many units
    before as the chain looks back to, `memory`, the oldest first.

    With a memory above 1 the chain is one of windows, tuples of the labels of `memory` units.
    """

    first: Node
    step: Node
    emit: Node | None
    states: tuple[str, ...]
    previous: tuple[str, ...]
    memory: int = 1


@dataclass(frozen=True)
class Crossing(Node):
    """The log of the sum over all hidden variables that rows of different units tie together. `inputs` are the tables
    of all levels; `roles` says which units of a chain each is about, and how far it looks back.
    """

    inputs: tuple[Node, ...]
    roles: tuple[tuple[str, int], ...]


def inputs(node: Node) -> tuple[Node, ...]:
    """The nodes that a node reads."""
    match node:
        case Add() | PrunedLogSumExp() | Crossing():
            return node.inputs
        case LogSumExp() | DrawnLogSumExp() | Power() | SegmentSum() | FirstRows() | Unseen():
            return (node.source,)
        case Opening():
            return node.tables
        case Scan(first=first, step=step, emit=emit):
            return (first, step) if emit is None else (first, step, emit)
    return ()


def in_order(root: Node) -> tuple[Node, ...]:
    """Every node once, inputs before users."""
    seen: dict[int, Node] = {}

    def visit(node: Node) -> None:
        if node.number not in seen:
            for item in inputs(node):
                visit(item)
            seen[node.number] = node

    visit(root)
    return tuple(seen.values())
