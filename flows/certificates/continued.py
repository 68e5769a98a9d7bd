"""What continues a finite certificate for ever: records, each as its file states it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, Self, get_args, get_origin, get_type_hints

from flint import arb

from flows.certificates.segment import Segment
from flows.certificates.stated import Stated
from flows.certificates.tail.funnel import Funnel

Ball = Any  # flint.arb


class Record:
    """A dataclass of numbers, whose doubles a file states in hexadecimal.

    Its ``kind``, if it has one, is stated too, and no list that is empty by default.
    """

    #: Fields that the file does not hold.
    unstated: ClassVar[tuple[str, ...]] = ("bits",)

    def to_json(self) -> dict[str, Any]:
        """Return what the file holds: exact numbers only."""
        known: Any = fields(self)  # type: ignore[arg-type]
        names = [f.name for f in known if f.name not in self.unstated]
        names = [k for k in names if getattr(self, k) or getattr(type(self), k, None) != ()]
        found = {name: stated(getattr(self, name)) for name in names}
        return found | ({"kind": self.kind} if hasattr(self, "kind") else {})

    @classmethod
    def from_json(cls, data: Mapping[str, Any], bits: int) -> Self:
        """Read what :meth:`to_json` wrote; nothing is checked but its form."""
        kinds, given = get_type_hints(cls), {**data, "bits": bits}
        known: Any = fields(cls)  # type: ignore[arg-type]
        names = [f.name for f in known if f.name in given or f.default is MISSING]
        return cls(**{name: _read(kinds[name], given[name]) for name in names})


def stated(value: Any) -> Any:
    """A value as a file states it: hexadecimal text for doubles; integers and words stay."""
    if hasattr(value, "to_json"):
        return value.to_json()
    if isinstance(value, Mapping):
        return {key: stated(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [stated(part) for part in value]
    return value.hex() if isinstance(value, float) else value


def _read(kind: Any, value: Any) -> Any:
    """A value of this type."""
    if get_origin(kind) is tuple:
        return tuple(_read(get_args(kind)[0], x) for x in value)
    if kind is float:
        return float.fromhex(value)
    return kind.from_json(value) if hasattr(kind, "from_json") else value


@dataclass(frozen=True)
class Law(Record):
    """A proof that ``t^3 L`` of neurons has a limit.

    Parameters
    ----------
    bits : int
        Exact numbers are multiples of ``2^-bits``.
    limit : Stated
        ``lim t^3 L``.
    h : tuple of Stated
        Limits of the neurons' parts along the teacher, in its direction.
    all_times : tuple of float
        ``lower (1+t)^-3 <= L <= upper (1+t)^-3`` for all ``t >= 0``.
    """

    bits: int
    limit: Stated
    h: tuple[Stated, ...]
    all_times: tuple[float, float]

    @property
    def constant(self) -> Ball:
        """Ball that contains ``lim t^3 L``."""
        return self.limit.ball(self.bits)

    @property
    def parts(self) -> list[Ball]:
        """Balls that contain the limits of the neurons' parts along the teacher."""
        return [part.ball(self.bits) for part in self.h]


@dataclass(frozen=True)
class Infinity(Law):
    """What continues a finite certificate of neurons for ever.

    Parameters
    ----------
    clock : float
        ``t0`` of ``s = 1/(t0 + t)``.
    steps : tuple of dict
        The carry, from the end of the certificate, as its file states it: ``coefficients`` of
        cubics in powers of ``v`` in [-1, 1], times ``2^bits``, for a ``length`` of log-time; bounds
        ``e`` of the distance of shapes, ``across`` and ``along`` of ``|rho|`` and ``|sigma|``,
        ``drift`` of how far ``g`` moves, and ``growth`` of that of errors.
    tail : dict
        The ``shape`` that the tail is about, times ``2^bits``, and its radii, likewise.
    """

    clock: float
    steps: tuple[dict[str, Any], ...]
    tail: dict[str, Any]


@dataclass(frozen=True)
class FunnelTail(Law):
    """What continues a certificate of two neurons for ever.

    Parameters
    ----------
    funnel : Funnel
        The flow is in it at the end of the pieces.
    """

    kind: ClassVar[str] = "funnel"
    funnel: Funnel

    def to_json(self) -> dict[str, Any]:
        """Return what the file holds, the numbers of the funnel among the others."""
        found = super().to_json()
        return found | found.pop("funnel")

    @classmethod
    def from_json(cls, data: Mapping[str, Any], bits: int) -> Self:
        """Read what :meth:`to_json` wrote; nothing is checked but its form."""
        return super().from_json({**data, "funnel": data}, bits)


@dataclass(frozen=True)
class AtZero(Record):
    """What continues a finite certificate after which a neuron vanishes: the flow of the others.

    Parameters
    ----------
    neuron : int
        Which one, of those that are left.
    slope : float
        Its length falls at least so fast, whatever its direction.
    reach : float
        The others move less, until it has vanished.
    pieces : tuple of Segment
        Pieces of the flow without it.
    then : Infinity, FunnelTail or AtZero
        What continues these for ever.
    all_times : tuple of float
        ``lower (1+t)^-3 <= L(t) <= upper (1+t)^-3`` for all ``t >= 0``.
    """

    kind: ClassVar[str] = "at zero"
    neuron: int
    slope: float
    reach: float
    pieces: tuple[Segment, ...]
    then: Any
    all_times: tuple[float, float]

    @property
    def constant(self) -> Ball:
        """Ball that contains ``lim t^3 L``."""
        return self.then.constant

    @property
    def parts(self) -> list[Ball]:
        """Limits of the parts along the teacher, of all neurons: that of this one is zero."""
        others: list[Ball] = self.then.parts
        return [*others[: self.neuron], arb(0), *others[self.neuron :]]

    @classmethod
    def from_json(cls, data: Mapping[str, Any], bits: int) -> Self:
        """Read what :meth:`to_json` wrote; nothing is checked but its form."""
        return super().from_json({**data, "then": read(data["then"], bits)}, bits)


@dataclass(frozen=True)
class Rest(Record):
    """A ball in which the flow stays, and a bound of ``L - L*`` at all times.

    ``0 <= L(t) - L* <= amplitude e^(-rate (t - delay))`` for all ``t >= 0``.

    Parameters
    ----------
    bits : int
        Exact numbers are multiples of ``2^-bits``.
    kind : str
        ``convex``: Hessians are positive definite on the ball. ``layers``: the loss of a
        factorisation falls at a rate there (Polyak and Lojasiewicz). ``squares``: so does a sum
        of squares.
    centre : tuple of str
        Its centre, times ``2^bits``, in hexadecimal.
    radius : float
        Its radius.
    rates : tuple of float
        Of ``convex`` what Hessians are above; of ``layers`` what the two quadratic forms are above,
        see ``flows/certificates/rest/balls.py``.
    rate : float
        Of the loss.
    loss : Stated
        ``L*``, the limit of the loss.
    amplitude, delay : float
        Of this bound.
    squares : tuple
        Of ``squares``, half whose sum is ``L - L*``: numerator and denominator of each weight, and
        the terms of each polynomial.
    """

    bits: int
    kind: str
    centre: tuple[str, ...]
    radius: float
    rates: tuple[float, ...]
    rate: float
    loss: Stated
    amplitude: float
    delay: float
    squares: tuple[Any, ...] = ()

    @property
    def limit_loss(self) -> Ball:
        """Ball that contains the limit of the loss."""
        return self.loss.ball(self.bits)

    @property
    def limit(self) -> list[Ball]:
        """Balls that contain the limits of the coordinates."""
        return [arb((int(x, 16), -self.bits)) + arb(0, self.radius) for x in self.centre]


@dataclass(frozen=True)
class Failing(Record):
    """``L(t) >= floor`` for all ``t >= 0``, of real layers that never reach the target.

    Parameters
    ----------
    floor : float
        This bound.
    """

    kind: ClassVar[str] = "failing"
    floor: float


@dataclass(frozen=True)
class Falling(Record):
    """A potential with its proof, on a set in which the flow is at the end of the pieces.

    Parameters
    ----------
    potential : mapping
        The potential with its proof, as :meth:`flows.FoundPotential.save` writes it.
    statement : str
        The bound for all later times, where the independent checker has proved it.
    """

    kind: ClassVar[str] = "potential"
    unstated: ClassVar[tuple[str, ...]] = ("statement",)
    potential: Mapping[str, Any]
    statement: str = ""


@dataclass(frozen=True)
class MeansTail(Record):
    """What continues a certificate of means on a line for ever, where ``t^2 L`` has its limit.

    Parameters
    ----------
    bits : int
        Exact numbers are multiples of ``2^-bits``.
    clock : float
        ``t0`` of ``s = 1/(t0 + t)``.
    e, across : float
        Bounds of ``N`` about ``N*``, and of ``|rho|``, from the end of the pieces on. What they
        are is said by :mod:`flows.certificates.verifier.means`.
    limit : Stated
        ``lim t^2 L``.
    all_times : tuple of float
        ``lower (1+t)^-2 <= L <= upper (1+t)^-2`` for all ``t >= 0``.
    aside : float
        Bound of ``|f|/|e|``; zero where there is no ``f``.
    """

    kind: ClassVar[str] = "means"
    bits: int
    clock: float
    e: float
    across: float
    limit: Stated
    all_times: tuple[float, float]
    aside: float = 0.0

    @property
    def constant(self) -> Ball:
        """Ball that contains ``lim t^2 L``."""
        return self.limit.ball(self.bits)


Endless = Infinity | FunnelTail | AtZero | Rest | Failing | Falling | MeansTail
KINDS = (Infinity, FunnelTail, AtZero, Failing, Falling, MeansTail)


def read(data: Mapping[str, Any], bits: int) -> Endless:
    """What continues the pieces of a file, of one kind or another."""
    kinds: dict[Any, Any] = {getattr(kind, "kind", None): kind for kind in KINDS}
    found: Endless = kinds.get(data.get("kind"), Rest).from_json(data, bits)
    return found
