"""`emdsl compare`: models of the same data side by side."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

import click

from emdsl.cli.arguments import (
    DATA_OPTIONS,
    FORM_OPTIONS,
    MODEL_ENDING,
    SEARCH_OPTIONS,
    VALUE_OPTIONS,
    VERBOSITY,
    check_form,
    given_options,
    options,
)
from emdsl.cli.endings import DONE, FAILED
from emdsl.cli.progress import Progress
from emdsl.cli.streams import give, say
from emdsl.diagnostics.errors import EmmError
from emdsl.results.files import check_writable, write_whole
from emdsl.results.options import cli_spelling

TEST_OPTIONS = (
    click.option("--test", metavar="bootstrap", help="A likelihood-ratio test of each model against the next one."),
    click.option("--repeats", metavar="N", default="99", help="Data sets that a test draws from the smaller fit (99)."),
)


@click.command(short_help="models of the same data side by side")
@click.argument("files", nargs=-1, metavar="MODEL... DATA")
@options(TEST_OPTIONS, DATA_OPTIONS, VALUE_OPTIONS, SEARCH_OPTIONS, FORM_OPTIONS, VERBOSITY)
def compare(
    files: tuple[str, ...], test: str | None, repeats: str, form: str, output: str | None, quiet: bool, verbose: bool,
    **raw: Any,
) -> int:  # fmt: skip
    """Fit every MODEL to DATA and print, side by side, log-likelihood, free parameters, AIC, BIC, ICL (BIC plus twice
    the entropy of the hidden labels; of all three the smallest is the best) and how certain the hidden labels are.

    --set K=1..6 (or K=1,2,4) fits a model with each of these values. An option that names something of a model concerns
    the models that have it. Models that explain other columns or rows than the first are refused. Exit codes: 0 all
    fitted, 1 some fit failed or did not converge, 2 a model, the data or the command is wrong, 130 interrupted.
    """
    from emdsl.results.face import load
    from emdsl.studies.comparison import compare_with

    models, data = models_and_data(files)
    check_form(form)
    given = given_options(raw)
    if output is not None:
        check_writable(output, "--output", (*models, data))
    loaded = [load(file) for file in models]
    read_values_for(loaded, given)
    chosen = {"test": test, "repeats": repeats}
    with closing(Progress(quiet, verbose)) as progress:
        found = compare_with(data, loaded, chosen, {**given, "progress": progress.callback}, cli_spelling)
    write_study(found, form, output)
    if not quiet:
        for row in found.rows:
            for warning in row.fit.warnings if row.fit is not None else ():
                say(f"warning: {row.name}: {warning}")
    return DONE if found.converged else FAILED


def models_and_data(files: tuple[str, ...]) -> tuple[list[str], str]:
    """The files of models, told by their `.emm`, and the one of data, in whatever order. Raises `bad-command`."""
    usage = "emdsl compare DATA.csv ONE.emm TWO.emm, or emdsl compare MODEL.emm DATA.csv --set K=1..6"
    models = [file for file in files if file.lower().endswith(MODEL_ENDING)]
    others = [file for file in files if not file.lower().endswith(MODEL_ENDING)]
    if not models:
        found = f"`{others[0]}` alone" if others else "nothing"
        message = f"expected models, whose names end in {MODEL_ENDING}, and their data, found {found}"
        raise EmmError("bad-command", message, help=usage)
    if len(others) != 1:
        found = ", ".join(f"`{file}`" for file in others) or "models alone"
        raise EmmError("bad-command", f"expected one table, found {found}", help=usage)
    return models, others[0]


def read_values_for(models: list[Any], given: dict[str, Any]) -> None:
    """Put the values that `--init` and `--fix` give in the place of their texts; a name must be a parameter of some
    model."""
    from emdsl.results.elements import Element
    from emdsl.results.given import add, read_assignments

    for option in ("init", "fix"):
        values: dict[str, Any] = {}
        for text in given.get(option, ()):
            for place, model in enumerate(models):
                try:
                    found = read_assignments([text], model.compiled.model, cli_spelling(option))
                except EmmError as error:
                    if error.code != "unknown-parameter" or place == len(models) - 1:
                        raise
                    continue
                for name, value in found.items():
                    add(values, Element(name), value, cli_spelling(option))
                break
        if values:
            given[option] = values


def write_study(found: Any, form: str, output: str | None) -> None:
    """The JSON file, then the study on standard output."""
    text = json.dumps(found.to_dict(), ensure_ascii=False, allow_nan=False, indent=1)
    if output is not None:
        write_whole(output, text + "\n", "--output")
    give(text if form == "json" else str(found))
