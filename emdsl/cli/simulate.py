"""`emdsl simulate`: data drawn from the model at known parameters."""

from __future__ import annotations

from typing import Any

import click

from emdsl.cli.arguments import DATA_OPTIONS, VERBOSITY, given_options, model_and_data, options
from emdsl.cli.posterior import PARAMS_OPTION
from emdsl.cli.streams import give
from emdsl.diagnostics.errors import EmmError
from emdsl.results.files import check_writable, write_whole
from emdsl.results.options import cli_spelling

DRAW_OPTIONS = (
    PARAMS_OPTION,
    click.option("-n", "n", metavar="N", help="How many outermost units (those of the design, where there is one)."),
    click.option("-o", "--output", metavar="FILE.csv", help="The file to write; without it, standard output."),
    click.option("--design", metavar="FILE", help="A table that gives inputs, nested plates and empty cells."),
    click.option("--latent", is_flag=True, help="Also columns of what is hidden."),
    click.option("--missing", metavar="P", default="0", help="The probability that an observed cell is empty (0)."),
    click.option("--seed", metavar="S", default="0", help="Seed of the random numbers (0)."),
)


@click.command(short_help="data drawn from the model at known parameters")
@click.argument("files", nargs=-1, metavar="MODEL")
@options(DRAW_OPTIONS, DATA_OPTIONS, VERBOSITY)
def simulate(
    files: tuple[str, ...], params: str | None, n: str | None, output: str | None, design: str | None, latent: bool,
    missing: Any, seed: Any, quiet: bool, verbose: bool, **raw: Any,
) -> None:  # fmt: skip
    """Draw data for N outermost units from MODEL, as CSV that MODEL can be fitted to.

    A design gives what the model does not draw: inputs, which rows belong to which unit of nested plates, and which
    cells are empty. If N is more than it has, its units serve again, under new names.
    """
    from emdsl.results.face import load
    from emdsl.results.posterior import csv_text

    model_file, _ = model_and_data(files, "simulate", "none")
    if params is None:
        raise EmmError(
            "bad-command", "expected the values of the parameters", place="--params",
            help=f"emdsl simulate {model_file} --params FILE.json -n 100",
        )  # fmt: skip
    if output is not None:
        check_writable(output, "--output", (model_file, design, params))
    model = load(model_file)
    chosen = {"seed": seed, "latent": latent, "missing": missing, "design": design}
    table = csv_text(model.simulate_with(n, params, chosen, given_options(raw), spelling))
    if output is None:
        give(table.rstrip("\n"))
    else:
        write_whole(output, table, "--output")


def spelling(name: str) -> str:
    """The name of an option as it is written."""
    return "-n" if name == "n" else cli_spelling(name)
