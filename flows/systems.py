"""The systems by name."""

from __future__ import annotations

from typing import Any

from flows.errors import unknown
from flows.gmm_em import GMMEM
from flows.matrix_factorization import MatrixFactorization
from flows.relu_neuron import ReLUNeuron
from flows.score_matching import ScoreMatching
from flows.system import System

SYSTEMS: dict[str, type[System]] = {
    system.name: system for system in (ReLUNeuron, GMMEM, ScoreMatching, MatrixFactorization)
}


def make(name: str, parameters: dict[str, Any]) -> System:
    """System ``name`` with these parameters (as in ``System.parameters``).

    Raises
    ------
    InputError
        For an unknown system.
    """
    if name not in SYSTEMS:
        raise unknown("system", name, SYSTEMS)
    return SYSTEMS[name].from_parameters(parameters)
