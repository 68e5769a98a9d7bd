"""Oracles: what tests and benchmarks compare with, and what shares no code with its subject."""
