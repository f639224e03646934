"""Mistakes at the beginning of a declaration or statement: an unknown word, or one that belongs elsewhere."""

from __future__ import annotations

import re

from emdsl.diagnostics.errors import Diagnostic
from emdsl.diagnostics.suggest import closest
from emdsl.syntax.mistakes.expectations import found_phrase
from emdsl.syntax.mistakes.failure import Failure

DECLARATIONS = ("model", "const", "index", "param", "let", "report", "order", "family", "latent", "for")
STATEMENTS = ("input", "weight", "latent", "observed", "factor", "given", "let", "for")

#: Words of other languages, and what stands for them here.
_SYNONYMS = {
    "parameter": "param", "parameters": "param", "constant": "const", "hidden": "latent", "variable": "latent",
    "data": "input", "covariate": "input", "plate": "for each", "foreach": "for each", "set": "index",
    "likelihood": "factor", "target": "factor", "weights": "weight", "define": "let", "def": "let", "var": "let",
    "function": "let", "distribution": "family", "derived": "report", "generated": "report", "condition": "given",
}  # fmt: skip


def opening(f: Failure) -> Diagnostic | None:
    """A line that begins with no word of the language, or with one that may not stand here."""
    if f.at != 0 or not f.expects("let"):
        return None
    outside = f.expects("const")
    word = f.word()
    if word in DECLARATIONS or word in STATEMENTS:
        return _misplaced(f, word, outside)
    if not re.match(r"[^\W\d]", word):
        here = "a declaration" if outside else "a statement"
        return Diagnostic("unknown-word", f"expected {here}, found {found_phrase(f)}", f.span, _words(outside))
    return _without_keyword(f, outside) or _unknown(f, word, outside)


def _misplaced(f: Failure, word: str, outside: bool) -> Diagnostic:
    if word == "model":
        return Diagnostic(
            "misplaced", "`model` is the first line of the file", f.span, "move it to the top, or remove it"
        )
    if outside:
        return Diagnostic(
            "misplaced",
            f"`{word}` belongs in a plate",
            f.span,
            f"write\nfor each row:\n    {f.line()}",
            "outside every plate",
        )
    return Diagnostic(
        "misplaced", f"`{word}` belongs outside the plates", f.span,
        f"move it to the first column, before or after the plate: `{f.line()}`", "inside a plate",
    )  # fmt: skip


def _without_keyword(f: Failure, outside: bool) -> Diagnostic | None:
    """`x ~ Normal(0, 1)`, `x = 3`, `x : real`, `if ...`."""
    word, rest = f.word(), f.line()
    sign = next((w.text for w in f.words if w.text in ("~", "=", ":", "<", "(", "==")), "")
    follows = f.word(1) in ("~", "=", ":", "[", "<", "==")
    if word in ("if", "else", "elif"):
        return Diagnostic(
            "foreign-syntax", f"there is no `{word}`: `case` chooses by labels, `where` between numbers", f.span,
            "write `let v = where(condition, value, other_value)`",
        )  # fmt: skip
    if not follows:
        return None
    if sign == "~":
        kind = "latent" if outside else "observed"
        return Diagnostic(
            "missing-word", f"`{word}` is drawn, but is it observed or latent", f.span,
            f"write `{kind} {rest}`" + ("" if outside else f", or `latent {rest}`"),
        )  # fmt: skip
    if sign in ("=", "==", "<") or f.word(1) + f.word(2) == ":=":
        fixed = re.sub(r"\s*(:=|<-|==|=)\s*", " = ", rest, count=1)
        return Diagnostic("missing-word", f"`{word}` is defined without `let`", f.span, f"write `let {fixed}`")
    kind = "param" if outside else "input"
    return Diagnostic("missing-word", f"`{word}` has a domain, but is not declared", f.span, f"write `{kind} {rest}`")


def _unknown(f: Failure, word: str, outside: bool) -> Diagnostic:
    known = DECLARATIONS if outside else STATEMENTS
    if f.word(1) == "{":
        return Diagnostic(
            "foreign-syntax", f"a model has no `{word}` block in braces", f.span,
            "declare each name on a line of its own, as in `param mu : real`, and open a plate with `for each row:`",
        )  # fmt: skip
    near = closest(word, known) or _SYNONYMS.get(word.lower()) or closest(word, (*DECLARATIONS, *STATEMENTS))
    here = "declaration" if outside else "statement"
    if near is None:
        return Diagnostic("unknown-word", f"no {here} begins with `{word}`", f.span, _words(outside))
    return Diagnostic(
        "unknown-word",
        f"no {here} begins with `{word}`",
        f.span,
        f"write `{f.replaced(0, 1, near)}`",
        f"did you mean `{near}`",
    )


def _words(outside: bool) -> str:
    words = DECLARATIONS if outside else STATEMENTS
    return f"a {'declaration' if outside else 'statement'} begins with {', '.join(words[:-1])} or {words[-1]} each"
