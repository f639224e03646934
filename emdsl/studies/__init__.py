"""Several fits together: models compared on one data set, one model fitted to many simulated ones."""
