"""Runs on the page of one system each, with their figures and deliberately wrong claims."""
