"""The most probable paths of hidden chains, by the names that a user knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.ir.model import Variable
from emdsl.plan.hidden_numbers import is_on_grid
from emdsl.plan.nodes import Node, Scan
from emdsl.plan.program import Program
from emdsl.runtime.chains import ChainLayout
from emdsl.runtime.problem import Array
from emdsl.runtime.scan import ChainTape, scan_forward
from emdsl.runtime.viterbi import unit_path, viterbi

Codes = NDArray[np.intp]


@dataclass
class BlockPaths:
    """The most probable paths of the scans of one block after the other, `(outer cells, rows)`."""

    found: list[Codes] = field(default_factory=list)

    def scan(
        self, log_first: Array, log_step: Array, log_emit: Array | None, layout: ChainLayout
    ) -> tuple[Array, ChainTape]:
        """`scan_forward`, which also notes the path."""
        self.found.append(viterbi(log_first, log_step, log_emit, layout))
        return scan_forward(log_first, log_step, log_emit, layout)


@dataclass(frozen=True)
class ProbablePaths:
    """The paths of a program's chains, of which `reported` variables are told."""

    program: Program
    nodes: Sequence[Node]
    reported: Sequence[Variable]

    def scans(self, found: list[Codes]) -> list[tuple[Scan, Codes]]:
        """Each scan with the paths of all rows, the blocks put together."""
        nodes = [node for node in self.nodes if isinstance(node, Scan)]
        whole = []
        for k, node in enumerate(nodes):
            states = int(np.prod([self.program.sizes[name] for name in node.states]))
            layouts = [block.layouts[node.level + 1] for block in self.program.blocks]
            parts = zip(found[k :: len(nodes)], layouts, strict=True)
            paths = [
                path if node.memory == 1 or layout is None else unit_path(path, layout.windows(node.memory), states)
                for path, layout in parts
            ]
            whole.append((node, np.concatenate(paths, axis=-1)))
        return whole

    def of(
        self, scans: list[tuple[Scan, Codes]], shares: Mapping[str, Array]
    ) -> tuple[dict[str, Codes], tuple[str, ...]]:
        """The path of every variable of a chain, and on what it depends."""
        paths: dict[str, Codes] = {}
        notes = []
        for node, path in scans:
            names = ", ".join(dict.fromkeys(name.partition(".")[0] for name in node.states))
            if any("@" in axis for axis in node.axes):
                notes.append(f"there is no most probable path of {names}, whose chain depends on another chain's past")
                continue
            numbers = [name for name in node.states if is_on_grid(self.program.derivation.model.variable(name))]
            if numbers and len(numbers) < len(node.states):
                others, probable = (
                    ", ".join(name for name in node.states if (name in numbers) is on_grid) for on_grid in (False, True)
                )
                notes.append(f"the most probable path of {others} is the one with the most probable {probable}")
            if node.axes:
                around = ", ".join(dict.fromkeys(name.partition(".")[0] for name in node.axes))
                notes.append(f"the most probable path of {names} is the one given the most probable {around}")
            chosen = self._chosen(node, path, shares)
            codes = np.unravel_index(np.maximum(chosen, 0), tuple(self.program.sizes[name] for name in node.states))
            for name, code in zip(node.states, codes, strict=True):
                paths[name] = np.where(chosen < 0, -1, code)
        return self._declared(paths), tuple(notes)

    def _chosen(self, node: Scan, path: Codes, shares: Mapping[str, Array]) -> Codes:
        """The path of each chain given the most probable value of every variable around it."""
        level = self.program.bound.levels[node.level + 1]
        cell: Any = np.zeros(self.program.bound.levels[node.level].size, dtype=np.intp)
        number = {name: level for name, level, _ in self.program.latents}
        for axis in node.axes:
            best = np.argmax(np.nan_to_num(shares[axis]), axis=0)
            cell = cell * self.program.sizes[axis] + best[self._ancestor(node.level, number[axis])]
        return np.asarray(path[cell[level.parent], np.arange(level.size)])

    def _ancestor(self, level: int, above: int) -> Codes:
        """For each unit of a level the unit of a level above it that it lies in."""
        unit: Codes = np.arange(self.program.bound.levels[level].size)
        for number in range(level, above, -1):
            unit = self.program.bound.levels[number].parent[unit]
        return unit

    def _declared(self, paths: Mapping[str, Codes]) -> dict[str, Codes]:
        """The paths by the names that the user knows: the two draws of a genotype as one pair."""
        found = {}
        for variable in self.reported:
            if variable.name in paths:
                found[variable.name] = paths[variable.name]
            elif variable.components and all(name in paths for name in variable.components):
                assert variable.values is not None
                one, two = (paths[name] for name in variable.components)
                size = len(self.program.bound.indexes[variable.values])
                low, high = np.minimum(one, two), np.maximum(one, two)
                code = low * size - low * (low - 1) // 2 + high - low
                found[variable.name] = np.where(low < 0, -1, code)
        return found
