"""`emdsl check`: what a fit would do, without doing it."""

from __future__ import annotations

from typing import Any

import click

from emdsl.cli.arguments import DATA_OPTIONS, VALUE_OPTIONS, VERBOSITY, given_options, model_and_data, options
from emdsl.cli.fit import read_parameters
from emdsl.cli.streams import give
from emdsl.results.options import cli_spelling


@click.command(short_help="what will be computed and how; with data, how the columns bind")
@click.argument("files", nargs=-1, metavar="MODEL [DATA]")
@options(DATA_OPTIONS, VALUE_OPTIONS, VERBOSITY)
def check(files: tuple[str, ...], quiet: bool, verbose: bool, **raw: Any) -> None:
    """The graph of MODEL, the plan of its posterior and the cost, which M-steps are closed form and why not; with DATA,
    how the columns bind."""
    from emdsl.results.face import load

    model_file, data = model_and_data(files, "check", "optional")
    given = given_options(raw)
    model = load(model_file)
    read_parameters(model, given)
    give(model.check_with(data, given, cli_spelling))
