"""Theorems that apply to runs: the values of their names along a run, and whether they apply."""
