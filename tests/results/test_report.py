"""The report: one page that is whole, well-formed, needs nothing from elsewhere, and escapes every text."""

from __future__ import annotations

import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import pytest

import emdsl
from emdsl.diagnostics.errors import EmmError
from emdsl.results.report.page import report_page

ROOT = Path(__file__).parents[2]
#: Elements that have no end.
VOID = {"meta", "br", "hr", "img", "link", "input"}

SMALL = """model Small "{words}"

index kind = {{a, b}}

param p : simplex[kind]   "{words}"
param rate[kind] : positive

for each thing:
    weight   n
    latent   z ~ Categorical(p)
    observed y ~ Poisson(rate[z])

order kind by rate

report twice = 2*p[a]   "{words}"
"""


class Reader(HTMLParser):
    """Checks that elements nest, and keeps what a page asks for, its names and its words."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


@cache
def fitted(name: str, table: str) -> emdsl.Fit:
    return emdsl.load(ROOT / "models" / f"{name}.emm").fit(str(ROOT / "models/data" / f"{table}.csv"), starts=2)


@cache
def written(name: str, table: str) -> str:
    return report_page(fitted(name, table))


NAMES = [("peppered_moth", "peppered_moth"), ("local_level", "nile")]


@pytest.mark.parametrize(("name", "table"), NAMES)
def test_a_page_is_well_formed_and_needs_nothing(name: str, table: str) -> None:
    text = written(name, table)
    page = read(text)
    tags = {tag for tag, _ in page.seen}
    assert not tags & {"script", "link", "iframe", "object", "img", "form"}
    for _, attributes in page.seen:
        for key, value in attributes.items():
            assert key not in ("src", "onload", "onclick")
            assert key not in ("href", "xlink:href") or (value or "").startswith("#")
    assert "url(" not in re.sub(r"url\(#[^)]*\)", "", text)
    assert "@import" not in text


@pytest.mark.parametrize(("name", "table"), NAMES)
def test_every_name_is_unique_and_every_reference_has_its_name(name: str, table: str) -> None:
    text = written(name, table)
    names = [attributes["id"] for _, attributes in read(text).seen if "id" in attributes]
    assert len(set(names)) == len(names)
    used = re.findall(r'xlink:href="#([^"]+)"|url\(#([^)]+)\)|aria-labelledby="([^"]+)"', text)
    assert {word for found in used for part in found for word in part.split()} <= set(names)


@pytest.mark.parametrize(("name", "table"), NAMES)
def test_a_page_says_what_the_fit_says(name: str, table: str) -> None:
    fit = fitted(name, table)
    page = read(written(name, table))
    words = " ".join(page.words)
    model = fit.outcome.model
    assert model.name in words
    assert model.description in words
    assert f"{fit.loglik:.6f}" in words
    assert f"{fit.aic:.3f}" in words
    assert "The fit converged" in words
    for parameter in model.parameters:
        assert parameter.description in words
    for line in (ROOT / "models" / f"{name}.emm").read_text(encoding="utf-8").splitlines():
        assert line in words
    pictures = [attributes for tag, attributes in page.seen if tag == "svg"]
    assert all(attributes.get("role") == "img" for attributes in pictures)
    assert all(attributes.get("aria-label") or attributes.get("aria-labelledby") for attributes in pictures)
    assert sum(tag == "math" for tag, _ in page.seen) > 10


def test_the_same_fit_gives_the_same_bytes() -> None:
    assert report_page(fitted(*NAMES[0])) == written(*NAMES[0])


HOSTILE = "<script>alert(1)</script> & ]]> --> {{ 7*7 }} $x$"


def test_texts_are_escaped() -> None:
    words = HOSTILE
    fit = emdsl.loads(SMALL.format(words=words)).fit({"y": [0, 1, 5, 9, 12], "n": [5, 8, 6, 7, 3]}, starts=2)
    text = report_page(fit, command=HOSTILE)
    page = read(text)
    assert "script" not in {tag for tag, _ in page.seen}
    assert words in " ".join(page.words)
    assert "49" not in re.findall(r"--> (\S+)", " ".join(page.words))


def test_labels_and_columns_are_escaped() -> None:
    labels = ["<b>", "&lt;", '"q"', "<b>", "'s", "--><i>"]
    table = {"y": labels, "n": [3, 4, 5, 6, 7, 8]}
    text = (
        "index kind = levels\nparam p : simplex[kind]\nfor each row:\n    weight n\n    observed y ~ Categorical(p)\n"
    )
    fit = emdsl.loads(text).fit(table)
    page = read(report_page(fit))
    assert not {tag for tag, _ in page.seen} & {"b", "i"}
    shown = " ".join(page.words)
    assert all(label in shown for label in labels)


def test_a_page_without_matplotlib_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emdsl.results.report.page.find_spec", lambda name: None)
    page = read(report_page(fitted(*NAMES[0])))
    assert "Plots need matplotlib" in " ".join(page.words)
    assert "0.07084" in " ".join(page.words)
    assert sum(tag == "svg" for tag, _ in page.seen) == 1


def test_a_fit_that_did_not_converge_says_so() -> None:
    fit = emdsl.load(ROOT / "models/univariate_mixture.emm").fit(
        str(ROOT / "models/data/faithful.csv"), starts=1, max_iter=2
    )
    assert not fit.converged
    words = " ".join(" ".join(read(report_page(fit)).words).split())
    assert "The fit did not converge: it stopped after 2 iterations because the limit of iterations" in words


def test_a_file_is_written(tmp_path: Path) -> None:
    fitted(*NAMES[0]).report(tmp_path / "moths.html")
    assert (tmp_path / "moths.html").read_text(encoding="utf-8") == written(*NAMES[0])
    for path, code in (("moths.pdf", "unknown-ending"), ("no/moths.html", "unwritable-file")):
        with pytest.raises(EmmError) as caught:
            fitted(*NAMES[0]).report(tmp_path / path)
        assert caught.value.code == code


def test_the_call_is_told() -> None:
    words = "".join(read(written(*NAMES[0])).words)
    assert re.search(r"emdsl\.load\('.*peppered_moth\.emm'\)\.fit\('.*peppered_moth\.csv', starts=2\)", words)
