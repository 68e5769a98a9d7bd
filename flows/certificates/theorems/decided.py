"""Theorems whose hypotheses an enclosed state meets: what they say of that trajectory for ever.

A certificate encloses the state at its end T; a start is known exactly, T = 0. Where the hypotheses
about time T hold for everything in the enclosure, the conclusion of the theorem is proved for all
later t: given the axioms that `popflow prove` prints with the theorem, and that the flow exists,
which it does as long as its field is smooth.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from flint import arb

from flows.certificates.own_flow import flow_of
from flows.certificates.theorems.said import Ball, Enclosed, ForAllTimes
from flows.core.arrays import Array
from flows.core.balls import precision
from flows.core.system import System
from flows.systems.registry import SYSTEMS

__all__ = ["Start", "for_all_times"]

#: Starts with more numbers are not read.
LARGEST = 10_000


@dataclass(frozen=True)
class Start:
    """A start, whose doubles are exact: what is known at T = 0 without a certificate.

    Parameters
    ----------
    system : System
        The flow.
    start : ndarray
        User's parameters.
    """

    system: System
    start: Array
    radius: float = 0.0
    t_end: float = 0.0
    precision: int = 128

    def state(self, t: float) -> list[Any]:
        """Return the parameters, as balls of radius zero."""
        rows: list[Any] = _balls(self.start.tolist())
        return rows

    def loss(self, t: float) -> Ball:
        """Return a ball that contains the loss."""
        flow = flow_of(self.system, self.start)
        return flow.loss(flow.start)


def _balls(x: Any) -> Any:
    return [_balls(y) for y in x] if isinstance(x, list) else arb(x)


def for_all_times(enclosed: Enclosed) -> list[ForAllTimes]:
    """Return what the theorems say of an enclosed trajectory.

    Parameters
    ----------
    enclosed : Enclosed
        A certificate that was checked, or a `Start`.

    Returns
    -------
    list of ForAllTimes
        Empty of systems without such theorems, of complex layers and of means with noise, of which
        the theorems do not speak, and of states with more than 10000 numbers.
    """
    system: Any = enclosed.system
    start = np.asarray(enclosed.start)
    known = system.name in SYSTEMS and Path(__file__).with_name(f"{system.name}.py").is_file()
    if not known or start.size > LARGEST or np.iscomplexobj(start):
        return []
    file = import_module(f"flows.certificates.theorems.{system.name}")
    with precision(enclosed.precision):
        found: list[ForAllTimes] = file.conclusions(enclosed)
        return found
