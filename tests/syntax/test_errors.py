"""Every mistake that the syntax explains, with its exact text: `errors/NAME.emm` and `errors/NAME.err`.

`EMDSL_UPDATE_GOLDENS=1 pytest tests/syntax/test_errors.py` writes the texts anew; read the difference before you keep
them.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from emdsl.diagnostics.errors import Diagnostic, EmmError
from emdsl.syntax.mistakes.failure import Failure
from emdsl.syntax.mistakes.rules import RULES
from emdsl.syntax.parser import parse, read_source

HERE = Path(__file__).parent / "errors"
MODELS = sorted(HERE.glob("*.emm"))
UPDATE = os.environ.get("EMDSL_UPDATE_GOLDENS") == "1"

#: Names of terminals and rules that only the grammar's author should see.
INNER_NAMES = re.compile(
    r"_NL|_INDENT|_DEDENT|__ANON|[LR](PAR|SQB|BRACE)|\b(NAME|NUMBER|STRING|TEXT|BLOCK|LINE_END|COLON)\b"
)


def failure_of(path: Path) -> EmmError:
    with pytest.raises(EmmError) as caught:
        parse(read_source(path), path.name)
    return caught.value


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_message_is_exactly_this(path: Path) -> None:
    rendered = f"{failure_of(path)}\n"
    golden = path.with_suffix(".err")
    if UPDATE:
        golden.write_text(rendered, encoding="utf-8")
    assert rendered == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_message_keeps_the_house_style(path: Path) -> None:
    error = failure_of(path)
    assert error.source is not None
    assert error.file == path.name
    for diagnostic in error.diagnostics:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", diagnostic.code)
        assert not diagnostic.message[0].isupper()
        assert not diagnostic.message.endswith(".")
        assert "\n" not in diagnostic.message
        assert diagnostic.span is not None
        assert diagnostic.span.line >= 1
        assert diagnostic.span.column >= 1
        assert not INNER_NAMES.search(diagnostic.message + diagnostic.help + diagnostic.label)


def test_every_golden_has_its_model() -> None:
    assert [path.stem for path in MODELS] == sorted(path.stem for path in HERE.glob("*.err"))


def test_every_rule_of_the_table_is_provoked(monkeypatch: pytest.MonkeyPatch) -> None:
    """No rule is dead: each speaks for one of the models at least."""
    from emdsl.syntax.mistakes import rules

    spoken: set[str] = set()

    def listening(rule: rules.Rule) -> rules.Rule:
        def speak(failure: Failure) -> Diagnostic | None:
            said = rule(failure)
            if said is not None:
                spoken.add(rule.__name__)
            return said

        return speak

    monkeypatch.setattr(rules, "RULES", tuple(map(listening, RULES)))
    for path in MODELS:
        failure_of(path)
    assert {rule.__name__ for rule in RULES} == spoken


#: Messages whose help is one line that may be typed instead of the wrong one.
CORRECTION = re.compile(r"^write `([^`]*)`")
NOT_WHOLE_LINES = {
    "unexpected-character", "bad-number", "dotted-name", "foreign-syntax", "case-inside", "not-inside",
    "unmatched-bracket", "missing-law", "law-without-arguments", "chain-law", "pattern-size", "not-a-law",
    "one-binder", "missing-colon",
}  # fmt: skip


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_the_line_that_help_proposes_parses(path: Path) -> None:
    error = failure_of(path)
    proposed = CORRECTION.match(error.help)
    if proposed is None or error.code in NOT_WHOLE_LINES or error.span is None:
        return
    line = error.span.line - 1
    source = read_source(path).split("\n")
    margin = source[line][: len(source[line]) - len(source[line].lstrip())]
    source[line] = margin + proposed[1]
    corrected = "\n".join(source)
    assert first_wrong_line(corrected) > error.span.line, corrected


def first_wrong_line(text: str) -> float:
    """Infinity for a text that parses."""
    try:
        parse(text)
    except EmmError as error:
        return error.span.line if error.span is not None else 0
    return float("inf")
