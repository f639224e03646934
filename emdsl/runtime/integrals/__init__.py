"""Continuous hidden variables: their evidence, and their posterior as weighted points.

Whatever an integral is taken by, its posterior goes to the M-step in one form: points with weights that sum to 1. For a
Gaussian posterior of quadratic log-densities two points a dimension are exact, for a conjugate kernel one point more
than it has functions; nodes of a quadrature and draws of a simulation are points as they are.
"""
