"""Proofs about a run: enclosures of trajectories, and the claims that they decide.

It knows core, systems, and the claims (potentials, symbolic); it knows neither runs nor
solvers. Its `verifier` knows ``core.errors`` alone.
"""
