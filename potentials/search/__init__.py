"""Potentials that are found, with exact constants and proofs: invariants, and sums of squares."""
