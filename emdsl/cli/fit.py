"""`emdsl fit`: estimate, and print a table or JSON."""

from __future__ import annotations

import shlex
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from emdsl.cli.arguments import (
    ALGORITHM_OPTIONS,
    DATA_OPTIONS,
    FORM_OPTIONS,
    REPORT_OPTIONS,
    VALUE_OPTIONS,
    VERBOSITY,
    check_form,
    given_options,
    model_and_data,
    options,
)
from emdsl.cli.endings import DONE, FAILED
from emdsl.cli.streams import give, say
from emdsl.diagnostics.errors import FitError
from emdsl.results.files import check_writable, write_whole
from emdsl.results.options import cli_spelling

if TYPE_CHECKING:
    from emdsl.results.face import Model
    from emdsl.results.result import Fit

OUTPUT_OPTIONS = (
    *FORM_OPTIONS,
    click.option("--trace", metavar="FILE.csv", help="A file for the log-likelihood by iteration."),
)


@click.command(short_help="estimate the parameters of a model from data")
@click.argument("files", nargs=-1, metavar="MODEL DATA")
@options(DATA_OPTIONS, VALUE_OPTIONS, ALGORITHM_OPTIONS, OUTPUT_OPTIONS, REPORT_OPTIONS, VERBOSITY)
def fit(
    files: tuple[str, ...], form: str, output: str | None, trace: str | None, quiet: bool, verbose: bool, **raw: Any
) -> int:
    """Estimate the parameters of MODEL, a file whose name ends in .emm, from DATA.

    DATA is CSV or TSV (also gzipped), Parquet, Arrow/Feather, a directory or a quoted pattern of such files, or - for
    standard input. Exit codes: 0 fitted, 1 the fit failed or did not converge, 2 the model, the data or the command is
    wrong, 130 interrupted.
    """
    from emdsl.results.face import load
    from emdsl.results.unavailable import refuse_options

    model_file, data = model_and_data(files, "fit")
    check_form(form)
    given = given_options(raw)
    refuse_options(given, cli_spelling)
    posterior, plot, report = (given.pop(name, None) for name in ("posterior", "plot", "report"))
    check_pictures(plot, report)
    written = {"--output": output, "--trace": trace, "--posterior": posterior, "--plot": plot, "--report": report}
    for option, path in written.items():
        if path is not None:
            check_writable(path, option, (model_file, data))
    model = load(model_file)
    if posterior is not None:
        check_hidden(model)
    read_parameters(model, given)
    try:
        result = run(model, data, given, quiet, verbose)
    except FitError as error:
        if hasattr(error.state, "to_dict"):
            write(error.state, form, output, trace, quiet, verbose)
        raise
    if posterior is not None:
        check_tables(result)
    write(result, form, output, trace, quiet, verbose)
    if posterior is not None:
        write_posterior(result, posterior, quiet)
    write_pictures(result, plot, report)
    return DONE if result.is_done else FAILED


def read_parameters(model: Model, given: dict[str, Any]) -> None:
    """Put the values that `--init` and `--fix` give in the place of their texts."""
    from emdsl.results.given import read_assignments

    for name in ("init", "fix"):
        if name in given:
            given[name] = read_assignments(given[name], model.compiled.model, cli_spelling(name))


def run(model: Model, data: str | None, given: dict[str, Any], quiet: bool, verbose: bool) -> Fit:
    """The fit, its progress on standard error."""
    from emdsl.cli.progress import Progress

    with closing(Progress(quiet, verbose)) as progress:
        return model.fit_with(data, {**given, "progress": progress.callback}, cli_spelling)


def write(result: Fit, form: str, output: str | None, trace: str | None, quiet: bool, verbose: bool) -> None:
    """The files, then the result on standard output, then on standard error what must be known of it."""
    text = ""
    if output is not None or form == "json":
        import json

        text = json.dumps(result.to_dict(), ensure_ascii=False, allow_nan=False, indent=1)
    if output is not None:
        write_whole(output, text + "\n", "--output")
    if trace is not None:
        write_whole(trace, trace_text(result), "--trace")
    if not quiet:
        for line in binding_notes(result, verbose):
            say(line)
    give(text if form == "json" else result.summary(everything=verbose, warnings=False))
    if not quiet:
        for warning in result.warnings:
            say(f"warning: {warning}")


def check_hidden(model: Model) -> None:
    """Raises `nothing-hidden` where there is no posterior to write, whatever cells are missing."""
    from emdsl.plan.posterior import reported
    from emdsl.results.posterior import nothing_hidden

    graph = model.compiled.model
    cells = any(item.kind == "observed" and item.values is not None for item in graph.variables)
    if not reported(graph) and not cells:
        raise nothing_hidden(model.name, "--posterior")


def check_tables(result: Fit) -> None:
    """Raises `nothing-hidden` where the model hides nothing and every cell of the data says one value."""
    from emdsl.plan.posterior import reported
    from emdsl.results.posterior import fit_posterior, nothing_hidden

    graph = result.outcome.model
    if not reported(graph) and not fit_posterior(result)[0]:
        raise nothing_hidden(graph.name, "--posterior")


def write_posterior(result: Fit, path: str, quiet: bool) -> None:
    """The posterior of what is hidden in the data of the fit, a file for each plate."""
    from emdsl.cli.posterior import write_tables
    from emdsl.results.posterior import fit_posterior

    tables, notes = fit_posterior(result)
    if not quiet:
        for note in notes:
            say(f"note: {note}")
    write_tables(tables, path, "--posterior", quiet)


def check_pictures(plot: str | None, report: str | None) -> None:
    """Raises `unknown-ending` and `no-matplotlib` before anything is fitted."""
    if plot is not None:
        from emdsl.results.plots.figure import check_matplotlib, plot_format

        plot_format(plot, "--plot")
        check_matplotlib("--plot")
    if report is not None:
        from emdsl.results.report.page import check_ending

        check_ending(report, "--report")


def write_pictures(result: Fit, plot: str | None, report: str | None) -> None:
    """The plot and the report of the fit."""
    if plot is not None:
        from emdsl.results.plots.drawing import plot_bytes

        write_whole(plot, plot_bytes(result, plot, "--plot"), "--plot")
    if report is not None:
        from emdsl.results.report.page import report_page

        write_whole(report, report_page(result, command_line()), "--report")


def command_line() -> str:
    """The command that is running, as it may be typed again."""
    context = click.get_current_context()
    words = ["emdsl", "fit", *context.params["files"]]
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if not isinstance(parameter, click.Option) or value in (None, (), False, parameter.default):
            continue
        for one in value if isinstance(value, tuple) else (value,):
            words += [parameter.opts[0]] if one is True else [parameter.opts[0], str(one)]
    return shlex.join(words)


def trace_text(result: Fit) -> str:
    """Log-likelihood by iteration as CSV."""
    columns = result.trace_columns()
    lines = [f"{at},{value!r}" for at, value in zip(columns["iteration"], columns["loglik"], strict=True)]
    return "\n".join(["iteration,loglik", *lines]) + "\n"


def binding_notes(result: Fit, verbose: bool) -> list[str]:
    """How the columns were bound: all of it, or only what the user did not say himself."""
    from emdsl.data.summary import bound_summary

    bound = result.outcome.bound
    if verbose:
        return bound_summary(bound)
    return [
        f"note: `{name}` took every numeric column left over: {', '.join(labels)}"
        for name, labels in bound.leftover.items()
    ]
