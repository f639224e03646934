"""Mistakes between the first word of a declaration and its value."""

from __future__ import annotations

import re

from emdsl.diagnostics.errors import Diagnostic
from emdsl.diagnostics.suggest import closest
from emdsl.syntax.mistakes.expectations import found_phrase
from emdsl.syntax.mistakes.failure import LINE_END, NAME, TEXT, Failure

_NAMED_ONE_BY_ONE = ("param", "const", "index", "input", "weight", "let", "report")
_DOMAINS = (
    "real", "positive", "unit", "interval", "integer", "natural", "simplex", "contrast", "ordered", "covariance",
    "correlation",
)  # fmt: skip


def missing_domain(f: Failure) -> Diagnostic | None:
    """`param mu`, `param mu ~ Normal(0, 1)`, `param p = simplex[state]`."""
    if f.keyword != "param" or not f.expects(":") or f.word() not in ("", "~", "=", "init", "only", "<"):
        return None
    if f.word() == "=" and f.word(1) in _DOMAINS:
        fixed = f.replaced(f.at, f.at + 1, ":")
    elif f.word() == "=":
        fixed = "const" + f.line()[5:]
        return Diagnostic(
            "missing-domain", "a parameter is estimated: expected `:` and its domain, found `=`", f.span,
            f"write `param {f.line(1, f.at)} : real`, or `{fixed}` for a fixed number",
        )  # fmt: skip
    else:
        fixed = f.inserted(f.at, " : real ").strip()
    return Diagnostic(
        "missing-domain", f"a parameter needs a domain: expected `:`, found {found_phrase(f)}", f.span,
        f"write `{fixed}`, or another domain", "expected `: domain`",
    )  # fmt: skip


def several_names(f: Failure) -> Diagnostic | None:
    """`param a, b : real`."""
    if f.word() != "," or f.at != 2 or f.keyword not in _NAMED_ONE_BY_ONE:
        return None
    if f.keyword == "index":
        return None
    end = next((i for i, w in enumerate(f.words) if w.text in (":", "=", "~")), len(f.words))
    return Diagnostic(
        "several-names", f"`{f.keyword}` declares one name a line", f.span,
        f"write `{f'{f.line(0, f.at)} {f.line(end)}'.strip()}`, and the others on lines of their own",
    )  # fmt: skip


def assignment_sign(f: Failure) -> Diagnostic | None:
    """`:=`, `<-` or `==` where `=` defines."""
    pair = f.word() + f.word(1)
    if f.keyword not in ("let", "const", "report", "index", "observed", "input"):
        return None
    if pair in (":=", "<-") and f.expects("="):
        sign, last = pair, f.at + 2
    elif f.word() == "=" and f.word(-1) == ":":
        return _sign(f, ":=", f.replaced(f.at - 1, f.at + 1, "="))
    elif f.word() == "==" and f.at > 1 and (f.expects("=") or f.expects(NAME, "case")):
        sign, last = "==", f.at + 1
    else:
        return None
    return _sign(f, sign, f.replaced(f.at, last, "="))


def _sign(f: Failure, sign: str, fixed: str) -> Diagnostic:
    return Diagnostic("wrong-sign", f"`{sign}` does not define: expected `=`", f.span, f"write `{fixed}`")


def equals_for_tilde(f: Failure) -> Diagnostic | None:
    """`latent z = Categorical(p)`."""
    if f.word() != "=" or not f.expects("~") or f.expects("="):
        return None
    rest = f.line(f.at + 1)
    if f.keyword == "latent" and not re.match(r"[A-Z]\w*\(|case(?!\w)", rest):
        help = f"write `let{f.line()[6:]}` for a value that is computed, or `{f.line(0, f.at)} ~ Distribution(...)`"
    else:
        help = f"write `{f.replaced(f.at, f.at + 1, '~')}`"
    return Diagnostic(
        "wrong-sign", f"a {f.keyword} variable is drawn from a distribution: expected `~`, found `=`", f.span, help
    )


def tilde_for_equals(f: Failure) -> Diagnostic | None:
    """`let x ~ Normal(0, 1)`."""
    if f.word() != "~" or not f.expects("=") or f.expects("~"):
        return None
    fixed = f"write `{f.replaced(f.at, f.at + 1, '=')}`"
    if f.keyword == "let":
        fixed += f", or `latent{f.line()[3:]}` for a variable that is drawn"
    return Diagnostic("wrong-sign", f"`{f.keyword}` defines a value: expected `=`, found `~`", f.span, fixed)


def index_source(f: Failure) -> Diagnostic | None:
    """`index state = a, b`, `= [a, b]`, `= K`, `= 1:K`."""
    if f.keyword != "index" or not f.expects("..") or f.at < 3:
        return None
    value = f.line(3)
    near = closest(f.words[3].text, ("levels", "columns")) if len(f.words) > 3 else None
    if near is not None:
        fixed = f.replaced(3, 4, near)
    elif f.word() == ":" and f.at + 1 < len(f.words):
        fixed = f"{f.line(0, 3)} {f.line(3, f.at)}..{f.line(f.at + 1)}"
    elif f.word() == "," or value.startswith("["):
        fixed = f"{f.line(0, 3)} {{{value.strip('[]')}}}"
    elif f.kind in (LINE_END, TEXT) and len(f.words) > 3:
        fixed = f"{f.line(0, 3)} 1..{value}"
    else:
        return None
    return Diagnostic(
        "index-source", "an index set is `{a, b}`, `1..K`, `levels` or `columns`", f.span, f"write `{fixed}`"
    )


def quoted_variable(f: Failure) -> Diagnostic | None:
    """`observed "Sepal.Length" ~ ...`."""
    if f.expected != {NAME} or not f.word().startswith('"') or f.at != 1:
        return None
    name = re.sub(r"\W+", "_", f.word().strip('"')).strip("_").lower() or "x"
    help = ""
    if f.keyword in ("observed", "input", "weight"):
        help = f"write `{f.replaced(1, 2, f'{name} from {f.word()}')}`"
    return Diagnostic("quoted-name", f"expected a name, found {found_phrase(f)}", f.span, help)


def const_domain(f: Failure) -> Diagnostic | None:
    """`const K : 3`."""
    if f.keyword != "const" or f.word(-1) != ":" or f.expected != {NAME}:
        return None
    return Diagnostic(
        "wrong-sign", f"after `:` stands an index set of labels, found {found_phrase(f)}", f.span,
        f"write `{f.replaced(f.at - 1, f.at, '=')}`",
    )  # fmt: skip


def early_description(f: Failure) -> Diagnostic | None:
    """`param x "scale" : real`."""
    if f.kind != TEXT or f.expects(TEXT) or f.at < 2 or f.at + 1 >= len(f.words):
        return None
    return Diagnostic(
        "misplaced-description", "a description ends the declaration", f.span,
        f"write `{f.replaced(f.at, f.at + 1, '').replace('  ', ' ')} {f.word()}`",
    )  # fmt: skip


def family_definition(f: Failure) -> Diagnostic | None:
    """`let logpdf = ...` in a family."""
    if f.expected != {"="} or f.at != 1 or f.word(1) != "=":
        return None
    return Diagnostic(
        "misplaced", "a family holds definitions only: expected `=`", f.span, f"write `{f.line(1)}`", "inside a family"
    )
