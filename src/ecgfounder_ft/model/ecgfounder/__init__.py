"""ECGFounder: its network Net1D and its published weights."""

NET1D = "ecgfounder_ft.model.ecgfounder.net1d.Net1D"
"""Dotted name of its class, as configurations and records name it."""
