"""`emdsl predict`: expected values and intervals of what is observed, given the inputs and what is seen."""

from __future__ import annotations

from typing import Any

import click

from emdsl.cli.arguments import DATA_OPTIONS, PLAN_OPTIONS, VERBOSITY, given_options, model_and_data, options
from emdsl.cli.posterior import (
    FILTERED_OPTION,
    FORMAT_OPTION,
    OUTPUT_OPTION,
    PARAMS_OPTION,
    PLATE_OPTION,
    check_known,
    give_tables,
    table_form,
)
from emdsl.cli.streams import say
from emdsl.results.files import check_writable
from emdsl.results.options import cli_spelling


@click.command(short_help="expected values and intervals of what is observed")
@click.argument("files", nargs=-1, metavar="MODEL DATA")
@PARAMS_OPTION
@click.option("--ahead", metavar="H", help="The H units that follow the last one of each chain, and no others.")
@click.option("--smoothed", is_flag=True, help="Of a chain: given all its units (the default).")
@FILTERED_OPTION
@click.option("--level", metavar="0.95", default="0.95", help="Level of the intervals.")
@OUTPUT_OPTION
@PLATE_OPTION
@FORMAT_OPTION
@options(DATA_OPTIONS, PLAN_OPTIONS, VERBOSITY)
def predict(
    files: tuple[str, ...], params: str | None, output: str | None, plate: str | None, form: str | None,
    ahead: str | None, smoothed: bool, filtered: bool, level: str, quiet: bool, verbose: bool, **raw: Any,
) -> None:  # fmt: skip
    """For each unit of DATA, as CSV: the expected value of each observed number of MODEL with an interval, and the
    probabilities of the values of each observed label, given the inputs and what is seen. A cell that is to be
    predicted is empty; one that is seen tells of what is hidden like every other. The labels are those of the fit in
    FILE.json.

    Where observed variables live in several plates, there is a table for each: the files FILE-PLATE.csv, or the one
    that --plate names.
    """
    from emdsl.results.face import load

    model_file, data = model_and_data(files, "predict")
    form = table_form(form, output)
    check_known(params, f"{model_file} {data}")
    if output is not None:
        check_writable(output, "--output")
    model = load(model_file)
    chosen = {"ahead": ahead, "smoothed": smoothed, "filtered": filtered, "level": level}
    tables, notes = model.predict_with(data, params, chosen, given_options(raw), cli_spelling)
    if not quiet:
        for note in notes:
            say(f"note: {note}")
    give_tables(tables, model.compiled.model, output, plate, form, quiet, "observed")
