"""Fine-tuning strategies: which part of the network trains at which epoch and at which rate."""
