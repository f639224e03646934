"""Every shipped model, compiled and run where emdsl is absent: the same JSON, to the last digit, as in emdsl."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits

import emdsl
from emdsl.plan.program import Program
from emdsl.request import FitRequest
from emdsl.standalone import fingerprint
from emdsl.standalone.layout import program_parts
from emdsl.standalone.nominal import nominal_bound
from tests.standalone.isolation import ROOT, run

MODELS = sorted((ROOT / "models").glob("*.emm"))

#: One of each kind of program; the other models are fitted among the slow tests.
QUICK = ("peppered_moth", "gaussian_mixture", "earthquakes_stationary", "logistic_regression", "subject_classes")
#: Models in which the data decide what is hidden: the file plans them when it reads the data, and says so.
DECIDED_BY_DATA = {"segregation", "two_way_blocks"}
#: Models whose data leave cells open that other laws look at: the file is compiled for them, and planned with them.
WITH_OPEN_CELLS = {"ozone_regression": ("SolarR",), "presidents": ("approval",)}
FITTED = [pytest.param(path, marks=() if path.stem in QUICK else pytest.mark.slow, id=path.stem) for path in MODELS]


def named_data(model: Path) -> Path:
    """The file that a model's comment `# data: …` names."""
    lines = model.read_text(encoding="utf-8").splitlines()
    return ROOT / next(line for line in lines if line.startswith("# data: ")).removeprefix("# data: ")


@pytest.mark.parametrize("model", FITTED)
def test_the_same_fit_without_emdsl(model: Path, tmp_path: Path, numpy_and_scipy: Path) -> None:
    loaded = emdsl.load(str(model))
    file = tmp_path / f"{model.stem}.py"
    file.write_text(loaded.compile(open=WITH_OPEN_CELLS.get(model.stem, ())), encoding="utf-8")
    data = str(named_data(model))
    result = run(file, numpy_and_scipy, data, "--json", "--seed", "1", "--starts", "6")
    assert result.returncode == 0 and "Traceback" not in result.stderr, result.stderr
    assert ("another program" in result.stderr) == (model.stem in {*DECIDED_BY_DATA, *WITH_OPEN_CELLS})
    with threadpool_limits(1, user_api="blas"):  # as the file does: on more threads BLAS may add in another order
        expected = loaded.fit(data, seed=1, starts=6).to_dict()
    assert result.stdout == json.dumps(expected, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


PLANNED_AT_ONCE = [model for model in MODELS if model.stem not in {*DECIDED_BY_DATA, *WITH_OPEN_CELLS}]


@pytest.mark.parametrize("model", PLANNED_AT_ONCE, ids=lambda model: model.stem)
def test_the_program_is_the_one_that_the_data_call_for(model: Path) -> None:
    compiled = emdsl.load(str(model)).compiled
    request = FitRequest()
    planned = compiled.problem(compiled.bind(str(named_data(model)), request), request).program.source
    assert Program(compiled.derivation, nominal_bound(compiled.model)).source == planned
    text = compiled.compile_source()
    assert program_parts(planned)[1] in text and program_parts(planned)[0] in text
    assert f"PLANNED = {fingerprint(planned)!r}" in text
