"""ECGFounder: its network Net1D and its published weights."""
