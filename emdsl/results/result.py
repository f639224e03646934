"""A fit as its user sees it: estimates by label, standard errors, intervals, evidence that it is the maximum."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from emdsl.ir.model import CELL_SET
from emdsl.results.nested import Nested, missing, nest, nested_arrays, plain, whole
from emdsl.version import VERSION

if TYPE_CHECKING:
    from emdsl.outcome import FitOutcome
    from emdsl.results.plots.panels import Section

Labels = tuple[tuple[str, ...], ...]

#: Why a fit ended, in words.
ENDED = {
    "decrement": "by the Newton decrement",
    "score": "by the score and the EM rate",
    "tolerance": "the log-likelihood stopped rising",
    "iterations": "the limit of iterations was reached",
}


class Fit:
    """The result of a fit, converged or not. Its numbers are those of `to_dict()`; a number that is not finite is None.

    `outcome` is what the fit left behind: the model, the bound data, and arrays.
    """

    def __init__(self, outcome: FitOutcome) -> None:
        self.outcome = outcome

    # --- estimates ----------------------------------------------------------------------------------------------------

    @cached_property
    def params(self) -> dict[str, Nested]:
        """Estimates by parameter: a number, or a dict by label, in the order of declaration."""
        return nested_arrays(self.outcome.state.estimates, self._labels)

    @cached_property
    def se(self) -> dict[str, Nested]:
        """Standard errors, in the form of `params`; None for what has none."""
        return nested_arrays(self.outcome.state.se, self._labels)

    @cached_property
    def interval(self) -> dict[str, Nested]:
        """Intervals `[low, high]` of the level asked for, in the form of `params`."""
        return nested_arrays(self.outcome.state.interval, self._labels, [None, None])

    @cached_property
    def reports(self) -> dict[str, dict[str, Nested]]:
        """Derived quantities: estimate, standard error and interval of each."""
        indexes = self.outcome.bound.indexes
        found = {}
        for report in self.outcome.model.reports:
            estimate, se, interval = self.outcome.reports[report.name]
            labels = tuple(indexes[binder.index_set] for binder in report.binders)
            found[report.name] = {
                "estimate": nest(estimate, labels),
                "se": missing(labels) if se is None else nest(se, labels),
                "interval": missing(labels, [None, None]) if interval is None else nest(interval, labels),
            }
        return found

    @property
    def _labels(self) -> dict[str, Labels]:
        """The labels of every parameter's axes."""
        indexes = self.outcome.bound.indexes
        return {
            item.name: tuple(tuple(indexes[axis]) for axis in item.array_axes) for item in self.outcome.model.parameters
        }  # fmt: skip

    # --- how good, how sure -------------------------------------------------------------------------------------------

    @property
    def loglik(self) -> float:
        """The full observed-data log-likelihood, constants included, rows counted by their weight."""
        return float(self.outcome.state.loglik)

    @property
    def penalized_loglik(self) -> float | None:
        """The log-likelihood and the log prior together, where there is a prior."""
        return float(self.outcome.state.penalized_loglik) if self.estimator == "MAP" else None

    @property
    def estimator(self) -> str:
        """`ML`, or `MAP` where a parameter has a prior."""
        return self.outcome.estimator

    @property
    def converged(self) -> bool:
        """Whether there is evidence for a maximum."""
        return bool(self.outcome.state.converged)

    @property
    def is_done(self) -> bool:
        """Whether there is evidence for a maximum, or a number of iterations was asked for (`tol` or `max_iter` of 0)
        and was run."""
        request = self.outcome.request
        told = request.tol == 0 or request.max_iter == 0
        return self.converged or (told and self.iterations >= request.max_iter)

    @property
    def iterations(self) -> int:
        """Iterations from the best start to the end."""
        return int(self.outcome.state.iterations)

    @property
    def parameters(self) -> int:
        """The number of free parameters."""
        return int(self.outcome.state.parameters)

    @property
    def aic(self) -> float | None:
        """Akaike's criterion, -2 log L + 2 k; None for a MAP estimate."""
        return self._criterion(2.0)

    @property
    def bic(self) -> float | None:
        """Schwarz's criterion, -2 log L + k log n with n = `bic_n`; None for a MAP estimate."""
        return self._criterion(math.log(self.outcome.bic_n)) if self.outcome.bic_n > 0 else None

    def _criterion(self, penalty: float) -> float | None:
        return None if self.estimator == "MAP" else plain(-2 * self.loglik + penalty * self.parameters)

    @property
    def missing(self) -> dict[str, int]:
        """Empty cells by column, of the columns that have some."""
        return {column: int(number) for column, number in self.outcome.bound.missing.items() if number}

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know, in plain sentences, each once."""
        weights = self.outcome.bound.weights.values()
        fractional = any(bool((array != np.round(array)).any()) for array in weights)
        said = ["the weights are not whole numbers: AIC and BIC compare only fits with these weights"] * fractional
        return tuple(dict.fromkeys((*self.outcome.warnings, *said)))

    @property
    def _simulation(self) -> dict[str, Any]:
        """The simulation error, where the likelihood is simulated."""
        found = self.outcome.state.simulation
        if found is None:
            return {}
        errors = None if found.errors is None else {
            name: nest(value, self._labels[name]) for name, value in found.errors.items()
        }  # fmt: skip
        return {"simulation": {
            "draws": found.draws, "effective_draws": found.effective, "loglik_error": found.loglik_error,
            "wanted_error": found.wanted, "met": found.met, "errors": errors,
        }}  # fmt: skip

    # --- forms --------------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """What `emdsl fit` prints as JSON; see the language's reference for every key."""
        outcome, state = self.outcome, self.outcome.state
        spread = state.uncertainty
        return {
            "model": outcome.model.name,
            "data": {
                "rows": outcome.bound.rows, "units": whole(outcome.units), "missing": sum(self.missing.values()),
            },
            "version": VERSION,
            "seed": outcome.seed,
            "estimator": self.estimator,
            "converged": self.converged,
            "iterations": self.iterations,
            "stopped_by": state.stopped_by,
            "starts": {
                "run": state.starts.run, "at_best": state.starts.at_best,
                "logliks": [plain(value) for value in state.starts.logliks],
            },
            "loglik": plain(self.loglik),
            "penalized_loglik": plain(self.penalized_loglik),
            "parameters": self.parameters,
            "aic": self.aic,
            "bic": self.bic,
            "bic_n": whole(outcome.bic_n),
            "params": self.params,
            "se": self.se,
            "se_method": state.se_method,
            "interval": self.interval,
            "level": outcome.level,
            "boundary": list(state.boundary),
            "covariance": {"names": [], "matrix": []} if spread is None else {
                "names": list(spread.names),
                "matrix": [[plain(cell) for cell in row] for row in spread.covariance.tolist()],
            },
            "reports": self.reports,
            "indexes": {name: list(labels) for name, labels in self._indexes.items()},
            "columns": dict(outcome.bound.columns),
            "missing_cells": self.missing,
            "warnings": list(self.warnings),
            **self._simulation,
        }  # fmt: skip

    @property
    def _indexes(self) -> Mapping[str, tuple[str, ...]]:
        """The labels of the index sets that the model declares (binary variables have one of their own)."""
        indexes = self.outcome.bound.indexes
        left_out = (CELL_SET, *self.outcome.bound.counts)
        named = (item.name for item in self.outcome.model.index_sets if item.name not in left_out)
        return {name: indexes[name] for name in named if name in indexes}

    def summary(self, *, everything: bool = True, warnings: bool = True) -> str:
        """The fit as a text to read. Without `everything` long arrays are cut short."""
        from emdsl.results.summary import summary

        return summary(self, everything=everything, warnings=warnings)

    @property
    def trace(self) -> Any:
        """Log-likelihood by iteration: a data frame with the columns `iteration` and `loglik`."""
        from emdsl.results.frames import frame

        return frame(self.trace_columns())

    def trace_columns(self) -> dict[str, list[Any]]:
        """The same as lists."""
        trace = self.outcome.state.trace
        return {"iteration": [int(at) for at, _ in trace], "loglik": [float(value) for _, value in trace]}

    def posterior(self, new_data: Any = None, *, plate: str | None = None, filtered: bool = False) -> Any:
        """What the data of the fit, or `new_data`, say of the hidden variables: for each unit the probability of each
        value, the most probable one, the mean where values are numbers, and of a chain the most probable path.

        A data frame with one row for each unit (a dict of columns without pandas); a dict of such by plate where
        hidden variables live in several plates and `plate` chooses none. Raises `unknown-label` for labels that the
        fit does not know. `filtered`: of a chain, given its units up to this one and no later ones.
        """
        import warnings

        from emdsl.results.frames import frame
        from emdsl.results.posterior import fit_posterior, one_table

        tables, notes = fit_posterior(self, new_data, filtered=filtered)
        for note in notes:
            warnings.warn(note, stacklevel=2)
        if plate is None and len(tables) > 1:
            return {name: frame(columns) for name, columns in tables.items()}
        return frame(one_table(tables, plate, self.outcome.model, "plate"))

    def predict(
        self, data: Any = None, *, level: float = 0.95, ahead: int | None = None, filtered: bool = False,
        plate: str | None = None,
    ) -> Any:  # fmt: skip
        """What is expected of the observed variables in the data of the fit, or in `data`: for each unit the expected
        value of a number with its interval, the probabilities of the values of a finite variable.

        The law of a variable given what is hidden, averaged over what the data say of that: a cell to be predicted is
        empty. `ahead`: the units that follow each chain of `data`, and no others. `filtered` and the frames as in
        `posterior`. Parameters are taken as known.
        """
        import warnings

        from emdsl.results.frames import frame
        from emdsl.results.posterior import one_table
        from emdsl.results.prediction import asked, fit_prediction

        tables, notes = fit_prediction(self, data, asked({"level": level, "ahead": ahead, "filtered": filtered}))
        for note in notes:
            warnings.warn(note, stacklevel=2)
        if plate is None and len(tables) > 1:
            return {name: frame(columns) for name, columns in tables.items()}
        return frame(one_table(tables, plate, self.outcome.model, "plate", kind="observed"))

    def simulate(
        self, n: int | None = None, *, seed: int = 0, latent: bool = False, missing: float = 0.0, design: Any = None
    ) -> Any:
        """Data drawn from the model at the estimates: `n` outermost units, a data frame (or a dict of columns) that the
        model can be fitted to.

        The units of `design`, a table, or else of the data of the fit give inputs, plates and empty cells where the
        model has inputs or nested plates, or where there is no `n`; beyond their number they serve again. `latent` adds
        what is hidden; `missing` empties each observed cell with that probability.
        """
        from emdsl.results.frames import frame
        from emdsl.results.simulation import fit_simulation

        return frame(fit_simulation(self, n, seed=seed, latent=latent, missing=missing, design=design))

    def tidy(self) -> Any:
        """One row for each element of a parameter, with the columns of broom's `tidy`: term, estimate, std.error,
        statistic, p.value, conf.low, conf.high. Statistic and p-value (of a Wald test against 0) are there only for
        parameters that may be any number."""
        from emdsl.results.frames import frame
        from emdsl.results.terms import tidy_columns

        return frame(tidy_columns(self))

    def glance(self) -> Any:
        """One row for the fit, as broom's `glance` has it."""
        from emdsl.results.frames import frame

        return frame({
            "logLik": [self.loglik], "AIC": [self.aic], "BIC": [self.bic], "df": [self.parameters],
            "nobs": [whole(self.outcome.bic_n)], "estimator": [self.estimator], "converged": [self.converged],
            "iterations": [self.iterations],
        })  # fmt: skip

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """What `plot` and `report` draw, as data: panels under headings."""
        from emdsl.results.plots.page import sections

        return sections(self)

    def plot(self, file: str | os.PathLike[str] | None = None) -> Any:
        """What there is to see of the fit, as one matplotlib Figure: estimates, densities, chains, hidden numbers,
        frequencies, as far as the model and the data have them. `file` is also written, as PNG, SVG or PDF by its
        ending; the same fit gives the same bytes. Raises `no-matplotlib`, `unknown-ending`, `unwritable-file`.
        """
        from emdsl.results.plots.drawing import plotted

        return plotted(self, None if file is None else os.fspath(file))

    def report(self, file: str | os.PathLike[str]) -> None:
        """Write the fit as one page to read (HTML), which needs nothing from elsewhere: data, evidence, estimates,
        diagram, plots (with matplotlib), derivation, model. Raises `unknown-ending`, `unwritable-file`.
        """
        from emdsl.results.files import check_writable, write_whole
        from emdsl.results.report.page import check_ending, report_page

        path = os.fspath(file)
        check_ending(path, "file")
        check_writable(path, "file")
        write_whole(path, report_page(self), "file")

    def augment(self, data: Any = None) -> Any:
        """The rows of `data`, or of the data of the fit, with what the fit says of each: `.class` and `.uncertainty`,
        `.mean` and `.sd`, `.fitted` and `.resid` (see `emdsl.results.augment`)."""
        from emdsl.results.augment import augmented
        from emdsl.results.frames import frame

        return frame(augmented(self, data))

    def confint(self, level: float | None = None) -> Any:
        """Intervals of all elements, one row each, with the columns `2.5 %` and `97.5 %` (or as `level` says)."""
        from emdsl.results.frames import frame
        from emdsl.results.terms import interval_columns

        return frame(interval_columns(self, level), index="term")

    def vcov(self) -> Any:
        """The covariance matrix of the estimates that have a standard error, rows and columns by term."""
        from emdsl.results.frames import frame

        spread = self.outcome.state.uncertainty
        if spread is None:
            return frame({"term": []}, index="term")
        names = list(spread.names)
        columns = zip(names, spread.covariance.T.tolist(), strict=True)
        return frame({"term": names, **dict(columns)}, index="term")

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        state = "converged" if self.converged else "not converged"
        return f"<Fit of {self.outcome.model.name}: loglik {self.loglik:.10g}, {self.parameters} parameters, {state}>"
