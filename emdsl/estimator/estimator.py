"""`EMEstimator`: a model with the face of scikit-learn, for pipelines, cross-validation and searches."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emdsl.data.bound import Bound
from emdsl.data.numerals import numeral
from emdsl.data.table import Table
from emdsl.data.wording import did_you_mean, plain
from emdsl.diagnostics.errors import EmmError
from emdsl.estimator.features import WEIGHT, table_of, with_columns, without_column
from emdsl.request import bind_options
from emdsl.results.augment import units_of_rows
from emdsl.results.face import Model, load, loads
from emdsl.results.options import fit_request

try:
    from sklearn.base import BaseEstimator
    from sklearn.exceptions import NotFittedError
except ImportError as error:
    raise EmmError("no-scikit-learn", "EMEstimator needs scikit-learn", help="pip install scikit-learn") from error

if TYPE_CHECKING:
    from emdsl.data.options import BindOptions
    from emdsl.ir.model import Variable
    from emdsl.results.result import Fit

class EMEstimator(BaseEstimator):  # type: ignore[misc]
    """A model as an estimator of scikit-learn.

    `model`: the text of a model, the path of an `.emm` file, or a `Model`. `target`: the variable that `predict` is
    about; a hidden one is clustered by, an observed one is `y`. Without it, it is the one finite hidden variable, if
    there is one. The other arguments are the options of `Model.fit`, except that no standard errors are computed unless
    `se` says so.

    `X` is a data frame or a dict of columns by name, or an array `(rows, features)`, its columns those of the observed
    variables and inputs in the order of declaration without the target's. `groups` is the column of the plate around
    the rows (a data frame or dict of columns, where there are several).

    After `fit`: `fit_` (a `Fit`), `model_`, `target_`, `classes_` (of a finite target), `n_features_in_`,
    `feature_names_in_`.
    """

    def __init__(
        self,
        model: Model | str | os.PathLike[str],
        target: str | None = None,
        set: Mapping[str, Any] | None = None,
        const: Mapping[str, Any] | None = None,
        columns: Mapping[str, str | Sequence[str]] | None = None,
        map: Mapping[str, str] | None = None,
        init: Any = None,
        fix: Any = None,
        starts: int | None = None,
        seed: int = 0,
        tol: float = 1e-10,
        max_iter: int = 10_000,
        accelerate: str = "auto",
        se: str = "none",
        level: float = 0.95,
        plan: str = "auto",
        interval: str = "wald",
        na: str | Sequence[str] | None = None,
    ) -> None:
        self.model = model
        self.target = target
        self.set = set
        self.const = const
        self.columns = columns
        self.map = map
        self.init = init
        self.fix = fix
        self.starts = starts
        self.seed = seed
        self.tol = tol
        self.max_iter = max_iter
        self.accelerate = accelerate
        self.se = se
        self.level = level
        self.plan = plan
        self.interval = interval
        self.na = na

    # --- fitting ------------------------------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None, groups: Any = None) -> EMEstimator:
        """Fits the model to `X` `(rows, features)`, `y` `(rows,)` being the column of an observed target. Raises what
        `Model.fit` raises, and `features` where X, y or groups are not what the model reads."""
        model = self._model()
        target = self._target(model)
        observed = target is not None and target.kind == "observed"
        given = self._options()
        if sample_weight is not None:
            given["weight"] = WEIGHT
        table = self._table(model, target, X, y if observed else None, groups, sample_weight)
        self.fit_: Fit = model.fit_with(table, given)
        self.model_, self.target_ = model, None if target is None else target.name
        held = without_column(table, self._column(model, target)) if observed and target is not None else table
        self.feature_names_in_ = np.array([name for name in held.names if name != WEIGHT], dtype=object)
        self.n_features_in_ = len(self.feature_names_in_)
        if target is not None and target.values is not None:
            self.classes_ = _classes(self._labels(target))
        return self

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None, groups: Any = None) -> NDArray[Any]:
        """`fit`, then `predict` for the same rows."""
        return self.fit(X, y, sample_weight, groups).predict(X, groups=groups)

    # --- what a fit says of rows --------------------------------------------------------------------------------------

    def predict(self, X: Any, groups: Any = None) -> NDArray[Any]:
        """For each row the most probable value of a finite target, the expected value of a number, `(rows,)`: of a
        hidden one given all that X shows, of an observed one given the inputs and the other columns. A unit whose data
        are impossible has None, or NaN."""
        target = self._fitted_target()
        if target.values is None:
            return self._expected(target, X, groups)
        shares = self._shares(target, X, groups)
        impossible = np.isnan(shares).any(axis=1)
        best = self.classes_[np.nan_to_num(shares).argmax(axis=1)]
        if impossible.any():
            best = best.astype(object)
            best[impossible] = None
        return np.asarray(best)

    def predict_proba(self, X: Any, groups: Any = None) -> NDArray[np.float64]:
        """For each row the probability of each value of a finite target, in the order of `classes_`, `(rows,
        values)`."""
        target = self._fitted_target()
        if target.values is None:
            raise EmmError("no-classes", f"`{target.name}` is a number: no value has a probability", place="target")
        return self._shares(target, X, groups)

    def score_samples(self, X: Any, y: Any = None, groups: Any = None) -> NDArray[np.float64]:
        """The log-likelihood of each outermost unit at the estimates, `(units,)`, minus infinity where its data are
        impossible. A chain is one unit, and so are all data that share what is hidden outside the plates."""
        bound = self._bound(X, y, groups)
        outcome = self._fit().outcome
        assert outcome.compiled is not None
        return outcome.compiled.as_asked(bound, outcome.request).unit_evidence(bound, outcome.state.theta)

    def score(self, X: Any, y: Any = None, groups: Any = None) -> float:
        """The mean log-likelihood of a unit."""
        return float(np.mean(self.score_samples(X, y, groups)))

    def sample(self, n_samples: int = 1, seed: int = 0) -> Any:
        """A data frame of `n_samples` outermost units drawn at the estimates."""
        return self._fit().simulate(n_samples, seed=seed)

    # --- scikit-learn -------------------------------------------------------------------------------------------------

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        target = self._target(self._model())
        if target is None:
            tags.estimator_type = "density_estimator"
        elif target.kind == "latent":
            tags.estimator_type = "clusterer" if target.values is not None else "density_estimator"
        else:
            from sklearn.utils import ClassifierTags, RegressorTags

            finite = target.values is not None
            tags.estimator_type = "classifier" if finite else "regressor"
            tags.classifier_tags = ClassifierTags() if finite else None
            tags.regressor_tags = None if finite else RegressorTags()
            tags.target_tags.required = True
        tags.input_tags.allow_nan = True
        tags.input_tags.string = tags.input_tags.categorical = True
        return tags

    # --- inside -------------------------------------------------------------------------------------------------------

    def _model(self) -> Model:
        if isinstance(self.model, Model):
            return self.model
        key = os.fspath(self.model)
        found: tuple[str, Model] | None = getattr(self, "_loaded", None)
        if found is None or found[0] != key:
            found = key, load(key) if key.endswith(".emm") and "\n" not in key else loads(key)
            self._loaded = found
        return found[1]

    def __getstate__(self) -> dict[str, Any]:
        """Without the derived model of a text, which is derived again."""
        state: dict[str, Any] = dict(super().__getstate__())
        state.pop("_loaded", None)
        return state

    def _target(self, model: Model) -> Variable | None:
        variables = {item.name: item for item in model.compiled.model.variables if item.kind in ("latent", "observed")}
        if self.target is not None:
            if self.target not in variables:
                raise EmmError(
                    "unknown-variable", f"`{self.target}` is no variable of the model that could be predicted",
                    place="target", help=did_you_mean(self.target, variables) or f"those are {plain(variables)}",
                )  # fmt: skip
            return variables[self.target]
        finite = [item for item in variables.values() if item.kind == "latent" and item.values is not None]
        return finite[0] if len(finite) == 1 else None

    def _fit(self) -> Fit:
        if not hasattr(self, "fit_"):
            raise NotFittedError(f"this {type(self).__name__} is not fitted yet: call `fit` first")
        return self.fit_

    def _fitted_target(self) -> Variable:
        self._fit()
        if self.target_ is None:
            raise EmmError(
                "no-target", "the model does not say what to predict: it has no finite hidden variable, or several",
                place="target", help="EMEstimator(model, target=...) names one",
            )  # fmt: skip
        return self.model_.compiled.model.variable(self.target_)

    def _table(
        self, model: Model, target: Variable | None, X: Any, y: Any, groups: Any, sample_weight: Any = None
    ) -> Table:
        name = target.name if target is not None and target.kind == "observed" else None
        return table_of(
            X, model.compiled.model, self._bind_options(model), target=name, y=y, groups=groups,
            sample_weight=sample_weight,
        )  # fmt: skip

    def _options(self) -> dict[str, Any]:
        """The options of the fit, as they were given."""
        return {name: value for name, value in self.get_params(deep=False).items() if name not in ("model", "target")}

    def _bind_options(self, model: Model) -> BindOptions:
        return bind_options(fit_request(model.compiled.model, self._options()))

    def _column(self, model: Model, target: Variable) -> str:
        return self._bind_options(model).column(target)

    def _labels(self, target: Variable) -> tuple[str, ...]:
        assert target.values is not None
        return tuple(self._fit().outcome.bound.indexes[target.values])

    def _bound(self, X: Any, y: Any, groups: Any, *, without_target: bool = False) -> Bound:
        """New rows with the labels of the fit."""
        outcome = self._fit().outcome
        target = None if self.target_ is None else self.model_.compiled.model.variable(self.target_)
        observed = target is not None and target.kind == "observed"
        table = self._table(self.model_, target, X, y if observed else None, groups)
        if observed and without_target and target is not None:
            table = with_columns(table, {self._column(self.model_, target): np.full(table.rows, np.nan)}, ())
        return replace(outcome.bound_again(table), seed=outcome.request.seed)

    def _shares(self, target: Variable, X: Any, groups: Any) -> NDArray[np.float64]:
        found, bound = self._told(target, X, groups)
        probabilities = found.probabilities
        assert probabilities is not None
        return np.asarray(probabilities[:, self._units(bound, found.level)].T)

    def _expected(self, target: Variable, X: Any, groups: Any) -> NDArray[np.float64]:
        found, bound = self._told(target, X, groups)
        values = found.mean[0] if target.kind == "latent" else found.expected
        return np.asarray(values)[self._units(bound, found.level)]

    def _told(self, target: Variable, X: Any, groups: Any) -> tuple[Any, Bound]:
        """What the posterior, or the prediction, says of the target; with the bound rows."""
        outcome = self._fit().outcome
        assert outcome.compiled is not None
        observed = target.kind == "observed"
        bound = self._bound(X, None, groups, without_target=observed)
        compiled = outcome.compiled.as_asked(bound, outcome.request)
        if observed:
            told: Sequence[Any] = compiled.predict(bound, outcome.state.theta, level=self.level).variables
        else:
            posterior = compiled.posterior(bound, outcome.state.theta)
            told = (*posterior.marginals, *posterior.numbers)
        found = next((item for item in told if item.name == target.name), None)
        if found is None or found.level == 0 or getattr(found, "elements", ((),)) != ((),):
            raise EmmError(
                "no-target", f"nothing is told of `{target.name}` as a whole: it is an array, or outside the plates",
                place="target", help="`Fit.posterior` and `Fit.predict` give its elements",
            )  # fmt: skip
        return found, bound

    def _units(self, bound: Bound, level: int) -> NDArray[np.intp]:
        """The unit of a level that each row of X lies in."""
        units = units_of_rows(self.model_.compiled.model, bound, level)
        if units is None:
            raise EmmError(
                "no-target", "the target has several values in each row of X", place="target",
                help="`Fit.posterior` gives them",
            )  # fmt: skip
        return units


def _classes(labels: Sequence[str]) -> NDArray[Any]:
    """Labels as `y` would have them: numbers where all are numbers, whole ones where all are whole."""
    numbers = [numeral(label) for label in labels]
    if any(number is None for number in numbers):
        return np.array(labels, dtype=object)
    values = np.array(numbers, dtype=float)
    return values.astype(np.int64) if (values == np.round(values)).all() else values
