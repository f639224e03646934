"""SymPy: predictors, log-densities, separation, Q, M-step rules; the derivation as a list of steps."""
