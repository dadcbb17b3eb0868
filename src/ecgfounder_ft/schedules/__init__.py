"""Learning-rate schedules beside those of torch, one per file."""
