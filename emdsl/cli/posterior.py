"""`emdsl posterior`: what the data say of what is hidden, unit by unit, at known parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from emdsl.cli.arguments import DATA_OPTIONS, PLAN_OPTIONS, VERBOSITY, given_options, model_and_data, options
from emdsl.cli.streams import give, say
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.model import Model
from emdsl.results.files import check_writable, write_whole
from emdsl.results.options import cli_spelling

#: The forms of a table.
FORMAT_OPTION = click.option(
    "--format", "form", metavar="csv|json|table", default=None, help="The form of the table (csv)."
)
PLATE_OPTION = click.option("--plate", metavar="NAME", help="The plate, where the variables live in several.")
OUTPUT_OPTION = click.option("-o", "--output", metavar="FILE", help="The file to write; without it, standard output.")
FILTERED_OPTION = click.option(
    "--filtered", is_flag=True, help="Of a chain: given its units up to this one, and no later ones."
)

PARAMS_OPTION = click.option(
    "--params", metavar="FILE.json", help="Values of all parameters: the JSON of a fit, or its `params` alone."
)


@click.command(short_help="the posterior of what is hidden, for each unit")
@click.argument("files", nargs=-1, metavar="MODEL DATA")
@PARAMS_OPTION
@OUTPUT_OPTION
@PLATE_OPTION
@FORMAT_OPTION
@FILTERED_OPTION
@options(DATA_OPTIONS, PLAN_OPTIONS, VERBOSITY)
def posterior(
    files: tuple[str, ...], params: str | None, output: str | None, plate: str | None, form: str | None,
    filtered: bool, quiet: bool, verbose: bool, **raw: Any,
) -> None:  # fmt: skip
    """For each unit of DATA, as CSV: the most probable value of each hidden variable of MODEL, the probabilities of
    all its values, the mean where they are numbers, and of a chain the most probable path. DATA may hold rows that no
    fit has seen; its labels are those of the fit in FILE.json.

    Where hidden variables live in several plates, there is a table for each: the files FILE-PLATE.csv, or the one that
    --plate names.
    """
    from emdsl.results.face import load

    model_file, data = model_and_data(files, "posterior")
    form = table_form(form, output)
    check_known(params, f"{model_file} {data}")
    if output is not None:
        check_writable(output, "--output", (model_file, data, params))
    model = load(model_file)
    tables, notes = model.posterior_with(data, params, given_options(raw), cli_spelling, filtered=filtered)
    if not quiet:
        for note in notes:
            say(f"note: {note}")
    give_tables(tables, model.compiled.model, output, plate, form, quiet)


def check_known(params: str | None, files: str) -> None:
    """Raises `bad-command` where no parameters are given."""
    if params is None:
        raise EmmError(
            "bad-command", "expected the values of the parameters", place="--params",
            help=f"emdsl fit {files} --output FILE.json, then --params FILE.json",
        )  # fmt: skip


def table_form(form: str | None, output: str | None) -> str:
    """The form asked for; else JSON for a file of that ending, and CSV. Raises `bad-option`."""
    from emdsl.data.wording import did_you_mean
    from emdsl.results.layouts import FORMATS

    if form is None:
        return "json" if output is not None and output.lower().endswith(".json") else "csv"
    if form not in FORMATS:
        raise EmmError(
            "bad-option", f"expected one of {', '.join(FORMATS)}, found `{form}`", place="--format",
            help=did_you_mean(form, FORMATS),
        )  # fmt: skip
    return form


def give_tables(
    tables: Mapping[str, dict[str, list[Any]]], model: Model, output: str | None, plate: str | None, form: str,
    quiet: bool, kind: str = "hidden",
) -> None:  # fmt: skip
    """The table of a plate (or the only one) on standard output or in a file, or a file for each."""
    from emdsl.results.layouts import layout
    from emdsl.results.posterior import one_table

    if plate is not None or output is None or not tables:
        help = f"--plate {next(iter(tables), '')}, or -o FILE.csv, which writes a file for each"
        text = layout(one_table(tables, plate, model, "--plate", help, kind), form)
        if output is None:
            give(text.rstrip("\n"))
        else:
            write_whole(output, text, "--output")
    else:
        write_tables(tables, output, "--output", quiet, form)


def write_tables(
    tables: Mapping[str, Mapping[str, Sequence[Any]]], path: str, option: str, quiet: bool, form: str = "csv"
) -> None:
    """A file for each table, named by its plate where there are several."""
    from emdsl.results.layouts import layout
    from emdsl.results.posterior import file_names

    names = file_names(path, tables)
    for plate, columns in tables.items():
        write_whole(names[plate], layout(columns, form), option)
    if len(names) > 1 and not quiet:
        say(f"note: wrote {', '.join(names.values())}")
