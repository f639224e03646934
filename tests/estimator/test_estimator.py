"""`EMEstimator` against scikit-learn's own estimators, in its pipelines and searches."""

from __future__ import annotations

import builtins
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.stats import multivariate_normal
from sklearn.base import clone, is_classifier, is_clusterer, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import emdsl
from emdsl.diagnostics.errors import EmmError

MODELS = Path(__file__).parents[2] / "models"
DATA = MODELS / "data"

CLUSTERS = str(MODELS / "gaussian_mixture.emm")
LINE = """
model Line
param b0 : real
param b1 : real
param s : positive
for each row:
    input x : real
    observed y ~ Normal(b0 + b1*x, s)
"""
GROUPED = """
model Grouped
param mu : real
param tau : positive
param sigma : positive
for each g:
    latent u ~ Normal(0, tau)
    for each row:
        observed y ~ Normal(mu + u, sigma)
"""
KINDS = """
model Kinds
index k = {low, high}
param p : simplex[k]
param m[k] : real
for each g:
    latent z ~ Categorical(p)
    for each row:
        observed y ~ Normal(m[z], 1)
order k by m
"""


def points() -> NDArray[np.float64]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(300, 2)) + np.array([[0.0, 0.0], [4.0, 2.0]])[rng.integers(2, size=300)]


@pytest.fixture(scope="module")
def clusters() -> emdsl.EMEstimator:
    return emdsl.EMEstimator(CLUSTERS, starts=3).fit(points())


def test_clusters_are_those_of_scikit_learn(clusters: emdsl.EMEstimator) -> None:
    X = points()
    # its covariances have 1e-6 added unless told otherwise
    peer = GaussianMixture(2, tol=1e-12, max_iter=2_000, reg_covar=0.0).fit(X)
    order = np.argsort(peer.weights_)
    np.testing.assert_allclose(clusters.score_samples(X), peer.score_samples(X), rtol=1e-6)
    np.testing.assert_allclose(clusters.score(X), peer.score(X), rtol=1e-9)
    np.testing.assert_allclose(clusters.predict_proba(X), peer.predict_proba(X)[:, order], atol=1e-5)
    assert clusters.classes_.tolist() == [1, 2]
    np.testing.assert_array_equal(clusters.predict(X), 1 + np.argsort(order)[peer.predict(X)])
    assert clusters.feature_names_in_.tolist() == ["x0", "x1"]


def test_new_rows_are_scored_at_the_estimates(clusters: emdsl.EMEstimator) -> None:
    new = np.array([[0.5, -1.0], [4.0, np.nan]])
    fit = clusters.fit_
    share, mu, sigma = (fit.outcome.state.theta[name] for name in ("share", "mu", "Sigma"))
    whole = sum(share[k] * multivariate_normal(mu[k], sigma[k]).pdf(new[0]) for k in range(2))
    first = sum(share[k] * multivariate_normal(mu[k][:1], sigma[k][:1, :1]).pdf(4.0) for k in range(2))
    np.testing.assert_allclose(clusters.score_samples(new), np.log([whole, first]), rtol=1e-10)


def test_it_is_cloned_pickled_and_searched(clusters: emdsl.EMEstimator) -> None:
    X = points()
    copy = clone(clusters)
    assert copy.get_params() == clusters.get_params()
    with pytest.raises(NotFittedError):
        copy.predict(X)
    again = pickle.loads(pickle.dumps(clusters))  # noqa: S301 - what this test has written itself
    np.testing.assert_array_equal(again.predict(X), clusters.predict(X))
    search = GridSearchCV(emdsl.EMEstimator(CLUSTERS, starts=2), {"set": [{"K": 1}, {"K": 2}]}, cv=2).fit(X)
    assert search.best_params_ == {"set": {"K": 2}}
    by_hand = [
        emdsl.EMEstimator(CLUSTERS, starts=2).fit(np.delete(X, fold, axis=0)).score(X[fold])
        for fold in np.array_split(np.arange(300), 2)
    ]
    np.testing.assert_allclose(search.cv_results_["mean_test_score"][1], np.mean(by_hand), rtol=1e-12)


def test_it_ends_a_pipeline() -> None:
    X = points()
    pipeline = make_pipeline(StandardScaler(), emdsl.EMEstimator(CLUSTERS, starts=3)).fit(X)
    peer = make_pipeline(StandardScaler(), GaussianMixture(2, tol=1e-12, max_iter=2_000, reg_covar=0.0)).fit(X)
    np.testing.assert_allclose(pipeline.score(X), peer.score(X), rtol=1e-9)


def test_it_classifies() -> None:
    table = pd.read_csv(DATA / "birthwt.csv")
    X, y = table.drop(columns="low"), table["low"]
    found = emdsl.EMEstimator(str(MODELS / "logistic_regression.emm"), target="low").fit(X, y)
    peer = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000).fit(StandardScaler().fit_transform(X), y)
    np.testing.assert_allclose(
        found.predict_proba(X), peer.predict_proba(StandardScaler().fit_transform(X)), atol=1e-4
    )
    assert is_classifier(found)
    assert found.classes_.tolist() == [0, 1]
    np.testing.assert_array_equal(found.predict(X), (found.predict_proba(X)[:, 1] > 0.5).astype(int))
    folds = cross_val_predict(found, X, y, cv=3, method="predict_proba")
    assert folds.shape == (len(X), 2)
    accuracy = cross_val_score(found, X, y, cv=3, scoring="accuracy")
    assert ((accuracy > 0.5) & (accuracy < 0.9)).all()


def test_it_regresses() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(60, 1))
    y = 2.0 + 3.0 * x[:, 0] + rng.normal(size=60)
    found = emdsl.EMEstimator(LINE, target="y").fit(x, y)
    assert is_regressor(found)
    np.testing.assert_allclose(found.predict(x), LinearRegression().fit(x, y).predict(x), rtol=1e-9)
    with pytest.raises(EmmError) as raised:
        found.predict_proba(x)
    assert raised.value.code == "no-classes"


def test_groups_are_units() -> None:
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(20), 3)
    y = 1.0 + rng.normal(size=20)[groups] + 0.5 * rng.normal(size=60)
    found = emdsl.EMEstimator(GROUPED).fit(y[:, None], groups=groups)
    theta = {name: float(value) for name, value in found.fit_.outcome.state.theta.items()}
    covariance = theta["tau"] ** 2 * np.ones((3, 3)) + theta["sigma"] ** 2 * np.eye(3)
    expected = [multivariate_normal(np.full(3, theta["mu"]), covariance).logpdf(y[groups == g]) for g in range(20)]
    np.testing.assert_allclose(found.score_samples(y[:, None], groups=groups), expected, rtol=1e-9)
    np.testing.assert_allclose(sum(expected), found.fit_.loglik, rtol=1e-9)


def test_what_a_group_is_is_said_of_its_rows() -> None:
    rng = np.random.default_rng(3)
    groups = rng.permutation(np.repeat(np.arange(30), 4))
    kind = rng.integers(2, size=30)
    y = 6.0 * kind[groups] + rng.normal(size=120)
    found = emdsl.EMEstimator(KINDS, starts=3)
    assert is_clusterer(found)
    labels = found.fit_predict(y[:, None], groups=groups)
    np.testing.assert_array_equal(labels, np.array(["low", "high"])[kind[groups]])


def test_weights_count_rows() -> None:
    X = points()[:60]
    counts = np.random.default_rng(4).integers(1, 4, size=60)
    one = emdsl.EMEstimator(CLUSTERS, starts=3, set={"K": 1}).fit(X, sample_weight=counts)
    two = emdsl.EMEstimator(CLUSTERS, starts=3, set={"K": 1}).fit(np.repeat(X, counts, axis=0))
    np.testing.assert_allclose(one.fit_.loglik, two.fit_.loglik, rtol=1e-12)
    assert one.feature_names_in_.tolist() == ["x0", "x1"]


def test_samples_are_drawn_at_the_estimates(clusters: emdsl.EMEstimator) -> None:
    drawn = clusters.sample(4_000, seed=1)
    assert list(drawn.columns) == ["x0", "x1"]
    # four standard errors of a mean of 4,000
    np.testing.assert_allclose(drawn.mean(), points().mean(axis=0), atol=4 * 2.5 / np.sqrt(4_000))


def test_columns_of_arrays_come_in_the_order_of_declaration() -> None:
    messages = pd.read_csv(DATA / "messages.csv")
    model = str(MODELS / "naive_bayes.emm")
    words = ["offer", "meeting", "free", "report", "winner"]
    by_name = emdsl.EMEstimator(model, target="truth").fit(messages)
    by_place = emdsl.EMEstimator(model, target="truth").fit(messages[["label", *words]].to_numpy(dtype=object))
    np.testing.assert_allclose(by_place.fit_.loglik, by_name.fit_.loglik, rtol=1e-12)
    np.testing.assert_array_equal(by_place.predict(messages), by_name.predict(messages))


def errors() -> dict[str, tuple[str, Any]]:
    X = points()
    levels = "model L\nindex a = levels(w)\nparam p : simplex[a]\nfor each row:\n    observed w ~ Categorical(p)\n"
    two = (
        'model Two\nindex i = columns("a*")\nindex d = columns("b*")\nparam m : real\nfor each row:\n'
        "    observed y[d] ~ Normal(m, 1)\n    observed v[i] ~ Normal(m, 1)\n"
    )
    crossed = (
        "model Crossed\nindex i = levels(a)\nparam s : positive\nlatent u[i] ~ Normal(0, s)\nfor each row:\n"
        "    input a : i\n    observed y ~ Normal(u[a], 1)\n"
    )
    frame = {"a": ["p", "q", "r"] * 4, "y": np.arange(12.0)}
    return {
        "features": ("features", lambda: emdsl.EMEstimator(LINE).fit(X[:, :1])),
        "one axis": ("features", lambda: emdsl.EMEstimator(LINE).fit(X[:, 0])),
        "two columns of y": ("features", lambda: emdsl.EMEstimator(LINE, target="y").fit(X[:, :1], X)),
        "lengths": ("features", lambda: emdsl.EMEstimator(LINE, target="y").fit(X[:, :1], X[:5, 1])),
        "groups": ("features", lambda: emdsl.EMEstimator(LINE).fit(X, groups=X[:, 0])),
        "unnamed": ("features-unnamed", lambda: emdsl.EMEstimator(two).fit(X)),
        "levels": ("unknown-variable", lambda: emdsl.EMEstimator(levels, target="v").fit({"w": ["a", "b"]})),
        "no target": ("no-target", lambda: emdsl.EMEstimator(LINE).fit(X).predict(X)),
        "target outside": ("no-target", lambda: emdsl.EMEstimator(crossed, target="u").fit(frame).predict(frame)),
    }


@pytest.mark.parametrize("name", errors())
def test_what_does_not_fit_is_said(name: str) -> None:
    code, run = errors()[name]
    with pytest.raises(EmmError) as raised:
        run()
    assert raised.value.code == code


def test_scikit_learn_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.partition(".")[0] == "sklearn":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.delitem(sys.modules, "emdsl.estimator.estimator", raising=False)
    monkeypatch.delitem(vars(emdsl), "EMEstimator", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(EmmError) as raised:
        _ = emdsl.EMEstimator
    assert raised.value.code == "no-scikit-learn"
    assert raised.value.help == "pip install scikit-learn"
