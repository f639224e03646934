"""The plain message: what could have stood here, and what stands here."""

from __future__ import annotations

from emdsl.diagnostics.errors import Diagnostic
from emdsl.syntax.mistakes.failure import BLOCK, BLOCK_END, FILE_END, LINE_END, NAME, NUMBER, TEXT, Failure

_OPERATORS = frozenset(["+", "-", "*", "/", "^", "==", "!=", "<", "<=", ">", ">=", "and", "or"])
_BEGIN_EXPRESSION = frozenset([NAME, NUMBER, TEXT, "(", "[", "{", "-", "+", "not"])
_BEGIN_PATTERN = frozenset([NAME, NUMBER, TEXT, "-", "_"])
#: Groups of what may stand here, and their name: the first that is wholly expected goes first.
_GROUPS = (
    (_BEGIN_EXPRESSION, "an expression"),
    (_BEGIN_EXPRESSION - {"not"}, "an expression"),
    (frozenset([NAME, NUMBER, TEXT, "-", "_", "("]), "a pattern"),
    (_BEGIN_PATTERN, "a pattern"),
    (frozenset([NAME, NUMBER, TEXT, "-"]), "a label"),
    (frozenset([NAME, "case"]), "a distribution"),
    (frozenset([NAME, TEXT]), "a column"),
    (
        frozenset(["const", "index", "param", "let", "report", "order", "family", "latent", "for", FILE_END]),
        "a declaration",
    ),
    (frozenset(["input", "weight", "latent", "observed", "factor", "given", "let", "for", BLOCK_END]), "a statement"),
    (frozenset(["input", "weight", "latent", "observed", "factor", "given", "let", "for"]), "a statement"),
)
_KINDS = {
    NAME: "a name", NUMBER: "a number", TEXT: "a text in quotes", LINE_END: "the end of the line",
    BLOCK: "an indented line", BLOCK_END: "the end of the block", FILE_END: "the end of the file",
}  # fmt: skip
_LABELS = ("a pattern", "a label")
_LAST = ("an operator", "a text in quotes", "the end of the line", "the end of the block", "the end of the file")
_MOST = 6


def expected_phrase(expected: frozenset[str]) -> str:
    """What could have stood here: ``"`:` or `from`"``, `an expression`; always in the same order."""
    rest = set(expected)
    parts: list[str] = []
    for members, name in _GROUPS:
        if members <= rest:
            parts.append(name)
            rest -= members
            if name in _LABELS:  # words of the language are labels too
                rest = {kind for kind in rest if not kind.isidentifier() or kind in _KINDS}
    if not parts and rest & (_OPERATORS - {"-", "/"}):
        parts.append("an operator")
        rest -= _OPERATORS | ({"(", "["} if "*" in rest else set())
    if rest != {TEXT}:  # a description may end most lines, and is seldom what was meant
        rest.discard(TEXT) if LINE_END in rest else None
    parts += [_KINDS.get(kind, f"`{kind}`") for kind in sorted(rest)]
    if "an operator" in parts and len(parts) > 1:
        parts.remove("an operator")
    parts.sort(key=lambda part: (part in _LAST, _LAST.index(part) if part in _LAST else 0))
    shown = parts[:_MOST]
    return " or ".join(shown) if len(shown) < 3 else ", ".join(shown[:-1]) + f" or {shown[-1]}"


def found_phrase(failure: Failure) -> str:
    """What stands here."""
    if failure.kind in (LINE_END, BLOCK, BLOCK_END, FILE_END):
        return _KINDS[failure.kind]
    text = failure.word() or failure.kind
    return f"the text {text}" if text.startswith('"') else f"`{text}`"


#: The form of each declaration and statement, for help.
FORMS = {
    "model": 'model Name "description"', "const": "const K = 3", "index": "index state = {a, b}",
    "param": "param mu[state] : real", "let": "let name = expression", "report": "report name = expression",
    "order": "order state by mu", "family": "family Name(scale : positive) for x : positive:", "for": "for each row:",
    "input": "input x : real", "weight": "weight column", "latent": "latent z ~ Distribution(...)",
    "observed": "observed y ~ Distribution(...)", "factor": "factor expression", "given": "given condition",
}  # fmt: skip


#: The form of a part of a statement, by the word before the failure.
_PARTS = {
    "censored": "censored above unless event", "above": "censored above unless event",
    "below": "censored below unless detected", "truncated": "truncated to (low, high)",
    "to": "truncated to (low, high)", "up": "up to 200", "between": "between low and high",
    "over": "for each t over index_set:", "levels": "levels(column, other)", "columns": 'columns(first, "item_*")',
}  # fmt: skip


def plain(failure: Failure) -> Diagnostic:
    """`expected ..., found ...`, with the form of the declaration or of the part that is wrong."""
    message = f"expected {expected_phrase(failure.expected)}, found {found_phrase(failure)}"
    form = _PARTS.get(failure.word(-1)) or FORMS.get(failure.keyword, "")
    in_head = form and not failure.expects("*") and not failure.expects(NUMBER) and failure.at > 0
    return Diagnostic("syntax", message, failure.span, f"the form is `{form}`" if in_head else "")
