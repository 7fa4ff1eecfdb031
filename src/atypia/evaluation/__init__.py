"""Judging: metrics, intervals, calibration, operating point, plots, report."""
