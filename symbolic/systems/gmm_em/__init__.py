"""Gradient EM: its derivation and theorems."""
