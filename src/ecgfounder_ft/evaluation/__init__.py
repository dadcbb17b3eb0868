"""Arrays in, figures out: metrics, intervals, thresholds, calibration, subgroups, comparison."""
