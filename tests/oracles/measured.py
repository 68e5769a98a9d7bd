"""A run that nothing has integrated."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

import potentials
from flows.runs.quantities import Quantities


@dataclass(frozen=True)
class Measured:
    """A run given by closed forms: tails like a flow's, exact rates, not a solution."""

    t: np.ndarray
    features: dict
    parameters: dict = field(
        default_factory=lambda: {"system": "relu_neuron", "n": 2, "d": 2, "teacher_norm": 1.0}
    )
    status: str = "completed"
    rtol: float = 1e-10
    events: tuple = ()
    curvatures: np.ndarray | None = None
    leading: str = "loss"

    @property
    def names(self):
        return ("loss", "gradient_norm", *(p.name for p in self.statements.potentials))

    @property
    def statements(self):
        return potentials.statements(self.parameters["system"])

    @cached_property
    def quantities(self):
        return Quantities(self)

    @property
    def tolerance(self):
        return np.full(len(self.t), 100 * self.rtol)

    @property
    def feature_errors(self):
        return {}

    def errors(self, name):
        return self.tolerance
