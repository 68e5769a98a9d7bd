"""Theorems met by runs: what their names stand for along a run, and whether they speak of it."""
