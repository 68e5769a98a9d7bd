"""Flows in numbers: integrate, measure, check, show.

Public names are imported on first use, so that ``import flows`` and ``popflow --help`` are cheap.
"""

from __future__ import annotations

import importlib
import sys
import types
from typing import Any

_HOME = {
    "Certificate": "certificate",
    "Ensemble": "ensemble",
    "GMMEM": "gmm_em",
    "InputError": "errors",
    "Law": "ensemble",
    "METHODS": "integrate",
    "MatrixFactorization": "matrix_factorization",
    "OwnSystem": "own_system",
    "ReLUNeuron": "relu_neuron",
    "ScoreMatching": "score_matching",
    "Trajectory": "trajectory",
    "certify": "certify",
    "check": "check",
    "descend": "descend",
    "descend_ensemble": "ensemble_descend",
    "integrate": "integrate",
    "integrate_ensemble": "ensemble",
    "load": "trajectory",
    "load_certificate": "certificate",
    "load_ensemble": "ensemble",
    "local_exponent": "rate",
    "sensitivity": "sensitivity_jax",
    "verify": "verify",
    "worst_case": "worst_case",
}

__all__ = sorted(_HOME)


class _Package(types.ModuleType):
    """Keeps ``flows.check`` the function when the module of the same name is imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOME and isinstance(value, types.ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    """Import a public name from its module."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    """Public names."""
    return __all__
