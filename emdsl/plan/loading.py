"""Generated source to a module."""

from __future__ import annotations

import hashlib
import linecache
from types import ModuleType


def load_module(source: str) -> ModuleType:
    """The generated module, registered so that a traceback shows its lines."""
    name = f"emdsl_program_{hashlib.sha256(source.encode()).hexdigest()[:16]}"
    file = f"<{name}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    module = ModuleType(name)
    # The source is written by the planner from names it has made itself; no text of a model reaches this call.
    exec(compile(source, file, "exec"), vars(module))  # noqa: S102
    return module
