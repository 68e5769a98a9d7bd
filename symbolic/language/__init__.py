"""Expressions beyond SymPy's own, and how they become compiled functions."""
