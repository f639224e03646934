"""`emdsl compile`: a Python module that fits the model and runs where emdsl is absent."""

from __future__ import annotations

from pathlib import Path

import click

from emdsl.cli.arguments import MODEL_ENDING, VERBOSITY, model_and_data, open_names, options
from emdsl.cli.streams import give_or_write
from emdsl.diagnostics.errors import EmmError
from emdsl.results.files import check_writable


@click.command("compile", short_help="a Python module that fits the model and needs NumPy alone")
@click.argument("files", nargs=-1, metavar="MODEL")
@click.option("-o", "--output", metavar="FILE.py", help="The file to write; without it, standard output.")
@click.option("--open", "cells", metavar="NAME,…", default="", help="Observed numbers that have open cells.")
@options(VERBOSITY)
def compile_model(files: tuple[str, ...], output: str | None, cells: str, quiet: bool, verbose: bool) -> None:
    """A readable Python module that fits MODEL and needs NumPy and nothing else: python FILE.py data.csv."""
    from emdsl.results.face import load

    model_file, _ = model_and_data(files, "compile", "none")
    if output is not None:
        _refuse_model(output)
        check_writable(output, "--output")
    source = load(model_file).compile(open_names(cells))
    give_or_write(source.rstrip("\n"), output)


def _refuse_model(output: str) -> None:
    """Raises `overwrites-model` for a file (or a link to one) whose name is a model's."""
    target = Path(output).expanduser().resolve()
    if target.suffix.lower() == MODEL_ENDING:
        raise EmmError(
            "overwrites-model", f"`{output}` is the name of a model, not of a Python file", place="--output",
            help=f"--output {Path(output).stem}.py",
        )  # fmt: skip
