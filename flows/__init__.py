"""Flows in numbers: integrate, measure, check, show.

Functions are imported here rather than on demand: some share their name with their module.
"""

from flows.errors import InputError
from flows.integrate import METHODS, integrate
from flows.relu_neuron import ReLUNeuron
from flows.trajectory import Trajectory, load

__all__ = ["METHODS", "InputError", "ReLUNeuron", "Trajectory", "integrate", "load"]
