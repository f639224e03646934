"""What a stand-alone file may be told: the options of `emdsl fit` that make sense where there is nothing but NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["value", "words", "assignment", "columns", "mapping", "texts", "flag"]


@dataclass(frozen=True)
class Option:
    """An option: what stands behind it, what it says, and how it is read.

    `value`: one text. `words`: texts between commas. `assignment`: `NAME=VALUE`, any number of times. `columns`: such,
    its value in words. `mapping`: such, its name that of a variable or element. `texts`: any number of texts. `flag`:
    nothing.
    """

    name: str
    metavar: str
    help: str
    kind: Kind = "value"

    @property
    def spelling(self) -> str:
        """`--max-iter` of `max_iter`."""
        return "--" + self.name.replace("_", "-")


OPTIONS = (
    Option("set", "K=3", "the value of a constant", "assignment"),
    Option("const", "Q=FILE", "a constant table, as a file with a column for each axis and `value`", "assignment"),
    Option("columns", "DIM=A,B", "the columns of an index set", "columns"),
    Option("map", "Y=COLUMN", "the column of a variable, where its name differs", "mapping"),
    Option("weight", "COLUMN", "a column of weights"),
    Option("na", ".,-9", "further words for missing cells", "words"),
    Option("init", "P.C=0.2|FILE", "a starting value; a JSON file holds several", "texts"),
    Option("fix", "SIGMA=1|FILE", "a value that is not estimated", "texts"),
    Option("starts", "N", "short random starts (50; 1 begins at the initial values)"),
    Option("seed", "S", "seed of the random starts (0)"),
    Option("tol", "T", "log-likelihood that may still be to be gained (1e-10; 0: exactly --max-iter iterations)"),
    Option("max_iter", "N", "limit of iterations (10000; 0 evaluates the log-likelihood at the start)"),
    Option("accelerate", "METHOD", "acceleration of EM (auto; none)"),
    Option("se", "METHOD", "standard errors (auto; none)"),
    Option("bootstrap_repeats", "N", "replicates of --se bootstrap (200)"),
    Option("interval", "KIND", "kind of intervals (wald; profile)"),
    Option("level", "0.95", "level of the intervals"),
    Option("format", "table|json", "what is printed (table)"),
    Option("json", "", "the same as --format json", "flag"),
    Option("output", "FILE.json", "a file for the JSON, written whole or not at all"),
    Option("quiet", "", "nothing but errors on standard error", "flag"),
    Option("verbose", "", "more on standard error, and long arrays in full; of a bug, the traceback", "flag"),
    Option("help", "", "print this text", "flag"),
)


def option_lines() -> list[str]:
    """A line for each option, to read."""
    heads = [f"{option.spelling} {option.metavar}".rstrip() for option in OPTIONS]
    width = max(map(len, heads))
    return [f"{head:{width}}  {option.help}" for head, option in zip(heads, OPTIONS, strict=True)]
