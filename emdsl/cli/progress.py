"""How a fit is going, on standard error: one line that changes in a terminal, a line now and then with --verbose."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

#: Seconds before anything is shown, and between two lines in a terminal and elsewhere.
SILENT, TERMINAL_GAP, LOG_GAP = 0.5, 0.1, 2.0


class Progress:
    """The display of one fit. `callback` is None where nothing is to be shown."""

    def __init__(self, quiet: bool, verbose: bool) -> None:
        self._terminal = sys.stderr is not None and sys.stderr.isatty()
        self._next = time.monotonic() + SILENT
        self._shown = False
        self.callback: Callable[[str, int, Any], None] | None = None
        if not quiet and (self._terminal or (verbose and sys.stderr is not None)):
            self.callback = self._show

    def _show(self, stage: str, iteration: int, iterate: Any) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + (TERMINAL_GAP if self._terminal else LOG_GAP)
        line = f"{stage}: iteration {iteration}, log-likelihood {iterate.loglik:.6f}"
        sys.stderr.write(f"\r\x1b[K{line}" if self._terminal else f"{line}\n")
        sys.stderr.flush()
        self._shown = self._terminal

    def close(self) -> None:
        """Take the line away."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
