"""`emdsl fmt`: what is written, what is only said, and the exit codes."""

from __future__ import annotations

import io
import os
import stat
import sys
from pathlib import Path

import pytest

from emdsl.cli.main import main

UGLY, TIDY, WRONG = "param  mu:real # m\n", "param mu : real                             # m\n", "param : real\n"


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def written(name: str, text: str) -> Path:
    Path(name).write_bytes(text.encode("utf-8"))
    return Path(name)


def standard_input(monkeypatch: pytest.MonkeyPatch, raw: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8"))


def test_files_are_rewritten_in_place(capsys: pytest.CaptureFixture[str]) -> None:
    ugly, tidy = written("ugly.emm", UGLY), written("tidy.emm", TIDY)
    os.utime(tidy, (1, 1))
    assert main(["fmt", "ugly.emm", "tidy.emm"]) == 0
    assert ugly.read_text() == TIDY
    assert tidy.stat().st_mtime == 1  # not written again
    assert capsys.readouterr() == ("", "formatted ugly.emm\n")
    assert main(["fmt", "ugly.emm", "tidy.emm"]) == 0
    assert capsys.readouterr() == ("", "")


def test_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    written("m.emm", UGLY)
    assert main(["fmt", "--quiet", "m.emm"]) == 0
    assert capsys.readouterr() == ("", "")


def test_check_names_what_would_change(capsys: pytest.CaptureFixture[str]) -> None:
    written("a.emm", UGLY)
    written("b.emm", TIDY)
    written("c.emm", TIDY.replace("\n", "\r\n"))
    assert main(["fmt", "--check", "a.emm", "b.emm", "c.emm"]) == 1
    assert capsys.readouterr() == ("a.emm\nc.emm\n", "")
    assert Path("a.emm").read_text() == UGLY
    assert main(["fmt", "--check", "b.emm"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("check", [[], ["--check"]])
def test_a_wrong_file_does_not_stop_the_others(check: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    written("a.emm", WRONG)
    written("b.emm", UGLY)
    Path("c.emm").write_bytes(b"param \xff : real\n")
    Path("folder").mkdir()
    assert main(["fmt", *check, "a.emm", "c.emm", "none.emm", "folder", "b.emm"]) == 2
    assert Path("a.emm").read_text() == WRONG
    assert Path("b.emm").read_text() == (UGLY if check else TIDY)
    out, err = capsys.readouterr()
    assert out == ("b.emm\n" if check else "")
    assert " --> a.emm:1:7\n" in err
    assert (
        "error[not-utf-8]: the text is not UTF-8: byte 0xff at offset 6\n --> c.emm, line 1\n"
        "help: save the file in UTF-8\n"
        "error[unreadable-file]: cannot read the model: no such file or directory\n --> none.emm\n"
        f"error[unreadable-file]: `folder` is a directory\nhelp: emdsl fmt {Path('folder') / '*.emm'}\n"
    ) in err


def test_standard_input_goes_to_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    standard_input(monkeypatch, UGLY.encode())
    assert main(["fmt", "-"]) == 0
    assert capsys.readouterr() == (TIDY, "")
    standard_input(monkeypatch, b"")
    assert main(["fmt", "-"]) == 0
    assert capsys.readouterr() == ("", "")
    standard_input(monkeypatch, UGLY.encode())
    assert main(["fmt", "-", "--check"]) == 1
    assert capsys.readouterr() == ("-\n", "")
    standard_input(monkeypatch, WRONG.encode())
    assert main(["fmt", "-"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and " --> standard input:1:7\n" in err


def test_standard_output_that_lacks_a_letter(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    standard_input(monkeypatch, "param μ:real\n".encode())
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert main(["fmt", "-"]) == 2
    assert capsys.readouterr().err == (
        "error[unwritable-file]: standard output is ascii and cannot hold `μ`\n"
        "help: PYTHONIOENCODING=utf-8 emdsl fmt -\n"
    )


def test_without_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fmt"]) == 2
    assert capsys.readouterr().err == (
        "error[bad-command]: expected models to format, found nothing\nhelp: emdsl fmt MODEL.emm\n"
    )


@pytest.mark.skipif(os.name == "nt", reason="permissions and links are those of POSIX")
def test_permissions_and_links_stay() -> None:
    target = written("m.emm", UGLY)
    target.chmod(0o640)
    Path("link.emm").symlink_to(target)
    assert main(["fmt", "link.emm"]) == 0
    assert Path("link.emm").is_symlink() and target.read_text() == TIDY
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_a_file_is_written_whole_or_not_at_all(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    written("m.emm", UGLY)
    monkeypatch.setattr(os, "fsync", full)
    assert main(["fmt", "m.emm"]) == 2
    assert Path("m.emm").read_text() == UGLY
    assert os.listdir() == ["m.emm"]
    assert capsys.readouterr().err == "error[unwritable-file]: `m.emm` cannot be written: no space left on device\n"


def test_a_write_protected_file_stays(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    written("m.emm", UGLY)
    monkeypatch.setattr(os, "access", lambda *_: False)  # whoever runs the tests may be allowed everything
    assert main(["fmt", "m.emm"]) == 2
    assert Path("m.emm").read_text() == UGLY
    assert capsys.readouterr().err == "error[unwritable-file]: `m.emm` cannot be written: the file is write-protected\n"
