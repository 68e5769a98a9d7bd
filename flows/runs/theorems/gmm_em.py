"""What the theorems about gradient EM speak of along a run."""

from flows.runs.theorems.mixture import reading

__all__ = ["reading"]
