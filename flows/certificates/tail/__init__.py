"""Proofs to t = infinity: the late flow, the carry to where it contracts, the tail."""
