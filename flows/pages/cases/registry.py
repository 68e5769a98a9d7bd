"""The systems that have a page in the report; the runs of one are imported when it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

from matplotlib.figure import Figure

from flows.pages.case import Case, Endless, Story

__all__ = ["CASES", "cases", "endless", "portraits", "story"]

CASES = {
    "relu_neuron": "flows.pages.cases.relu_neuron",
    "gmm_em": "flows.pages.cases.gmm_em",
    "score_matching": "flows.pages.cases.score_matching",
    "matrix_factorization": "flows.pages.cases.matrix_factorization",
    "two_layer": "flows.pages.cases.two_layer",
}


def cases(name: str) -> tuple[Case, ...]:
    """Runs on the page of a system."""
    found: tuple[Case, ...] = import_module(CASES[name]).cases()
    return found


def endless(name: str) -> Endless | None:
    """A start of which the page proves the theorem for all times, if it has one."""
    module = import_module(CASES[name])
    return module.endless() if hasattr(module, "endless") else None


def story(name: str) -> Story:
    """What the page of a system tells before its verdicts."""
    found: Story = import_module(CASES[name]).STORY
    return found


def portraits(name: str) -> Mapping[str, Callable[[], Figure]]:
    """Figures on the page of a system that make their own runs, by caption."""
    found: Mapping[str, Callable[[], Figure]] = import_module(CASES[name]).PORTRAITS
    return found
