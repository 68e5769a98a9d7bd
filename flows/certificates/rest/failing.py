"""Real layers that never reach the target."""

from __future__ import annotations

from typing import Any

from flows.certificates.continued import Failing
from flows.certificates.verifier.failing import failing as checked
from flows.certificates.verifier.reading import Refused

#: What is stated of the least eigenvalue: its double, less this part of it.
ROOM = 2.0**-30


def failing(flow: Any, equations: Any) -> Failing | None:
    """What is proved of layers from their start alone, if they fail.

    Parameters
    ----------
    flow : BallFlow
        With its start, whose numbers are taken as exact.
    equations : Equations
        Those of the verifier, which proves it.
    """
    if flow.form != "layers":
        return None
    stated = Failing(float(flow.system.parameters["sigma_min"]) ** 2 / 2 * (1 - ROOM))
    try:
        checked(stated.to_json(), equations)
    except Refused:
        return None
    return stated
