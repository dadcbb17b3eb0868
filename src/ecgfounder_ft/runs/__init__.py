"""Run folders: reports, comparisons, evaluations on other recordings, sweeps."""
