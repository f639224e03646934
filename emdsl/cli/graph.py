"""`emdsl graph`: the model as a plate diagram."""

from __future__ import annotations

from pathlib import Path

import click

from emdsl.cli.arguments import VERBOSITY, check_form, model_and_data, options
from emdsl.cli.streams import give_or_write
from emdsl.results.files import check_writable
from emdsl.results.model_graph import FORMATS

#: The format that the end of a file's name asks for; any other asks for a picture.
ENDINGS = {".txt": "text", ".dot": "dot", ".gv": "dot"}


@click.command(short_help="the model as a plate diagram")
@click.argument("files", nargs=-1, metavar="MODEL")
@click.option("-o", "--output", metavar="FILE.svg", help="The file to write; without it, standard output.")
@click.option("--format", "form", metavar="|".join(FORMATS), help="How it is drawn (text, or as FILE ends).")
@options(VERBOSITY)
def graph(files: tuple[str, ...], output: str | None, form: str | None, quiet: bool, verbose: bool) -> None:
    """MODEL as a plate diagram: what is observed, hidden and unknown, and what each law looks at."""
    from emdsl.results.face import load_graph

    model_file, _ = model_and_data(files, "graph", "none")
    check_form(form, FORMATS)
    if output is not None:
        check_writable(output, "--output", [model_file])
    chosen = form or ("text" if output is None else ENDINGS.get(Path(output).suffix.lower(), "svg"))
    text = load_graph(model_file).written(chosen)
    give_or_write(text, output)
