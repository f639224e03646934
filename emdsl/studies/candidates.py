"""The models of a comparison: each with the options that concern it, and a name that tells it from the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import PurePath
from typing import Any

from emdsl.data.wording import shortened
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.model import Model as Graph
from emdsl.results.elements import read_element
from emdsl.results.face import Model
from emdsl.results.options import Spell, comma_separated
from emdsl.results.result import Fit

#: Models that one comparison may hold.
MOST_MODELS = 200


@dataclass(frozen=True)
class Candidate:
    """A model to compare: `given` are its options by name, `setting` the values of constants that are its own. A model
    that has been fitted already has its `fit`."""

    name: str
    model: Model
    given: Mapping[str, Any]
    setting: Mapping[str, Any]
    fit: Fit | None = None


def candidates(items: Sequence[Model | Fit], given: Mapping[str, Any], spell: Spell = str) -> list[Candidate]:
    """Every model, once for each combination of the values in `set`, and every fit, in order.

    An option that names something (`set`, `const`, `columns`, `map`, `init`, `fix`) concerns the models that have it;
    one that no model has is given to the first, whose error says so. Raises `bad-command`, `bad-option`.
    """
    if not items:
        raise EmmError("bad-command", "expected models to compare, found none", help="emdsl compare DATA A.emm B.emm")
    choices = _choices(given.get("set"), spell)
    graphs = [item.compiled.model for item in items if isinstance(item, Model)]
    found: list[Candidate] = []
    for item in items:
        if isinstance(item, Fit):
            assert item.outcome.compiled is not None
            setting = dict(item.outcome.request.set)
            found.append(Candidate(item.outcome.model.name, Model(item.outcome.compiled), {}, setting, item))
            continue
        graph = item.compiled.model
        own = _concerning(given, graph, graphs)
        names = [name for name in choices if name in own.get("set", {})]
        for values in product(*(choices[name] for name in names)):
            setting = dict(zip(names, values, strict=True))
            options = {**own, "set": setting} if setting else own
            found.append(Candidate(graph.name, item, options, setting))
            if len(found) > MOST_MODELS:
                message = f"expected at most {MOST_MODELS} models, found more"
                raise EmmError("bad-option", message, place=spell("set"))
    return _named(found)


# --- options ----------------------------------------------------------------------------------------------------------


def _choices(given: Mapping[str, Any] | None, spell: Spell) -> dict[str, tuple[Any, ...]]:
    """The values of each constant in `set`: one, a list of them, or a text such as `1..6` or `1,2,4`."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise EmmError("bad-option", f"expected a dict by name, found `{shortened(repr(given))}`", place=spell("set"))
    found = {}
    for name, value in given.items():
        if isinstance(value, str):
            found[str(name)] = tuple(dict.fromkeys(_values(str(name), value, spell)))
        else:
            found[str(name)] = tuple(value) if isinstance(value, Sequence) else (value,)
        if not found[str(name)]:
            raise _no_values(str(name), value, spell)
    return found


def _values(name: str, text: str, spell: Spell) -> Iterator[str]:
    for part in comma_separated(text):
        low, dots, high = part.partition("..")
        if not part:
            raise _no_values(name, text, spell)
        if not dots:
            yield part
            continue
        try:
            first, last = int(low), int(high)
        except ValueError:
            raise _no_values(name, text, spell) from None
        if not first <= last < first + MOST_MODELS:
            raise _no_values(name, text, spell)
        yield from map(str, range(first, last + 1))


def _no_values(name: str, found: Any, spell: Spell) -> EmmError:
    return EmmError(
        "bad-option",
        f"expected values of `{name}`, as in {name}=1..6 or {name}=1,2,4 (at most {MOST_MODELS}), "
        f"found `{shortened(str(found))}`",
        place=spell("set"),
    )  # fmt: skip


def _concerning(given: Mapping[str, Any], graph: Graph, graphs: Sequence[Graph]) -> dict[str, Any]:
    """The options that concern one of the models."""
    own = dict(given)
    for option in ("set", "const", "columns", "map", "init", "fix"):
        values = given.get(option)
        if not isinstance(values, Mapping) or len(graphs) < 2:
            continue
        own[option] = {
            key: value for key, value in values.items()
            if _has(graph, option, str(key)) or (graph is graphs[0] and not _any_has(graphs, option, str(key)))
        }  # fmt: skip
    return own


def _any_has(graphs: Sequence[Graph], option: str, key: str) -> bool:
    return any(_has(graph, option, key) for graph in graphs)


def _has(graph: Graph, option: str, key: str) -> bool:
    """Whether a model has what an option names."""
    match option:
        case "set" | "const":
            return any(item.name == key for item in graph.constants)
        case "columns":
            return any(item.name == key for item in graph.index_sets)
        case "map":
            base = key.partition(".")[0].partition("[")[0]
            orders = {plate.by for plate in graph.plates}
            names = {item.name for item in graph.variables} | {item.name for item in graph.plates}
            return base in orders | names
        case _:
            return any(item.name == read_element(key).name for item in graph.parameters)


# --- names ------------------------------------------------------------------------------------------------------------


def _named(found: Sequence[Candidate]) -> list[Candidate]:
    """The candidates with names that differ: the model's, the constants in which those of one model differ, the file
    where two models have one name, and a number where even that does not tell them apart."""
    files: dict[str, set[str | None]] = {}
    for item in found:
        files.setdefault(item.name, set()).add(item.model.compiled.file)
    named = []
    for item in found:
        alike = [other for other in found if other.name == item.name]
        name = item.name
        if len(files[name]) > 1 and item.model.compiled.file is not None:
            name += f" ({PurePath(item.model.compiled.file).name})"
        differ = [key for key in item.setting if any(other.setting.get(key) != item.setting[key] for other in alike)]
        named.append(replace(item, name=" ".join([name, *(f"{key}={item.setting[key]}" for key in differ)])))
    counts, seen = Counter(item.name for item in named), Counter[str]()
    for place, item in enumerate(named):
        seen[item.name] += 1
        if counts[item.name] > 1:
            named[place] = replace(item, name=f"{item.name} #{seen[item.name]}")
    return named
