"""The doors from the shell: options that do not fit, files that are read and written, errors with their exact text."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from emdsl.cli.main import main

NORMAL = "param m : real\nparam s : positive\nfor each row:\n    observed y ~ Normal(m, s)\n"
WIDE = "index item = columns\nparam m[item] : real\nfor each row:\n    observed y[item] ~ Normal(m[item], 1)\n"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("n.emm").write_text(NORMAL, encoding="utf-8")
    Path("w.emm").write_text(WIDE, encoding="utf-8")
    Path("a.csv").write_text("y\n1\n2\n3\n", encoding="utf-8")
    Path("wide.csv").write_text("a,b,c,name\n1,2,3,u\n2,3,4,v\n", encoding="utf-8")


def fitted(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """The JSON of a fit that works."""
    assert main(["fit", *arguments, "--format", "json", "--quiet"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


DOORS: dict[str, tuple[str, bytes, int]] = {
    "tsv": ("d.tsv", b"y\tz\n1\ta,b\n2\tb\n3\tc\n", 3),
    "semicolons": ("d.csv", b"y;z\n1;2\n3;3\n", 2),
    "gzip": ("d.csv.gz", gzip.compress(b"y\n1\n2\n3\n"), 3),
    "byte-order mark and CRLF": ("d.csv", b"\xef\xbb\xbfy\r\n1\r\n2\r\n3\r\n", 3),
    "quoted line ends": ("d.csv", b'y,"t\next"\n1,"a\nb"\n2,"c""d"\n3,e\n', 3),
    "a comma at the end of lines": ("d.csv", b"y,z,\n1,2,\n3,4,\n", 2),
    "no line end": ("d.csv", b"y\n1\n3", 2),
}


@pytest.mark.parametrize("door", DOORS)
def test_a_table_comes_in(door: str, capsys: pytest.CaptureFixture[str]) -> None:
    name, content, rows = DOORS[door]
    Path(name).write_bytes(content)
    found = fitted(capsys, "n.emm", name)
    assert found["params"]["m"] == pytest.approx(2.0)
    assert found["data"]["rows"] == rows


def test_a_directory_and_a_pattern_are_one_table(capsys: pytest.CaptureFixture[str]) -> None:
    Path("parts").mkdir()
    Path("parts/1.csv").write_text("y\n1\n2\n", encoding="utf-8")
    Path("parts/2.csv").write_text("y\n3\n", encoding="utf-8")
    for name in ("parts", "parts/*.csv"):
        assert fitted(capsys, "n.emm", name)["data"]["rows"] == 3
    Path("parts/2.csv").write_text("y\n3\nabc\n", encoding="utf-8")
    assert main(["fit", "n.emm", "parts"]) == 2
    assert " --> parts/2.csv, row 2 (line 3), column y\n" in capsys.readouterr().err


def test_parquet_and_arrow(capsys: pytest.CaptureFixture[str]) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.feather
    import pyarrow.ipc
    import pyarrow.parquet

    table = pa.table({"y": [1.0, None, 3.0], "z": ["a", "b", None]})
    pyarrow.parquet.write_table(table, "d.parquet")
    pyarrow.feather.write_feather(table, "d.feather")
    with pyarrow.ipc.new_stream("d.arrows", table.schema) as stream:
        stream.write(table)
    for name in ("d.parquet", "d.feather", "d.arrows"):
        found = fitted(capsys, "n.emm", name)
        assert (found["params"]["m"], found["missing_cells"]) == (pytest.approx(2.0), {"y": 1})


def test_arrow_files_without_pyarrow(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    Path("d.feather").write_bytes(b"ARROW1")
    assert main(["fit", "n.emm", "d.feather"]) == 2
    assert capsys.readouterr().err == (
        "error[no-pyarrow]: reading Arrow files needs pyarrow\n --> d.feather\nhelp: pip install pyarrow\n"
    )


def test_columns_by_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "w.emm", "wide.csv", "--format", "json"]) == 0
    assert capsys.readouterr().err == "note: `item` took every numeric column left over: a, b, c\n"
    assert list(fitted(capsys, "w.emm", "wide.csv", "--columns", "item=c,a")["params"]["m"]) == ["c", "a"]
    assert list(fitted(capsys, "w.emm", "wide.csv", "--columns", "item=[ab]")["params"]["m"]) == ["a", "b"]


#: Commands that are wrong, and all that is said.
WRONG = {
    "fit n.emm a.csv --init file.txt": """
error[bad-assignment]: expected NAME=VALUE or the name of a .json file, found `file.txt`
 --> --init
help: --init p.C=0.2, or --init start.json
""",
    "fit n.emm a.csv --init s=-1": """
error[start-outside-domain]: the starting value of `s` must be positive
 --> --init
help: give one inside its domain: --init s=…
""",
    "fit n.emm a.csv --fix s=-1": """
error[start-outside-domain]: the value of `s` must be positive
 --> --fix
help: give one inside its domain: --fix s=…
""",
    "fit n.emm a.csv --init s.C=1": """
error[wrong-shape]: `s` is a single number, and has no labels
 --> --init
help: --init s=0.5
""",
    "fit w.emm wide.csv --init m=[1,2]": """
error[wrong-shape]: expected 3 values for `m`, found 2
 --> --init
help: give one number for all its elements, or 3 of them
""",
    "fit w.emm wide.csv --init m.d=1": """
error[unknown-label]: `d`, in `m.d`, is not a label of `item`
 --> --init
help: its labels are a, b, c
""",
    "fit n.emm a.csv --output a.csv": """
error[overwrites-input]: `a.csv` is read, so it cannot be written
 --> --output
help: --output a.new.csv
""",
    "fit n.emm a.csv --trace ./n.emm": """
error[overwrites-input]: `./n.emm` is read, so it cannot be written
 --> --trace
help: --trace n.new.emm
""",
    "fit n.emm a.csv --map yy=y": """
error[unknown-variable]: there is no variable or plate `yy` to map a column to
 --> --map
help: did you mean `y`?
""",
    "fit n.emm a.cvs": """
error[no-such-file]: there is no file `a.cvs`
 --> a.cvs
help: did you mean `a.csv`?
""",
    "fit w.emm wide.csv --columns item=a,name": """
error[not-a-number]: expected numbers in column `name`, found `u`, `v`
 --> wide.csv, rows 1, 2 (lines 2, 3), column name
""",
}


@pytest.mark.parametrize("command", WRONG)
def test_what_is_said_of_a_wrong_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in Path().iterdir()}
    assert main(command.split()) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", WRONG[command].lstrip("\n"))
    assert {path: path.read_bytes() for path in Path().iterdir()} == before


def test_everything_that_is_wrong_with_the_columns_of_an_array_is_said_at_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("counts.emm").write_text(
        "index k = {a, b}\nparam r[k] : positive\nfor each row:\n    observed y[k] ~ Poisson(r[k])\n", encoding="utf-8"
    )
    Path("counts.csv").write_text("a,b\n1,2.5\n-1,3\n", encoding="utf-8")
    assert main(["fit", "counts.emm", "counts.csv"]) == 2
    assert capsys.readouterr().err == (
        "error[outside-support]: expected whole numbers, 0 or more in column `a`, found `-1`\n"
        " --> counts.csv, row 2 (line 3), column a\n\n"
        "error[outside-support]: expected whole numbers, 0 or more in column `b`, found `2.5`\n"
        " --> counts.csv, row 1 (line 2), column b\n"
    )


def test_impossible_at_the_start_but_not_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    Path("p.emm").write_text(
        "index k = {a, b}\nparam p : simplex[k] init {a: 1, b: 0}\nfor each row:\n    observed y ~ Categorical(p)\n",
        encoding="utf-8",
    )
    Path("p.csv").write_text("y\na\nb\na\n", encoding="utf-8")
    assert main(["fit", "p.emm", "p.csv", "--format", "json"]) == 1
    assert capsys.readouterr().err.startswith(
        "error[fit-failed]: the log-likelihood at the starting values is -inf: the data are impossible there, first "
        "`b` in p.csv, row 2 (line 3), column y; give other values with --init\n"
    )
