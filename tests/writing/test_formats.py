"""A derivation as Markdown, LaTeX and HTML: well-formed, with the same formulas, and safe whatever a model's texts are.

`python -m tests.writing.test_formats` writes the goldens anew.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from emdsl.ir.derivation import Step
from emdsl.writing.document import Document, sections
from emdsl.writing.formula import Name, Words
from emdsl.writing.latex_document import latex_document
from emdsl.writing.latex_formula import latex
from emdsl.writing.markdown import markdown
from emdsl.writing.plain_text import plain_text
from emdsl.writing.reading import read_formula
from emdsl.writing.web_page import mathml, web_page, web_part
from tests.derive.models import SHIPPED
from tests.writing.steps import NAMES, steps_of

GOLDENS = Path(__file__).with_name("goldens")
WRITERS = {"md": markdown, "tex": latex_document, "html": web_part}
GOLDEN_NAMES = ("linkage", "user_family")


def of(name: str, steps: tuple[Step, ...] | None = None) -> Document:
    """The document of some steps (of a golden's)."""
    return Document(name, "a description", sections(steps_of(name) if steps is None else steps))


def formula(text: str) -> str:
    """A formula's text as LaTeX."""
    tree = read_formula(text)
    assert tree is not None, text
    return latex(tree)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("mu[z]", r"\mu_{z}"),
        ("sigma_new[z]^2", r"{\sigma^{\text{new}}_{z}}^{2}"),
        ("sigma[z]^2", r"\sigma_{z}^{2}"),
        ("n[i]/sum(i in allele: n[i])", r"\frac{n_{i}}{\sum\limits_{i \in \textit{allele}} n_{i}}"),
        ("1/(2*x)", r"\frac{1}{2x}"),
        ("x*2", r"x \cdot 2"),
        ("genotype.1", r"\textit{genotype}_{1}"),
        ("sd_plate", r"\textit{sd\_plate}"),
        ("m1", "m_{1}"),
        ("E[x | z]", r"\operatorname{E}[x \mid z]"),
        ("d2Q/da db", r"\frac{\partial^{2} Q}{\partial a\,\partial b}"),
        ("-inf", r"-\infty"),
        ("1e+300", "10^{300}"),
        ("C^-1*r*r'", r"C^{-1}\,r\,{r}^{\top}"),
        ("sqrt(x)", r"\sqrt{x}"),
        ("where(x == 0, 1, y)", r"\begin{cases}1 & \text{if }x = 0 \\ y & \text{otherwise}\end{cases}"),
        ("lgamma(x + 1)", r"\log\Gamma(x + 1)"),
        ("integral(u: f(u))", r"\int f(u)\,\mathrm{d}u"),
        ("μ + β", r"\mu + \beta"),
        ("sum(z: x)*y", r"\left(\sum\limits_{z} x\right)\,y"),
    ],
)
def test_formulas_as_latex(text: str, written: str) -> None:
    assert formula(text) == written


def test_texts_cannot_get_out_of_a_formula() -> None:
    evil = r"}\input{/etc/passwd}$%&<b>"
    assert latex(Words(evil)) == r"\text{\}\textbackslash{}input\{/etc/passwd\}\$\%\&\textless{}b\textgreater{}}"
    written = mathml(Name("x_" + evil), evil)
    ElementTree.fromstring(written)
    assert "<b>" not in written and "&lt;b&gt;" in written


def test_texts_of_a_model_are_escaped_everywhere() -> None:
    law = 'x ~ Categorical({"<script>": 1/2, "`": 1/2})'
    steps = (Step("log-density", "x_1", law, "log P(x) = x", "in <b> & *c*"),)
    document = Document("M", "<script>alert(1)</script> \\end{document} # $x$", sections(steps))
    page = web_page(document)
    assert "<script" not in page and "&lt;script&gt;alert(1)" in page
    ElementTree.fromstring(page.removeprefix("<!DOCTYPE html>\n"))
    assert r"\textbackslash{}end\{document\} \# \$x\$" in latex_document(document)
    assert r"\<script\>alert(1)\</script\> \\end\{document\} \# \$x\$" in markdown(document)
    assert '`` x ~ Categorical({"<script>": 1/2, "`": 1/2}) ``' in markdown(document)
    assert plain_text(document).startswith("M: <script>alert(1)</script> \\end{document} # $x$\n\n")


def check_formats(document: Document) -> None:
    """Each format holds every formula, and is what it says it is."""
    formulas = list(document.formulas())
    written = {name: write(document) for name, write in WRITERS.items()}
    for each in formulas:
        assert latex(each.formula) in written["tex"] and latex(each.formula) in written["md"]
    article = written["tex"]
    assert article.count(r"\formula{") == len(formulas)
    assert balanced(article.partition(r"\begin{document}")[2])
    assert article.count(r"\left") == article.count(r"\right")
    assert without_displays(written["md"]).count("$") % 2 == 0
    page = web_page(document)
    root = ElementTree.fromstring(page.removeprefix("<!DOCTYPE html>\n"))
    mathematics = root.findall(".//{http://www.w3.org/1998/Math/MathML}math")
    assert [item.get("alttext") for item in mathematics] == [each.text for each in formulas]
    assert not re.search(r"<(script|link|img|iframe)|\b(src|href)=|url\(|@import", page)
    assert "<merror" not in page


def without_displays(text: str) -> str:
    """Markdown without what stands between double dollars, code, and escaped characters."""
    return re.sub(r"\\.|`[^`\n]*`|\$\$.*?\$\$", "", text, flags=re.DOTALL)


def balanced(text: str) -> bool:
    """Whether braces that are not escaped come in pairs."""
    depth = 0
    for brace in re.findall(r"\\.|[{}]", text):
        depth += {"{": 1, "}": -1}.get(brace, 0)
        if depth < 0:
            return False
    return depth == 0


@pytest.mark.parametrize("name", NAMES)
def test_every_format_holds_every_formula(name: str) -> None:
    check_formats(of(name))


@pytest.mark.slow
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_model(path: Path) -> None:
    import emdsl

    check_formats(emdsl.load(path, to_read=True).derive().document)


@pytest.mark.parametrize("name", GOLDEN_NAMES)
@pytest.mark.parametrize("ending", WRITERS)
def test_goldens(name: str, ending: str) -> None:
    assert WRITERS[ending](of(name)) + "\n" == (GOLDENS / f"{name}.{ending}").read_text(encoding="utf-8")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX here")
@pytest.mark.parametrize("name", NAMES)
def test_the_article_compiles(name: str, tmp_path: Path) -> None:
    (tmp_path / "article.tex").write_text(latex_document(of(name)), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "article.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-2000:]


if __name__ == "__main__":
    GOLDENS.mkdir(exist_ok=True)
    for name in GOLDEN_NAMES:
        for ending, write in WRITERS.items():
            (GOLDENS / f"{name}.{ending}").write_text(write(of(name)) + "\n", encoding="utf-8")
