"""The templates of the gallery. Each is an `.emm` file of this folder, and a file that is put here is a template."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from emdsl.diagnostics.errors import EmmError
from emdsl.diagnostics.suggest import closest

#: The line of a template that names its model and describes it.
_HEADING = re.compile(r'^model (?P<name>\w+) "(?P<description>[^"\n]+)"$', re.MULTILINE)


@dataclass(frozen=True)
class Template:
    """A model to begin with: its name in the gallery, one line about it, and its text."""

    name: str
    description: str
    text: str

    def named(self, model: str) -> str:
        """The text, with another name for the model."""
        return _HEADING.sub(lambda heading: f'model {model} "{heading["description"]}"', self.text, count=1)


def templates() -> tuple[Template, ...]:
    """The whole gallery, by name."""
    return tuple(_template(path) for path in sorted(Path(__file__).parent.glob("*.emm")))


def template(name: str) -> Template:
    """The template of this name, whose words hyphens or underscores may join. Raises `unknown-template`."""
    gallery = {template.name: template for template in templates()}
    asked = name.replace("_", "-")
    if asked not in gallery:
        near = closest(asked, gallery)
        found = f"did you mean `{near}`?" if near else "emdsl new --list"
        raise EmmError("unknown-template", f"there is no template `{name}`", place="--template", help=found)
    return gallery[asked]


def _template(path: Path) -> Template:
    text = path.read_text(encoding="utf-8")
    heading = _HEADING.search(text)
    assert heading is not None, f"{path.name} names and describes its model in one line"
    return Template(path.stem.replace("_", "-"), heading["description"], text)
