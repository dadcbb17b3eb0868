"""Metrics to pictures, tables, TensorBoard and HTML."""
