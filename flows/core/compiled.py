"""The interface of a system with compiled steps of many members at once; empty by default."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from flows.core.arrays import Array
from flows.core.axis_field import AxisTerms
from flows.core.chart import Lanes
from flows.core.errors import undefined
from flows.core.excess import Excess

__all__ = ["Compiled"]


class Compiled:
    """Fields in lanes, and programs of gradients for steps along axes."""

    #: The raw field of its charts for many members at once, where it is written so.
    lanes: ClassVar[Lanes | None] = None
    #: The same where explicit steps serve.
    explicit: ClassVar[Lanes | None] = None
    #: From this many members on compiled steps along axes take less time, compiling included.
    many: ClassVar[int] = 128

    def axis_codes(self) -> tuple[Any, ...] | None:
        """Programs of gradient, of loss and gradient, and of rates, for compiled steps along axes.

        The first one is the beginning of the second one. None where there are none.
        """
        return None

    def axis_terms(self, rtol: float, step: float) -> AxisTerms:
        """How members are followed so, at a tolerance of a run and one of a step."""
        raise undefined(self, "axis_terms", "axis_codes has programs")

    def axis_start(self, start: Array) -> Array:
        """Entries of a start, as these programs take them."""
        return np.ravel(start)

    def along_axes(self, digits: Array, error: Array, since: Array, numbers: Array) -> Any:
        """Frame and states that such steps have reached."""
        raise undefined(self, "along_axes", "axis_codes has programs")

    def ended_along(self, found: Any, times: Array) -> list[Excess | None]:
        """Loss above its limit of many members, as far as compiled code tells it at once.

        Parameters
        ----------
        found : flows.ensembles.axis_runs.Found
            Where compiled steps have led. Of whose end a closed form tells, it is filled in.
        times : ndarray, shape (T - 1,)
            Output times after 0.

        Returns
        -------
        list of Excess
            Of each member; None where :meth:`excess` is to be asked.
        """
        return [None] * len(found.digits)
