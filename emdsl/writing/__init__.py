"""A derivation as a document: formulas read into trees, the whole written as text, Markdown, LaTeX and HTML."""
