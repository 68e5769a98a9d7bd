"""For all times, of neurons: of a start, and of an open set of states of two, without a start.

One neuron comes to rest; several have a loss that falls like a power.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from flint import arb

from flows.certificates.certificate import Certificate
from flows.certificates.document import Document
from flows.certificates.forever import certify_forever
from flows.certificates.rest.settle import certify_rest
from flows.certificates.stated import Open
from flows.certificates.steps import Uncertified
from flows.certificates.tail.funnel import CELLS, LEVELS, Funnel
from flows.certificates.tail.funnel import prove as prove_funnel
from flows.certificates.two_neurons import certify_two
from flows.certificates.verifier.funnel import held
from flows.certificates.verifier.late_states import FORMAT, LateStates
from flows.certificates.verifier.verify import verify
from flows.core.balls import precision
from flows.core.errors import InputError
from flows.core.system import System

__all__ = ["Late", "late_states", "prove"]

#: Bits of balls, and how wide boxes of ``h_1 - h_2`` are at most.
BITS, WIDTH = 64, 0.02
#: A drift that is tried first.
DRIFT = 1e-6


def prove(system: System, start: Any, *asked: Any) -> Certificate:
    """Prove it of a start, or of those of a ball; ``asked`` ends with its radius."""
    if len(start) == 1:
        return certify_rest(system, start, *asked)
    two = asked[-1] and len(start) == 2
    return (certify_two if two else certify_forever)(system, start, *asked)


@dataclass(frozen=True)
class Late(Document):
    """Late states of two neurons, and what was verified of them.

    Parameters
    ----------
    d : int
        Dimension of the inputs.
    funnels : tuple of (float, float, Funnel)
        Boxes of ``h_1 - h_2``, from and to, and the funnel of each.
    theorem : LateStates
        What the independent checker proved, box by box, with its constants.
    """

    d: int
    funnels: tuple[tuple[float, float, Funnel], ...]
    theorem: LateStates | None = None

    @property
    def volume(self) -> float:
        """Lebesgue measure of the set in ``R^(2d)``, in units of the teacher's length.

        Both orders of the neurons count. ``z_1 - z_2`` and ``z_1 + z_2`` are vectors of ``d - 1``
        entries.
        """
        assert self.theorem is not None  # the checker has accepted it
        return self.theorem.volume

    def to_json(self) -> dict[str, Any]:
        """Return what the file holds: exact numbers only."""
        return {
            "format": FORMAT,
            "system": "relu_neuron",
            "precision": BITS,
            "d": self.d,
            "boxes": [
                {"low": low.hex(), "high": high.hex(), **funnel.to_json()}
                for low, high, funnel in self.funnels
            ],
        }


def late_states(
    *, d: int = 2, reach: float = 0.05, across: float = 0.5, along: float = 0.1, apart: float = 0.5
) -> Late:
    r"""Prove the theorem of two neurons for an open set of states.

    In units of the teacher's length, ``w_i = (h_i, z_i)`` along and across it: all states with ``0
    < |z_1 - z_2| <= reach``, ``|z_1 + z_2| <= across |z_1 - z_2|``, ``|h_1 + h_2 - 1| <= along |z_1
    - z_2|`` and ``|h_1 - h_2| <= apart``. From every one of them the flow exists for all ``t``,
    every ``h_i`` converges, ``t^3 L`` tends to ``8 pi^2 (h_1 h_2)^2/3`` of the limits, and ``L``
    lies between two multiples of ``(1 + t)^-3``, whose constants are in ``theorem``.

    Parameters
    ----------
    d : int
        Dimension of the inputs, at least two.
    reach, across, along, apart : float
        Sizes of the set, positive; ``apart`` below one.

    Returns
    -------
    Late
        The set, accepted by the independent checker; ``save`` writes its file.

    Raises
    ------
    InputError
        For sizes that cannot be.
    Uncertified
        Where an inequality fails, with its numbers: the set is too large.

    Notes
    -----
    Proved in ball arithmetic, see ``docs/infinity.md``. The set is a cone about the minima, whose
    volume is ``volume``. ``t`` is the time of the flow; the loss carries the factor 1/2.

    Examples
    --------
    >>> import flows
    >>> late = flows.late_states(reach=0.01, across=0.1, along=0.1, apart=0.02)
    >>> late.theorem.boxes[0].lower > 0
    True
    """
    if not (isinstance(d, int) and not isinstance(d, bool) and d >= 2):
        raise InputError(f"d: expected an integer from 2 on, got {d!r}; give another")
    sizes = {"reach": reach, "across": across, "along": along, "apart": apart}
    for name, size in sizes.items():
        number = isinstance(size, int | float) and not isinstance(size, bool)
        if not (number and 0 < size < (1 if name == "apart" else math.inf)):
            most = " below 1" if name == "apart" else ""
            raise InputError(
                f"{name}: expected a positive number{most}, got {size!r}; give another"
            )
    count = math.ceil(apart / WIDTH)
    edges = [apart * k / count for k in range(count + 1)]
    funnel = Funnel(float(reach), float(across), float(along), DRIFT, *LEVELS[0])
    with precision(BITS):
        boxes = tuple(
            (low, high, _held(funnel, min(d - 1, 2), low, high)) for low, high in pairwise(edges)
        )
    late = Late(d, boxes)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "late.json"
        late.save(path)
        found = verify(path)
    if not found.accepted:
        raise Uncertified(f"UNDECIDED: the independent checker refuses: {found.refused}")
    return replace(late, theorem=found.states)


def _held(funnel: Funnel, p: int, low: float, high: float) -> Funnel:
    """The same funnel with a drift that serves."""
    b = arb(low).union(arb(high))
    try:
        return prove_funnel(funnel, ["drift"], lambda data: held(data, b, p, CELLS[p]))[0]
    except Open as reason:
        raise Uncertified(f"UNDECIDED of h_1 - h_2 in [{low:.3g}, {high:.3g}]: {reason}") from None
