"""`emdsl recover`: whether a model gives back the parameters that its data were drawn with."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import click

from emdsl.cli.arguments import (
    ALGORITHM_OPTIONS,
    DATA_OPTIONS,
    FORM_OPTIONS,
    VALUE_OPTIONS,
    VERBOSITY,
    check_form,
    given_options,
    model_and_data,
    options,
)
from emdsl.cli.compare import write_study
from emdsl.cli.endings import DONE, FAILED
from emdsl.cli.fit import read_parameters
from emdsl.cli.posterior import PARAMS_OPTION
from emdsl.cli.progress import Progress
from emdsl.cli.simulate import spelling
from emdsl.diagnostics.errors import EmmError
from emdsl.results.files import check_writable
from emdsl.results.options import cli_spelling

REPEAT_OPTIONS = (
    PARAMS_OPTION,
    click.option("-n", "n", metavar="N", help="How many outermost units (those of the design, where there is one)."),
    click.option("--repeat", metavar="R", default="100", help="How many data sets are drawn and fitted (100)."),
    click.option("--design", metavar="FILE", help="A table that gives inputs, nested plates and empty cells."),
    click.option("--missing", metavar="P", default="0", help="The probability that an observed cell is empty (0)."),
)


@click.command(short_help="simulate, fit, compare: bias, RMSE, coverage of the intervals")
@click.argument("files", nargs=-1, metavar="MODEL")
@options(REPEAT_OPTIONS, DATA_OPTIONS, VALUE_OPTIONS, ALGORITHM_OPTIONS, FORM_OPTIONS, VERBOSITY)
def recover(
    files: tuple[str, ...], params: str | None, n: str | None, repeat: str, design: str | None, missing: str,
    form: str, output: str | None, quiet: bool, verbose: bool, **raw: Any,
) -> int:  # fmt: skip
    """Draw R data sets of N outermost units from MODEL at the parameters in FILE.json, fit MODEL to each, and print for
    every element of a parameter: true value, mean estimate, bias, RMSE, standard deviation of the estimates beside the
    mean of their standard errors, and the coverage of the intervals, with Monte Carlo errors.

    Labels of hidden values that can change places are put in the order nearest to the truth. Only fits that converged
    count. Exit codes: 0 all converged, 1 some failed or did not converge, 2 the model or the command is wrong, 130
    interrupted.
    """
    from emdsl.results.face import load
    from emdsl.results.unavailable import refuse_options

    model_file, _ = model_and_data(files, "recover", "none")
    check_form(form)
    if params is None:
        raise EmmError(
            "bad-command", "expected the values of the parameters", place="--params",
            help=f"emdsl recover {model_file} --params FILE.json -n 100",
        )  # fmt: skip
    given = given_options(raw)
    refuse_options(given, cli_spelling)
    if output is not None:
        check_writable(output, "--output", (model_file, design, params))
    model = load(model_file)
    read_parameters(model, given)
    chosen = {"n": n, "repeat": repeat, "design": design, "missing": missing}
    with closing(Progress(quiet, verbose)) as progress:
        found = model.recover_with(params, chosen, {**given, "progress": progress.callback}, spelling)
    write_study(found, form, output)
    return DONE if found.converged == len(found.replicates) else FAILED
