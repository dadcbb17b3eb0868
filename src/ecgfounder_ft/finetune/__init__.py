"""Fine-tuning strategies: which parts of the network train in which epoch, with which multipliers."""
