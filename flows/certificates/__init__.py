"""Proofs about a run: enclosures of trajectories, and what they decide.

It knows core, systems and the record of a claim's verdict; it knows no solver.
"""
