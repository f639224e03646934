"""Tree to model graph: names, index sets, plates, domains, checks."""
