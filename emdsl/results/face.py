"""The Python face: `load` a model, `fit` it, read its derivation, look at its graph."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from emdsl.diagnostics.errors import FitError
from emdsl.results.options import Spell, fit_request

if TYPE_CHECKING:
    from emdsl.compiler import CompiledModel
    from emdsl.results.derivation_text import DerivationText
    from emdsl.results.model_graph import ModelGraph
    from emdsl.results.result import Fit
    from emdsl.studies.recovery import Recovery


def load(path: str | os.PathLike[str], *, to_read: bool = False) -> Model:
    """The model in a file; `to_read`: its derivation is to be read, and is written out at once. Raises `EmmError` with
    all errors of the first stage that finds any.
    """
    from pathlib import Path

    from emdsl.compiler import load_text
    from emdsl.data.sources import existing
    from emdsl.syntax.source import read_source

    existing(Path(path))
    return Model(load_text(read_source(path), os.fspath(path), purpose="reading" if to_read else ""))


def load_graph(path: str | os.PathLike[str]) -> ModelGraph:
    """The plate diagram of the model in a file, which need not be derived for it. Raises as `load` does."""
    from pathlib import Path

    from emdsl.compiler import load_graph
    from emdsl.data.sources import existing
    from emdsl.results.model_graph import ModelGraph
    from emdsl.syntax.source import read_source

    existing(Path(path))
    return ModelGraph(load_graph(read_source(path), os.fspath(path)))


def loads(text: str) -> Model:
    """The model in a text. Raises as `load` does."""
    from emdsl.compiler import load_text

    return Model(load_text(text, None))


class Model:
    """A model that has been derived and can be fitted to data."""

    def __init__(self, compiled: CompiledModel) -> None:
        self.compiled = compiled

    @property
    def name(self) -> str:
        """The model's name."""
        return self.compiled.model.name

    @property
    def description(self) -> str:
        """What the model says of itself."""
        return self.compiled.model.description

    def fit(
        self,
        data: Any,
        *,
        set: Mapping[str, Any] | None = None,
        const: Mapping[str, Any] | None = None,
        columns: Mapping[str, str | Sequence[str]] | None = None,
        map: Mapping[str, str] | None = None,
        weight: str | None = None,
        init: Any = None,
        fix: Any = None,
        starts: int | None = None,
        seed: int = 0,
        tol: float = 1e-10,
        max_iter: int = 10_000,
        accelerate: str = "auto",
        se: str = "auto",
        level: float = 0.95,
        executor: str = "auto",
        scheduler: str | None = None,
        chunk_rows: int | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        plan: str = "auto",
        interval: str = "wald",
        na: str | Sequence[str] | None = None,
        bootstrap_repeats: int = 200,
        progress: Callable[..., None] | None = None,
    ) -> Fit:
        """Fit the model to data: pandas, polars, pyarrow, a dict of arrays, or a path.

        `set` gives constants, `const` tables of constants, `columns` the columns of an index set, `map` the columns of
        variables, `weight` a column of weights, `na` further words for missing. `init` and `fix` give values of
        parameters: a dict by name of numbers, dicts by label or arrays, a key that names one element (`p.C`), a fit, or
        the path of a JSON file. `tol` is the log-likelihood that may still be to be gained (0: exactly `max_iter`
        iterations), `starts` the number of short starts, `se` the method of standard errors (`bootstrap` with
        `bootstrap_repeats` replicates), `interval` the kind of intervals and `level` their level.
        `progress` is called as `progress(stage, iteration, iterate)`. Raises `EmmError` where the model, the data or
        an option is wrong, `FitError`, whose `state` is the last state, where the fit fails.
        """
        given = {name: value for name, value in locals().items() if name not in ("self", "data")}
        return self.fit_with(data, given)

    def fit_with(self, data: Any, given: Mapping[str, Any], spell: Spell = str) -> Fit:
        """The same with the options as a dict; `spell` gives the name of an option as the user writes it."""
        from emdsl.results.result import Fit

        request = fit_request(self.compiled.model, given, spell)
        try:
            return Fit(self.compiled.fit(data, request))
        except FitError as error:
            raise _carrying_fit(error) from error

    def derive(self, open: Sequence[str] = ()) -> DerivationText:
        """The derivation, to print; `open` names observed numbers with open cells that other laws look at."""
        from emdsl.results.derivation_text import DerivationText

        return DerivationText(self.compiled.written(open).derivation)

    def graph(self) -> ModelGraph:
        """The model as a plate diagram, to print or to draw."""
        from emdsl.results.model_graph import ModelGraph

        return ModelGraph(self.compiled.model)

    def check(self, data: Any = None, **given: Any) -> str:
        """The model graph, the plan and its cost, the rules of the M-step; with data, how the columns bind."""
        return self.check_with(data, given)

    def check_with(self, data: Any, given: Mapping[str, Any], spell: Spell = str) -> str:
        """The same with the options as a dict."""
        return "\n".join(self.compiled.check(data, fit_request(self.compiled.model, given, spell)))

    def posterior(
        self, data: Any, params: Any, *, plate: str | None = None, filtered: bool = False, **given: Any
    ) -> Any:
        """`Fit.posterior` without a fit: `params` are values of all parameters, a dict as `Fit.params`, the dict of a
        whole fit, or the path of such a JSON file. `filtered`: of a chain, given its units up to this one alone.
        Options are those of `fit` that say how data bind."""
        from emdsl.results.frames import frame
        from emdsl.results.posterior import one_table

        tables, _ = self.posterior_with(data, params, given, filtered=filtered)
        if plate is None and len(tables) > 1:
            return {name: frame(columns) for name, columns in tables.items()}
        return frame(one_table(tables, plate, self.compiled.model, "plate"))

    def posterior_with(
        self, data: Any, params: Any, given: Mapping[str, Any], spell: Spell = str, *, filtered: bool = False
    ) -> tuple[dict[str, dict[str, list[Any]]], tuple[str, ...]]:
        """The tables by plate, as columns, and what a reader must know of them; options as a dict."""
        from emdsl.results.params import known_parameters
        from emdsl.results.posterior import known_posterior

        request = fit_request(self.compiled.model, given, spell)
        known = known_parameters(params, self.compiled.model, spell("params"))
        return known_posterior(self.compiled, data, known, request, filtered=filtered)

    def predict(
        self, data: Any, params: Any, *, level: float = 0.95, ahead: int | None = None, filtered: bool = False,
        plate: str | None = None, **given: Any,
    ) -> Any:  # fmt: skip
        """`Fit.predict` without a fit: `params` as in `posterior`."""
        from emdsl.results.frames import frame
        from emdsl.results.posterior import one_table

        chosen = {"level": level, "ahead": ahead, "filtered": filtered}
        tables, _ = self.predict_with(data, params, chosen, given)
        if plate is None and len(tables) > 1:
            return {name: frame(columns) for name, columns in tables.items()}
        return frame(one_table(tables, plate, self.compiled.model, "plate", kind="observed"))

    def predict_with(
        self, data: Any, params: Any, chosen: Mapping[str, Any], given: Mapping[str, Any], spell: Spell = str
    ) -> tuple[dict[str, dict[str, list[Any]]], tuple[str, ...]]:
        """The tables by plate, as columns, and what a reader must know of them; `chosen` are the options of
        `predict`, `given` those about data."""
        from emdsl.results.params import known_parameters
        from emdsl.results.prediction import asked, known_prediction

        request = fit_request(self.compiled.model, given, spell)
        wanted = asked(chosen, spell)
        known = known_parameters(params, self.compiled.model, spell("params"))
        return known_prediction(self.compiled, data, known, request, wanted, spell)

    def simulate(
        self, n: int | None, params: Any, *, seed: int = 0, latent: bool = False, missing: float = 0.0,
        design: Any = None, **given: Any,
    ) -> Any:  # fmt: skip
        """`Fit.simulate` without a fit: `params` as in `posterior`. Without a `design`, a table that gives inputs,
        nested plates and empty cells, the model must be one of rows alone."""
        from emdsl.results.frames import frame

        chosen = {"seed": seed, "latent": latent, "missing": missing, "design": design}
        return frame(self.simulate_with(n, params, chosen, given))

    def simulate_with(
        self, n: Any, params: Any, chosen: Mapping[str, Any], given: Mapping[str, Any], spell: Spell = str
    ) -> dict[str, list[Any]]:
        """The columns of simulated data; `chosen` are the options of `simulate`, `given` those about data."""
        from emdsl.results.params import known_parameters
        from emdsl.results.simulation import simulation

        request = fit_request(self.compiled.model, given, spell)
        known = known_parameters(params, self.compiled.model, spell("params"))
        return simulation(self.compiled, n, known, request, chosen, spell)

    def recover(
        self, params: Any, *, n: int | None = None, repeat: int = 100, missing: float = 0.0, design: Any = None,
        **given: Any,
    ) -> Recovery:  # fmt: skip
        """Draw `repeat` data sets of `n` outermost units at `params`, as `simulate` does, fit the model to each, and
        compare: bias, RMSE, standard errors and the coverage of the intervals.

        The labels of hidden values that can change places are put in the order nearest to the truth. The other options
        are those of `fit`; `seed` is that of data and starts.
        """
        chosen = {"n": n, "repeat": repeat, "missing": missing, "design": design}
        return self.recover_with(params, chosen, given)

    def recover_with(
        self, params: Any, chosen: Mapping[str, Any], given: Mapping[str, Any], spell: Spell = str
    ) -> Recovery:
        """The same with the options as dicts; `chosen` are those of `recover`, `given` those of a fit."""
        from emdsl.studies.recovery import recovery

        return recovery(self.compiled, params, chosen, given, spell)

    def compile(self, open: Sequence[str] = ()) -> str:
        """A Python module that fits the model and needs NumPy alone, as text; `open` as for `derive`."""
        return self.compiled.with_open(open).compile_source()

    def __repr__(self) -> str:
        return f"<Model {self.name}{f': {self.description}' if self.description else ''}>"


def _carrying_fit(error: FitError) -> FitError:
    """The error with a `Fit` as its state, where the fit came so far that there is one."""
    from emdsl.results.result import Fit

    if error.state is None or not hasattr(error.state, "bound"):
        return error
    return FitError(error.message, Fit(error.state))
