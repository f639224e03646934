"""The model graph: index sets, constants, parameters, plates, variables, factors. Sizes are unbound.

What the graph stage promises: every name is resolved, kinds of value agree, families are expanded into log-densities
(`Factor.branches`), `Markov`, `first ... after` and `HardyWeinberg` are rewritten into plain factors over finite
latent variables, `let` is substituted, and every `case` is exhaustive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from emdsl.ir.expressions import Arm, Binder, BinderRef, ConstantRef, Expression, ParameterRef, VariableRef


@dataclass(frozen=True)
class Labels:
    """Labels written in the model."""

    labels: tuple[str, ...]


@dataclass(frozen=True)
class Range:
    """`low..high`, whose ends may use constants."""

    low: Expression
    high: Expression


#: The words that mean a missing cell, in any table; so none of them is a label.
MISSING_WORDS = frozenset({"", "NA", "NaN"})

#: The most labels that `low..high` may have.
LARGEST_RANGE = 1_000_000


@dataclass(frozen=True)
class Levels:
    """The distinct values in the data of the named columns; without names, of the variables with values in the set.

    `variables` lists those variables (their columns are found as they are bound).
    """

    columns: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()


@dataclass(frozen=True)
class Columns:
    """A set of columns by name or by pattern (`item_*`); empty: `--columns`, or every numeric column left over."""

    patterns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Counts:
    """The values of a latent count: 0 to `top`, or with `signed` `-top` to `top`. None: as far as it takes for what is
    left out to be negligible.
    """

    top: Expression | None = None
    signed: bool = False


@dataclass(frozen=True)
class IndexSet:
    """A finite set of labels that arrays are indexed by and finite variables take values in."""

    name: str
    source: Labels | Range | Levels | Columns | Counts
    description: str = ""


@dataclass(frozen=True)
class Constant:
    """A fixed number, table of numbers or table of labels. `value` nests by `axes`; None must be given by the user."""

    name: str
    axes: tuple[str, ...] = ()
    labels_of: str | None = None
    value: Expression | tuple | None = None  # type: ignore[type-arg]
    description: str = ""


DomainKind = Literal[
    "real", "positive", "unit", "interval", "integer", "natural", "finite",
    "simplex", "contrast", "ordered", "covariance", "correlation",
]  # fmt: skip


@dataclass(frozen=True)
class Domain:
    """Where a value lies. `axes` are the index sets of a simplex, contrast, ordered vector or matrix (a covariance over
    `dim` has `axes == ("dim",)` and two array axes)."""

    kind: DomainKind
    axes: tuple[str, ...] = ()
    low: Expression | None = None
    high: Expression | None = None

    @property
    def array_axes(self) -> tuple[str, ...]:
        """The array axes that one element of this domain takes."""
        return self.axes * 2 if self.kind in ("covariance", "correlation") else self.axes


@dataclass(frozen=True)
class Prior:
    """A log-density of one element (a scalar, simplex slice or matrix) of a parameter; `binders` run over its axes.

    The first element of a contrast is no unknown: where `binders` run over the contrast's axis too, they leave it out.

    `text` is the law as written.
    """

    binders: tuple[Binder, ...]
    log_density: Expression
    text: str


@dataclass(frozen=True)
class Parameter:
    """Unknowns to estimate. The array has axes `axes` and then `domain.array_axes`."""

    name: str
    axes: tuple[str, ...]
    domain: Domain
    prior: Prior | None = None
    init: Expression | None = None
    init_binders: tuple[Binder, ...] = ()
    only: Expression | None = None  # over `only_binders`: array axes in order; elements where it is 0 are 0
    only_binders: tuple[Binder, ...] = ()
    description: str = ""

    @property
    def array_axes(self) -> tuple[str, ...]:
        """Index sets of all array axes, in order."""
        return self.axes + self.domain.array_axes


@dataclass(frozen=True)
class Plate:
    """Repetition. Plates nest in one line; `parent` is the plate around this one (None: outermost).

    `ordered`: the units are a chain within each parent unit, in row order or by the column `by`.
    """

    name: str
    parent: str | None = None
    ordered: bool = False
    by: str | None = None
    over: Binder | None = None
    description: str = ""


Kind = Literal["latent", "observed", "input", "weight"]


@dataclass(frozen=True)
class Variable:
    """One value (or array over `axes`) for each unit of `plate`.

    `values` is the index set of a finite variable (`domain.kind == "finite"`). A Bernoulli variable has `values ==
    "0/1"`, the built-in index set of the labels 0 and 1. `genotype`: a value is an unordered pair of labels of
    `values`; `components` are then the two finite latent variables that are its draws (none where a `Map` gives the
    pair). `joint` names all the variables of a joint draw, in the order of the simplex's axes; its one factor has the
    first as target. `between` names the two inputs of the same plate that bound an interval-censored variable, which
    has no column then: in the data an empty bound is -inf or inf, and the variable's own value is the bound where both
    are equal, NaN elsewhere. `cut`: this variable is no column, but says what the cells of another one hold, a label of
    `CELLS` for each. `truncated` are the bounds outside of which the data hold no value of an observed variable.
    `cell_of`: this is the hidden value of the open cells of that observed variable.
    """

    name: str
    kind: Kind
    plate: str | None
    axes: tuple[str, ...]
    domain: Domain
    values: str | None = None
    column: str | None = None
    components: tuple[str, ...] = ()
    description: str = ""
    genotype: bool = False
    joint: tuple[str, ...] = ()
    between: tuple[str, str] | None = None
    cut: Cut | None = None
    truncated: tuple[Expression, Expression] | None = None
    cell_of: str = ""


#: What is known of a value: itself, that it is greater or less than the bound in its cell, or that it lies between two.
SEEN, ABOVE, BELOW, BETWEEN, EMPTY = "seen", "above", "below", "between", "empty"
CELLS = (SEEN, ABOVE, BELOW, BETWEEN, EMPTY)
#: The variable that says which of these it is: its name ends like this, and it takes values in this index set.
CELL_SUFFIX, CELL_SET = ".cell", "seen/above/below/between"


@dataclass(frozen=True)
class Cut:
    """The cells of the observed variable `of`, which may hold a bound: `censored above unless event` and its like.

    `above` and `below` are the events, 1 where the value was seen and 0 where its cell bounds it. A variable that is
    `between` two columns needs none. `domain` is that of the law, outside of which nothing can lie.
    """

    of: str
    domain: Domain
    discrete: bool
    above: Expression | None = None
    below: Expression | None = None


@dataclass(frozen=True)
class Guard:
    """A condition on something finite (a variable, the current element, an entry of a table of labels).

    With `position` empty: its value is one of `labels`, or, with `negated`, none of them (the labels of a set that
    only the data know). Otherwise `labels` is empty and its value is the `first` or the `last` label of its index set,
    or one of those in the `middle`.
    """

    variable: VariableRef | BinderRef | ConstantRef
    labels: tuple[str, ...]
    negated: bool = False
    position: Literal["", "first", "middle", "last"] = ""


@dataclass(frozen=True)
class Branch:
    """A log-density that holds where every guard does. The branches of a factor are disjoint and cover everything.

    `family` and `arguments` (by name, families' optional arguments left out) are the law that the log-density was
    expanded from, for simulation and prediction; empty for a `factor` statement.
    """

    guards: tuple[Guard, ...]
    log_density: Expression
    family: str = ""
    arguments: tuple[tuple[str, Expression], ...] = ()


When = Literal["always", "first", "after"]


@dataclass(frozen=True)
class Openness:
    """Where a factor counts that looks at observed numbers some of whose cells are open.

    With `cells`: in the rows in which all these cells are known, or (`hidden`) in which some is open. Without: in the
    units of `plate` (None: in the whole data set) in which all cells of the variables `names` are known, or some is
    open.
    """

    names: tuple[str, ...]
    hidden: bool
    cells: tuple[VariableRef, ...] = ()
    plate: str | None = None


@dataclass(frozen=True)
class Factor:
    """A `~` or `factor` statement: its log-density counts once for each unit of `plate` and element of `elements`.

    `when`: `first` for the first `lag` units of a chain, `after` for the rest. `around` names plates around this one in
    whose chains it looks back, and how far: it counts where they reach back so far. `target` is the variable drawn
    (None: `factor`). `text` is the statement as written.
    """

    name: str
    plate: str | None
    elements: tuple[Binder, ...]
    target: VariableRef | None
    branches: tuple[Branch, ...]
    when: When = "always"
    lag: int = 0
    text: str = ""
    around: tuple[tuple[str, int], ...] = ()
    open: Openness | None = None


@dataclass(frozen=True)
class Map:
    """`observed y = value`: the observed variable equals a function of finite latent variables.

    For a finite target `value` is a label-valued expression (`Choose` of `Label`s, or a finite variable); otherwise a
    number. For a genotype target `value` is a pair of label-valued expressions.
    """

    name: str
    plate: str | None
    elements: tuple[Binder, ...]
    target: VariableRef
    value: Expression | tuple[Expression, Expression]
    text: str = ""


@dataclass(frozen=True)
class Weight:
    """`weight w` in `plate`."""

    plate: str
    variable: str


@dataclass(frozen=True)
class Given:
    """`given cond` in `plate`: units are in the data only because `condition`, a truth about finite observed variables,
    holds of them."""

    plate: str
    condition: Expression
    text: str = ""


@dataclass(frozen=True)
class Sampler:
    """How numbers are drawn from a declared family: `value` over its arguments and the random numbers `uniform` (on (0,
    1)), `normal` and `exponential` (standard), each use of which is a new draw. Both are written as `VariableRef`s."""

    family: str
    value: Expression


@dataclass(frozen=True)
class Fact:
    """What a family declares of itself: its `mean`, or its `cdf`, the probability of no more than `at`.

    `value` is over its arguments (and `at`), which are written as `VariableRef`s. Of a family of vectors it is about
    one element, whose own entries of the arguments (of a matrix the one on its diagonal) it names.
    """

    family: str
    definition: Literal["mean", "cdf"]
    value: Expression
    at: str = ""


@dataclass(frozen=True)
class Report:
    """A derived quantity of the parameters; `binders` are its axes (none: a scalar)."""

    name: str
    value: Expression
    binders: tuple[Binder, ...] = ()
    description: str = ""


@dataclass(frozen=True)
class Order:
    """After the fit, `index_set` is relabelled so that `key` (over `binder`) increases."""

    index_set: str
    binder: Binder
    key: Expression
    text: str = ""


@dataclass(frozen=True)
class Model:
    """The whole model graph. Plates are listed outermost first."""

    name: str
    description: str
    index_sets: tuple[IndexSet, ...]
    constants: tuple[Constant, ...]
    parameters: tuple[Parameter, ...]
    plates: tuple[Plate, ...]
    variables: tuple[Variable, ...]
    factors: tuple[Factor, ...]
    maps: tuple[Map, ...]
    weights: tuple[Weight, ...]
    reports: tuple[Report, ...]
    orders: tuple[Order, ...]
    warnings: tuple[str, ...] = ()
    samplers: tuple[Sampler, ...] = ()
    givens: tuple[Given, ...] = ()
    facts: tuple[Fact, ...] = ()

    def parameter(self, name: str) -> Parameter:
        """The parameter of that name."""
        return next(item for item in self.parameters if item.name == name)

    def variable(self, name: str) -> Variable:
        """The variable of that name."""
        return next(item for item in self.variables if item.name == name)

    def index_set(self, name: str) -> IndexSet:
        """The index set of that name."""
        return next(item for item in self.index_sets if item.name == name)

    def constant(self, name: str) -> Constant:
        """The constant of that name."""
        return next(item for item in self.constants if item.name == name)


__all__ = [
    "ABOVE", "Arm", "BELOW", "BETWEEN", "Binder", "Branch", "CELL_SET", "CELL_SUFFIX", "CELLS", "Columns", "Constant",
    "ConstantRef", "Counts", "Cut", "Domain", "EMPTY", "Fact", "Factor", "Given", "Guard", "IndexSet", "Labels",
    "Levels", "Map", "Model", "Openness", "Order", "Parameter", "ParameterRef", "Plate", "Prior", "Range", "Report",
    "Sampler", "SEEN", "Variable", "VariableRef", "Weight",
]  # fmt: skip
