"""The runtime's modules can be put into one file: distinct names, NumPy and the standard library only, nothing more
loaded."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

import emdsl.runtime

FITTING = (
    "acceleration", "boundary", "convergence", "domain_maps", "domain_matrices", "domain_ordered", "domain_scalars",
    "domain_simplex", "domains", "em", "fitting", "information", "neutral", "newton", "problem", "remarks", "starts",
    "uncertainty",
)  # fmt: skip
FOLDER = Path(emdsl.runtime.__file__).parent


def top_level_names(tree: ast.Module) -> list[str]:
    names = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign):
            names.extend(target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.append(node.target.id)
    return names


def test_no_two_modules_define_the_same_name():
    defined: list[str] = []
    for file in sorted(FOLDER.glob("*.py")):
        defined.extend(top_level_names(ast.parse(file.read_text())))
    assert [name for name, count in Counter(defined).items() if count > 1 and name != "__all__"] == []


def test_only_numpy_and_the_standard_library_are_imported():
    for module in FITTING:
        for node in ast.walk(ast.parse((FOLDER / f"{module}.py").read_text())):
            if isinstance(node, ast.ImportFrom):
                source = str(node.module)
                assert node.level == 0
                allowed = source.split(".")[0] in {*sys.stdlib_module_names, "numpy"}
                assert allowed or source.startswith(("emdsl.runtime.", "emdsl.diagnostics.errors")), (module, source)
            elif isinstance(node, ast.Import):
                assert {alias.name.split(".")[0] for alias in node.names} <= {*sys.stdlib_module_names, "numpy"}, module


def test_a_fit_loads_neither_scipy_nor_sympy():
    program = (
        "import sys, numpy as np\n"
        "from tests.runtime.hand_written import PoissonMixture\n"
        "from emdsl.runtime.fitting import fit\n"
        "state = fit(PoissonMixture(np.arange(6.0), np.ones(6)))\n"
        "heavy = {'scipy', 'sympy', 'lark', 'pandas'}\n"
        "print(state.converged, sorted({name.split('.')[0] for name in sys.modules} & heavy))\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.strip() == "True []"
