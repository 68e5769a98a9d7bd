"""The systems by name."""

from __future__ import annotations

from typing import Any

from flows.core.errors import InputError, unknown
from flows.core.system import System
from flows.systems.gmm_em.system import GMMEM
from flows.systems.matrix_factorization.system import MatrixFactorization
from flows.systems.own.recorded import RecordedSystem
from flows.systems.relu_neuron.system import ReLUNeuron
from flows.systems.score_matching.system import ScoreMatching

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


def recall(name: str, parameters: dict[str, Any], system: System | None = None) -> System:
    """System of a file: a built-in one, the given own one, or what the file tells of it.

    Parameters
    ----------
    name : str
        Name in the file.
    parameters : dict
        Parameters in the file.
    system : System, optional
        The system as the caller has built it. It must be the one of the file, but an own system may
        have other potentials and claims.

    Raises
    ------
    InputError
        If it is another system.
    """
    own = "fingerprint" in parameters and name not in SYSTEMS
    if system is None:
        return RecordedSystem(name, parameters) if own else make(name, parameters)
    # The loss counts and the blocks, which its hash includes; of a built-in system everything.
    seen = ("fingerprint",) if own else tuple(parameters)
    theirs = {key: parameters[key] for key in seen}
    if system.name != name or any(system.parameters.get(k) != v for k, v in theirs.items()):
        raise InputError(
            f"the file holds a run of another system, {name!r} with the parameters"
            f" {_short(parameters)}, not of {system.name!r} as given"
        )
    return system


def _short(parameters: dict[str, Any]) -> str:
    """Text of parameters that fits on a line."""
    text = ", ".join(f"{key} = {value}" for key, value in parameters.items())
    return text if len(text) < 200 else text[:200] + " ..."
