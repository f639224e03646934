"""Small models drawn at random, as text, with a table for each: nested plates, chains, several scopes at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tests.laws.random_parts import Finite, Plate, RandomModel
from tests.laws.tables import Cell

#: Index sets that variables take values in and parameters are indexed by.
SETS: dict[str, tuple[str, ...]] = {
    "two": ("u", "v"), "three": ("a", "b", "c"), "level": ("0", "1", "2"), "other": ("k", "l"), "bit": ("0", "1"),
}  # fmt: skip
ITEMS = ("i1", "i2")


class Writer:
    """Draws one model."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.declarations: list[str] = []
        self.columns: dict[str, list[Cell]] = {}
        self.count = 0
        self.plates = self._plates()

    # --- chance -------------------------------------------------------------------------------------------------------

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return bool(self.rng.random() < probability)

    def pick(self, options: Sequence[Any]) -> Any:
        """One of several."""
        return options[int(self.rng.integers(len(options)))]

    def fresh(self, stem: str) -> str:
        """A name that nothing has."""
        self.count += 1
        return f"{stem}{self.count}"

    # --- the whole ----------------------------------------------------------------------------------------------------

    def write(self) -> RandomModel:
        """The model and its table."""
        visible: list[Finite] = []
        for depth, plate in enumerate(self.plates):
            innermost = depth == len(self.plates) - 1
            self._weight(plate)
            visible = self._fill(plate, visible, innermost=innermost)
        lines = [f"index {name} = {{{', '.join(labels)}}}" for name, labels in SETS.items() if labels[0] != "0"]
        lines += ["index level = 0..2", "index bit = 0..1"]
        lines += [
            f"index item = {{{', '.join(ITEMS)}}}",
            "const to_other[three] : other = [k, l, l]",
            *self.declared_sets(),
            *self.declarations,
        ]
        for depth, plate in enumerate(self.plates):
            lines.append("    " * depth + plate.heading)
            lines += ["    " * (depth + 1) + line for statement in plate.statements for line in statement.split("\n")]
        return RandomModel("\n".join(lines) + "\n", self.columns)

    def declared_sets(self) -> list[str]:
        """Index sets beyond those that every model has."""
        return []

    def _plates(self) -> list[Plate]:
        depth = self.pick([1, 1, 2, 2, 2, 3])
        chained = self.pick([None, None, *range(depth)])
        if depth == 1:
            rows = int(self.rng.integers(3, 5 if chained is not None else 8))
            return [Plate("row", chained == 0, list(range(rows)))]
        keys: list[tuple[int, ...]] = []
        for outer in range(int(self.rng.integers(1, 4))):
            for inner in range(int(self.rng.integers(1, 4))):
                if depth == 2:
                    keys.append((outer, inner))
                else:
                    keys += [(outer, inner, row) for row in range(int(self.rng.integers(1, 3)))]
        if chained is None:
            # rows of a unit need not be together
            keys = [keys[k] for k in self.rng.permutation(len(keys))]
        names = ["group", "member", "row"] if depth == 3 else ["group", "row"]
        plates = []
        for level, name in enumerate(names):
            plates.append(Plate(name, chained == level, [key[: level + 1] for key in keys]))
            if name != "row":
                self.columns[name] = [f"n{key[level]}" for key in keys]
        return plates

    def _weight(self, plate: Plate) -> None:
        if plate.ordered or not self.chance(0.25):
            return
        name = self.fresh("w")
        plate.statements.append(f"weight {name}")
        self.columns[name] = plate.spread(lambda: self.pick([1.0, 2.0, 3.0, 0.5, 0.0]))
        if not any(self.columns[name]):
            self.columns[name] = [2.0 for _ in plate.keys]

    def _fill(self, plate: Plate, visible: list[Finite], *, innermost: bool) -> list[Finite]:
        seen = list(visible)
        if self.chance(0.5):
            seen.append(self._finite_input(plate))
        reals = [self._real_input(plate)] if self.chance(0.4) else []
        first = True
        for _ in range(self.pick([0, 1, 1, 2]) if not innermost else self.pick([1, 1, 1, 2])):
            seen += self._latent(plate, seen, reals, chain=plate.ordered and (first or self.chance(0.3)))
            first = False
        for _ in range(self.pick([1, 1, 2]) if innermost else self.pick([0, 0, 1])):
            seen += self._observed(plate, seen, reals)
        return [item for item in seen if not item.text.startswith("prev")]

    # --- parameters ---------------------------------------------------------------------------------------------------

    def scope(self, seen: Sequence[Finite], most: int = 2) -> list[Finite]:
        """Some of the finite things in sight, the last the likeliest."""
        wanted = [item for item in seen if self.chance(0.6)] or list(seen[-1:])
        order = self.rng.permutation(len(wanted))[:most]
        found = [wanted[k] for k in order]
        return [
            Finite(f"to_other[{item.text}]", "other") if item.index_set == "three" and self.chance(0.15) else item
            for item in found
        ]

    def parameter(self, domain: str, scope: Sequence[Finite], stem: str = "q", also: Sequence[str] = ()) -> str:
        """Declares a parameter over the index sets of a scope; how one element is written."""
        name = self.fresh(stem)
        sets = [*also, *(item.index_set for item in scope)]
        axes = f"[{', '.join(sets)}]" if sets else ""
        self.declarations.append(f"param {name}{axes} : {domain}")
        indices = [*also, *(item.text for item in scope)]
        return f"{name}[{', '.join(indices)}]" if indices else name

    def transition(self, previous: Finite, others: Sequence[Finite]) -> str:
        """A transition matrix, perhaps with structural zeros; the row that a unit uses."""
        states = previous.index_set
        if self.chance(0.3):
            name = self.fresh("A")
            first, last = SETS[states][0], SETS[states][-1]
            self.declarations.append(
                f"param {name}[i in {states}] : simplex[j in {states}] only i != {last} or j != {first}"
            )
            return f"{name}[{previous.text}]"
        return self.parameter(f"simplex[{states}]", [*others, previous], "A")

    # --- inputs -------------------------------------------------------------------------------------------------------

    def _finite_input(self, plate: Plate) -> Finite:
        name, values = self.fresh("h"), self.pick(list(SETS))
        plate.statements.append(f"input {name} : {values}")
        self.columns[name] = plate.spread(lambda: self.pick(SETS[values]))
        return Finite(name, values)

    def _real_input(self, plate: Plate) -> str:
        name = self.fresh("x")
        plate.statements.append(f"input {name} : real")
        self.columns[name] = plate.spread(lambda: round(float(self.rng.normal()), 3))
        return name

    # --- latents ------------------------------------------------------------------------------------------------------

    def _latent(self, plate: Plate, seen: list[Finite], reals: list[str], *, chain: bool) -> list[Finite]:
        name, values = self.fresh("z"), self.pick(["two", "two", "three", "level"])
        here = Finite(name, values)
        if chain:
            return self._chain(plate, here, seen)
        match self.pick(["simplex", "simplex", "bernoulli", "map", "joint", "genotype", "softmax", "array"]):
            case "array":
                law = self.parameter(f"simplex[{values}]", self.scope(seen), also=["item"] if self.chance(0.5) else [])
                plate.statements.append(f"latent {name}[item] ~ Categorical({law})")
                return [Finite(f"{name}[{element}]", values) for element in ITEMS]
            case "bernoulli":
                plate.statements.append(f"latent {name} ~ Bernoulli({self.parameter('unit', self.scope(seen))})")
                return [Finite(name, "bit")]
            case "map":
                plate.statements.append(f"latent {name} ~ Categorical({self._label_map(values, seen)})")
            case "joint":
                other = self.fresh("z")
                law = self.parameter("simplex[two, other]", self.scope(seen, 1))
                plate.statements.append(f"latent {name}, {other} ~ Categorical({law})")
                return [Finite(name, "two"), Finite(other, "other")]
            case "genotype":
                return self._genotype(plate, name, seen)
            case "softmax" if reals:
                g, slope = self.fresh("g"), self.fresh("g")
                self.declarations += [f"param {g} : contrast[{values}]", f"param {slope} : contrast[{values}]"]
                law = f"softmax(k in {values}: {g}[k] + {slope}[k]*{reals[0]})"
                plate.statements.append(f"latent {name} ~ Categorical({law})")
            case _:
                law = self.parameter(f"simplex[{values}]", self.scope(seen))
                plate.statements.append(f"latent {name} ~ Categorical({law})")
        return [here]

    def _label_map(self, values: str, seen: Sequence[Finite]) -> str:
        theta = self.parameter("unit", self.scope(seen, 1))
        if len(SETS[values]) == 2:
            shares = self.pick([(f"{theta}/2", f"1 - {theta}/2"), ("1/4", "3/4"), ("1", "0")])
        else:
            shares = self.pick(
                [
                    ("1/2", f"{theta}/2", f"(1 - {theta})/2"),
                    (theta, f"1 - {theta}", "0"),
                    (f"{theta}^2", f"2*{theta}*(1 - {theta})", f"(1 - {theta})^2"),
                ]
            )
        return "{" + ", ".join(f"{label}: {share}" for label, share in zip(SETS[values], shares, strict=True)) + "}"

    def _genotype(self, plate: Plate, name: str, seen: Sequence[Finite]) -> list[Finite]:
        values = self.pick(["two", "three"])
        plate.statements.append(
            f"latent {name} ~ HardyWeinberg({self.parameter(f'simplex[{values}]', self.scope(seen, 1))})"
        )
        first = SETS[values][0]
        shown = self.fresh("m")
        if self.chance(0.5):
            arms = [f"    {first}/_ -> k", "    _ -> l"]
            plate.statements.append("\n".join([f"observed {shown} = case {name}:", *arms]))
            self._finite_column(plate, shown, "other")
        else:
            level, change = self.parameter("real", []), self.parameter("real", [])
            plate.statements.append(f"observed {shown} ~ Normal({level} + {change}*copies({name}, {first}), 1)")
            self._real_column(plate, shown)
        return []

    def _chain(self, plate: Plate, here: Finite, seen: Sequence[Finite]) -> list[Finite]:
        previous = Finite(f"prev({here.text})", here.index_set)
        others = self.scope([item for item in seen if not item.text.startswith("prev")], 1)
        start = self.parameter(f"simplex[{here.index_set}]", others if self.chance(0.5) else [], "start")
        law = self.transition(previous, others)
        if self.chance(0.5) and law.endswith(f"{previous.text}]") and "," not in law:
            matrix = law[: law.index("[")]
            plate.statements.append(f"latent {here.text} ~ Markov({start}, {matrix})")
        else:
            plate.statements.append(f"latent {here.text} ~ Categorical({start}) first, Categorical({law}) after")
        return [here]

    # --- observations -------------------------------------------------------------------------------------------------

    def _observed_chain(self, name: str, values: str) -> str:
        """The law of an observed chain, of any order of first and later units."""
        here = Finite(f"prev({name})", values)
        start = self.parameter(f"simplex[{values}]", [], "start")
        return f"observed {name} ~ Categorical({start}) first, Categorical({self.transition(here, [])}) after"

    def _finite_column(self, plate: Plate, name: str, values: str) -> None:
        """A column of labels, some missing or coarse."""
        labels = SETS[values]
        holes = self.chance(0.4)

        def draw() -> Cell:
            if holes and self.chance(0.3):
                return None if self.chance(0.5) else "|".join(labels[:2])
            return str(self.pick(labels))

        self.columns[name] = plate.spread(draw)

    def _number_column(self, plate: Plate, name: str, draw: Callable[[], float]) -> None:
        holes = self.chance(0.3)
        self.columns[name] = plate.spread(lambda: None if holes and self.chance(0.3) else draw())

    def _real_column(self, plate: Plate, name: str) -> None:
        self._number_column(plate, name, lambda: round(float(self.rng.normal(0.0, 1.5)), 3))

    def _count_column(self, plate: Plate, name: str) -> None:
        self._number_column(plate, name, lambda: int(self.rng.poisson(1.2)))

    def _observed(self, plate: Plate, seen: Sequence[Finite], reals: Sequence[str]) -> list[Finite]:
        name = self.fresh("y")
        kinds = [
            "categorical",
            "categorical",
            "bernoulli",
            "normal",
            "normal",
            "poisson",
            "items",
            "map",
            "mixed",
            "labels",
        ]
        match self.pick(kinds + ["regression", "loglinear"] * len(reals)):
            case "categorical":
                values = self.pick(list(SETS))
                if plate.ordered and self.chance(0.4):
                    plate.statements.append(self._observed_chain(name, values))
                else:
                    law = self.parameter(f"simplex[{values}]", self.scope(seen, 3), "e")
                    plate.statements.append(f"observed {name} ~ Categorical({law})")
                self._finite_column(plate, name, values)
                if not plate.ordered and self.chance(0.2):
                    plate.statements.append(f"given not ({name} == {SETS[values][0]})")
                    seen_labels = SETS[values][1:]
                    self.columns[name] = plate.spread(
                        lambda: self.pick([*seen_labels, *seen_labels, *seen_labels, None, "|".join(SETS[values][:2])])
                    )
                return [Finite(name, values)]
            case "bernoulli":
                plate.statements.append(f"observed {name} ~ Bernoulli({self.parameter('unit', self.scope(seen, 3))})")
                self._finite_column(plate, name, "bit")
            case "normal":
                mean = self.parameter("real", self.scope(seen, 3), "mu")
                spread = self.parameter("positive", self.scope(seen, 2) if self.chance(0.6) else [], "sd")
                plate.statements.append(f"observed {name} ~ Normal({mean}, {spread})")
                self._real_column(plate, name)
            case "poisson":
                plate.statements.append(
                    f"observed {name} ~ Poisson({self.parameter('positive', self.scope(seen, 3), 'rate')})"
                )
                self._count_column(plate, name)
            case "items":
                self._items(plate, name, seen)
            case "map":
                self._map(plate, name, seen)
            case "mixed":
                self._mixed(plate, name, seen)
            case "labels":
                values = self.pick(["two", "three"])
                plate.statements.append(f"observed {name} ~ Categorical({self._label_map(values, seen)})")
                self._finite_column(plate, name, values)
            case "regression":
                level, change = self.parameter("real", self.scope(seen)), self.parameter("real", self.scope(seen, 1))
                spread = self.parameter("positive", self.scope(seen, 1) if self.chance(0.5) else [], "sd")
                plate.statements.append(f"observed {name} ~ Normal({level} + {change}*{reals[0]}, {spread})")
                self._real_column(plate, name)
            case "loglinear":
                level, change = self.parameter("real", self.scope(seen)), self.parameter("real", self.scope(seen, 1))
                plate.statements.append(f"observed {name} ~ Poisson(exp({level} + {change}*{reals[0]}))")
                self._count_column(plate, name)
        return []

    def _items(self, plate: Plate, name: str, seen: Sequence[Finite]) -> None:
        scope = self.scope(seen)
        if self.chance(0.5):
            values = self.pick(["two", "three"])
            law = self.parameter(f"simplex[{values}]", scope, "e", ["item"] if self.chance(0.7) else [])
            plate.statements.append(f"observed {name}[item] ~ Categorical({law})")
            for item in ITEMS:
                self._finite_column(plate, f"{name}_{item}", values)
        else:
            mean = self.parameter("real", scope, "mu", ["item"])
            spread = self.parameter("positive", [], "sd", ["item"] if self.chance(0.5) else [])
            plate.statements.append(f"observed {name}[item] ~ Normal({mean}, {spread})")
            for item in ITEMS:
                self._real_column(plate, f"{name}_{item}")

    def _map(self, plate: Plate, name: str, seen: Sequence[Finite]) -> None:
        latents = [item for item in seen if item.text.startswith("z")]
        if not latents:
            return
        chosen = [latents[k] for k in self.rng.permutation(len(latents))[:2]]
        arms: list[tuple[str, str]] = []
        for _ in range(2):
            pattern = ", ".join("_" if self.chance(0.3) else str(self.pick(SETS[item.index_set])) for item in chosen)
            if pattern.replace(",", "").replace(" ", "").strip("_") and pattern not in [arm[0] for arm in arms]:
                arms.append((pattern, self.pick(["a", "b", "c"])))
        lines = [f"    {pattern} -> {label}" for pattern, label in arms] + [
            f"    {', '.join('_' * len(chosen))} -> {self.pick(['a', 'b'])}"
        ]
        subjects = ", ".join(item.text for item in chosen)
        plate.statements.append("\n".join([f"observed {name} : three = case {subjects}:", *lines]))
        labels = [line.split("-> ")[1] for line in lines]
        self.columns[name] = plate.spread(
            lambda: (
                None if self.chance(0.2) else "|".join(sorted(set(labels))) if self.chance(0.3) else self.pick(labels)
            )
        )

    def _mixed(self, plate: Plate, name: str, seen: Sequence[Finite]) -> None:
        latents = [item for item in seen if item.text.startswith("z")]
        if not latents:
            return
        subject = self.pick(latents)
        labels = SETS[subject.index_set]
        rates = [self.parameter("positive", self.scope(seen, 2), "rate") for _ in labels]
        laws = [f"Poisson({rate})" for rate in rates]
        laws[0] = self.pick(["Point(0)", "Geometric(1/3)", laws[0]])
        lines = [f"    {label} -> {law}" for label, law in zip(labels, laws, strict=True)]
        plate.statements.append("\n".join([f"observed {name} ~ case {subject.text}:", *lines]))
        self._count_column(plate, name)


def random_model(seed: int) -> RandomModel:
    """The model of a seed."""
    return Writer(seed).write()
