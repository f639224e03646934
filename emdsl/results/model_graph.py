"""A model as a plate diagram: as text, as a picture, as source for Graphviz."""

from __future__ import annotations

from emdsl.drawing.diagram import Diagram
from emdsl.drawing.diagram import diagram as diagram_of
from emdsl.ir.model import Model

#: The formats in which it is written.
FORMATS = ("text", "svg", "dot")


class ModelGraph:
    """The plate diagram of a model: `print` shows it as text, a notebook as a picture."""

    def __init__(self, model: Model) -> None:
        self.diagram: Diagram = diagram_of(model)

    def to_text(self) -> str:
        """The nodes of each plate and what each looks at, without a line end at its end."""
        from emdsl.drawing.text_form import text_form

        return text_form(self.diagram)

    def to_svg(self) -> str:
        """The picture; one model always gives the same bytes. Without a line end at its end."""
        from emdsl.drawing.picture import picture

        return picture(self.diagram)

    def to_dot(self) -> str:
        """Source for Graphviz, without a line end at its end."""
        from emdsl.drawing.dot import dot

        return dot(self.diagram)

    def written(self, form: str) -> str:
        """The diagram in one of `FORMATS`."""
        return {"text": self.to_text, "svg": self.to_svg, "dot": self.to_dot}[form]()

    def _repr_svg_(self) -> str:
        return self.to_svg()

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return f"<Diagram of {self.diagram.name}: {len(self.diagram.nodes)} nodes, {len(self.diagram.edges)} edges>"
