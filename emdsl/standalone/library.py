"""Which modules of emdsl a stand-alone file carries: what its entry imports, and what that imports, to the end."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib.util import find_spec

#: Where a stand-alone file begins.
ENTRY = "emdsl.cli.standalone"

#: Modules (and packages) that are imported inside functions which a fit in a stand-alone file does not call.
LEFT_OUT = (
    "emdsl.derive", "emdsl.families", "emdsl.graph", "emdsl.syntax",  # the derivation travels as data
    "emdsl.plan.check", "emdsl.plan.identifiability",  # `emdsl check`
    "emdsl.results.derivation_text",  # `emdsl derive`
    "emdsl.plan.posterior", "emdsl.plan.parameters", "emdsl.results.posterior", "emdsl.results.augment",
    "emdsl.studies", "emdsl.plan.certainty",
    "emdsl.results.params", "emdsl.results.simulation", "emdsl.simulate", "emdsl.predict", "emdsl.data.ahead",
    "emdsl.results.prediction", "emdsl.results.plots", "emdsl.results.report",  # what is done with a fit
    "emdsl.standalone.layout", "emdsl.standalone.nominal",  # `emdsl compile` itself
)  # fmt: skip

#: Modules that need a library which is absent there, and what stands in for each.
IN_PLACE_OF = {"emdsl.data.large": "emdsl.standalone.tables", "emdsl.data.arrow": "emdsl.standalone.tables"}


def library(imports: str) -> dict[str, str]:
    """The source of each module by its name, sorted by name. Every package's own module is among them.

    `imports` are those of the program that stands in the file.
    """
    sources: dict[str, str] = {}
    waiting = [ENTRY, *imported("the program", imports)]
    while waiting:
        name = waiting.pop()
        if name in sources:
            continue
        sources[name] = module_source(IN_PLACE_OF.get(name, name))
        waiting += imported(name, sources[name])
        waiting += [name.rpartition(".")[0]] if "." in name else []
    return dict(sorted(sources.items()))


def module_source(name: str) -> str:
    """The source of a module, which is found and not run."""
    spec = find_spec(name)
    loader = None if spec is None else spec.loader
    source = getattr(loader, "get_source", lambda _: None)(name)
    if not isinstance(source, str):
        raise ImportError(f"the source of {name} is not installed")
    return source


def imported(name: str, source: str) -> list[str]:
    """The modules of emdsl that a module imports, at its top or inside its functions, without those that are left out.

    Raises ImportError where one that is left out is imported at the top.
    """
    found = []
    for node, at_top in _imports(ast.parse(source), True):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else _modules(node)
        for module in modules:
            if module.partition(".")[0] != "emdsl":
                continue
            if not any(module == out or module.startswith(f"{out}.") for out in LEFT_OUT):
                found.append(module)
            elif at_top:
                raise ImportError(f"{name} imports {module} at its top, which a stand-alone file leaves out")
    return found


def _imports(node: ast.AST, at_top: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Every import below a node, and whether it runs with the module; those for the type checker are none."""
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.Import() | ast.ImportFrom():
                yield child, at_top
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                continue
            case ast.FunctionDef():
                yield from _imports(child, False)
            case _:
                yield from _imports(child, at_top)


def _modules(node: ast.ImportFrom) -> list[str]:
    """What `from a import b` loads: `a`, and `a.b` where that is a module."""
    base = node.module or ""
    if base.partition(".")[0] != "emdsl" or any(base == out or base.startswith(f"{out}.") for out in LEFT_OUT):
        return [base]
    inside = (f"{base}.{alias.name}" for alias in node.names)
    spec = find_spec(base)
    package = spec is not None and spec.submodule_search_locations is not None
    return [base, *(name for name in inside if package and find_spec(name) is not None)]
