"""Data drawn from a model graph at known parameters, from the outermost plate inwards."""
