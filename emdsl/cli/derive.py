"""`emdsl derive`: the derivation, to read."""

from __future__ import annotations

import click

from emdsl.cli.arguments import VERBOSITY, model_and_data, open_names, options
from emdsl.cli.streams import give
from emdsl.diagnostics.errors import EmmError


@click.command(short_help="the derivation of the EM algorithm, to read")
@click.argument("files", nargs=-1, metavar="MODEL")
@click.option("--format", "form", metavar="text", default="text", help="How it is written (text).")
@click.option("--open", "cells", metavar="NAME,…", default="", help="Observed numbers that have open cells.")
@options(VERBOSITY)
def derive(files: tuple[str, ...], form: str, cells: str, quiet: bool, verbose: bool) -> None:
    """The derivation of EM for MODEL: complete-data log-likelihood, statistics, posterior, Q, each M-step."""
    from emdsl.results.face import load
    from emdsl.results.unavailable import DERIVATION_FORMATS, refuse

    model_file, _ = model_and_data(files, "derive", "none")
    if form in DERIVATION_FORMATS:
        raise refuse(f"`derive --format {form}`")
    if form != "text":
        known = ", ".join(("text", *DERIVATION_FORMATS))
        raise EmmError("bad-option", f"expected one of {known}, found `{form}`", place="--format")
    give(str(load(model_file, to_read=True).derive(open_names(cells))))
