"""Errors of the graph stage, made where they are found and collected by the driver."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from emdsl.diagnostics.errors import Diagnostic, EmmError
from emdsl.diagnostics.spans import Span
from emdsl.diagnostics.suggest import closest
from emdsl.syntax import tree


def failure(code: str, message: str, node: tree.Node, help: str = "", label: str = "") -> EmmError:
    """The error, at the place of `node`."""
    return EmmError(code, message, span=node.span, help=help, label=label)


def unknown(code: str, message: str, name: str, candidates: Iterable[str], node: tree.Node, help: str = "") -> EmmError:
    """There is no such `name`: the nearest candidate is the help, else `help`."""
    near = closest(name, list(candidates))
    return failure(code, message, node, f"did you mean `{near}`?" if near else help)


class Consequence(EmmError):
    """A failure that only follows from one that has been noted: it is not reported."""

    def __init__(self, name: str, node: tree.Node) -> None:
        super().__init__("consequence", f"the declaration of `{name}` is wrong", span=node.span)


def together(errors: Sequence[EmmError]) -> EmmError:
    """Several errors as one, without those that only follow from others."""
    own = [item for error in errors if not isinstance(error, Consequence) for item in error.diagnostics]
    return EmmError.of(own) if own else errors[0]


class Failures:
    """The errors found so far, each once."""

    def __init__(self) -> None:
        self.found: list[Diagnostic] = []
        self._known: set[tuple[str, str, Span | None]] = set()

    def add(self, error: EmmError) -> None:
        """Note an error, unless the same has been noted before (a name can be resolved from several places)."""
        if isinstance(error, Consequence):
            return
        for item in error.diagnostics:
            key = (item.code, item.message, item.span)
            if key not in self._known:
                self._known.add(key)
                self.found.append(item)

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Run one statement; what it raises is noted, and the next statement goes on."""
        try:
            yield
        except EmmError as error:
            self.add(error)

    def raise_all(self) -> None:
        """Raise all errors at once, in the order of the text, if there are any."""
        if self.found:
            raise EmmError.of(sorted(self.found, key=lambda item: item.span.start if item.span else 0))
