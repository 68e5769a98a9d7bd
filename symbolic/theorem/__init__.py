"""Theorems: a kernel of inference rules, its theorems, and their foundations."""
