"""Figures of runs: functions that take a run and return a matplotlib figure.

``loss_figure`` and ``potential_figure`` draw a run of any system, ``fraction_figure`` a fraction of
the members of a sweep; ``save`` writes a figure. The modules, one of the name of each system, draw
what it has alone; what is drawn without a run makes its own. Each is imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flows.pages.drawing import save as save
    from flows.pages.figure import loss_figure as loss_figure
    from flows.pages.figure import potential_figure as potential_figure
    from flows.pages.fractions import fraction_figure as fraction_figure

_HOME = {
    "fraction_figure": "flows.pages.fractions",
    "loss_figure": "flows.pages.figure",
    "potential_figure": "flows.pages.figure",
    "save": "flows.pages.drawing",
}
# Each other file of this folder has the figures of one system; those of its paper lie in another.
_HERE = Path(__file__).parent
_SYSTEMS = {
    **{path.stem: f"{__name__}.{path.stem}" for path in _HERE.glob("[a-z]*.py")},
    **{
        f"{path.stem}_paper": f"{__name__}.papers.{path.stem}"
        for path in _HERE.glob("papers/[a-z]*.py")
    },
}

if not TYPE_CHECKING:  # as in `flows`
    __all__ = sorted([*_HOME, *_SYSTEMS])


def __getattr__(name: str) -> Any:
    """Import a public name, or a module, on first use."""
    if name in _SYSTEMS:
        return import_module(_SYSTEMS[name])
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOME[name]), name)
    return found


def __dir__() -> list[str]:
    """Public names."""
    return sorted([*_HOME, *_SYSTEMS])
