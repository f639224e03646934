"""A compiled file as a module, and what its text holds."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import emdsl
from emdsl.cli.main import main
from emdsl.ir.codec import decode
from emdsl.standalone.layout import docstring, quoted
from emdsl.standalone.library import ENTRY, imported, library
from tests.standalone.isolation import ROOT, run

MOTHS = ROOT / "models" / "peppered_moth.emm"

HOSTILE = (
    r'''# """ and '''
    + r"""''' and \ and {braces} and \N{BULLET} and \x00
model Hostile "she said \"hi\", then '''); raise SystemExit(9) #, then \""
param mu : real "a \\ and \" and '''"
index kind = {"'''+__import__('os')+'''", "\"\"\"", "a\\", "#{x}"}
param p : simplex[kind]
for each row:
    latent k ~ Categorical(p)
    observed x ~ Normal(mu, 1)
"""
)


def constants(text: str) -> dict[str, object]:
    """The literals that a file gives names to, read without running it."""
    return {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id.isupper()
        and node.targets[0].id != "_STANDALONE"
    }  # fmt: skip


def test_the_same_text_each_time() -> None:
    text = emdsl.load(str(MOTHS)).compile()
    assert text == emdsl.load(str(MOTHS)).compile()
    assert text.startswith('"""PepperedMoth: Allele frequencies of the peppered moth')
    headings = [line for line in text.splitlines() if line.startswith("# --- ") and line.endswith("-" * 20)]
    order = ["the model", "its program", "its derivation", "the library", "how it is loaded"]
    shown = [line for line in headings if any(line.startswith(f"# --- {title}") for title in order)]
    assert [next(title for title in order if line.startswith(f"# --- {title}")) for line in shown] == order


def test_what_the_names_hold() -> None:
    loaded = emdsl.load(str(MOTHS))
    held = constants(loaded.compile())
    assert held["MODEL"] == MOTHS.read_text(encoding="utf-8") and held["FILE"] == "peppered_moth.emm"
    assert decode(str(held["DERIVATION"])) == loaded.compiled.derivation
    sources = held["LIBRARY"]
    runs = "from emdsl.runtime.scan import scan_forward\nfrom emdsl.runtime.selection import unseen"
    assert isinstance(sources, dict) and set(sources) == set(library(runs))
    assert sources["emdsl.ir.model"] == (ROOT / "emdsl" / "ir" / "model.py").read_text(encoding="utf-8")


def test_the_library_stands_on_numpy_and_the_standard_library() -> None:
    allowed = {*sys.stdlib_module_names, "numpy", "emdsl"}
    for name, source in library("").items():
        for node in ast.parse(source).body:
            if isinstance(node, ast.Import):
                assert {alias.name.partition(".")[0] for alias in node.names} <= allowed, name
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0 and str(node.module).partition(".")[0] in allowed, name


def test_an_import_that_is_left_out_must_not_run() -> None:
    assert imported("m", "def f():\n    from emdsl.derive.derive import derive\n") == []
    with pytest.raises(ImportError, match=r"m imports emdsl.derive.derive at its top"):
        imported("m", "from emdsl.derive.derive import derive\n")
    typed = "if TYPE_CHECKING:\n    from emdsl.derive.derive import derive\nfrom emdsl.ir import model\n"
    assert imported("m", typed) == ["emdsl.ir", "emdsl.ir.model"]
    assert ENTRY in library("")


@pytest.mark.parametrize(
    "text", ["a = 1\n", "a = '''x'''\n", 'r = "\\d"\n', "s = '\\n' '''x'''\n", "a = 'b'", "\r\n'\\", '"""d"""\n', ""]
)
def test_literals_hold_their_text(text: str) -> None:
    assert ast.literal_eval(quoted(text)) == text
    inner = ast.literal_eval(docstring(text).strip())
    assert inner == text + "\n"


def test_a_hostile_model_is_inert(tmp_path: Path, numpy_alone: Path) -> None:
    model = tmp_path / "hostile.emm"
    model.write_text(HOSTILE, encoding="utf-8")
    compiled = emdsl.load(str(model)).compile()
    assert constants(compiled)["MODEL"] == HOSTILE
    file = tmp_path / "hostile.py"
    file.write_text(compiled, encoding="utf-8")
    (tmp_path / "x.csv").write_text("x\n1\n2\n4\n", encoding="utf-8")
    result = run(file, numpy_alone, "x.csv", "--json", "--starts", "1", "--se", "none", "--quiet")
    assert "Traceback" not in result.stderr and result.returncode in (0, 1), result.stderr
    assert abs(json.loads(result.stdout)["params"]["mu"] - 7 / 3) < 1e-9


def test_characters_that_do_not_print_are_escaped(tmp_path: Path) -> None:
    model = tmp_path / "hidden.emm"
    rows = "for each row:\n    observed x ~ Normal(mu, 1)  # \u2028 \u202e\n"
    text = f'model Hidden "left\u202eright"\nparam mu : real\n{rows}'
    model.write_text(text, encoding="utf-8")
    compiled = emdsl.load(str(model)).compile()
    before = compiled.partition("# --- the library")[0]
    assert constants(compiled)["MODEL"] == text
    assert [c for c in before if not c.isprintable() and c != "\n"] == []


def test_from_python(tmp_path: Path, numpy_alone: Path) -> None:
    (tmp_path / "moths.py").write_text(emdsl.load(str(MOTHS)).compile(), encoding="utf-8")
    script = tmp_path / "script.py"
    script.write_text(
        "import moths, moths as again\n"
        'data = {"phenotype": ["carbonaria", "insularia", "typica"], "count": [85, 196, 341]}\n'
        "fit = moths.fit(data, seed=1)\n"
        "print(fit.loglik, fit.params['p']['C'])\n"
        "try:\n    moths.fit(data, seeds=1)\nexcept Exception as error:\n    print(error.code, error.help)\n",
        encoding="utf-8",
    )
    result = run(script, numpy_alone)
    assert result.returncode == 0, result.stderr
    loglik, share = map(float, result.stdout.splitlines()[0].split())
    assert abs(loglik - -600.4809829192322) < 1e-6 and abs(share - 0.0708) < 1e-4
    assert result.stdout.splitlines()[1] == "unknown-option did you mean `seed`?"


def test_two_compiled_models_in_one_process(tmp_path: Path, numpy_alone: Path) -> None:
    for name in ("peppered_moth", "abo"):
        text = emdsl.load(str(ROOT / "models" / f"{name}.emm")).compile()
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    script = tmp_path / "script.py"
    script.write_text("import abo, peppered_moth\nprint(abo.FILE, peppered_moth.FILE)\n", encoding="utf-8")
    assert run(script, numpy_alone).stdout == "abo.emm peppered_moth.emm\n"


def test_beside_another_emdsl(tmp_path: Path, numpy_alone: Path) -> None:
    (tmp_path / "moths.py").write_text(emdsl.load(str(MOTHS)).compile(), encoding="utf-8")
    (tmp_path / "emdsl.py").write_text("", encoding="utf-8")
    script = tmp_path / "script.py"
    script.write_text("import emdsl\nimport moths\n", encoding="utf-8")
    result = run(script, numpy_alone)
    assert "ImportError: emdsl is loaded from elsewhere; run this file as a program of its own" in result.stderr


def test_no_module_but_those_of_the_file(tmp_path: Path, numpy_alone: Path) -> None:
    file = tmp_path / "moths.py"
    names = "\nprint(*sorted({n.partition('.')[0] for n in sys.modules} - sys.stdlib_module_names), file=sys.stderr)\n"
    whole = emdsl.load(str(MOTHS)).compile().replace("    sys.exit(_STANDALONE", "    code = (_STANDALONE")
    file.write_text(whole + names, encoding="utf-8")
    (tmp_path / "data.csv").write_bytes((ROOT / "models" / "data" / "peppered_moth.csv").read_bytes())
    loaded = run(file, numpy_alone, "data.csv", "--quiet").stderr.split()
    own = {"__main__", "cython_runtime", *(name for name in loaded if name.startswith("_cython_"))}  # the last, NumPy's
    assert set(loaded) - own == {"numpy", "emdsl"}


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_writes_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "moths.py"
    assert main(["compile", str(MOTHS), "-o", str(target)]) == 0
    assert capsys.readouterr() == ("", "")
    assert main(["compile", str(MOTHS)]) == 0
    assert capsys.readouterr().out == target.read_text(encoding="utf-8")
    assert [item.name for item in tmp_path.iterdir()] == ["moths.py"]


def test_a_model_is_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "m.emm"
    model.write_bytes(MOTHS.read_bytes())
    (tmp_path / "link.py").symlink_to(model)
    for name in ("m.emm", "new.EMM", "link.py"):
        assert main(["compile", str(model), "-o", str(tmp_path / name)]) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.startswith("error[overwrites-model]: `") and "help: --output " in err
    assert model.read_bytes() == MOTHS.read_bytes() and not (tmp_path / "new.EMM").exists()


def test_nothing_is_written_where_the_model_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "m.emm"
    model.write_text("param mu : real\nfor each row:\n    observed x ~ Normal(nu, 1)\n", encoding="utf-8")
    target = tmp_path / "m.py"
    target.write_text("before\n", encoding="utf-8")
    assert main(["compile", str(model), "-o", str(target)]) == 2
    assert "error[unknown-name]" in capsys.readouterr().err
    assert target.read_text(encoding="utf-8") == "before\n"


def test_the_file_compiles_without_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "moths.py"
    file.write_text(emdsl.load(str(MOTHS)).compile(), encoding="utf-8")
    command = [sys.executable, "-W", "error", "-m", "py_compile", str(file)]
    checked = subprocess.run(command, capture_output=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, b"")
