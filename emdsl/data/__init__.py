"""Tables to arrays bound to a model."""
