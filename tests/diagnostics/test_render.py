"""The look of a message."""

from __future__ import annotations

from emdsl.diagnostics.errors import Diagnostic, EmmError
from emdsl.diagnostics.render import render
from emdsl.diagnostics.spans import NOWHERE, Span

SOURCE = "model M\nlet q = mu[z] + 1\n"
HERE = Span(16, 21, 2, 9)


def test_a_place_in_the_model() -> None:
    item = Diagnostic("unknown-name", "no `mu` is declared", HERE, "write `param mu : real`", "not declared")
    assert render([item], SOURCE, "m.emm") == (
        "error[unknown-name]: no `mu` is declared\n"
        " --> m.emm:2:9\n"
        "  |\n"
        "2 | let q = mu[z] + 1\n"
        "  |         ^^^^^ not declared\n"
        "help: write `param mu : real`"
    )


def test_a_place_in_the_data() -> None:
    item = Diagnostic("bad-cell", "`x` is no number", place="moths.csv, row 3, column count", severity="warning")
    assert render([item], None, None) == "warning[bad-cell]: `x` is no number\n --> moths.csv, row 3, column count"


def test_without_a_text_only_the_place_is_told() -> None:
    item = Diagnostic("code", "message", HERE)
    assert render([item], None, None) == "error[code]: message\n --> <model>:2:9"
    assert render([Diagnostic("code", "message", NOWHERE)], SOURCE, "m.emm") == "error[code]: message"
    assert render([Diagnostic("code", "message", Span(900, 901, 99, 1))], SOURCE, "m.emm").endswith("m.emm:99:1")


def test_several_messages_have_an_empty_line_between_them() -> None:
    error = EmmError.of([Diagnostic("a", "first"), Diagnostic("b", "second")])
    assert str(error) == "error[a]: first\n\nerror[b]: second"


def test_help_of_several_lines() -> None:
    assert (
        render([Diagnostic("a", "b", help="write\n    x = 1")], None, None)
        == "error[a]: b\nhelp: write\n          x = 1"
    )


def carets(source: str, span: Span) -> tuple[str, str]:
    lines = render([Diagnostic("a", "b", span)], source, None).splitlines()
    return lines[-2], lines[-1]


def test_a_span_over_several_lines_is_marked_on_its_first() -> None:
    assert carets("abc\ndef\n", Span(1, 6, 1, 2)) == ("1 | abc", "  |  ^^")


def test_an_empty_span_has_one_caret() -> None:
    assert carets("abc", Span(3, 3, 1, 4)) == ("1 | abc", "  |    ^")
    assert carets("", Span(0, 0, 1, 1)) == ("1 |", "  | ^")


def test_wide_and_combining_characters_and_tabs() -> None:
    assert carets("重み = x", Span(5, 6, 1, 6)) == ("1 | 重み = x", "  |        ^")
    assert carets("重み = x", Span(0, 2, 1, 1)) == ("1 | 重み = x", "  | ^^^^")
    assert carets("e\u0301 = x", Span(5, 6, 1, 6)) == ("1 | e\u0301 = x", "  |     ^")
    assert carets("\tx", Span(1, 2, 1, 2)) == ("1 |     x", "  |     ^")


def test_what_does_not_print_is_shown_as_a_replacement() -> None:
    assert carets("a\x1b[31mb", Span(1, 2, 1, 2)) == ("1 | a\ufffd[31mb", "  |  ^")
    assert "\x1b" not in render([Diagnostic("a", "`\x1b`", place="\x1b", help="\x1b")], None, None)


def test_line_ends_and_byte_order_marks_do_not_move_the_caret() -> None:
    for source in ("a\r\nbcd\r\n", "a\rbcd", "\ufeffa\nbcd"):
        assert carets(source, Span(3, 4, 2, 2)) == ("2 | bcd", "  |  ^")


def test_a_long_line_is_shown_around_the_caret() -> None:
    shown, marked = carets("x" * 500 + "!" + "y" * 500, Span(500, 501, 1, 501))
    assert len(shown) < 130
    assert shown[marked.index("^")] == "!"
    assert shown.startswith("1 | …")
    assert shown.endswith("…")
    assert carets("x" * 500, Span(0, 500, 1, 1))[1] == "  | " + "^" * 120


def test_a_long_message_is_cut() -> None:
    assert len(render([Diagnostic("a", "x" * 100_000)], None, None)) < 1_100
