"""What stands beside every prediction."""

NO_MEDICAL_DEVICE = "research only, no medical device"
"""In every row and on every page: the package has no approval for the diagnosis of patients."""
