"""A language for latent-variable models: write what is hidden and what is seen, get the EM algorithm derived and run.

    model = emdsl.load("models/peppered_moth.emm")
    print(model.derive())
    fit = model.fit("models/data/peppered_moth.csv")
    fit.params["p"]["C"]

Everything public is loaded when it is first used, so that `import emdsl` costs next to nothing.
"""

from __future__ import annotations

from emdsl.version import VERSION as __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from emdsl.diagnostics.errors import EmmError, FitError
    from emdsl.estimator.estimator import EMEstimator
    from emdsl.results.face import Model, load, loads
    from emdsl.results.result import Fit
    from emdsl.studies.comparison import compare


__all__ = ["load", "loads", "compare", "Model", "Fit", "EMEstimator", "EmmError", "FitError", "__version__"]

#: Where each public name is defined.
_HOMES = {
    "load": "emdsl.results.face",
    "loads": "emdsl.results.face",
    "compare": "emdsl.studies.comparison",
    "Model": "emdsl.results.face",
    "Fit": "emdsl.results.result",
    "EMEstimator": "emdsl.estimator.estimator",
    "EmmError": "emdsl.diagnostics.errors",
    "FitError": "emdsl.diagnostics.errors",
}


if not TYPE_CHECKING:  # a type checker knows every name from the imports above

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module 'emdsl' has no attribute '{name}'")
        from importlib import import_module

        value: object = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
