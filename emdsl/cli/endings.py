"""How a command ends: its exit code, and what is said on standard error. Nothing ends in a traceback."""

from __future__ import annotations

from collections.abc import Sequence

import click

from emdsl.cli.streams import flush, say
from emdsl.diagnostics.errors import EmmError, FitError

DONE, FAILED, WRONG, INTERNAL, INTERRUPTED = 0, 1, 2, 70, 130


def ending(command: click.Command, arguments: Sequence[str]) -> int:
    """Run the command with these arguments and say what went wrong, if anything did; the exit code."""
    try:
        code = _run(command, arguments)
        flush()
    except EmmError as error:
        say(str(error))
        return WRONG
    except click.UsageError as error:
        say(str(usage_error(error)))
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
    except Exception as error:  # noqa: BLE001 - the last resort, which says so and fails
        return internal(error, "--verbose" in arguments)
    return code


def _run(command: click.Command, arguments: Sequence[str]) -> int:
    try:
        with command.make_context("emdsl", list(arguments)) as context:
            code = command.invoke(context)
    except click.exceptions.Exit as end:  # after --help and --version
        return end.exit_code
    return code if isinstance(code, int) else DONE


def internal(error: Exception, verbose: bool) -> int:
    """Report an error that is none of the user's."""
    if verbose:
        import traceback

        say("".join(traceback.format_exception(error)).rstrip())
    text = " ".join(str(error).split())
    say(f"error[internal]: this is a bug in emdsl: {type(error).__name__}{f': {text}' if text else ''}")
    if not verbose:
        say("help: the same command with --verbose shows the traceback; please report it with the model")
    return INTERNAL


def usage_error(error: click.UsageError) -> EmmError:
    """What click says of a command line, said as every other error is."""
    from emdsl.diagnostics.suggest import closest

    asked = "" if error.ctx is None else f"{error.ctx.command_path} --help"
    match error:
        case click.NoSuchOption():
            options = [] if error.ctx is None else [name for item in error.ctx.command.params for name in item.opts]
            near = closest(error.option_name, options)
            found = f"did you mean `{near}`?" if near else f"{asked} lists the options"
            return EmmError("unknown-option", f"there is no option `{error.option_name}`", help=found)
        case click.BadOptionUsage():
            return EmmError("bad-option", f"the option `{error.option_name}` {_rest(error)}")
        case _:
            message = error.format_message().rstrip(".")
            return EmmError("bad-command", message[:1].lower() + message[1:], help=asked)


def _rest(error: click.BadOptionUsage) -> str:
    """What is wrong with an option: it lacks its value, or has one that it does not take."""
    return "takes no value" if "does not take" in error.message else "needs a value"
