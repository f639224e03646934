"""Distributions: the scalar ones declared in the language, the vector ones in Python."""
