"""Errors as values, with their place in the text or the data, and the renderer with carets."""
