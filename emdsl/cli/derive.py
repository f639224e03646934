"""`emdsl derive`: the derivation, to read."""

from __future__ import annotations

from pathlib import Path

import click

from emdsl.cli.arguments import VERBOSITY, check_form, model_and_data, open_names, options
from emdsl.cli.streams import give_or_write
from emdsl.results.derivation_text import FORMATS
from emdsl.results.files import check_writable

#: The format that the end of a file's name asks for; any other asks for text.
ENDINGS = {".md": "markdown", ".tex": "latex", ".html": "html", ".htm": "html"}


@click.command(short_help="the derivation of the EM algorithm, to read")
@click.argument("files", nargs=-1, metavar="MODEL")
@click.option("-o", "--output", metavar="FILE", help="The file to write; without it, standard output.")
@click.option("--format", "form", metavar="|".join(FORMATS), help="How it is written (text, or as FILE ends).")
@click.option("--open", "cells", metavar="NAME,…", default="", help="Observed numbers that have open cells.")
@options(VERBOSITY)
def derive(
    files: tuple[str, ...], output: str | None, form: str | None, cells: str, quiet: bool, verbose: bool
) -> None:  # fmt: skip
    """The derivation of EM for MODEL: complete-data log-likelihood, statistics, posterior, Q, each M-step."""
    from emdsl.results.face import load

    model_file, _ = model_and_data(files, "derive", "none")
    check_form(form, FORMATS)
    if output is not None:
        check_writable(output, "--output", [model_file])
    chosen = form or ENDINGS.get(Path(output or "").suffix.lower(), "text")
    text = load(model_file, to_read=True).derive(open_names(cells)).written(chosen)
    give_or_write(text, output)
