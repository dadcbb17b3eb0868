"""Sweeps: their trials, laid out, run so that the same command goes on, and what they say together."""
