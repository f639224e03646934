"""Estimates, summaries, plots, reports."""
