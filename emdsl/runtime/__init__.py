"""What a fit stands on: the EM loop, kernels, starts, acceleration, uncertainty. NumPy and SciPy only."""
