"""What is drawn of a fit: every panel says what the fit says, on shipped models of every structure, and draws."""

from __future__ import annotations

import re
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

import emdsl
from emdsl.diagnostics.errors import EmmError
from emdsl.results.plots.figure import file_bytes, one_panel, page
from emdsl.results.plots.page import sections
from emdsl.results.plots.panels import (
    Climbing,
    Clouds,
    Course,
    Densities,
    Frequencies,
    Intervals,
    Panel,
    Section,
    States,
)
from emdsl.results.terms import all_terms

ROOT = Path(__file__).parents[2]

#: Models of every structure that panels tell apart, and the panels beside those of estimates and of the way.
MODELS: dict[str, list[type[Panel]]] = {
    "univariate_mixture": [Densities],
    "gaussian_mixture": [Densities, Densities, Clouds],
    "poisson_mixture": [Densities],
    "growth_mixture": [Densities],
    "noise_component": [Densities],
    "mixture_of_experts": [Densities],
    "earthquakes": [Densities, States],
    "geyser": [States, Frequencies],
    "casino": [States, States, States, Frequencies],
    "latent_transition_wide": [States] * 6 + [Frequencies],
    "speed": [Densities, States, States, States],
    "local_level": [Course],
    "local_trend": [Course, Course],
    "panel_autoregression": [Course, Course, Course, Intervals],
    "random_intercept": [Intervals],
    "random_slopes": [Intervals, Intervals],
    "two_parameter_logistic": [Intervals, Frequencies],
    "latent_classes": [Frequencies],
    "peppered_moth": [Frequencies],
    "cormack_jolly_seber": [States, States, States, Frequencies],
    "transcripts": [Frequencies],
    "linkage": [Frequencies],
    "naive_bayes": [Frequencies, Frequencies],
    "site_occupancy": [Intervals, Frequencies],
    "logistic_regression": [Frequencies],
    "cure": [],
    "airquality": [],
}

#: Those whose fits take long, or say the same as another; they are drawn with the slow tests.
SLOW = {
    "mixture_of_experts", "casino", "latent_transition_wide", "speed", "panel_autoregression", "random_slopes",
    "naive_bayes", "site_occupancy", "growth_mixture",
}  # fmt: skip


def of_models(*kinds: type[Panel]) -> list[Any]:
    """All models, or those that have a panel of some kind, as parameters."""
    chosen = [name for name, found in MODELS.items() if not kinds or set(kinds) & set(found)]
    return [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in chosen]


@cache
def fitted(name: str) -> emdsl.Fit:
    path = ROOT / "models" / f"{name}.emm"
    table = re.search(r"data: (\S+)", path.read_text(encoding="utf-8"))
    assert table is not None
    return emdsl.load(path).fit(str(ROOT / table[1]), starts=1, max_iter=30, se="none")


@cache
def drawn(name: str) -> tuple[Section, ...]:
    return sections(fitted(name))


def panels(name: str, kind: type[Panel]) -> list[Panel]:
    found = [panel for section in drawn(name) for panel in section.panels]
    own = len(fitted(name).outcome.model.parameters)
    return [panel for panel in found[own:] if isinstance(panel, kind)]


@pytest.mark.parametrize("name", of_models())
def test_the_structure_chooses_the_panels(name: str) -> None:
    found = [type(panel) for section in drawn(name) for panel in section.panels]
    own = len(fitted(name).outcome.model.parameters)
    assert found == [*[Intervals] * own, *MODELS[name], Climbing]
    assert not any(section.refused for section in drawn(name))


@pytest.mark.parametrize("name", of_models())
def test_estimates_are_those_of_the_fit(name: str) -> None:
    fit = fitted(name)
    own = len(fit.outcome.model.parameters)
    shown = [panel for section in drawn(name) for panel in section.panels][:own]
    by_parameter = {
        item.name: [t for t in all_terms(fit) if t.parameter is item] for item in fit.outcome.model.parameters
    }
    for panel, terms in zip(shown, by_parameter.values(), strict=True):
        assert isinstance(panel, Intervals)
        assert (f"of {len(terms)} elements" in panel.note) == (len(panel.labels) < len(terms))
        np.testing.assert_array_equal(panel.estimate, [term.estimate for term in terms[: len(panel.labels)]])
        assert "no intervals" in panel.note


@pytest.mark.parametrize("name", of_models())
def test_the_way_ends_at_the_fit(name: str) -> None:
    (panel,) = (item for item in panels(name, Climbing))
    assert isinstance(panel, Climbing)
    state = fitted(name).outcome.state
    by_iteration = dict(state.trace)
    top = max([*by_iteration.values(), state.penalized_loglik])
    np.testing.assert_allclose(panel.gap, [top - by_iteration[int(at)] for at in panel.iteration])
    assert (panel.gap > 0).all()


@pytest.mark.parametrize("name", of_models(Densities))
def test_densities_are_densities(name: str) -> None:
    for panel in panels(name, Densities):
        assert isinstance(panel, Densities)
        np.testing.assert_allclose((panel.heights * np.diff(panel.edges)).sum(), 1.0)
        if panel.curves:
            np.testing.assert_allclose(sum(curve for _, curve in panel.curves), panel.total, atol=1e-12)
        mass = panel.total.sum() if panel.whole else np.trapezoid(panel.total, panel.x)
        # beyond the ends of the data there is a tail, before the limit of iterations a larger one
        # (and where a law has an end, the rule for the area is off by a step)
        assert 0.8 < mass < 1.01


def test_a_mixture_is_drawn_by_its_formula() -> None:
    fit = emdsl.load(ROOT / "models/univariate_mixture.emm").fit(str(ROOT / "models/data/faithful.csv"), starts=3)
    params: Any = fit.params
    (panel,) = [p for s in sections(fit) for p in s.panels if isinstance(p, Densities)]
    for label, (name, curve) in zip(("1", "2"), panel.curves, strict=True):
        assert name == f"z = {label}"
        law = stats.norm(params["mu"][label], params["sigma"][label])
        np.testing.assert_allclose(curve, params["share"][label] * law.pdf(panel.x), rtol=1e-5, atol=1e-12)


def test_a_density_with_inputs_is_the_mean_over_the_rows() -> None:
    table = ROOT / "models/data/npreg.csv"
    fit = emdsl.load(ROOT / "models/regression_mixture.emm").fit(str(table), starts=3, se="none")
    (panel,) = [p for s in sections(fit) for p in s.panels if isinstance(p, Densities)]
    rows, said, x = fit.augment(), fit.posterior(), panel.x[::40]
    share = {label: said[f"P(z={label})"].to_numpy() for label in ("1", "2")}
    p: Any = fit.params
    for label, (_, curve) in zip(("1", "2"), panel.curves, strict=True):
        mean = sum(
            np.asarray(p[name][label]) * rows["x"].to_numpy() ** power for power, name in enumerate(_coefficients(p))
        )
        law = stats.norm(mean[:, None], p["sigma"][label])
        expected = (share[label][:, None] * law.pdf(x)).mean(axis=0)
        np.testing.assert_allclose(curve[::40], expected, rtol=1e-8, atol=1e-14)


def _any(value: Any) -> Any:
    return value


def _coefficients(params: dict[str, Any]) -> list[str]:
    return [name for name in params if name not in ("share", "sigma")]


def test_clouds_hold_the_data_and_the_laws() -> None:
    fit = fitted("gaussian_mixture")
    (panel,) = panels("gaussian_mixture", Clouds)
    assert isinstance(panel, Clouds)
    rows, params = fit.augment(), _any(fit.params)
    np.testing.assert_array_equal(panel.x, rows["eruptions"])
    np.testing.assert_array_equal(panel.y, rows["waiting"])
    assert [panel.classes[code] for code in panel.code] == [f"z = {label}" for label in rows[".class"]]
    for place, line in panel.outlines:
        label = panel.classes[place].removeprefix("z = ")
        mean = np.array([params["mu"][label][axis] for axis in ("eruptions", "waiting")])
        cell = params["Sigma"][label]
        spread = np.array([[cell[a][b] for b in ("eruptions", "waiting")] for a in ("eruptions", "waiting")])
        away = line - mean[:, None]
        np.testing.assert_allclose(np.einsum("in,ij,jn->n", away, np.linalg.inv(spread), away), 4.0, rtol=1e-6)
    assert len(panel.outlines) == 2


def test_states_are_the_most_probable_path() -> None:
    said, rows = fitted("earthquakes").posterior(), fitted("earthquakes").augment()
    (panel,) = panels("earthquakes", States)
    assert isinstance(panel, States)
    assert [panel.states[code] for code in panel.state] == [f"regime = {label}" for label in said["viterbi(regime)"]]
    np.testing.assert_array_equal(panel.y, rows["count"])
    np.testing.assert_array_equal(panel.time, np.arange(1, len(rows) + 1))


def test_a_course_is_the_smoothed_mean() -> None:
    fit = fitted("local_level")
    (panel,) = panels("local_level", Course)
    assert isinstance(panel, Course)
    said = fit.posterior()
    np.testing.assert_allclose(panel.mean, said["mean(level)"])
    np.testing.assert_allclose(panel.high - panel.low, 2 * stats.norm.ppf(0.975) * said["sd(level)"])
    assert panel.seen is not None
    np.testing.assert_array_equal(panel.seen, fit.augment()["flow"])


def test_what_a_number_is_not_on_the_scale_of_is_not_drawn_on_it() -> None:
    seen = {panel.axis: panel.seen for panel in panels("local_trend", Course) if isinstance(panel, Course)}
    assert {name: values is None for name, values in seen.items()} == {"level": False, "slope": True}


def test_hidden_numbers_are_sorted() -> None:
    fit = fitted("two_parameter_logistic")
    (panel,) = panels("two_parameter_logistic", Intervals)
    assert isinstance(panel, Intervals)
    said = fit.posterior()
    assert "40 of 400 units, evenly by rank" in panel.note
    assert (np.diff(panel.estimate) <= 0).all()
    for label, value in zip(panel.labels, panel.estimate, strict=True):
        assert said.loc[said["row"] == int(label.removeprefix("row ")), "mean(theta)"].item() == value
    assert panel.estimate[0] == said["mean(theta)"].max()
    assert panel.estimate[-1] == said["mean(theta)"].min()


def test_frequencies_are_counts_and_shares() -> None:
    fit = fitted("peppered_moth")
    (panel,) = panels("peppered_moth", Frequencies)
    assert isinstance(panel, Frequencies)
    p: Any = fit.params["p"]
    expected = {"carbonaria": 1 - (1 - p["C"]) ** 2, "typica": p["T"] ** 2}
    expected["insularia"] = 1 - sum(expected.values())
    assert dict(zip(panel.labels, panel.observed, strict=True)) == {"carbonaria": 85, "insularia": 196, "typica": 341}
    for label, value in zip(panel.labels, panel.expected, strict=True):
        np.testing.assert_allclose(value, 622 * expected[label])


@pytest.mark.parametrize("name", of_models(Frequencies))
def test_as_much_is_expected_as_is_observed(name: str) -> None:
    for panel in panels(name, Frequencies):
        assert isinstance(panel, Frequencies)
        if "how often the value is 1" not in panel.note and "most frequent" not in panel.note:
            np.testing.assert_allclose(panel.expected.sum(), panel.observed.sum())


def test_what_laws_look_at_is_not_emptied() -> None:
    (panel,) = panels("markov_mixture", Frequencies)
    assert "expected given the data" in panel.note


# --- drawing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in ("gaussian_mixture", "geyser") else pytest.mark.slow) for name in MODELS],
)
def test_a_page_is_drawn_without_a_warning(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert file_bytes(page(name, drawn(name)), "svg").startswith(b"<?xml")


@pytest.mark.parametrize("form", ["svg", "png", "pdf"])
def test_a_page_is_always_the_same(form: str) -> None:
    name = "univariate_mixture"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first = file_bytes(page(name, drawn(name)), form)
        assert file_bytes(page(name, drawn(name)), form) == first
    begins = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}
    assert first.startswith(begins[form])
    assert not re.search(rb"20\d\d-\d\d-\d\d|D:20\d\d", first)


def test_drawing_leaves_nothing_behind() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    figure = fitted("univariate_mixture").plot()
    assert dict(matplotlib.rcParams) == before
    assert type(figure).__module__ == "matplotlib.figure"
    axes = figure.axes
    assert len(axes) == sum(len(section.panels) for section in drawn("univariate_mixture"))


def test_pyplot_is_not_imported() -> None:
    import subprocess
    import sys

    program = (
        "import sys\nfrom emdsl.results.plots.panels import Climbing\nimport numpy as np\n"
        "from emdsl.results.plots.figure import one_panel, file_bytes\nassert 'matplotlib' not in sys.modules\n"
        "file_bytes(one_panel(Climbing('a', '', np.arange(3.), np.arange(1., 4.))), 'svg')\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


HOSTILE = ("$\\frac{a}{b}$ <b>&amp;", "--><script>alert(1)</script>", "a\nb\tc", "x" * 200, "漢字", "")


def test_labels_are_text_whatever_they_hold() -> None:
    count = len(HOSTILE)
    at, none = np.arange(count, dtype=np.float64), np.full(count, np.nan)
    panel = Intervals(HOSTILE[0], HOSTILE[1], HOSTILE, at, none, none)
    states = States(
        "", HOSTILE[3], np.arange(6.0), np.arange(6.0), np.arange(6) % 2, HOSTILE[:2], HOSTILE[4], HOSTILE[0]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text = file_bytes(page(HOSTILE[1], [Section("a", (panel, states), HOSTILE[0])]), "svg").decode()
        assert file_bytes(one_panel(panel), "png").startswith(b"\x89PNG")
    import xml.etree.ElementTree as tree

    tree.fromstring(text)
    assert "<script" not in text
    assert "漢字" in text


def test_nothing_to_show_is_drawn_too() -> None:
    nothing = np.zeros(0)
    found: tuple[Panel, ...] = (
        Intervals("a", "", ("b",), np.array([np.nan]), np.array([np.nan]), np.array([np.nan])),
        Intervals("a", "", ("b", "c"), np.array([1.0, np.inf]), np.array([0.0, -np.inf]), np.array([2.0, np.inf])),
        Climbing("a", "", nothing, nothing),
        States("a", "", np.array([1.0]), np.array([np.nan]), np.array([-1]), ("s",), "", "t"),
        Frequencies("a", "", ("b",), np.array([0.0]), np.array([0.0])),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert file_bytes(page("nothing", [Section("a", found)]), "svg")


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_file_is_written(tmp_path: Path) -> None:
    fit = fitted("univariate_mixture")
    fit.plot(tmp_path / "fit.svg")
    assert (tmp_path / "fit.svg").read_bytes().startswith(b"<?xml")
    assert [path.name for path in tmp_path.iterdir()] == ["fit.svg"]


def test_errors_of_files(tmp_path: Path) -> None:
    fit = fitted("univariate_mixture")
    for path, code in (("fit.gif", "unknown-ending"), ("fit", "unknown-ending"), ("no/fit.svg", "unwritable-file")):
        with pytest.raises(EmmError) as caught:
            fit.plot(tmp_path / path)
        assert caught.value.code == code


def test_matplotlib_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emdsl.results.plots.figure.find_spec", lambda name: None)
    with pytest.raises(EmmError) as caught:
        fitted("univariate_mixture").plot()
    assert str(caught.value) == (
        "error[no-matplotlib]: drawing plots needs matplotlib\n --> plot\nhelp: pip install matplotlib"
    )
