"""Designs of sweeps, one per file: which trials each combination of the user's values becomes."""
