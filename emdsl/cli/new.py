"""`emdsl new`: a model file to begin with, from the gallery."""

from __future__ import annotations

import re
from pathlib import Path

import click

from emdsl.cli.arguments import MODEL_ENDING, VERBOSITY, options
from emdsl.cli.streams import give, say
from emdsl.diagnostics.errors import EmmError

DEFAULT_TEMPLATE = "mixture"
LONGEST_NAME = 100
#: A name of the language that begins with a letter, and so also the plain name of a file.
_NAME = re.compile(r"[^\W\d_²³¹⁰⁴-⁹][^\W²³¹⁰⁴-⁹]*")


@click.command(short_help="a model to begin with, from a gallery; --list shows it")
@click.argument("names", nargs=-1, metavar="NAME")
@click.option("--template", "name_of_template", metavar="T", help=f"What to begin with ({DEFAULT_TEMPLATE}).")
@click.option("--list", "listed", is_flag=True, help="Print the templates, one in a line.")
@options(VERBOSITY)
def new(names: tuple[str, ...], name_of_template: str | None, listed: bool, quiet: bool, verbose: bool) -> None:
    """Write NAME.emm, a model from the gallery whose comments say what each line is for and what table it wants."""
    from emdsl.gallery.templates import template, templates

    if listed:
        if names or name_of_template is not None:
            raise EmmError("bad-command", "`--list` stands alone", help="emdsl new --list")
        gallery = templates()
        width = max(len(each.name) for each in gallery)
        give("\n".join(f"{each.name:<{width}}  {each.description}" for each in gallery))
        return
    if len(names) != 1:
        found = ", ".join(f"`{name}`" for name in names) or "nothing"
        raise EmmError("bad-command", f"expected the name of the new model, found {found}", help="emdsl new my_model")
    name = plain_name(names[0])
    text = template(name_of_template or DEFAULT_TEMPLATE).named(model_name(name))
    file = f"{name}{MODEL_ENDING}"
    create(file, text)
    if not quiet:
        say(f"wrote {file}\nnext: emdsl check {file}, then emdsl fit {file} DATA.csv")


def plain_name(text: str) -> str:
    """The new file's name without its ending, which may have been given. Raises `bad-name`: it is letters, digits and
    `_`, so that it names a file of this directory and nothing else."""
    name = text.removesuffix(MODEL_ENDING)
    if _NAME.fullmatch(name) and len(name) <= LONGEST_NAME:
        return name
    words = re.findall(r"[^\W_²³¹⁰⁴-⁹]+", name.rpartition("/")[2])
    proposed = "_".join(words)[:LONGEST_NAME].rstrip("_")
    raise EmmError(
        "bad-name",
        f"expected a name of letters, digits and `_` that begins with a letter (at most {LONGEST_NAME} characters), "
        f"found `{_shown(text)}`",
        help=f"emdsl new {proposed if _NAME.fullmatch(proposed) else 'my_model'}",
    )


def _shown(text: str) -> str:
    """The text for a message: no control characters, and not the whole of a long one."""
    printable = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return printable if len(printable) <= LONGEST_NAME else printable[:LONGEST_NAME] + "…"


def model_name(name: str) -> str:
    """The model's name: that of the file, its words joined with capitals (`peppered_moth` is `PepperedMoth`)."""
    return "".join(_capital(word[:1]) + word[1:] for word in name.split("_"))


def _capital(letter: str) -> str:
    """The letter as a capital, if that is one character: `ǰ` has a capital of two, whose second is no letter."""
    capital = letter.upper()
    return capital if len(capital) == 1 else letter


def create(file: str, text: str) -> None:
    """A new file in this directory, whole or not at all. Raises `file-exists`, also for a link that leads nowhere, and
    `unwritable-file`."""
    try:
        with open(file, "x", encoding="utf-8", newline="\n") as stream:
            try:
                stream.write(text)
                stream.flush()
            except BaseException:
                Path(file).unlink()
                raise
    except FileExistsError as error:
        raise EmmError(
            "file-exists", f"there is a file `{file}` already, which is left as it is",
            help=f"emdsl new {Path(file).stem}_2",
        ) from error  # fmt: skip
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise EmmError("unwritable-file", f"`{file}` cannot be written: {reason}") from error
