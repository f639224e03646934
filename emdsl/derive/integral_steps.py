"""How the posterior of continuous hidden variables comes about, to read: one step for each integral, with its law in
formulas where it is closed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sympy as sp

from emdsl.derive.notation import plain, readable, reference, unwrapped
from emdsl.derive.pieces import Derived
from emdsl.derive.posterior_steps import Law, laws
from emdsl.derive.scopes import Reading
from emdsl.ir.derivation import INTERVAL, SHARES, Integral, Step
from emdsl.ir.expressions import VariableRef, rewrite, walk
from emdsl.ir.latents import home_plate
from emdsl.ir.model import Model
from emdsl.ir.show import show_domain

#: The functions of `u` (to the kernel's power) that span each kernel.
_FUNCTIONS: Mapping[str, tuple[str, ...]] = {
    "gamma": ("log(u)", "u"),
    "inverse gamma": ("log(u)", "1/u"),
    "beta": ("log(u)", "log(1 - u)"),
    "generalised inverse Gaussian": ("log(u)", "u", "1/u"),
    "modified half-normal": ("log(u)", "u", "u^2"),
}

METHODS = {
    "gaussian": "jointly normal, integrated in closed form",
    "kernel": "conjugate, integrated in closed form",
    "grid": "summed over one grid of nodes for all units",
    "fixed": "summed over one grid of nodes for all units, laid over its own law",
    "standard": "its own law is normal: it is its mean plus its standard deviation times e, and e, standard normal, is "
    "summed over one grid of nodes for all units",
    "laid": "summed over one grid of nodes for all units, laid where the posterior lies, again as the parameters move",
    "shares": "shares of 1, summed over one grid of nodes in their simplex for all units",
    "draws": "shares of 1, integrated by simulation: importance sampling, draws around the posterior of each unit",
    "sum": "summed over the whole numbers where it is probable",
    "quadrature": "integrated by adaptive Gauss-Hermite quadrature around the mode of each unit",
}
SIMULATED = "integrated by simulation: importance sampling around the mode"


def integral_steps(found: Sequence[Integral], reading: Reading) -> Iterator[Step]:
    """One step for each integral."""
    for integral in found:
        yield _step(integral, reading)


def _step(integral: Integral, reading: Reading) -> Step:
    model, names = reading.model, ", ".join(integral.latents)
    before = f"f({names} | data) is proportional to {_joint(integral, model)}"
    simulated = integral.method == "quadrature" and _home(integral, model) is None
    notes = [SIMULATED if simulated else METHODS[integral.placing or integral.method]]
    after = ""
    match integral.method:
        case "kernel" if integral.kernel == INTERVAL:
            after = _cut_normal_law(integral, reading)
        case "kernel" if integral.kernel == SHARES:
            after = _shares_law(integral, reading)
        case "kernel":
            after = _kernel_law(integral, reading)
        case "gaussian":
            after = _normal_law(integral, reading)
            notes.append(_system(integral, model))
        case "grid":
            after = f"P({names} = node) = f(node)*weight"
            if integral.value is not None:
                value = rewrite(integral.value, lambda n: VariableRef("e") if n == VariableRef(names) else n)
                after = f"{names} = {reference(value)}\nP(e = node) = exp(-node^2/2)/sqrt(2*pi)*weight"
                notes.append(f"from here on {names} stands for e")
            notes.append(f"from here on {names} takes the values of the nodes, like any finite hidden variable")
        case "monte-carlo":
            after = f"P({names} = draw) = f(draw)/(draws*density of the draw)"
            notes.append(f"from here on {names} takes the values of the draws, like any finite hidden variable")
        case "sum":
            after = f"P({names} = k) is proportional to the joint at k"
        case "quadrature" if simulated:
            after = f"E[t({names})] = sum over draws of share*t(draw), the shares those of the importance weights"
        case "quadrature":
            after = f"E[t({names})] = sum over nodes of share*t(node), the shares those of the log-joint at the nodes"
    around = [v.name for v in model.variables if v.kind == "latent" and v.values is not None and not v.components]
    switches = [name for name in around if integral.lag and _is_beside(name, integral, reading)]
    if switches:
        notes.append(f"along each path of {', '.join(switches)}; paths are drawn by particles (--plan monte-carlo)")
    elif around and not integral.on_nodes:
        notes.append(f"for each value of {', '.join(around)} that its laws look at")
    if not integral.on_nodes:
        notes.append("E[...] is the mean over this law")
    return Step("posterior", names, before, after, "\n".join(notes))


def _is_beside(name: str, integral: Integral, reading: Reading) -> bool:
    """Whether a finite variable of the integral's own plate is looked at by one of its laws."""
    model = reading.model
    hidden = set(integral.latents)
    if model.variable(name).plate not in {model.variable(other).plate for other in hidden}:
        return False
    seen = [{other for other, _ in law.looks_at} for law in laws(model)]
    return any(name in names and names & hidden for names in seen)


def integrated_laws(found: Sequence[Integral], model: Model) -> tuple[Law, ...]:
    """The laws of a model with continuous hidden variables integrated out: one law for each integral takes the place of
    those that it is over.
    """
    kept = list(laws(model))
    for integral in found:
        hidden = set(integral.latents)
        if integral.on_nodes:
            continue
        own = [law for law in kept if {name for name, _ in law.looks_at} & hidden]
        kept = [law for law in kept if law not in own]
        seen = frozenset(at for law in own for at in law.looks_at if at[0] not in hidden)
        plate = _home(integral, model)
        if integral.lag and plate is None and not _crossed(integral, model):
            chain = next(iter({model.variable(name).plate for name in hidden}))
            plate = next(item.parent for item in model.plates if item.name == chain)
        text = f"integral({', '.join(integral.latents)}: {_joint(integral, model)})"
        kept.append(Law(text, plate, "always", seen))
    return tuple(kept)


def _system(integral: Integral, model: Model) -> str:
    if _crossed(integral, model):
        home = _home(integral, model)
        where = "across the whole data set" if home is None else f"across the plates in each {home}"
        first = "the largest group (or the chains)" if integral.lag else "the largest group"
        return f"one system {where}: {first} is eliminated, the rest is dense"
    if integral.lag:
        return "one block-tridiagonal system along each chain, solved by cyclic reduction"
    (plate,) = {model.variable(name).plate for name in integral.latents}
    return f"one small system in each {plate}"


def _home(integral: Integral, model: Model) -> str | None:
    if _crossed(integral, model):
        return home_plate(integral.latents, integral.lag, model) if integral.method == "gaussian" else None
    (plate,) = {model.variable(name).plate for name in integral.latents}
    return plate if not integral.lag else None


def _crossed(integral: Integral, model: Model) -> bool:
    """Whether the hidden variables are of several plates, or outside all of them."""
    plates = {model.variable(name).plate for name in integral.latents}
    return len(plates) > 1 or None in plates


def _inside(plate: str | None, home: str | None, model: Model) -> list[str]:
    """The plates from `home` (outside) down to `plate`."""
    parent = {item.name: item.parent for item in model.plates}
    found: list[str] = []
    while plate is not None and plate != home:
        found = [plate, *found]
        plate = parent[plate]
    return found


def _joint(integral: Integral, model: Model) -> str:
    hidden, home = set(integral.latents), _home(integral, model)
    texts = []
    for law in laws(model):
        if not {name for name, _ in law.looks_at} & hidden:
            continue
        plates = _inside(law.plate, home, model)
        text = f"{law.text} in the first" if law.when == "first" else law.text
        if law.when != "always":
            plates[-1:] = [f"{'first' if law.when == 'first' else 'later'} {law.plate}"] if plates else []
        texts.append(f"prod({', '.join(plates)}: {law.text})" if plates else text)
    return "*".join(dict.fromkeys(texts))


# --- closed laws ------------------------------------------------------------------------------------------------------


def _kernel_law(integral: Integral, reading: Reading) -> str:
    """`u | data ~ Gamma(...)`, from the coefficients of the kernel's functions in the pieces' log-densities."""
    (name,) = integral.latents
    if any(piece.piece.vector is not None for piece in reading.pieces if piece.piece.name in integral.pieces):
        return _law_of_vectors(integral, reading)
    texts = _FUNCTIONS[integral.kernel]
    u = sp.Symbol(name, positive=True)
    c = sp.Rational(integral.power.numerator, integral.power.denominator)
    functions = {
        "log(u)": sp.log(u), "u": u**c, "1/u": u**-c, "u^2": u ** (2 * c), "log(1 - u)": sp.log(1 - u),
    }  # fmt: skip
    totals = {text: sp.Integer(0) for text in texts}
    for piece, log_density in _log_densities(integral, reading, u):
        for text, value in _coefficients(log_density, {t: functions[t] for t in texts}, u).items():
            totals[text] += _summed(value, piece, integral, reading)
    a = [totals[text] for text in texts]
    shapes = {
        "gamma": ((a[0] + 1) / c, -a[1]), "inverse gamma": (-a[0] - 1, -a[1]), "beta": (a[0] + 1, a[1] + 1),
    }.get(integral.kernel)  # fmt: skip
    if shapes is None:
        falls = [f"({reading.plain(-a[k])})*{plain(functions[texts[k]], reading.displayed)}" for k in (1, 2)]
        kernel = f"{name}^({reading.plain(a[0])})*exp(-{falls[0]} - {falls[1]})"
        of = "" if c == 1 else f" of {plain(u**c, reading.displayed)}"
        return f"f({name} | data) is proportional to {kernel}: a {integral.kernel} law{of}"
    law = integral.kernel.title().replace(" ", "")  # as the language writes it
    drawn = plain(u**c, reading.displayed)
    return f"{drawn} | data ~ {law}({', '.join(reading.plain(argument) for argument in shapes)})"


def _law_of_vectors(integral: Integral, reading: Reading) -> str:
    """The law of a number that stands in normal laws of vectors, whose quadratic forms are not taken apart."""
    (name,) = integral.latents
    of = "" if integral.power == 1 else f" of {name}^({integral.power})"
    basis = ", ".join(item.replace("u", name) for item in integral.basis)
    return (
        f"log f({name} | data) is linear in {basis}: a {integral.kernel} law{of},\n"
        f"its coefficients those of {_joint(integral, reading.model)}"
    )


def _log_densities(integral: Integral, reading: Reading, u: Any) -> Iterator[tuple[Derived, Any]]:
    (name,) = integral.latents
    written = readable(VariableRef(name))
    for piece in reading.pieces:
        if piece.piece.name in integral.pieces:
            shown = reading.display(piece, piece.raw, reading.names(piece))
            yield piece, sp.expand_log(shown.xreplace({written: u}), force=True)


def _coefficients(log_density: Any, functions: Mapping[str, Any], u: Any) -> dict[str, Any]:
    """The coefficient of each function; terms without `u` are left out."""
    found: dict[str, Any] = {}
    for term in sp.Add.make_args(log_density):
        number, part = term.as_independent(u, as_Add=False)
        if part == 1:
            continue
        match_ = next((text for text, function in functions.items() if sp.simplify(part / function).is_number), None)
        if match_ is None:
            inner = _coefficients(sp.expand(part), functions, u)
            for text, value in inner.items():
                found[text] = found.get(text, sp.Integer(0)) + number * value
            continue
        found[match_] = found.get(match_, sp.Integer(0)) + number * sp.simplify(part / functions[match_])
    return found


def _summed(value: Any, piece: Derived, integral: Integral, reading: Reading) -> Any:
    """A coefficient summed over the elements of its piece and the units inside those of the integral."""
    model = reading.model
    ranges = _inside(piece.piece.plate, _home(integral, model), model)
    ranges += [binder.name for binder in piece.piece.elements]
    if value == 0 or not ranges:
        return value
    sign = -1 if value.could_extract_minus_sign() else 1
    text = f"sum({', '.join(ranges)}: {unwrapped(reading.plain(sign * value))})"
    return sign * sp.Symbol(text, positive=True)


def _shares_law(integral: Integral, reading: Reading) -> str:
    """The exponent of each share, piece by piece."""
    (name,) = integral.latents
    factors = []
    for piece in reading.pieces:
        if piece.piece.name not in integral.pieces:
            continue
        shown = sp.expand_log(reading.display(piece, piece.raw, reading.names(piece)), force=True)
        for known in piece.piece.knowns:
            if not (isinstance(known.value, VariableRef) and known.value.name == name):
                continue
            share = readable(known.value)
            logarithm = sp.Symbol("logarithm_", real=True)
            exponent = sp.factor(sp.diff(sp.expand(shown).subs(sp.log(share), logarithm), logarithm))
            power = reading.plain(share) if exponent == 1 else f"{reading.plain(share)}^({reading.plain(exponent)})"
            ranges = _inside(piece.piece.plate, _home(integral, reading.model), reading.model)
            ranges += [binder.name for binder in piece.piece.elements]
            factors.append(f"prod({', '.join(ranges)}: {power})" if ranges else power)
    return f"f({name} | data) is proportional to {'*'.join(factors)}: a {integral.kernel} law"


def _looks_at(piece: Derived, name: str) -> bool:
    looked = (piece.piece.knowns, tuple(atom.terms for atom in piece.piece.atoms))
    return any(isinstance(node, VariableRef) and node.name == name for node in walk(looked))


def _cut_normal_law(integral: Integral, reading: Reading) -> str:
    """The law of a number whose log-joint is quadratic on an interval."""
    variables = [reading.model.variable(name) for name in integral.latents]
    bounded = next(variable for variable in variables if variable.domain.kind != "real")
    ends = {"positive": "(0, inf)", "unit": "(0, 1)"}.get(bounded.domain.kind)
    ends = ends or show_domain(bounded.domain).removeprefix("interval")
    first, *rest = _normal_law(integral, reading).split("\n")
    cut = f"cut to {ends}" if len(variables) == 1 else f"cut to {bounded.name} in {ends}"
    if " with mean " in first:
        return "\n".join([f"{first}, {cut}", *rest])
    return "\n".join([first, *rest]) + f",\n{cut}"


def _normal_law(integral: Integral, reading: Reading) -> str:
    names = ", ".join(integral.latents)
    general = (
        f"{names} | data is normal: its precision is minus the matrix of second derivatives of the log-joint,\n"
        "its mean is where the gradient is 0"
    )
    if len(integral.latents) > 1 or integral.lag or reading.model.variable(names).axes:
        return general
    u = sp.Symbol(names, real=True)
    precision = linear = sp.Integer(0)
    for piece, log_density in _log_densities(integral, reading, u):
        if not log_density.has(u):
            if _looks_at(piece, names):
                return general
            continue  # a law that is flat in it
        slope = sp.diff(log_density, u)
        precision += _summed(sp.factor(-sp.diff(slope, u)), piece, integral, reading)
        linear += _summed(sp.factor(slope.subs(u, 0)), piece, integral, reading)
    variance = f"1/({reading.plain(precision)})"
    mean = f"v*({unwrapped(plain(linear, reading.displayed))})"
    return f"{names} | data is normal with mean {mean} and variance v\nv = {variance}"
