"""Figures of runs: functions that take a run and return a matplotlib figure.

``loss_figure`` and ``potential_figure`` draw a run of any system, ``fraction_figure`` a fraction of
the members of a sweep; ``save`` writes a figure. The modules draw what one system has alone, such
as ``figures.gmm_em.means_figure(run)``; what is drawn without a run makes its own. Each is imported
on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flows.pages.drawing import save as save
    from flows.pages.figure import loss_figure as loss_figure
    from flows.pages.figure import potential_figure as potential_figure
    from flows.pages.figures import gmm_em as gmm_em
    from flows.pages.figures import matrix_factorization as matrix_factorization
    from flows.pages.figures import relu_neuron as relu_neuron
    from flows.pages.figures import score_matching as score_matching
    from flows.pages.figures import score_matching_paper as score_matching_paper
    from flows.pages.figures import two_layer as two_layer
    from flows.pages.fractions import fraction_figure as fraction_figure

_HOME = {
    "fraction_figure": "flows.pages.fractions",
    "loss_figure": "flows.pages.figure",
    "potential_figure": "flows.pages.figure",
    "save": "flows.pages.drawing",
}
_MODULES = {
    "gmm_em": "flows.pages.figures.gmm_em",
    "matrix_factorization": "flows.pages.figures.matrix_factorization",
    "relu_neuron": "flows.pages.figures.relu_neuron",
    "score_matching": "flows.pages.figures.score_matching",
    "score_matching_paper": "flows.pages.figures.score_matching_paper",
    "two_layer": "flows.pages.figures.two_layer",
}

if not TYPE_CHECKING:  # as in `flows`
    __all__ = sorted([*_HOME, *_MODULES])


def __getattr__(name: str) -> Any:
    """Import a public name, or a module, on first use."""
    if name in _MODULES:
        return import_module(_MODULES[name])
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOME[name]), name)
    return found


def __dir__() -> list[str]:
    """Public names."""
    return sorted([*_HOME, *_MODULES])
