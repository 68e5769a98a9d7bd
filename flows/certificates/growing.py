"""A certificate that grows piece by piece, until its statement is proved."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flows.certificates.averages import written
from flows.certificates.certificate import Certificate
from flows.certificates.own_flow import equations_of, flow_of
from flows.certificates.segment import Segment
from flows.certificates.stated import NOTHING
from flows.certificates.steps import BALL_GUARD, Steps, Uncertified, bits_for
from flows.certificates.verifier.falling import Falling
from flows.certificates.verifier.verify import verify
from flows.core.balls import precision
from flows.core.system import System

#: Bounds of all times are stated wider than the checker proves them by this part, as its bounds may
#: differ by rounding on another machine.
ROOM = 2.0**-30


@dataclass(frozen=True)
class Growing:
    """What pieces are added to, and where the next one begins.

    Parameters
    ----------
    base : Certificate
        It says all but the end and the pieces.
    steps : Steps
        They make the pieces, and stand at the end of the last one.
    advance : callable, optional
        It is called with the time after each piece.
    pieces : list of Segment
        What has been proved so far.
    """

    base: Certificate
    steps: Steps
    advance: Callable[[float], None] | None
    pieces: list[Segment] = field(default_factory=list)

    def until(self, end: float, stop: Callable[[], bool] = lambda: False) -> Certificate:
        """The certificate up to a time, or up to where something asks to stop.

        Raises
        ------
        Uncertified
            Where there is no proof to there.
        """
        self.steps.extend(self.pieces, end, self.advance, stop)
        sums = written(self.steps.equations)
        return replace(self.base, t_end=end, pieces=tuple(self.pieces), sums=sums)


@contextmanager
def growing(
    system: System,
    initial: Any,
    digits: int,
    last: float,
    advance: Callable[[float], None] | None,
    radius: float,
) -> Iterator[Growing]:
    """Begin a certificate that may reach to a last time; within, balls have its precision."""
    bits = bits_for(digits, last)
    base = Certificate(system, initial, 0.0, bits, bits + BALL_GUARD, (), None, radius)
    with precision(base.precision):
        flow: Any = flow_of(system, initial)
        equations = getattr(flow, "equations", None) or equations_of(system, initial)
        yield Growing(base, Steps(flow, equations, bits, digits, radius), advance)


def checked(certificate: Certificate) -> tuple[Certificate, str]:
    """Let the independent checker see a certificate, and prove its bounds of all times.

    Parameters
    ----------
    certificate : Certificate
        Whose own bounds of all times are not used.

    Returns
    -------
    Certificate
        With the checker's bounds, a little wider, if it accepts.
    str
        Why it refuses; empty if it accepts.
    """
    made: Any = certificate.infinity
    bounded = hasattr(made, "all_times")
    if bounded:
        certificate = replace(certificate, infinity=replace(made, all_times=NOTHING))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "certificate.json"
        certificate.save(path)
        found = verify(path, certificate.system, certificate.start)
    if bounded and found.accepted:
        proved: Any = found.endless
        every = proved.lower * (1 - ROOM), proved.upper * (1 + ROOM)
        certificate = replace(certificate, infinity=replace(made, all_times=every))
    if isinstance(found.endless, Falling):
        said = found.endless.statement
        certificate = replace(certificate, infinity=replace(made, statement=said))
    return certificate, found.refused


def accepted(made: Iterable[Certificate], reason: str) -> Certificate:
    """The first of these that the independent checker accepts.

    Raises
    ------
    Uncertified
        Where it accepts none: with what it says of the last one, or the reason why there is none.
    """
    for certificate in made:
        certificate, refused = checked(certificate)
        if not refused:
            return certificate
        reason = f"UNDECIDED: the independent checker refuses this proof, {refused}"
    raise Uncertified(reason)
