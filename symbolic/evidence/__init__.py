"""Derivations, their steps, and the evidence for or against each step."""
