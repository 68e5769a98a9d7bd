"""What the theorems about score matching speak of along a run."""

from flows.runs.theorems.mixture import reading

__all__ = ["reading"]
