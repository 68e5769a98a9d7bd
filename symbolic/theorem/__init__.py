"""Theorems: a kernel of inference rules, what it proves, and what a theorem rests on."""
