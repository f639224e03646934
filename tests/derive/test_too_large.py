"""What cannot fit is refused in about a second, with the numbers: no table is begun, no formula expanded."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

#: Seconds that a refusal may take, of processor time: Python, SymPy and Lark alone take a third.
PATIENCE = 10.0


COMMAND = "import sys; from emdsl.cli.main import main; sys.exit(main())"


def thirty() -> str:
    """Thirty hidden variables of ten states under one Normal."""
    latents = "".join(f"    latent z{k} ~ Categorical(a)\n" for k in range(30))
    mean = " + ".join(f"mu[z{k}]" for k in range(30))
    return (
        "index state = 1..10\nparam a : simplex[state]\nparam mu[state] : real\nfor each row:\n"
        f"{latents}    observed y ~ Normal({mean}, 1)\n"
    )


def thirty_known() -> str:
    """The same without noise: a deterministic map of thirty hidden variables."""
    latents = "".join(f"    latent z{k} ~ Categorical(a)\n" for k in range(30))
    total = " + ".join(f"v[z{k}]" for k in range(30))
    values = ", ".join(str(k) for k in range(1, 11))
    return (
        f"index state = 1..10\nparam a : simplex[state]\nconst v[state] = [{values}]\nfor each row:\n"
        f"{latents}    observed y = {total}\n"
    )


CELLS = """
const K = 1000000
index left = 1..K
index right = 1..K
param m[left, right] : real
for each row:
    input a : left
    input b : right
    observed y ~ Normal(m[a, b], 1)
"""

CHAIN = """
const K = 20000
index state = 1..K
param start : simplex[state]
param A[state] : simplex[state]
param mu[state] : real
for each row in sequence:
    latent z ~ Markov(start, A)
    observed y ~ Normal(mu[z], 1)
"""

INDEX = """
index state = 1..1000000000000
param a : simplex[state]
param mu[state] : real
for each row:
    latent z ~ Categorical(a)
    observed y ~ Normal(mu[z], 1)
"""

GIVEN_INDEX = INDEX.replace("index state = 1..1000000000000", "const K\nindex state = 1..K")

REFUSED = {
    "10^12 cells": (CELLS, (), "`m[left, right]` takes 1,000,000,000,000 numbers (7,450.6 GB)"),
    "a chain of 20,000 states": (CHAIN, (), "a table of 400,000,000 cells (20000 x 20000) for each unit"),
    "an index of 10^12": (INDEX, (), "index `state` would have more than the 1000000 labels"),
    "an index of 10^12 by an option": (GIVEN_INDEX, ("--set", "K=1000000000000"), "would have 1000000000000 labels"),
    "30 hidden variables of 10 states": (thirty(), (), "looks at 30 hidden variables at once, which have 1e+30 joint"),
    "a map of 30 hidden variables": (thirty_known(), (), "a table of 1e+30 cells (30 hidden variables) for each unit"),
}


@pytest.mark.parametrize("command", ["check", "fit"])
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_fit_is_refused_with_the_numbers(name: str, command: str, tmp_path: Path) -> None:
    text, options, said = REFUSED[name]
    (tmp_path / "model.emm").write_text(text, encoding="utf-8")
    (tmp_path / "data.csv").write_text("a,b,y\n1,2,3.5\n4,5,1.5\n", encoding="utf-8")
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    run = subprocess.run(
        [sys.executable, "-c", COMMAND, command, "model.emm", "data.csv", *options],
        capture_output=True, text=True, cwd=tmp_path, check=False, timeout=120,
    )  # fmt: skip
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < PATIENCE
    assert run.returncode == 2, run.stderr
    assert run.stdout == ""
    assert said in run.stderr
    assert run.stderr.startswith(("error[too-large]", "error[index-too-large]")) and "Traceback" not in run.stderr


def test_the_cost_is_said_before_a_fit(tmp_path: Path) -> None:
    """Table sizes, operations and memory, for the data at hand."""
    (tmp_path / "model.emm").write_text(CHAIN.replace("20000", "50"), encoding="utf-8")
    (tmp_path / "data.csv").write_text("y\n" + "1.5\n2.5\n" * 500, encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-c", COMMAND, "check", "model.emm", "data.csv"],
        capture_output=True, text=True, cwd=tmp_path, check=True, timeout=120,
    )  # fmt: skip
    assert "a table over prev(z), z (2500 cells) at each step" in run.stdout
    assert "largest table: 2500 numbers a unit" in run.stdout
    (operations,) = re.findall(r"one E-step: about ([\d.]+) million operations", run.stdout)
    # A thousand steps of a matrix product of 50 x 50 forward and back, and little else.
    assert 2 * 1000 * 2500 / 1e6 < float(operations) < 15
    # The steps share one table of transitions; the largest array is that of the states of all steps.
    assert re.search(r"memory: [\d.]+ kB for the data, 400 kB for the largest array", run.stdout)
    assert "in all" in run.stdout and "2549 free values" in run.stdout
