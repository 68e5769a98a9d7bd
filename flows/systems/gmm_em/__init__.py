"""Gradient EM of a Gaussian mixture."""
