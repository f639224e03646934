"""Random models with plates three and four deep, and plates across columns inside them: latent, observed and input
variables and weights at every level, ids that repeat, rows in any order, groups without a single cell."""

from __future__ import annotations

from collections.abc import Sequence

from tests.laws.random_models import Writer
from tests.laws.random_parts import Finite, Plate, RandomModel
from tests.laws.tables import Cell

#: The plates of rows from the outermost inwards, and the elements of the plate across columns.
NAMES = ("region", "school", "pupil", "row")
WAVES = ("t1", "t2")


class NestedWriter(Writer):
    """Draws one model with deep plates."""

    def declared_sets(self) -> list[str]:
        """The index set of the plate across columns."""
        return [f"index wave = {{{', '.join(WAVES)}}}"]

    def _plates(self) -> list[Plate]:
        depth = self.pick([3, 4])
        chained = self.pick([None, None, *range(1, depth)])
        keys = self._keys(depth)
        keys = [keys[k] for k in self.rng.permutation(len(keys))]
        plates = []
        for level, name in enumerate(NAMES[-depth:]):
            plate = Plate(name, chained == level, [key[: level + 1] for key in keys])
            plates.append(plate)
            if name != "row":
                # The same few ids in every outer unit.
                self.columns[name] = [f"n{key[level]}" for key in keys]
            if plate.ordered:
                plate.by = f"{name}_number"
                # The order of a chain is that of neither its ids nor its rows.
                self.columns[plate.by] = [float((5 * key[level] + 2) % 7) for key in keys]
        if self.chance(0.35):
            plates.append(Plate("t", chained is None and self.chance(0.5), keys, over="wave"))
        return plates

    def _keys(self, depth: int) -> list[tuple[int, ...]]:
        keys: list[tuple[int, ...]] = [()]
        for level in range(depth):
            most = 3 if level == 0 else 2
            keys = [(*key, unit) for key in keys for unit in range(int(self.rng.integers(1, most + 1)))]
        return keys

    def _fill(self, plate: Plate, visible: list[Finite], *, innermost: bool) -> list[Finite]:
        if plate.over:
            return self._across(plate, visible)
        seen = list(visible)
        if self.chance(0.3):
            seen.append(self._finite_input(plate))
        reals = [self._real_input(plate)] if self.chance(0.25) else []
        if plate.ordered or self.chance(0.75):
            seen += self._latent(plate, seen, reals, chain=plate.ordered)
        before = set(self.columns)
        for _ in range(1 if innermost else self.pick([0, 1])):
            self._observed(plate, seen, reals)
        self._empty_groups(plate, [name for name in self.columns if name not in before and name.startswith("y")])
        return [item for item in seen if not item.text.startswith("prev")]

    def _empty_groups(self, plate: Plate, observed: Sequence[str]) -> None:
        """Some outer units lose every cell: they are there, and nothing of them was seen."""
        if not self.chance(0.4):
            return
        lost = {key[0] for key in plate.keys if self.chance(0.4)}
        for name in observed:
            self.columns[name] = [
                None if key[0] in lost else cell for key, cell in zip(plate.keys, self.columns[name], strict=True)
            ]

    def _across(self, plate: Plate, visible: list[Finite]) -> list[Finite]:
        """A plate across columns: the element indexes parameters, and a hidden chain may run along it."""
        seen = [*visible, Finite("t", "wave")]
        if plate.ordered:
            seen += self._latent(plate, visible, [], chain=True)
        elif self.chance(0.5):
            name = self.fresh("z")
            plate.statements.append(f"latent {name} ~ Categorical({self.parameter('simplex[two]', self.scope(seen))})")
            seen.append(Finite(name, "two"))
        name = self.fresh("y")
        if self.chance(0.5):
            law = self.parameter("simplex[three]", self.scope(seen, 3), "e")
            plate.statements.append(f"observed {name} ~ Categorical({law})")
            for wave in WAVES:
                self._finite_column(plate, f"{name}_{wave}", "three")
        else:
            mean = self.parameter("real", self.scope(seen, 3), "mu")
            plate.statements.append(f"observed {name} ~ Normal({mean}, {self.parameter('positive', [], 'sd')})")
            for wave in WAVES:
                self._real_column(plate, f"{name}_{wave}")
        return seen

    def _real_column(self, plate: Plate, name: str) -> None:
        self._number_column(plate, name, lambda: round(float(self.rng.normal(0.0, 1.5)), 3))

    def _weight(self, plate: Plate) -> None:
        if not plate.over:
            super()._weight(plate)


def nested_model(seed: int) -> RandomModel:
    """The model of a seed."""
    return NestedWriter(seed).write()


def reordered(columns: dict[str, list[Cell]], order: Sequence[int]) -> dict[str, list[Cell]]:
    """The rows of a table in this order."""
    return {name: [column[row] for row in order] for name, column in columns.items()}


def renamed(columns: dict[str, list[Cell]]) -> dict[str, list[Cell]]:
    """The ids of all groups under other names, which sort the other way round."""
    return {
        name: [f"m{9 - int(str(cell)[1:])}" for cell in column] if name in NAMES else column
        for name, column in columns.items()
    }
