"""Figures of one system each."""
