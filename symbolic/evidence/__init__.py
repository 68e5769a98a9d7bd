"""Derivations, their steps, and what is found for or against each step."""
