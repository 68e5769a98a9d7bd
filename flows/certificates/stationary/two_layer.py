"""What a proof of a critical point of two layers starts from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.certificates.stationary.proof import Setting
from flows.core.arrays import Array
from flows.core.errors import InputError
from flows.core.system import System
from symbolic.systems.two_layer.pair import named

__all__ = ["setting"]

#: Students this near to the axes of the teachers are proved to be in them.
OUTSIDE = 1e-8


def setting(system: System, state: NDArray[Any]) -> tuple[Setting, Array]:
    """What fixes the loss of two layers, and the students, in the axes that they need."""
    about = system.parameters
    name, _, slope = about["activation"].partition(":")
    if "teacher_biases" in about or not named(about["activation"]).has_kernel:
        raise InputError(
            "certify: there is no proof of critical points of neurons with biases, nor of an"
            f" activation without a closed kernel, got {about['activation']!r}; leave it out"
        )
    name, trained = name.replace("leaky", "relu"), bool(about["train_outputs"])
    teachers = np.array(about["teachers"])
    d = teachers.shape[1]
    used = np.array([bool(column.any()) for column in teachers.T])
    if np.abs(state[:, :d][:, ~used]).max(initial=0.0) > OUTSIDE * float(np.abs(state).max()):
        used[:] = True
    rows = tuple(tuple(row) for row in teachers[:, used].tolist())
    outputs = tuple(map(float, about["output_weights"]))
    students = state[:, :d][:, used]
    if trained and name == "erf":
        outputs, students = (), np.column_stack([students, state[:, d]])
    elif trained:
        outputs = tuple(state[:, d].tolist())
        if not all(outputs):
            raise InputError("certify: a trained output is zero, where states are no scales of it")
    weights = tuple(map(float, about["teacher_weights"]))
    fixed = system.name, rows, outputs, weights, float(slope or 0), name, trained
    return Setting(*fixed), students
