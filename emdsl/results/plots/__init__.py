"""Plots of a fit: panels say what is drawn, as data; `figure` says how, with matplotlib."""
