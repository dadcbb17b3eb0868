"""A finished model: loaded, used on arrays and on files, exported, put on the Hub."""

NO_MEDICAL_DEVICE = "research only, no medical device"
"""Stands in every row and on every page: the package has no approval for the diagnosis of patients."""
