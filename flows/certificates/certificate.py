"""A certificate: a piecewise polynomial, and for each segment the bounds that make it a proof.

It is a claim until :func:`flows.verify` has checked it. All numbers in its file are exact: doubles
in hexadecimal, coefficients as hexadecimal multiples of a power of two.
"""

from __future__ import annotations

import bisect
import json
import math
import os
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from flint import arb

from flows.certificates import chebyshev
from flows.certificates.continued import Endless, read, stated
from flows.certificates.document import Document
from flows.certificates.own_flow import flow_of
from flows.certificates.proof import Span
from flows.certificates.segment import Segment
from flows.core.arrays import Array, plain, unplain
from flows.core.balls import BallFlow, dot, precision
from flows.core.card import Card, described
from flows.core.errors import InputError
from flows.core.system import System

Ball = Any  # flint.arb

FORMAT = "popflow certificate 1"
MAX_BYTES = 256 * 2**20
# Two digits of a bound are a bound only if they are rounded up.
UPWARDS = Context(prec=2, rounding=ROUND_CEILING)


class Origin(NamedTuple):
    """Where pieces begin that continue others: the flow, and log-time times ``2^bits``."""

    flow: BallFlow
    tick: int


@dataclass(frozen=True)
class Certificate(Document):
    r"""Enclosure of the flow from one start: ``|w(t) - p(log(1 + t))| <= tube`` up to ``t_end``.

    Parameters
    ----------
    system : System
        The flow.
    start : ndarray
        User's parameters at ``t = 0``; its doubles are the exact start.
    t_end : float
        Where it ends.
    bits : int
        Coefficients are multiples of ``2^-bits``.
    precision : int
        Working precision of balls, in bits.
    pieces : tuple of Segment
        The polynomial pieces in order.
    infinity : Infinity, FunnelTail, AtZero, Rest, Failing, Falling or MeansTail, optional
        What continues them for ever.
    radius : float
        All is proved of every start within this distance.
    origin : Origin, optional
        Where the pieces begin, if not at the start.
    sums : dict, optional
        What stands for expectations, as the file states it.

    Notes
    -----
    Distances are Euclidean, in the user's parameters. Balls are `flint.arb`.
    """

    system: System
    start: Array
    t_end: float
    bits: int
    precision: int
    pieces: tuple[Segment, ...]
    infinity: Endless | None = None
    radius: float = 0.0
    origin: Origin | None = None
    sums: Any = None

    @property
    def card(self) -> Card:
        """Summary for a reader: system, theorem, method, next step."""
        about = {"system": self.system.name, **self.system.parameters}
        everywhere, final = (
            f"{UPWARDS.create_decimal(x):.1e}" for x in (self.error, self.final_error)
        )
        proved = f"the flow is within {everywhere} of the polynomials at every time"
        return Card(
            f"certificate of a trajectory of {described(about)}",
            (
                ("t", f"0 to {self.t_end:.6g}, {len(self.pieces)} pieces"),
                ("error", f"{proved}, within {final} at the end (enclosed)"),
                ("balls", f"{self.precision} bits"),
                ("next", 'c.save("cert.json"), flows.verify("cert.json")'),
            ),
        )

    def __repr__(self) -> str:
        """Five lines."""
        return str(self.card)

    def _repr_html_(self) -> str:
        return self.card.html()

    @property
    def error(self) -> float:
        """Bound of the distance between flow and polynomial at every time."""
        return max(segment.tube for segment in self.pieces)

    @property
    def final_error(self) -> float:
        """Bound of this distance at the end."""
        return self.pieces[-1].error

    @property
    def volume(self) -> float:
        """Lebesgue measure of the starts that it is about, in the space of all real entries."""
        k = self.start.size * (2 if np.iscomplexobj(self.start) else 1)
        return math.pi ** (k / 2) / math.gamma(k / 2 + 1) * self.radius**k

    def form(self) -> tuple[System, Array]:
        """System and start as the file states them."""
        system, start = self.system.certified_form(self.start)
        assert system is not None and start is not None  # or there were no certificate
        return system, start

    def flow(self) -> BallFlow:
        """Flow in ball arithmetic, of the current precision."""
        return flow_of(*self.form()) if self.origin is None else self.origin.flow

    def span(self, index: int) -> Span:
        """Log-time of a segment."""
        begin = 0 if self.origin is None else self.origin.tick
        first = self.pieces[index - 1].end if index else begin
        return Span.between(first, self.pieces[index].end, self.bits)

    def locate(self, t: float) -> int:
        """Index of the segment that contains a time.

        Raises
        ------
        InputError
            For a time that is not in ``[0, t_end]``.
        """
        if not 0 <= t <= self.t_end:
            raise InputError(f"time: expected a number in [0, {self.t_end:g}], got {t!r}")
        with precision(self.precision):
            tau = chebyshev.rounded(arb(t).log1p(), self.bits)
            ends = [segment.end for segment in self.pieces]
            return min(bisect.bisect_left(ends, tau), len(ends) - 1)

    def coordinates(self, t: float) -> list[Ball]:
        """Coordinates of the flow at a time in the frame of :meth:`flow`, as balls."""
        index = self.locate(t)
        with precision(self.precision):
            span = self.span(index)
            s = (arb(t).log1p() - span.centre) / span.half
            segment = self.pieces[index]
            values = chebyshev.evaluated(segment.rows, s, self.bits)
            widths = segment.widths(self.bits)
            return [x + arb(0, 1) * off for x, off in zip(values, widths, strict=True)]

    def state(self, t: float) -> list[list[Ball]]:
        """User's parameters at a time, balls that contain the flow, nested like the start."""
        with precision(self.precision):
            found = self.flow().restore(self.coordinates(t))
        return found if self.form()[0] is self.system else self.system.shaped(found).tolist()

    def loss(self, t: float) -> Ball:
        """Ball that contains the loss at a time."""
        with precision(self.precision):
            return self.flow().loss(self.coordinates(t))

    def local_exponent(self, t: float) -> Ball:
        """Ball that contains ``-d log L / d log t = t |grad L|^2 / L`` at a time."""
        with precision(self.precision):
            x, flow = self.coordinates(t), self.flow()
            velocity = flow.field(x, self.pieces[self.locate(t)].signs)
            return arb(t) * dot(velocity, velocity) / flow.loss(x)

    def to_json(self) -> dict[str, Any]:
        """Return what the file holds."""
        system, start = self.form()
        kind, parameters = cast("tuple[str, dict[str, Any]]", system.certified)
        return {
            "format": FORMAT,
            "system": kind,
            "parameters": stated(parameters),
            "start": stated(plain(start)),
            **({"radius": self.radius.hex()} if self.radius else {}),
            "t_end": self.t_end.hex(),
            "bits": self.bits,
            "precision": self.precision,
            "pieces": stated(self.pieces),
            **({} if self.sums is None else {"sums": self.sums}),
            **({} if self.infinity is None else {"infinity": stated(self.infinity)}),
        }


def _doubles(value: Any) -> Any:
    """Doubles of what a file states."""
    if isinstance(value, dict):
        return {key: _doubles(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_doubles(part) for part in value]
    hexadecimal = isinstance(value, str) and value.lstrip("-").startswith("0x")
    return float.fromhex(value) if hexadecimal else value


def certifiable() -> list[str]:
    """Names of the systems whose flows can be certified: those that say what fixes them."""
    from flows.systems.registry import SYSTEMS  # loads all systems: not before they are asked for

    return [name for name, system in SYSTEMS.items() if system.stated]


def load_certificate(path: str | os.PathLike[str], system: System | None = None) -> Certificate:
    """Read a certificate; nothing is checked but its form.

    Parameters
    ----------
    path : path
        File that ``popflow certify --out`` or :meth:`Certificate.save` wrote.
    system : System, optional
        Of an own loss: that system, whose potentials and claims no file carries.

    Returns
    -------
    Certificate
        As it was saved; :func:`flows.verify` says whether it proves anything.

    Raises
    ------
    InputError
        If the file is missing, is not a certificate, or is one of another system.
    """
    from flows.systems.registry import make  # loads all systems

    name = os.fspath(path)
    wanted = f"{name}: expected a certificate that popflow certify --out wrote"
    if not Path(name).is_file():
        raise InputError(f"{wanted}, got no file; name one")
    if Path(name).stat().st_size > MAX_BYTES:
        raise InputError(f"{wanted}, got more than {MAX_BYTES} bytes; name another")
    try:
        data = json.loads(Path(name).read_text("ascii"))
        if data["format"] != FORMAT:
            raise InputError(f"{wanted}, got the format {data['format']!r}; write it anew")
        number = float.fromhex
        pieces = tuple(map(Segment.from_json, data["pieces"]))
        about = data["system"], _doubles(data["parameters"])
        if system is None:
            system = make(*about)
        form, _ = system.certified_form()
        if form is None or form.certified != about:
            raise InputError(
                f"{name}: it is about another system than {system.name}; give that one"
            )
        start = form.check_start(unplain(_doubles(data["start"])))
        start = start if form is system else system.shaped(start)
        end, bits = number(data["t_end"]), int(data["bits"])
        endless = read(data["infinity"], bits) if "infinity" in data else None
        radius = number(data["radius"]) if "radius" in data else 0.0
        made = system, start, end, bits, int(data["precision"]), pieces, endless, radius
        return Certificate(*made, sums=data.get("sums"))
    except InputError:
        raise
    except (
        ValueError,
        KeyError,
        TypeError,
        IndexError,
        AttributeError,
        RecursionError,
        OverflowError,
    ) as error:
        raise InputError(
            f"{wanted}, got something else ({type(error).__name__}: {error}); name another"
        ) from error
