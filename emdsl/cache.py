"""Derivations on disk, as JSON, by the text of the model and the version of the compiler.

A cache that cannot be read or written is as good as none: the model is derived again, and the fit does not depend on
it.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from emdsl.ir.codec import decode, encode
from emdsl.ir.derivation import Derivation

#: Raised whenever the form or the meaning of a derivation changes.
FORMAT = 5


def cached_derivation(text: str, purpose: str = "") -> Derivation | None:
    """The derivation of this text (for this purpose), if it has been stored by this version."""
    path = _path(text, purpose)
    try:
        found = decode(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, Derivation) else None


def store_derivation(text: str, derivation: Derivation, purpose: str = "") -> None:
    """Store a derivation, whole or not at all."""
    path = _path(text, purpose)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(encode(derivation))
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError:
        # A read-only home directory: every run derives anew.
        return


def _path(text: str, purpose: str) -> Path:
    key = hashlib.sha256(f"{FORMAT}\0{_compiler_version()}\0{purpose}\0{text}".encode()).hexdigest()
    return directory() / f"{key[:40]}.json"


def directory() -> Path:
    """Where derivations are kept: `EMDSL_CACHE_DIR`, or the user's cache directory."""
    given = os.environ.get("EMDSL_CACHE_DIR")
    if given:
        return Path(given)
    from platformdirs import user_cache_path

    return user_cache_path("emdsl")


def _compiler_version() -> str:
    """The version, and the newest change of the stages that a derivation comes from (so that a checkout never reads
    stale ones).
    """
    from emdsl.version import VERSION

    root = Path(__file__).parent
    newest = 0
    for package in ("ir", "syntax", "families", "graph", "derive"):
        for entry in os.scandir(root / package):
            if entry.is_dir():
                continue  # Python's own cache changes with every run
            newest = max(newest, entry.stat().st_mtime_ns)
    return f"{VERSION}\0{newest}"
