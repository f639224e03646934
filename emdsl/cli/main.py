"""The command `emdsl`: its commands by name, each loaded when it is called, and what every ending has in common.

Exit codes: 0 done, 1 the fit failed or did not converge, 2 the model, the data or the command is wrong, 70 an error of
emdsl itself (EX_SOFTWARE of sysexits.h), 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

import click

from emdsl.cli.endings import ending
from emdsl.version import VERSION

#: Each command: the module of `emdsl.cli` and the function in it, and one line of help.
COMMANDS = {
    "fit": ("fit", "fit", "estimate the parameters of a model from data"),
    "check": ("check", "check", "what will be computed and how; with data, how the columns bind"),
    "derive": ("derive", "derive", "the derivation of the EM algorithm, to read"),
    "compile": ("compile", "compile_model", "a Python module that fits the model and needs NumPy alone"),
    "simulate": ("simulate", "simulate", "data drawn from the model at known parameters"),
    "posterior": ("posterior", "posterior", "the posterior of what is hidden, for each unit"),
    "predict": ("predict", "predict", "expected values and intervals of what is observed"),
    "compare": ("compare", "compare", "models of the same data side by side"),
    "recover": ("recover", "recover", "simulate, fit, compare: bias, RMSE, coverage of the intervals"),
    "graph": ("graph", "graph", "the model as a plate diagram"),
    "fmt": ("fmt", "fmt", "the one layout of model files; --check for CI"),
    "new": ("new", "new", "a model to begin with, from a gallery; --list shows it"),
}


class Commands(click.Group):
    """The group of all commands, which knows their names and one line of each without loading them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, function, _ = COMMANDS[cmd_name]
        command = getattr(import_module(f"emdsl.cli.{module}"), function)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:  # fmt: skip
        command = self.get_command(ctx, args[0])
        if command is None:
            raise unknown_command(args[0])
        return args[0], command, args[1:]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in COMMANDS.items()])


def unknown_command(name: str) -> Exception:
    """The error for a command that there is not."""
    from emdsl.diagnostics.errors import EmmError
    from emdsl.diagnostics.suggest import closest

    near = closest(name, COMMANDS)
    known = f"emdsl fit {name} DATA" if name.endswith(".emm") else f"the commands are {', '.join(COMMANDS)}"
    found = f"did you mean `{near}`?" if near else known
    return EmmError("unknown-command", f"there is no command `{name}`", help=found)


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]}, no_args_is_help=False)
@click.version_option(VERSION, prog_name="emdsl", message="%(prog)s %(version)s")
def emdsl() -> None:
    """Latent-variable models: write what is hidden and what is seen, get the EM algorithm derived and run."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (without the program's name); the exit code."""
    texts = list(sys.argv[1:] if arguments is None else arguments)
    return ending(emdsl, texts or ["--help"])
