"""Networks: the protocol, the record of what a model is, and one folder per network."""
