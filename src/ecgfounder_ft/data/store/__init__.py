"""Preprocessed recordings on disk, and the outputs of frozen parts for them."""
