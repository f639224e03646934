"""`emdsl posterior`: what the data say of what is hidden, unit by unit, at known parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from emdsl.cli.arguments import DATA_OPTIONS, VERBOSITY, given_options, model_and_data, options
from emdsl.cli.streams import check_writable, give, say, write_whole
from emdsl.diagnostics.errors import EmmError
from emdsl.results.options import cli_spelling

PARAMS_OPTION = click.option(
    "--params", metavar="FILE.json", help="Values of all parameters: the JSON of a fit, or its `params` alone."
)


@click.command(short_help="the posterior of what is hidden, for each unit")
@click.argument("files", nargs=-1, metavar="MODEL DATA")
@PARAMS_OPTION
@click.option("-o", "--output", metavar="FILE.csv", help="The file to write; without it, standard output.")
@click.option("--plate", metavar="NAME", help="The plate, where hidden variables live in several.")
@options(DATA_OPTIONS, VERBOSITY)
def posterior(
    files: tuple[str, ...], params: str | None, output: str | None, plate: str | None, quiet: bool, verbose: bool,
    **raw: Any,
) -> None:  # fmt: skip
    """For each unit of DATA, as CSV: the most probable value of each hidden variable of MODEL, the probabilities of
    all its values, the mean where they are numbers, and of a chain the most probable path. DATA may hold rows that no
    fit has seen; its labels are those of the fit in FILE.json.

    Where hidden variables live in several plates, there is a table for each: the files FILE-PLATE.csv, or the one that
    --plate names.
    """
    from emdsl.results.face import load
    from emdsl.results.posterior import csv_text, one_table

    model_file, data = model_and_data(files, "posterior")
    if params is None:
        raise EmmError(
            "bad-command", "expected the values of the parameters", place="--params",
            help=f"emdsl fit {model_file} {data} --output FILE.json, then --params FILE.json",
        )  # fmt: skip
    if output is not None:
        check_writable(output, "--output", (model_file, data, params))
    model = load(model_file)
    tables, notes = model.posterior_with(data, params, given_options(raw), cli_spelling)
    if not quiet:
        for note in notes:
            say(f"note: {note}")
    if plate is not None or output is None or not tables:
        help = f"--plate {next(iter(tables), '')}, or -o FILE.csv, which writes a file for each"
        table = one_table(tables, plate, model.compiled.model, "--plate", help)
        if output is None:
            give(csv_text(table).rstrip("\n"))
        else:
            write_whole(output, csv_text(table), "--output")
    else:
        write_tables(tables, output, "--output", quiet)


def write_tables(tables: Mapping[str, Mapping[str, Sequence[Any]]], path: str, option: str, quiet: bool) -> None:
    """A file for each table, named by its plate where there are several."""
    from emdsl.results.posterior import csv_text, file_names

    names = file_names(path, tables)
    for plate, columns in tables.items():
        write_whole(names[plate], csv_text(columns), option)
    if len(names) > 1 and not quiet:
        say(f"note: wrote {', '.join(names.values())}")
