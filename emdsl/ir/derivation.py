"""What the derive stage makes of a model graph: log-densities cut into pieces, M-step rules, and the steps to read.

Free of sizes. Formulas are source text over the symbols that `Atom`, `Known` and the statistics declare, in a small
grammar of Python (`+ - * / **`, calls of the functions in `emdsl.plan.functions`), written by the derive stage alone.

Supported: any log-density over finite and continuous latent variables, parameters and data.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from emdsl.ir.expressions import Binder, Expression, ParameterRef, Stationary, VariableRef
from emdsl.ir.model import Guard, Map, Model, Openness, When


@dataclass(frozen=True)
class Known:
    """A symbol whose value does not depend on parameters: data, constants, numeric values of hidden variables.

    `by_row` is true if it depends on numeric data (then it varies by row), false if it varies by cell at most.
    """

    symbol: str
    value: Expression
    by_row: bool


@dataclass(frozen=True)
class Design:
    """One term of a predictor: `sum over `over` of coefficient * parameter`. The coefficient is known."""

    parameter: ParameterRef
    coefficient: Expression | None = None
    over: tuple[Binder, ...] = ()


@dataclass(frozen=True)
class Atom:
    """What a log-density is differentiated in: one parameter element, or a predictor affine in several.

    A plain element has a single `Design` without coefficient.
    """

    symbol: str
    terms: tuple[Design, ...]

    @property
    def is_predictor(self) -> bool:
        """Whether it stands for more than one bare parameter element."""
        return len(self.terms) > 1 or self.terms[0].coefficient is not None or bool(self.terms[0].over)


@dataclass(frozen=True)
class Term:
    """`eta * T`: `eta` over atoms and by-cell knowns, `statistic` over by-row knowns (`1` if none)."""

    eta: str
    statistic: str


@dataclass(frozen=True)
class Shift:
    """The statistic's base `source` (over by-row knowns) is centred and scaled: `u = (base - centre) / scale`.

    The three symbols may appear in the terms; `base` stands for the raw value nowhere else.
    """

    symbol: str
    centre: str
    scale: str
    base: str


@dataclass(frozen=True)
class NormalLaw:
    """The law of a hidden number as `Normal(mean, sqrt(variance))`, read off a log-density that is quadratic in it.

    `mean` is affine in other hidden numbers, `variance` free of them; `constant` is what the log-density has beyond
    that of a normal law, free of parameters. `mean_slopes` and `variance_slopes` are the derivatives in the piece's
    atoms. Formulas over the atoms and knowns of the piece.
    """

    mean: str
    variance: str
    constant: str
    mean_slopes: tuple[str, ...]
    variance_slopes: tuple[str, ...]


@dataclass(frozen=True)
class Completion:
    """What the M-step makes of a piece that holds the log-probability of an event: the expected log-density of the
    value itself, `log_density`, over atoms, knowns and the expected statistics `symbols`, which `expected` gives at the
    theta of the E-step. Derivatives as of a piece.
    """

    symbols: tuple[str, ...]
    expected: tuple[str, ...]
    log_density: str
    gradient: tuple[str, ...]
    hessian: tuple[tuple[int, int, str], ...]


Form = Literal["separable", "rows", "log-sum-exp", "gaussian", "stationary", "arrays"]


@dataclass(frozen=True)
class Piece:
    """An additive part of one factor's (or prior's) log-density.

    `form`:
    separable      sum_j eta_j T_j; gradient and hessian are of sum_j eta_j S_j, with the statistics `S0, S1, ...`
    rows           `log_density` as it stands, by row; gradient and hessian by row
    log-sum-exp    sign * log sum over `reduced` of exp(log_density), times the known `multiplier` if there is one;
                   gradient and hessian of the inner expression
    gaussian       constant + -1/2 log det C - 1/2 (x - m)' C^-1 (x - m), `vector` naming its parts
    stationary     log of the stationary probability of a state, `stationary` naming matrix and state

    arrays         a function of whole vectors and matrices of parameters (a prior), `arrays` naming it

    `gradient[i]` is the derivative in atom i; `hessian` lists `(i, j, source)`, i <= j, where it is not 0. `guards`
    are conditions on finite things (`Guard`, or an expression that is 0 or 1); the piece holds where all are 1.
    `prior` marks a log-prior: no data, weight 1. `quadratic` marks a piece with continuous hidden variables whose
    log-density is of degree two at most in its columns: what varies by row, each free of hidden variables or a number
    times one of them. `argument` marks one element of an argument of an `arrays` piece, which is no log-density by
    itself. `open` says in which rows it counts, where it looks at data some of whose cells are open.
    """

    name: str
    factor: str
    form: Form
    plate: str | None
    elements: tuple[Binder, ...]
    guards: tuple[Expression | Guard, ...]
    target: VariableRef | None
    atoms: tuple[Atom, ...]
    knowns: tuple[Known, ...]
    log_density: str
    gradient: tuple[str, ...] = ()
    hessian: tuple[tuple[int, int, str], ...] = ()
    terms: tuple[Term, ...] = ()
    shifts: tuple[Shift, ...] = ()
    reduced: Binder | None = None
    sign: int = 1
    vector: Vector | None = None
    stationary: Stationary | None = None
    when: When = "always"
    lag: int = 0
    prior: bool = False
    continuous: bool = False
    quadratic: bool = False
    around: tuple[tuple[str, int], ...] = ()
    arrays: ArrayPrior | None = None
    argument: bool = False
    multiplier: Expression | None = None
    law: NormalLaw | None = None
    completion: Completion | None = None
    open: Openness | None = None


@dataclass(frozen=True)
class ArrayPrior:
    """`coefficient * function(arguments)` of a log-prior: `logdet(C)`, `mahalanobis(x, m, C)` or `traceinv(C, S)`.

    `arguments` names the piece that gives one element of each argument. Of each argument: `parameters` are the
    parameters in it, `linear` says that it is affine in them, `whole` is the parameter that it is a slice of, if it is
    one. The coefficient is known. `text`, `matrix` and what the term adds to n and R of `C = R/n` are to be read.
    """

    function: str
    coefficient: Expression
    arguments: tuple[str, ...]
    parameters: tuple[tuple[str, ...], ...]
    linear: tuple[bool, ...]
    whole: tuple[str, ...]
    text: str = ""
    units: str = ""
    moment: str = ""
    matrix: str = ""


@dataclass(frozen=True)
class Vector:
    """The parts of a Gaussian piece: the vector variable over `axis`, its mean (a partial parameter reference) and
    covariance.

    Where these are expressions, or parameters that vary by row or are restricted, `mean_parts` and `covariance_parts`
    are the addends of one element of each: pieces by row over the axis (twice for a covariance) and over what else they
    are summed over, `log_density` being the addend itself. Without covariance parts closed forms update both. Where
    hidden numbers stand in the mean and no parameter, it alone has addends: the update of the covariance takes moments
    of the residual. Those of a hidden vector are of the mean less the vector.
    """

    axis: str
    variable: VariableRef
    mean: Expression
    covariance: Expression
    constant: Expression | None = None
    mean_parts: tuple[Piece, ...] = ()
    covariance_parts: tuple[Piece, ...] = ()

    @property
    def by_parts(self) -> bool:
        """Whether mean and covariance are formulas."""
        return bool(self.covariance_parts)


Rule = Literal["simplex", "bound", "closed form", "linear", "matrix", "newton"]


@dataclass(frozen=True)
class Contribution:
    """What one atom of one piece adds to an update's accumulators, summed over cells (and rows, for by-row sources).

    `sources[m]` goes to accumulator m; over atoms, knowns, and `S0...` of a separable piece.
    """

    piece: str
    atom: int
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Update:
    """One M-step rule for a group of parameters.

    simplex       accumulator 0 is the expected count of each element; the element is its share
    bound         the least or largest (`formula`: `min`, `max`) value of the source among the rows that count
    closed form   `formula` over the accumulators `R0, R1, ...`, element by element
    linear        one Newton step solves it: Q is quadratic in the group (weighted Gram matrix of the design)
    matrix        C = R / n for covariances in Gaussian pieces
    newton        Newton's method on Q, halved until Q rises
    `conditional` lists the parameters whose current values it uses and that are updated later (ECM). `reason` says why
    nothing simpler applies (`a: why; b: why`), `note` how the update was verified. `held` names parameters that can
    only be held: the support depends on them in a way that no rule climbs.
    """

    rule: Rule
    parameters: tuple[str, ...]
    contributions: tuple[Contribution, ...] = ()
    formula: str = ""
    over_rows: bool = False
    conditional: tuple[str, ...] = ()
    reason: str = ""
    note: str = ""
    held: tuple[str, ...] = ()

    @property
    def why(self) -> str:
        """The reason with parameters that share one put together: `a, b: why`."""
        gathered: dict[str, list[str]] = {}
        for part in filter(None, self.reason.split("; ")):
            name, _, why = part.partition(": ")
            gathered.setdefault(why, []).append(name)
        return "; ".join(f"{', '.join(names)}: {why}" for why, names in gathered.items())


Placing = Literal["", "fixed", "standard", "laid", "shares", "draws"]

#: The kernel of a number whose log-joint is quadratic, on the interval that it lies in.
INTERVAL = "normal on an interval"
#: The kernel of shares that sum to 1, of whose logarithms the log-joint is a linear function.
SHARES = "Dirichlet"


@dataclass(frozen=True)
class Integral:
    """Continuous hidden variables that are integrated out together, and how.

    `pieces` are those that look at them. `method`:
    gaussian    the log-joint is quadratic in them
    kernel      the log-joint is linear in the functions `basis` of the one variable `u`, whose exponential integrates
                in closed form as that of the law `kernel`; of the kernel INTERVAL there may be others, jointly normal
    grid        smooth, one number: summed over one grid for all units, as a finite variable; `placing` says which
    quadrature  smooth otherwise: adaptive Gauss-Hermite quadrature
    sum         they are counts: summed over the whole numbers
    monte-carlo where the user asks for it, importance sampling around the joint mode; of shares, by draws of each unit
    `lag` is how far back laws look at them along a chain (0: they do not). The kernel is one in `u^power`. `closed`:
    draws are asked for, and the log-joint is quadratic in them. `open`: it is over the units that have (or do not have)
    open cells, and no others; `group` names those units once data are bound. `cut`: it goes up to a bound, or begins at
    one. `placing` of a grid:
    fixed       over the variable's own law, a normal without parameters
    standard    over a standard normal e: the variable is `value`, its mean plus its standard deviation times e (there
                the variable's name stands for e)
    laid        where the posterior lies, laid again as the parameters move
    shares      shares that sum to 1: over the whole simplex
    draws       shares that sum to 1: draws around the posterior of each unit (`method` is then monte-carlo)
    """

    latents: tuple[str, ...]
    pieces: tuple[str, ...]
    method: Literal["gaussian", "kernel", "grid", "quadrature", "sum", "monte-carlo"]
    kernel: str = ""
    basis: tuple[str, ...] = ()
    lag: int = 0
    power: Fraction = Fraction(1)
    placing: Placing = ""
    value: Expression | None = None
    closed: bool = False
    open: Openness | None = None
    group: str = ""
    cut: bool = False

    @property
    def on_nodes(self) -> bool:
        """Whether what is hidden has become a finite variable, whose values are nodes or draws."""
        return self.method == "grid" or self.placing == "draws"


@dataclass(frozen=True)
class Step:
    """One step of the derivation, to be read: the rule, what it is about, the formula before and after."""

    rule: str
    subject: str
    before: str
    after: str
    note: str = ""


@dataclass(frozen=True)
class Derivation:
    """A model graph with everything that could be derived before the data are known.

    `gridded` is the model that the pieces speak of, where hidden numbers are summed over grids of nodes, or where the
    observed numbers `open` are hidden in the rows in which their cells are open.
    """

    model: Model
    pieces: tuple[Piece, ...]
    maps: tuple[Map, ...]
    updates: tuple[Update, ...]
    steps: tuple[Step, ...]
    integrals: tuple[Integral, ...] = ()
    gridded: Model | None = None
    open: tuple[str, ...] = ()

    def piece(self, name: str) -> Piece:
        """The piece of that name."""
        return next(item for item in self.pieces if item.name == name)
