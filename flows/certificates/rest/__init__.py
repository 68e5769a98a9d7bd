"""Proofs to t = infinity of flows that come to rest at an exponential rate."""
