"""The systems that have a page in the report; the runs of one are imported when it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from flows.pages.case import Case, Endless, Story

__all__ = ["CASES", "cases", "endless", "kernels", "portraits", "story"]

#: Systems with a file in this folder, which holds their runs.
CASES = sorted({path.stem for path in Path(__file__).parent.glob("[a-z]*.py")} - {"registry"})


def _module(name: str) -> Any:
    return import_module(f"flows.pages.cases.{name}")


def cases(name: str) -> tuple[Case, ...]:
    """Runs on the page of a system."""
    found: tuple[Case, ...] = _module(name).cases()
    return found


def kernels(name: str) -> str:
    """Kernels that the runs compile, which takes seconds, and share with those of others."""
    found: str = getattr(_module(name), "KERNELS", "")
    return found


def endless(name: str) -> Endless | None:
    """A start of which the page proves the theorem for all times, if it has one."""
    module = _module(name)
    return module.endless() if hasattr(module, "endless") else None


def story(name: str) -> Story:
    """What the page of a system says before its verdicts."""
    found: Story = _module(name).STORY
    return found


def portraits(name: str) -> Mapping[str, Callable[[], Figure]]:
    """Figures on the page of a system that make their own runs, by caption."""
    found: Mapping[str, Callable[[], Figure]] = _module(name).PORTRAITS
    return found
