"""Arrays in, metrics out: intervals, thresholds, calibration, subgroups, comparison."""
