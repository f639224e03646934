"""Imports modules from a dict of their sources. The text of what follows the imports goes into every file that
`emdsl compile` writes, so it stands on the standard library alone."""

import sys
from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class LibraryImporter:
    """Finds and loads the modules of a library, their sources by their full names; `origin` is where these stand."""

    def __init__(self, library: Mapping[str, str], origin: str) -> None:
        self.library, self.origin = library, origin

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """How to load a module of the library; None for every other one."""
        if name not in self.library:
            return None
        package = any(other.startswith(f"{name}.") for other in self.library)
        return ModuleSpec(name, self, origin=f"{self.origin}, {name}", is_package=package)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """None: an ordinary module."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's source."""
        name = module.__name__
        code = compile(self.library[name], f"<{self.origin}, {name}>", "exec", dont_inherit=True)
        exec(code, vars(module))  # noqa: S102 - the library's own source, as an import would run it

    def get_source(self, name: str) -> str:
        """The source of a module, for tracebacks."""
        return self.library[name]


def install(library: Mapping[str, str], origin: str) -> None:
    """Let the library be imported from now on. Raises ImportError where its package is loaded from elsewhere."""
    package = min(library, key=len)
    loaded = sys.modules.get(package)
    if loaded is None:
        sys.meta_path.insert(0, LibraryImporter(library, origin))
        return
    importer = getattr(getattr(loaded, "__spec__", None), "loader", None)
    if getattr(importer, "library", None) != library:
        alone = f"run this file as a program of its own: python {origin} data.csv"
        raise ImportError(f"{package} is loaded from elsewhere; {alone}")
