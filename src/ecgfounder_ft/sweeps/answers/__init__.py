"""Answers of designs, one per file and of the same name as in ``designs/``: what the trials say together."""
