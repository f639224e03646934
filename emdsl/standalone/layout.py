"""The text of a stand-alone file: what it is, the model, its program, its derivation, and the library below them.

Text of a model stands in it only inside literals that `repr` has written, and inside comments that the planner has put
on one line: whatever a label or a description holds, it is never code.
"""

from __future__ import annotations

import ast
import json
import textwrap
from collections.abc import Iterator, Mapping
from keyword import iskeyword
from pathlib import PurePath
from typing import Any

from emdsl.data.bound import Bound
from emdsl.ir.codec import encode
from emdsl.ir.derivation import Derivation
from emdsl.plan.program import Program
from emdsl.standalone import fingerprint
from emdsl.standalone.library import ENTRY, library, module_source
from emdsl.standalone.options import option_lines
from emdsl.version import VERSION

WIDTH = 120

OPENING = """
import os
import sys
from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

if __name__ == "__main__":  # BLAS on one thread: its threads would wait for each other longer than they work
    for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(_name, "1")

try:
    import numpy as np
except ImportError:
    raise SystemExit("error: this file needs NumPy\\nhelp: pip install numpy") from None
"""

CLOSING = '''
install(LIBRARY, __file__)

{imports}
from {entry} import Standalone

_STANDALONE = Standalone(MODEL, FILE, DERIVATION, sys.modules[__name__], PLANNED)


def fit(data: Any, **options: Any) -> Any:
    """Fit the model to a CSV or TSV file, or to a dict of arrays. Options as above, with underscores: max_iter=10."""
    return _STANDALONE.fit(data, **options)


if __name__ == "__main__":
    sys.exit(_STANDALONE.main(sys.argv[1:]))
'''


def file_text(text: str, file: str | None, derivation: Derivation, bound: Bound) -> str:
    """The whole file. `bound` has the sizes that the program is planned for; `text` and `file` are the model's."""
    source = Program(derivation, bound).source
    imports, functions = program_parts(source)
    json_text = _wrapped(json.loads(encode(derivation)))
    name = PurePath(file).name if file else f"{derivation.model.name}.emm"
    sections = [
        docstring(description(derivation, PurePath(name).stem)) + OPENING,
        _heading("the model") + f"\nFILE = {name!r}\n\nMODEL = {_lines(text)}\n",
        _heading("its program: the E-step and the M-step") + f"\n{functions}",
        _heading("its derivation, as JSON") + f"\nDERIVATION = {_lines(json_text)}\n\n"
        f"#: What tells whether data call for the program above.\nPLANNED = {fingerprint(source)!r}\n",
        _heading(f"the library: modules of emdsl {VERSION}, as they are") + f"\nLIBRARY = {_dict(library(imports))}\n",
        _heading("how it is loaded") + f"\n{_after_imports(module_source('emdsl.standalone.importer'))}\n",
        CLOSING.format(imports=imports, entry=ENTRY).lstrip("\n"),
    ]
    return "\n\n".join(sections)


def program_parts(source: str) -> tuple[str, str]:
    """The imports of a planned program, which can run only below the library, and its functions, as the planner wrote
    them."""
    nodes = [node for node in ast.parse(source).body if isinstance(node, ast.Import | ast.ImportFrom)]
    lines = source.splitlines(keepends=True)
    first, last = nodes[0].lineno - 1, nodes[-1].end_lineno or 0
    imports = "".join(lines[first:last]).removeprefix("import numpy as np\n").strip("\n")
    # The comments hold words of the model, which must not reorder or hide what is read.
    return imports, _shown("".join(lines[last:]).strip("\n")) + "\n"


def description(derivation: Derivation, stem: str) -> str:
    """What a reader should know of the file."""
    model = derivation.model
    title = model.name + (f": {model.description}" if model.description else "")
    about = (
        f"Fits this model to a table by the EM algorithm. Written by emdsl {VERSION}, which need not be installed: the "
        "file needs Python 3.11 or later, NumPy, and SciPy where the model calls a special function (such as lgamma)."
    )
    program = (
        "The functions below MODEL are the program of this model, and they are what runs: a change to them takes "
        "effect. They were planned without data. Where the data's sizes call for another order of summation, or an "
        "option changes what is summed (--weight), another program is planned from DERIVATION, and a note says so. "
        "Short random starts of small data run in a program of their own, several at once."
    )
    options = "\n".join(f"    {line}" for line in option_lines())
    usage = f"    python {stem}.py data.csv\n    python {stem}.py data.csv --json --seed 1 > fit.json"
    codes = (
        "Exit codes: 0 fitted, 1 the fit failed or did not converge, 2 the data or the command is wrong, "
        "130 interrupted."
    )
    parts = [title, _filled(about), usage, f"Options:\n\n{options}", codes, _filled(program)]
    if stem.isidentifier() and not iskeyword(stem):
        parts.append(f'From Python: `import {stem}; {stem}.fit("data.csv", seed=1).params`.')
    return "\n\n".join(parts)


def docstring(text: str) -> str:
    """A literal in three quotes whose value is the text."""
    return f'"""{_shown(text, escape=True)}\n"""\n'


def _shown(text: str, *, escape: bool = False) -> str:
    """The text with what does not print (but line ends) as escapes; with `escape`, three quotes may stand around it."""
    marks = "\\" if escape else ""
    shown = "".join(c if c == "\n" or (c.isprintable() and c not in marks) else repr(c)[1:-1] for c in text)
    return shown.replace('"""', '\\"\\"\\"') if escape else shown


def _filled(text: str) -> str:
    return textwrap.fill(text, WIDTH)


def _heading(title: str) -> str:
    return f"# --- {title} ".ljust(WIDTH, "-") + "\n"


def _lines(text: str) -> str:
    """A literal whose value is the text, a line of the text on each line."""
    return "(\n" + "\n".join(f"    {line!r}" for line in text.splitlines(keepends=True) or [""]) + "\n)"


def _wrapped(value: Any) -> str:
    """JSON in lines that can be read: what does not fit on one is a list with an entry a line."""
    return "\n".join(_json_lines(value, 0)) + "\n"


def _json_lines(value: Any, depth: int) -> Iterator[str]:
    compact = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, list) or len(compact) + depth <= WIDTH - 20:
        yield " " * depth + compact
        return
    yield " " * depth + "["
    for position, item in enumerate(value):
        *lines, last = _json_lines(item, depth + 1)
        yield from lines
        yield last + ("," if position + 1 < len(value) else "")
    yield " " * depth + "]"


def _dict(sources: Mapping[str, str]) -> str:
    """A dict of sources, each in three quotes so that it reads as it is."""
    return "{\n" + "".join(f"    {name!r}: {quoted(source)},\n" for name, source in sources.items()) + "}"


def quoted(source: str) -> str:
    """A literal whose value is the source text of a module, its lines as they are wherever that is possible."""
    if "'''" not in source and "\\" not in source and not source.endswith("'") and "\r" not in source:
        return f"'''\\\n{source}'''"
    if "'''" not in source and source.endswith("\n") and "\r" not in source:
        return f"r'''{source}'''"
    escaped = source.replace("\\", "\\\\").replace("'''", "\\'\\'\\'").replace("\r", "\\r")
    return f"'''\\\n{escaped}'''" if not escaped.endswith("'") else repr(source)


def _after_imports(source: str) -> str:
    """A module's text behind its last import."""
    tree = ast.parse(source)
    last = max(node.end_lineno or 0 for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom))
    return "".join(source.splitlines(keepends=True)[last:]).strip("\n")
