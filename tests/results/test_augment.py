"""`Fit.augment`: the rows of the data with what the fit says of each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import emdsl

MODELS = Path(__file__).parents[2] / "models"
DATA = MODELS / "data"


def fitted(model: str, table: str) -> emdsl.Fit:
    return emdsl.load(MODELS / f"{model}.emm").fit(str(DATA / f"{table}.csv"), starts=2, se="none")


def test_classes_stand_beside_the_rows_they_are_of() -> None:
    table = pd.read_csv(DATA / "faithful.csv").sample(frac=1.0, random_state=3)
    fit = emdsl.load(MODELS / "gaussian_mixture.emm").fit(table, starts=2, se="none")
    found, posterior = fit.augment(table), fit.posterior()
    np.testing.assert_array_equal(found["waiting"], table["waiting"])
    np.testing.assert_array_equal(found[".class"], posterior["z"])
    certain = posterior[[name for name in posterior if name.startswith("P(")]].max(axis=1)
    np.testing.assert_allclose(found[".uncertainty"], 1.0 - certain)
    pd.testing.assert_frame_equal(fit.augment()[found.columns], found, check_dtype=False)


def test_effects_of_a_group_and_residuals() -> None:
    fit = fitted("random_intercept", "dyestuff")
    found = fit.augment()
    by_batch = fit.posterior().set_index("Batch")["mean(u)"]
    np.testing.assert_allclose(found[".mean"], by_batch[found["Batch"]])
    np.testing.assert_allclose(found[".fitted"], fit.params["mu"] + found[".mean"], rtol=1e-9)
    np.testing.assert_allclose(found[".resid"], found["Yield"] - found[".fitted"])


def test_several_variables_are_told_apart() -> None:
    found = fitted("gaussian_mixture", "faithful").augment()
    assert {".class", ".uncertainty", ".fitted(x[waiting])", ".resid(x[eruptions])"} <= set(found.columns)
    np.testing.assert_allclose(found["waiting"], found[".fitted(x[waiting])"] + found[".resid(x[waiting])"])


def test_labels_and_new_rows() -> None:
    fit = fitted("naive_bayes", "messages")
    table = pd.read_csv(DATA / "messages.csv")
    own = fit.augment()
    assert own["label"].isna().sum() == table["label"].isna().sum()
    known = own["label"].notna()
    np.testing.assert_array_equal(own.loc[known, ".class"], own.loc[known, "label"])
    few = fit.augment(table.iloc[:5])
    assert len(few) == 5
    np.testing.assert_allclose(few[".uncertainty"], own[".uncertainty"][:5])


@pytest.mark.parametrize("name", ["earthquakes", "peppered_moth", "two_level_latent_class", "linkage", "speed"])
def test_there_is_a_row_for_each_row(name: str) -> None:
    others = {"speed": "reaction_times", "two_level_latent_class": "pupils"}
    table = DATA / f"{others.get(name, name)}.csv"
    fit = emdsl.load(MODELS / f"{name}.emm").fit(str(table), starts=1, se="none", max_iter=20)
    found = fit.augment()
    assert len(found) == len(pd.read_csv(table))
    assert any(column.startswith(".class") for column in found.columns)
