"""Figures to pictures, tables, TensorBoard and HTML."""
