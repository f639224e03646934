"""What a file that `emdsl compile` wrote does when it is run, or imported: it fits its model, as `emdsl fit` does.

This module travels in every such file: nothing that it imports at its top needs more than NumPy.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from emdsl.cli.progress import Progress
from emdsl.cli.standalone_options import CommandLine, read_command_line
from emdsl.cli.streams import flush, give, say
from emdsl.compiler import CompiledModel, Purpose
from emdsl.data.bound import Bound
from emdsl.data.wording import plain
from emdsl.diagnostics.errors import EmmError, FitError
from emdsl.ir.codec import decode
from emdsl.plan import bound_program
from emdsl.plan.problem import BoundProblem
from emdsl.request import FitRequest
from emdsl.results.face import Model
from emdsl.results.files import check_writable, write_whole
from emdsl.results.given import read_assignments
from emdsl.results.options import DEFAULTS, cli_spelling
from emdsl.results.result import Fit
from emdsl.standalone import fingerprint

DONE, FAILED, WRONG, INTERNAL, INTERRUPTED = 0, 1, 2, 70, 130


@dataclass(frozen=True)
class StandaloneModel(CompiledModel):
    """A model whose program stands in a file: `program` is that module, `planned` the fingerprint of what was planned.

    `note` takes a line about a fit that cannot run it.
    """

    program: ModuleType
    planned: str
    note: Callable[[str], None]

    def opened(self, names: Sequence[str], purpose: Purpose = "") -> CompiledModel:
        """Raises `not-in-file`: what these data need was not derived when the file was written."""
        said = plain(names)
        raise EmmError(
            "not-in-file", f"{said} {'has' if len(names) == 1 else 'have'} open cells, other laws look at "
            f"{'it' if len(names) == 1 else 'them'}, and this file was not compiled for that",
            help=f"compile it again: emdsl compile MODEL --open {','.join(names)}",
        )  # fmt: skip

    def problem(self, bound: Bound, request: FitRequest) -> BoundProblem:
        """Bound data to a program: the file's own wherever the planner comes to the same."""
        with _in_place_of_planned(self.program, self.planned):
            problem = super().problem(bound, request)
        if fingerprint(problem.program.source) != self.planned:
            self.note("note: these data call for another program than the one in the file, which is not run")
        return problem

    def for_draws(self) -> CompiledModel:
        """The model as it stands: a file has one derivation."""
        return self


@contextmanager
def _in_place_of_planned(module: ModuleType, planned: str) -> Iterator[None]:
    """Inside the block a program with this fingerprint is not made from its source: the module is taken."""
    make = bound_program.load_module

    def load(source: str) -> ModuleType:
        return module if fingerprint(source) == planned else make(source)

    bound_program.load_module = load
    try:
        yield
    finally:
        bound_program.load_module = make


class Standalone:
    """The file's model, to be fitted from Python (`fit`) or from a command line (`main`).

    `text` and `file` are the model's, `derivation` is its derivation as JSON.
    """

    def __init__(self, text: str, file: str, derivation: str, program: ModuleType, planned: str) -> None:
        self._text, self._file, self._derivation = text, file, derivation
        self._program, self._planned = program, planned

    def _model(self, note: Callable[[str], None]) -> Model:
        derivation = decode(self._derivation)
        return Model(StandaloneModel(self._text, self._file, derivation, self._program, self._planned, note))

    def fit(self, data: Any, **options: Any) -> Fit:
        """Fit the model to a CSV or TSV file or a dict of arrays; the options are those of `emdsl.Model.fit`."""
        return self._model(say).fit_with(data, options)

    def main(self, arguments: Sequence[str]) -> int:
        """Run the command line (without the program's name); the exit code. Nothing ends in a traceback."""
        try:
            code = self._run(read_command_line(arguments))
            flush()
            return code
        except EmmError as error:
            say(str(error))
            return WRONG
        except FitError as error:
            say(f"error[fit-failed]: {error.message}")
            return FAILED
        except KeyboardInterrupt:
            say("interrupted")
            return INTERRUPTED
        except MemoryError:
            say("error[out-of-memory]: there is not enough memory for this fit")
            return FAILED
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "scipy":
                return _internal(error, "--verbose" in arguments)
            say(str(EmmError("no-scipy", "this model calls a special function of SciPy", help="pip install scipy")))
            return WRONG
        except Exception as error:  # noqa: BLE001 - the last resort, which says so and fails
            return _internal(error, "--verbose" in arguments)

    def _run(self, line: CommandLine) -> int:
        if "help" in line.flags:
            give((self._program.__doc__ or "").strip())
            return DONE
        data, given = _data(line.files), line.given
        form, output = _form(line), given.pop("output", None)
        if output is not None:
            check_writable(output, "--output")
        quiet = "quiet" in line.flags
        model = self._model(_silent if quiet else say)
        for name in ("init", "fix"):
            if name in given:
                given[name] = read_assignments(given[name], model.compiled.model, cli_spelling(name))
        progress = Progress(quiet, "verbose" in line.flags)
        try:
            fit = model.fit_with(data, {**given, "progress": progress.callback}, cli_spelling)
        except FitError as error:
            if isinstance(error.state, Fit):
                _write(error.state, line, form, output)
            raise
        finally:
            progress.close()
        _write(fit, line, form, output)
        return DONE if fit.converged or _did_as_told(fit, given) else FAILED


def _data(files: Sequence[str]) -> str:
    if len(files) != 1:
        found = f"{len(files)} of them" if files else "nothing"
        raise EmmError("bad-command", f"expected one table, found {found}", help=f"python {sys.argv[0]} data.csv")
    return files[0]


def _silent(line: str) -> None:
    """Says nothing: --quiet."""


def _form(line: CommandLine) -> str:
    """What is printed, `table` or `json`; it is no option of a fit. Raises `bad-option`."""
    form: str = line.given.pop("format", "json" if "json" in line.flags else "table")
    if form not in ("table", "json"):
        raise EmmError("bad-option", f"expected one of table, json, found `{form}`", place="--format")
    return form


def _write(fit: Fit, line: CommandLine, form: str, output: str | None) -> None:
    """The file, then the result on standard output, then on standard error what must be known of it."""
    text = json.dumps(fit.to_dict(), ensure_ascii=False, allow_nan=False, indent=1)
    if output is not None:
        write_whole(output, text + "\n", "--output")
    quiet = "quiet" in line.flags
    if not quiet:
        for name, labels in fit.outcome.bound.leftover.items():
            say(f"note: `{name}` took every numeric column left over: {', '.join(labels)}")
    give(text if form == "json" else fit.summary(everything="verbose" in line.flags, warnings=False))
    if not quiet:
        for warning in fit.warnings:
            say(f"warning: {warning}")


def _did_as_told(fit: Fit, given: Mapping[str, Any]) -> bool:
    """Whether a fixed number of iterations was asked for (`--tol 0`, or `--max-iter 0`) and was run."""
    tol, limit = (float(given.get(name, DEFAULTS[name])) for name in ("tol", "max_iter"))
    return (tol == 0 or limit == 0) and fit.iterations >= limit


def _internal(error: Exception, verbose: bool) -> int:
    """Report an error that is none of the user's."""
    if verbose:
        import traceback

        say("".join(traceback.format_exception(error)).rstrip())
    text = " ".join(str(error).split())
    say(f"error[internal]: this is a bug in emdsl: {type(error).__name__}{f': {text}' if text else ''}")
    if not verbose:
        say("help: the same command with --verbose shows the traceback; please report it with the model")
    return INTERNAL
