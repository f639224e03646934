"""What several commands take: model and data in any order, options about data, options of a fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from emdsl.diagnostics.errors import EmmError
from emdsl.results.options import CHOICES, cli_spelling, comma_separated
from emdsl.results.unavailable import OPTIONS as ABSENT

Function = TypeVar("Function", bound=Callable[..., Any])

MODEL_ENDING = ".emm"

#: How a result is printed.
FORMATS = ("table", "json")

FORM_OPTIONS = (
    click.option("--format", "form", metavar="table|json", default="table", help="What is printed (table)."),
    click.option("--output", metavar="FILE.json", help="A file for the JSON, written whole or not at all."),
)


def check_form(form: str | None, forms: Sequence[str] = FORMATS) -> None:
    """Raises `bad-option` for a format that is given and that there is not."""
    if form is not None and form not in forms:
        raise EmmError("bad-option", f"expected one of {', '.join(forms)}, found `{form}`", place="--format")


def _option(name: str, metavar: str, help: str, multiple: bool = False) -> Callable[[Function], Function]:
    """An option without a value of its own, so that defaults stand in one place; hidden where it is refused."""
    hidden = ABSENT.get(name.removeprefix("--").replace("-", "_"), frozenset()) is None
    return click.option(
        name, metavar=metavar, help=help, multiple=multiple, default=() if multiple else None, hidden=hidden
    )  # fmt: skip


def _words(name: str) -> str:
    """The words that an option takes in this version."""
    return "|".join(word for word in CHOICES[name] if word not in (ABSENT.get(name) or ()))


#: Options about the data and the constants.
DATA_OPTIONS = (
    _option("--set", "K=3", "The value of a constant.", multiple=True),
    _option("--const", "Q=FILE", "A constant table, as a file with a column for each axis and `value`.", multiple=True),
    _option("--columns", "DIM=A,B", "The columns of an index set.", multiple=True),
    _option("--map", "Y=COLUMN", "The column of a variable, where its name differs.", multiple=True),
    _option("--weight", "COLUMN", "A column of weights."),
    _option("--na", ".,-9", "Further words for missing cells."),
)

#: Options about what is integrated out, where it is told at known parameters.
PLAN_OPTIONS = (
    _option("--plan", _words("plan"), "How what is hidden is summed or integrated out (auto)."),
    _option("--seed", "S", "Seed of what is drawn (0)."),
)

#: Options about parameters.
VALUE_OPTIONS = (
    _option("--init", "P.C=0.2|FILE", "A starting value; a JSON file holds several.", multiple=True),
    _option("--fix", "SIGMA=1|FILE", "A value that is not estimated.", multiple=True),
)

#: Options of the search for the maximum.
SEARCH_OPTIONS = (
    _option("--starts", "N", "Short random starts (50; 1 begins at the initial values)."),
    _option("--seed", "S", "Seed of the random starts (0)."),
    _option("--tol", "T", "Log-likelihood that may still be to be gained (1e-10; 0: exactly --max-iter iterations)."),
    _option("--max-iter", "N", "Limit of iterations (10000; 0 evaluates the log-likelihood at the start)."),
    _option("--accelerate", _words("accelerate"), "Acceleration of EM (auto)."),
    _option("--plan", _words("plan"), "How what is hidden is summed or integrated out (auto)."),
)

#: Options of standard errors and intervals.
ERROR_OPTIONS = (
    _option("--se", _words("se"), "Standard errors (auto)."),
    _option("--bootstrap-repeats", "N", "Replicates of --se bootstrap (200)."),
    _option("--interval", _words("interval"), "Kind of intervals (wald)."),
    _option("--level", "0.95", "Level of the intervals."),
)

#: Options of the algorithm.
ALGORITHM_OPTIONS = (
    *SEARCH_OPTIONS,
    *ERROR_OPTIONS,
    _option("--executor", _words("executor"), "Where the passes over the data run (auto)."),
    _option("--scheduler", "ADDRESS", "An existing Dask cluster."),
    _option("--chunk-rows", "N", "Rows of a batch."),
    _option("--checkpoint", "FILE", "A file that an interrupted fit goes on from."),
)

#: Files that a fit may write beside its result, other than those that this version writes.
REPORT_OPTIONS = (
    _option("--posterior", "FILE", "The posterior of what is hidden, for each unit."),
    _option("--report", "FILE.html", "The fit as a page to read, with plots and derivation."),
    _option("--plot", "FILE.png|svg|pdf", "Plots of the fit on one page; needs matplotlib."),
)

VERBOSITY = (
    click.option("--quiet", is_flag=True, help="Nothing but errors on standard error."),
    click.option("--verbose", is_flag=True, help="More on standard error; of a bug, the traceback."),
)


def options(*groups: Sequence[Callable[[Function], Function]]) -> Callable[[Function], Function]:
    """A decorator that gives a command all options of the groups, in this order."""

    def decorate(function: Function) -> Function:
        for option in reversed([option for group in groups for option in group]):
            function = option(function)
        return function

    return decorate


def model_and_data(files: Sequence[str], command: str, data: str = "required") -> tuple[str, str | None]:
    """The model's file, told by its `.emm`, and the data's, in whatever order they come.

    `data` is `required`, `optional` or `none`. Raises `bad-command`.
    """
    usage = f"emdsl {command} MODEL.emm" + {"required": " DATA.csv", "optional": " [DATA.csv]", "none": ""}[data]
    models = [file for file in files if file.lower().endswith(MODEL_ENDING)]
    others = [file for file in files if not file.lower().endswith(MODEL_ENDING)]
    if len(models) != 1:
        found = f"{len(models)} of them" if models else f"`{others[0]}`" if others else "nothing"
        raise EmmError("bad-command", f"expected a model, whose name ends in {MODEL_ENDING}, found {found}", help=usage)
    if others and data == "none":
        raise EmmError("bad-command", f"expected a model alone, found also `{others[0]}`", help=usage)
    if len(others) > 1:
        what = f"expected one table, found {', '.join(f'`{file}`' for file in others)}"
        raise EmmError("bad-command", what, help="a quoted pattern takes several files: 'data/*.csv'")
    if not others and data == "required":
        raise EmmError("bad-command", "expected a model and its data, found the model alone", help=usage)
    return models[0], others[0] if others else None


def given_options(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given, by name, those about the data taken apart; init and fix are left as texts."""
    given = {name: value for name, value in raw.items() if value not in (None, ())}
    for name in ("set", "const"):
        if name in given:
            given[name] = dict(_pair(text, cli_spelling(name)) for text in given[name])
    if "columns" in given:
        pairs = (_pair(text, "--columns") for text in given["columns"])
        given["columns"] = {name: comma_separated(names) for name, names in pairs}
    if "map" in given:
        given["map"] = dict(_mapping(text) for text in given["map"])
    if "na" in given:
        given["na"] = comma_separated(given["na"])
    return given


def _pair(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip() or not value.strip():
        example = {"--set": "K=3", "--const": "Q=q.csv", "--columns": "dim=a,b", "--map": "y=outcome"}[option]
        raise EmmError(
            "bad-assignment", f"expected NAME=VALUE, found `{text}`", place=option, help=f"{option} {example}"
        )  # fmt: skip
    return name.strip(), value.strip()


def _mapping(text: str) -> tuple[str, str]:
    """`y=outcome`, or an element of an array, `y[a]=outcome`, by the key that the binding knows it by."""
    from emdsl.results.elements import read_assignment

    if "[" not in text.partition("=")[0]:
        return _pair(text, "--map")
    element, column = read_assignment(text, "--map")
    return f"{element.name}[{','.join(element.labels)}]", column


def open_names(text: str) -> tuple[str, ...]:
    """The names of `--open x,w`; none for an option that is not given."""
    return comma_separated(text) if text.strip() else ()
