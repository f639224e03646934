"""Reading tables: every kind of source, and the exact words of every error."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import emdsl.data.reading as reading
from emdsl.data.reading import read_table
from emdsl.data.table import Table
from tests.data.graphs import failure

SMALL_OR_LARGE = [pytest.param(100_000, id="standard reader"), pytest.param(0, id="duckdb")]


@pytest.fixture(params=SMALL_OR_LARGE)
def _either_reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both readers of delimited files, which must not differ."""
    monkeypatch.setattr(reading, "SMALL", request.param)


def write(folder: Path, text: str | bytes, name: str = "data.csv") -> str:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def cells(table: Table) -> dict[str, list[str | None]]:
    return {name: table.text(name).tolist() for name in table.names}


@pytest.mark.usefixtures("_either_reader")
class TestDelimited:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("a,b\n1,x\n01,y\n", {"a": ["1", "01"], "b": ["x", "y"]}),
            ("a,b\r\n1,x\r\n2,y", {"a": ["1", "2"], "b": ["x", "y"]}),
            ("\ufeffa,b\n1,x\n", {"a": ["1"], "b": ["x"]}),
            ('"a","b"\n"1","x, ""y"""\n', {"a": ["1"], "b": ['x, "y"']}),
            ('a,b\n1,"two\nlines"\n', {"a": ["1"], "b": ["two\nlines"]}),
            (
                'a,b\n,NA\nNaN," "\n""," NA "\nna,None\n',
                {"a": [None, None, None, "na"], "b": [None, None, None, "None"]},
            ),
            ("\n\na,b\n1,2\n\n3,4\n\n", {"a": ["1", "3"], "b": ["2", "4"]}),
            ("a\n1\n\n3\n\n\n", {"a": ["1", None, "3"]}),
            ('a\n1\n""\n', {"a": ["1", None]}),
            ("a,b\r1,2\r3,4\r", {"a": ["1", "3"], "b": ["2", "4"]}),
            ("a,b\n1,2\r\n3,4\n", {"a": ["1", "3"], "b": ["2", "4"]}),
            ('"",x\n1,5\n2,6\n', {"x": ["5", "6"]}),
            ("a;b\n1;2\n", {"a": ["1"], "b": ["2"]}),
            ('"a\n1","b"\n1,2\n3,4\n', {"a\n1": ["1", "3"], "b": ["2", "4"]}),
            ('a,b\nx,""\ny,""\n', {"a": ["x", "y"], "b": [None, None]}),
            ("\na\r\n1\r\n2\r\n", {"a": ["1", "2"]}),
            ("Id,ID,id\n1,2,3\n", {"Id": ["1"], "ID": ["2"], "id": ["3"]}),
            ("a b,c'd,select\n1,2,3\n", {"a b": ["1"], "c'd": ["2"], "select": ["3"]}),
            ("1,2,3\n4,5,6\n", {"1": ["4"], "2": ["5"], "3": ["6"]}),
        ],
    )
    def test_cells_are_kept_as_they_are_spelled(
        self, tmp_path: Path, text: str, expected: dict[str, list[str | None]]
    ) -> None:
        table = read_table(write(tmp_path, text))
        assert cells(table) == expected
        assert table.rows == len(next(iter(expected.values())))

    def test_numbers(self, tmp_path: Path) -> None:
        table = read_table(write(tmp_path, "x\n1\n -2.5 \n1e3\nNA\n.5\n+7\n"))
        np.testing.assert_array_equal(table.numbers("x"), [1, -2.5, 1000, np.nan, 0.5, 7])
        assert table.is_numeric("x")

    def test_tabs_and_gzip(self, tmp_path: Path) -> None:
        path = write(tmp_path, gzip.compress(b"a\tb\n1,5\tx\n"), "data.tsv.gz")
        assert cells(read_table(path)) == {"a": ["1,5"], "b": ["x"]}

    def test_words_for_missing(self, tmp_path: Path) -> None:
        table = read_table(write(tmp_path, "x,y\n-9,.\n-9.0,b\n"), na=(".", "-9"))
        assert cells(table)["y"] == [None, "b"]
        np.testing.assert_array_equal(np.isnan(table.numbers("x"))[:1], [True])

    @pytest.mark.parametrize("word", ["abc", "nan", "inf", "-Infinity", "0x1F", "1_000", "1e999", "true", "1 2", "- 1"])
    def test_what_is_no_number(self, tmp_path: Path, word: str) -> None:
        table = read_table(write(tmp_path, f"x,y\n1,1\n{word},1\n"))
        error = failure(lambda: table.numbers("x"))
        assert (error.code, error.message) == ("not-a-number", f"expected numbers in column `x`, found `{word}`")
        assert error.help == f"if the word means a missing cell: --na {word}"
        assert not table.is_numeric("x")
        assert table.numeric_names() == ("y",)

    def test_a_column_without_a_number_is_not_numeric(self, tmp_path: Path) -> None:
        assert read_table(write(tmp_path, "x,y\n,1\nNA,NA\n")).numeric_names() == ("y",)

    def test_rows_and_cells_that_are_no_numbers(self, tmp_path: Path) -> None:
        path = write(tmp_path, "x,y\n1,1\na,1\n2,1\nb,1\na,1\n")
        error = failure(lambda: read_table(path).numbers("x"))
        assert error.message == "expected numbers in column `x`, found `a`, `b`"
        assert error.place.startswith(f"{path}, rows 2, 4, 5")
        assert error.place.endswith(", column x")
        assert error.help == ""

    def test_decimal_commas(self, tmp_path: Path) -> None:
        error = failure(lambda: read_table(write(tmp_path, "x;y\n1,5;2\n")).numbers("x"))
        assert error.help == "write decimals with a point, `1.5`, and thousands without a mark"

    @pytest.mark.parametrize(
        ("text", "code", "message", "place", "help"),
        [
            ("", "empty-file", "the file is empty", "", "the first line holds the names of the columns"),
            (" \n\n", "empty-file", "the file is empty", "", "the first line holds the names of the columns"),
            ("a,b\n", "no-rows", "the table has no rows", "", ""),
            (
                "a,b\n1,2\n3\n", "ragged-row", "expected 2 cells, as in the header, found 1 cell", ", line 3", "",
            ),
            (
                "a,b\n1,2\n\n3,4,5\n", "ragged-row", "expected 2 cells, as in the header, found 3 cells", ", line 4",
                "put a cell that holds a comma in quotation marks",
            ),
            (
                "a,b,a\n1,2,3\n", "duplicate-column", "more than one column is called `a`", ", line 1",
                "give each column a name of its own",
            ),
            (
                "1.5,2\n3,4\n", "no-header", "the first line holds numbers, not the names of columns: `1.5,2`",
                ", line 1", "write the names of the columns above it, separated by commas",
            ),
            (
                "1,1,0\n3,4,5\n", "no-header", "the first line holds numbers, not the names of columns: `1,1,0`",
                ", line 1", "write the names of the columns above it, separated by commas",
            ),
            (",,\n1,2,3\n", "no-header", "the first line names no column", ", line 1", ""),
            (
                'a,b\n1,2\n3,"4\n5,6\n', "malformed-row",
                "a quotation mark is opened and not closed, or text follows the closing one", ", line 4",
                'double the quotation marks inside a quoted cell: "a ""b"" c"',
            ),
            (
                'a,b\n1,"2"x\n', "malformed-row",
                "a quotation mark is opened and not closed, or text follows the closing one", ", line 2",
                'double the quotation marks inside a quoted cell: "a ""b"" c"',
            ),
            (
                b"a,b\n1,2\n3,\xe9\n", "not-utf-8", "the file is not UTF-8: byte 0xe9", ", line 3",
                "iconv -f latin1 -t utf-8 {path} > utf8.csv",
            ),
            (
                "a,b\n1,2\n".encode("utf-16"), "not-utf-8", "the file is UTF-16, not UTF-8", "",
                "iconv -f utf-16 -t utf-8 {path} > utf8.csv",
            ),
            (
                b"PK\x03\x04\x14\x00\xff\xfe", "not-text",
                "expected a text file of comma-separated values, found binary data", "",
                "save the table as CSV, or name a Parquet file *.parquet and an Arrow file *.arrow",
            ),
            (
                b"a\x00b\n1\n", "not-text", "expected a text file of comma-separated values, found binary data", "",
                "save the table as CSV, or name a Parquet file *.parquet and an Arrow file *.arrow",
            ),
            (
                gzip.compress(b"a,b\n" + b"1,2\n" * 99, mtime=0)[:-9], "broken-file",
                "the gzip compression is broken or the file is cut short", "",
                "copy or download the file again; `gzip -t {path}` checks it",
            ),
        ],
    )  # fmt: skip
    def test_malformed_files(
        self, tmp_path: Path, text: str | bytes, code: str, message: str, place: str, help: str
    ) -> None:
        path = write(tmp_path, text)
        error = failure(lambda: read_table(path))
        assert (error.code, error.message) == (code, message)
        assert (error.place, error.help) == (path + place, help.format(path=path))

    def test_several_files(self, tmp_path: Path) -> None:
        write(tmp_path, "a,b\n1,2\n", "one.csv")
        second = write(tmp_path, "a,b\n3,4\nx,5\n", "two.csv")
        write(tmp_path, "notes", "README.md")
        for name in (str(tmp_path / "*.csv"), str(tmp_path)):
            table = read_table(name)
            assert cells(table) == {"a": ["1", "3", "x"], "b": ["2", "4", "5"]}
        if reading.SMALL:
            assert failure(lambda: table.numbers("a")).place == f"{second}, row 2 (line 3), column a"
        write(tmp_path, "b,a\n3,4\n", "two.csv")
        error = failure(lambda: read_table(str(tmp_path)))
        assert error.code == "different-columns"
        assert error.message == f"the columns differ from those of {tmp_path / 'one.csv'}: b, a instead of a, b"
        assert (error.place, error.help) == (second, "give all files the same columns in the same order")

    def test_a_name_with_marks_of_patterns(self, tmp_path: Path) -> None:
        write(tmp_path, "a,b\n9,9\n", "data1.csv")
        assert cells(read_table(write(tmp_path, "a,b\n1,2\n", "data[1].csv"))) == {"a": ["1"], "b": ["2"]}
        assert cells(read_table(write(tmp_path, "a,b\n3,2\n", "it's.csv"))) == {"a": ["3"], "b": ["2"]}

    def test_standard_input(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Standard:
            buffer = io.BytesIO(b"a,b\n1,2\nx,4\n")

            def isatty(self) -> bool:
                return False

        monkeypatch.setattr(sys, "stdin", Standard())
        table = read_table("-")
        assert cells(table) == {"a": ["1", "x"], "b": ["2", "4"]}
        assert failure(lambda: table.numbers("a")).place.startswith("standard input, row 2")


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("a,b\n1,2\n",))
    writer.start()
    table = read_table(pipe)
    writer.join()
    assert cells(table) == {"a": ["1"], "b": ["2"]}


@pytest.mark.slow
def test_a_million_rows(tmp_path: Path) -> None:
    n = 1_000_000
    path = write(tmp_path, b"x,y\n" + b"".join(b"%d.25,%d\n" % (row % 97, row % 7) for row in range(n)))
    table = read_table(path)
    numbers, encoded = table.numbers("x"), table.encoded("y")
    np.testing.assert_array_equal(numbers, np.arange(n) % 97 + 0.25)
    assert encoded.labels == tuple("0123456")
    np.testing.assert_array_equal(encoded.codes, np.arange(n) % 7)


def test_a_terminal_holds_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal())
    error = failure(lambda: read_table("-"))
    assert (error.code, error.message) == ("no-data", "expected a table on standard input, found a terminal")
    assert error.help == "pipe it in: cat data.csv | emdsl fit model.emm -"


class TestFiles:
    def test_no_such_file(self, tmp_path: Path) -> None:
        write(tmp_path, "a\n1\n", "moths.csv")
        error = failure(lambda: read_table(str(tmp_path / "mohts.csv")))
        assert (error.code, error.message) == ("no-such-file", "there is no file `mohts.csv`")
        assert error.help == "did you mean `moths.csv`?"

    def test_no_such_directory(self, tmp_path: Path) -> None:
        error = failure(lambda: read_table(str(tmp_path / "nowhere" / "moths.csv")))
        assert (error.code, error.message) == ("no-such-file", f"there is no directory `{tmp_path / 'nowhere'}`")

    def test_nothing_matches(self, tmp_path: Path) -> None:
        error = failure(lambda: read_table(str(tmp_path / "*.csv")))
        assert (error.code, error.message) == ("no-such-file", "no file matches the pattern")

    def test_no_name(self) -> None:
        assert failure(lambda: read_table("")).message == "expected the name of a data file, found nothing"

    def test_a_directory_without_tables(self, tmp_path: Path) -> None:
        write(tmp_path, "notes", "README.md")
        error = failure(lambda: read_table(str(tmp_path)))
        assert (error.code, error.message) == ("no-such-file", "there is no table in the directory")
        assert error.help == (
            "the ends of names that are known: .csv, .tsv, .tab, .txt, .parquet, .pq, .arrow, .feather, .ipc, .arrows, "
            ".csv.gz"
        )

    def test_a_directory_of_all_sorts(self, tmp_path: Path) -> None:
        write(tmp_path, "a\n1\n", "a.csv")
        write(tmp_path, b"PAR1", "b.parquet")
        error = failure(lambda: read_table(str(tmp_path)))
        assert (error.code, error.message) == ("mixed-files", "the files are of different kinds: a.csv, b.parquet")
        assert error.help == f"name one kind, such as '{tmp_path}/*.csv'"

    def test_small_files_need_no_other_library(self, tmp_path: Path) -> None:
        path = write(tmp_path, "a,b\n1,2\n")
        code = (
            "import sys; from emdsl.data.reading import read_table; from emdsl.data.binding import bind; "
            f"read_table({path!r}).numbers('a'); "
            "print([n for n in ('pandas','duckdb','pyarrow','narwhals','scipy','sympy','lark') if n in sys.modules])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"

    def test_a_bomb_is_not_unpacked_into_memory(self, tmp_path: Path) -> None:
        path = write(tmp_path, gzip.compress(b"a,b\n" + b"1,2\n" * 200_000), "bomb.csv.gz")
        assert Path(path).stat().st_size < 10_000
        table = read_table(path)
        assert table.rows == 200_000
        assert table.numbers("a").sum() == 200_000


class TestParquetAndArrow:
    @pytest.fixture
    def frame(self) -> object:
        return pytest.importorskip("pyarrow").table({
            "x": [1.0, None, 2.5], "n": [1, 2, None], "b": [True, False, None], "s": ["01", "NA", None],
            "big": [2**60 + 1, 2**60, None], "l": [[1], [2], []],
        })  # fmt: skip

    def check(self, table: Table) -> None:
        np.testing.assert_array_equal(table.numbers("x"), [1, np.nan, 2.5])
        assert cells_of(table, "x") == ["1", None, "2.5"]
        assert cells_of(table, "n") == ["1", "2", None]
        np.testing.assert_array_equal(table.numbers("n"), [1, 2, np.nan])
        assert cells_of(table, "b") == ["true", "false", None]
        np.testing.assert_array_equal(table.numbers("b"), [1, 0, np.nan])
        assert cells_of(table, "s") == ["01", None, None]
        assert cells_of(table, "big") == [str(2**60 + 1), str(2**60), None]
        assert table.numeric_names()[:3] == ("x", "n", "b")
        error = failure(lambda: table.numbers("l"))
        assert (error.code, error.message) == (
            "column-type", "expected numbers or text in column `l`, found lists",
        )  # fmt: skip

    def test_parquet(self, tmp_path: Path, frame: object) -> None:
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(frame, tmp_path / "data.parquet")
        self.check(read_table(tmp_path / "data.parquet"))

    def test_feather_and_arrow(self, tmp_path: Path, frame: Any) -> None:
        feather = pytest.importorskip("pyarrow.feather")
        ipc = pytest.importorskip("pyarrow.ipc")
        feather.write_feather(frame, str(tmp_path / "data.feather"))
        self.check(read_table(tmp_path / "data.feather"))
        with ipc.new_stream(str(tmp_path / "data.arrows"), frame.schema) as stream:
            stream.write_table(frame)
        self.check(read_table(tmp_path / "data.arrows"))

    @pytest.mark.parametrize(("name", "kind"), [("data.parquet", "Parquet"), ("data.arrow", "Arrow")])
    def test_broken(self, tmp_path: Path, name: str, kind: str) -> None:
        path = write(tmp_path, b"PAR1 and no more", name)
        error = failure(lambda: read_table(path))
        assert error.code == "broken-file"
        assert error.message.startswith(f"the {kind} file is broken or cut short")
        assert error.help == "write the file again"
        path = write(tmp_path, b"", name)
        assert failure(lambda: read_table(path)).code == "empty-file"


def cells_of(table: Table, name: str) -> list[str | None]:
    found: list[str | None] = table.text(name).tolist()
    return found


def test_many_columns_are_read_in_seconds(tmp_path: Path) -> None:
    """Work that grows with the square of the columns, here or in DuckDB, would take minutes."""
    count = 200_000
    names, row = ",".join(f"c{k}" for k in range(count)), ",".join(["1.5"] * count)
    begin = time.process_time()
    table = read_table(write(tmp_path, f"{names}\n{row}\n"))
    assert table.text("c199999").tolist() == ["1.5"]
    assert time.process_time() - begin < 10


def test_help_repeats_no_word_that_is_long_or_cannot_be_seen(tmp_path: Path) -> None:
    for word in ("9" * 5_000, "\x00"):
        table = read_table(write(tmp_path, f"y\n1\n{word}\n"))
        error = failure(partial(table.numbers, "y"))
        assert error.code == "not-a-number" and error.help == ""
