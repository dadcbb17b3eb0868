"""Net1D, its published weights, and the LightningModule that trains it."""
