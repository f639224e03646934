"""The Python face: what `import emdsl` gives, and models that are fitted through it."""

from __future__ import annotations

import inspect
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import emdsl
from emdsl.results.face import Model
from emdsl.results.options import DEFAULTS
from tests.results.outcomes import CompiledStub, outcome, state

ROOT = Path(__file__).resolve().parents[2]
MOTH, TABLE = ROOT / "models" / "peppered_moth.emm", ROOT / "models" / "data" / "peppered_moth.csv"


def public(name: str) -> object:
    """The attribute of the package, asked for as a program does that does not know its name."""
    return getattr(emdsl, name)


def test_the_public_names() -> None:
    for name in emdsl.__all__:
        assert getattr(emdsl, name) is not None
        assert name in dir(emdsl)
    with pytest.raises(AttributeError, match="module 'emdsl' has no attribute 'nothing'"):
        public("nothing")


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project.get("version", emdsl.__version__) == emdsl.__version__


def test_importing_emdsl_imports_next_to_nothing() -> None:
    program = "import sys; before = set(sys.modules); import emdsl; print(*sorted(set(sys.modules) - before))"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(result.stdout.split()) == {"__future__", "emdsl", "emdsl.version"}


def test_the_options_of_fit_are_the_options_checked() -> None:
    found = inspect.signature(Model.fit).parameters
    keywords = {name: item.default for name, item in found.items() if item.kind is inspect.Parameter.KEYWORD_ONLY}
    assert keywords == dict(DEFAULTS)


def test_a_fit_through_the_face() -> None:
    stub = CompiledStub()
    model = Model(stub)  # type: ignore[arg-type]
    fit = model.fit({"x": [1.0]}, seed=3, init={"tau": 2})
    assert fit.outcome is stub.answer
    assert stub.asked[0][0] == {"x": [1.0]}
    assert (stub.request.seed, stub.request.init) == (3, {"tau": 2.0})
    assert repr(model) == "<Model Example: an example>" and (model.name, model.description) == ("Example", "an example")
    assert model.check() == "the first line\nthe second"
    assert model.compile() == "print('fitted')\n"
    assert str(model.derive()).startswith("Example: an example")


def test_a_fit_that_fails_carries_its_last_state() -> None:
    last = outcome(state=state(converged=False))
    model = Model(CompiledStub(emdsl.FitError("the likelihood is no number", last)))  # type: ignore[arg-type]
    with pytest.raises(emdsl.FitError) as caught:
        model.fit([])
    assert caught.value.message == "the likelihood is no number"
    assert caught.value.state.to_dict()["converged"] is False
    model = Model(CompiledStub(emdsl.FitError("no start")))  # type: ignore[arg-type]
    with pytest.raises(emdsl.FitError) as caught:
        model.fit([])
    assert caught.value.state is None


def test_a_model_from_a_file_and_from_a_text() -> None:
    fits = [model.fit(TABLE) for model in (emdsl.load(MOTH), emdsl.loads(MOTH.read_text(encoding="utf-8")))]
    assert fits[0].to_dict() == fits[1].to_dict()
    assert fits[0].converged and abs(fits[0].loglik - -600.4809829192322) < 1e-6
    assert abs(fits[0].params["p"]["C"] - 0.0708) < 1e-4  # type: ignore[call-overload,index]


def test_files_that_are_no_models(tmp_path: Path) -> None:
    with pytest.raises(emdsl.EmmError) as caught:
        emdsl.load(MOTH.with_name("peppered_mth.emm"))
    assert str(caught.value) == (
        f"error[no-such-file]: there is no file `peppered_mth.emm`\n --> {MOTH.with_name('peppered_mth.emm')}\n"
        "help: did you mean `peppered_moth.emm`?"
    )
    with pytest.raises(emdsl.EmmError) as caught:
        emdsl.load(tmp_path)
    assert str(caught.value) == f"error[unreadable-file]: cannot read the model: is a directory\n --> {tmp_path}"


def test_an_error_shows_its_place() -> None:
    with pytest.raises(emdsl.EmmError) as caught:
        emdsl.loads("model M\nparam p : simplx[a]\nfor each row:\n    observed x ~ Normal(0, 1)\n")
    assert caught.value.span is not None and caught.value.span.line == 2
    assert "2 | param p : simplx[a]" in str(caught.value)
