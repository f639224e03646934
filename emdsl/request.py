"""What a fit may be told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from emdsl.data.options import BindOptions


@dataclass(frozen=True)
class FitRequest:
    """Everything that a fit may be told, with the names and defaults of the command line."""

    set: Mapping[str, Any] = field(default_factory=dict)
    const: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    map: Mapping[str, str] = field(default_factory=dict)
    weight: str | None = None
    init: Mapping[str, Any] = field(default_factory=dict)
    fix: Mapping[str, Any] = field(default_factory=dict)
    starts: int | None = None
    seed: int = 0
    tol: float = 1e-10
    max_iter: int = 10_000
    accelerate: str = "auto"
    plan: str = "auto"
    se: str = "auto"
    level: float = 0.95
    interval: str = "wald"
    bootstrap_repeats: int = 200
    na: tuple[str, ...] = ()
    progress: Callable[..., None] | None = None


def bind_options(request: FitRequest) -> BindOptions:
    """What a request says of the data."""
    return BindOptions(
        set=request.set,
        const=request.const,
        columns=request.columns,
        map=request.map,
        weight=request.weight,
        na=request.na,
    )
