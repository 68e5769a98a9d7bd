"""The flow of each system that can be certified: that of the form of its equations."""

from __future__ import annotations

from flows.certificates.frames.flow import Flow, equations_of
from flows.certificates.frames.layers import LayerFlow
from flows.certificates.frames.means import MeanFlow
from flows.certificates.frames.neurons import NeuronFlow
from flows.certificates.frames.variables import VariableFlow
from flows.core.arrays import Array
from flows.core.system import System

__all__ = ["flow_of"]

FLOWS: dict[str, type[Flow]] = {"layers": LayerFlow, "means": MeanFlow, "neurons": NeuronFlow}


def flow_of(system: System, start: Array) -> Flow:
    """Flow of a system in balls, from which certificates are made.

    Raises
    ------
    InputError
        For a flow that the verifier does not know.
    """
    equations = equations_of(system, start)
    return FLOWS.get(equations.form, VariableFlow)(system, equations)
