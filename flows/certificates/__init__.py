"""Proofs about a run: enclosures of trajectories, and what they decide.

It knows core, systems, and what is claimed (potentials, symbolic); it knows neither runs nor
solvers. Its `verifier` knows ``core.errors`` alone.
"""
