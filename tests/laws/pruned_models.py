"""Models drawn at random in which deterministic observations leave few hidden states, with a table for each."""

from __future__ import annotations

import numpy as np

from tests.laws.random_parts import RandomModel
from tests.laws.tables import Cell

LABELS = {"hap": ("a", "b", "c", "d"), "kind": ("u", "v"), "shade": ("light", "dark"), "locus": ("l1", "l2", "l3")}


class PrunedWriter:
    """Draws one model: hidden variables of one plate, and observations that look at several of them."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nested = self.chance(0.4)
        self.rows = int(self.rng.integers(5, 10))
        self.groups = [f"g{int(self.rng.integers(3))}" for _ in range(self.rows)]
        self.columns: dict[str, list[Cell]] = {"group": list(self.groups)} if self.nested else {}
        self.outer: list[str] = []
        self.inner: list[str] = []
        self.declarations: list[str] = []

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return bool(self.rng.random() < probability)

    def write(self) -> RandomModel:
        """The model and its table, whose deterministic cells come from hidden values that were drawn."""
        table = self.rng.integers(0, 2, size=(4, 3))
        self.declarations.append(f"const carries[hap, locus] = {table.tolist()}")
        around = self._outer()
        states = self._latents(around)
        self._maps(states, table)
        self._others(states)
        lines = [f"index {name} = {{{', '.join(labels)}}}" for name, labels in LABELS.items()]
        lines += self.declarations
        indent = ""
        if self.nested:
            lines += ["for each group:", *(f"    {line}" for line in self.outer)]
            indent = "    "
        lines.append(f"{indent}for each row:")
        lines += [f"{indent}    {line}" for text in self.inner for line in text.split("\n")]
        return RandomModel("\n".join(lines) + "\n", self.columns)

    def _outer(self) -> str | None:
        if not self.nested or self.chance(0.3):
            return None
        self.declarations.append("param around : simplex[kind]")
        self.outer.append("latent k ~ Categorical(around)")
        return "k"

    def _latents(self, around: str | None) -> dict[str, np.ndarray]:
        axes = "[kind]" if around else ""
        self.declarations.append(f"param p{axes} : simplex[hap]")
        index = f"[{around}]" if around else ""
        names = ["m", "f"] if self.chance(0.7) else ["m", "f", "n"]
        if self.chance(0.3):
            self.inner.append("weight w")
            self.columns["w"] = [float(self.rng.integers(0, 4)) for _ in range(self.rows)]
        for name in names:
            if name == "f" and self.chance(0.3):
                self.declarations.append("param T[hap] : simplex[hap]")
                self.inner.append("latent f ~ Categorical(T[m])")
            else:
                self.inner.append(f"latent {name} ~ Categorical(p{index})")
        return {name: self.rng.integers(0, 4, self.rows) for name in names}

    def _maps(self, states: dict[str, np.ndarray], table: np.ndarray) -> None:
        names = list(states)
        if self.chance(0.7):
            self.inner.append("observed dose[locus] = " + " + ".join(f"carries[{name}, locus]" for name in names))
            for place, locus in enumerate(LABELS["locus"]):
                dose = sum(table[states[name], place] for name in names)
                self.columns[f"dose_{locus}"] = self._holes([int(value) for value in dose])
        if self.chance(0.5):
            arms = ["    a, _ | _, a -> dark", "    _ -> light"]
            self.inner.append("\n".join(["observed seen : shade = case m, f:", *arms]))
            dark = (states["m"] == 0) | (states["f"] == 0)
            self.columns["seen"] = self._holes(["dark" if value else "light" for value in dark], "light|dark")
        if self.chance(0.3) or not any(line.startswith("observed") for line in self.inner):
            self.inner.append("observed same = where(m == f, 1, 0)*(1 + carries[m, l1])")
            same = (states["m"] == states["f"]) * (1 + table[states["m"], 0])
            self.columns["same"] = self._holes([int(value) for value in same])

    def _others(self, states: dict[str, np.ndarray]) -> None:
        """Laws by row on some of the hidden variables, and a hidden variable that hangs off one."""
        if self.chance(0.5):
            self.declarations += ["param mu[hap] : real", "param sd : positive"]
            self.inner.append("observed y ~ Normal(mu[m], sd)")
            self.columns["y"] = [round(float(value), 3) for value in self.rng.normal(size=self.rows)]
        if self.chance(0.4):
            self.declarations += ["param e[hap, hap] : simplex[shade]"]
            self.inner.append("observed tint ~ Categorical(e[f, m])")
            self.columns["tint"] = self._holes(["light" if self.chance(0.5) else "dark" for _ in range(self.rows)])
        if self.chance(0.4):
            self.declarations += ["param slope[hap] : real"]
            self.inner += ["input x : real", "observed hit ~ Bernoulli(logistic(slope[m]*x + slope[f]))"]
            self.columns["x"] = [round(float(value), 3) for value in self.rng.normal(size=self.rows)]
            self.columns["hit"] = self._holes([int(self.chance(0.5)) for _ in range(self.rows)])
        if self.chance(0.4):
            self.declarations += ["param q[hap] : simplex[kind]", "param r[kind] : simplex[shade]"]
            self.inner += ["latent z ~ Categorical(q[f])", "observed hue ~ Categorical(r[z])"]
            self.columns["hue"] = ["light" if self.chance(0.5) else "dark" for _ in range(self.rows)]

    def _holes(self, cells: list[Cell], coarse: str | None = None) -> list[Cell]:
        rate = self.rng.choice([0.0, 0.3])
        return [
            (coarse if coarse and self.chance(0.5) else None) if self.chance(rate) else cell for cell in cells
        ]  # fmt: skip


def pruned_model(seed: int) -> RandomModel:
    """The model of a seed."""
    return PrunedWriter(seed).write()
