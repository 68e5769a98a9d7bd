"""Read a certificate and have it checked by code that uses nothing of its maker."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from flint import arb, ctx
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from flows.certificates.verifier.at_zero import at_zero, values
from flows.certificates.verifier.chain import FORMAT as CHAIN
from flows.certificates.verifier.chain import chain
from flows.certificates.verifier.curve import UNIT
from flows.certificates.verifier.ellipsoid import off_at_end
from flows.certificates.verifier.failing import Failing, failing
from flows.certificates.verifier.falling import Falling, falling
from flows.certificates.verifier.funnel import funnelled
from flows.certificates.verifier.late_states import FORMAT as LATE
from flows.certificates.verifier.late_states import LateStates
from flows.certificates.verifier.means import Plateau, plateau
from flows.certificates.verifier.near import FORMAT as NEAR
from flows.certificates.verifier.near import near
from flows.certificates.verifier.potential import FORMAT as POTENTIAL
from flows.certificates.verifier.potential import Fall, fall
from flows.certificates.verifier.reading import (
    MOST,
    Refused,
    exact,
    number,
    numbers,
    parsed,
    require,
)
from flows.certificates.verifier.rest import Rest, rest
from flows.certificates.verifier.segment import Equations, check
from flows.certificates.verifier.stationary import FORMAT as STATIONARY
from flows.certificates.verifier.stationary import Point
from flows.certificates.verifier.tail import Theorem, check_limits, theorem
from flows.core.errors import InputError

FORMAT = "popflow certificate 1"
MAX_BYTES = 256 * 2**20
MAX_BITS = 4096
POTENTIALS = {POTENTIAL: fall, NEAR: near, CHAIN: chain}


def _stated(what: str) -> dict[str, Any]:
    """What files of this folder say of a system, by its name, which is that of the file."""
    names = sorted({path.stem for path in Path(__file__).parent.glob("[a-z]*.py")} - {"verify"})
    files = {name: import_module(f"flows.certificates.verifier.{name}") for name in names}
    return {name: getattr(file, what) for name, file in files.items() if hasattr(file, what)}


#: Equations of a flow, and how a critical point and a set of late states are checked.
EQUATIONS: dict[str, type[Equations]] = _stated("EQUATIONS")
POINTS, STATES = _stated("POINT"), _stated("STATES")


class Verification(NamedTuple):
    """What a check found.

    Parameters
    ----------
    refused : str
        Why the certificate proves nothing; empty if it is accepted.
    error : float
        Bound of the distance of flow and polynomial at every time.
    final_error : float
        Bound of this distance at the end.
    pieces : int
        Pieces that were checked.
    system : str
        Name of the system that the accepted certificate is about, `polynomial` for a loss of one's
        own; empty if it is refused.
    parameters : dict
        What fixes this system, exactly; None if the certificate is refused.
    start : ndarray
        The start that was verified, exactly; None if the certificate is refused.
    t_end : float
        Up to this time the enclosure is a theorem.
    endless : Theorem, Rest, Failing, Falling or Plateau, optional
        What was verified for all times, where the certificate is about them.
    radius : float
        It is about every start within this distance of the start.
    about : dict
        The parameters as a person reads them: of a polynomial its name and formula.
    point : Point, optional
        The critical point that was verified, where the file is about one and no flow.
    states : LateStates, optional
        The set of states that was verified, where the file is about one and no start.
    potential : Fall, optional
        The potential that was verified, with its rate, where the file is about one.
    """

    refused: str
    error: float = float("inf")
    final_error: float = float("inf")
    pieces: int = 0
    system: str = ""
    parameters: dict[str, Any] | None = None
    start: Any = None
    t_end: float = 0.0
    endless: Theorem | Rest | Failing | Falling | Plateau | None = None
    about: dict[str, Any] | None = None
    radius: float = 0.0
    point: Point | None = None
    states: LateStates | None = None
    potential: Fall | None = None

    @property
    def accepted(self) -> bool:
        """Whether the enclosure is a theorem."""
        return not self.refused


def verify(
    path: Any, system: Any = None, start: Any = None, t_end: float | None = None
) -> Verification:
    """Check a certificate from its file alone, by :mod:`flows.certificates.verifier.segment`.

    Parameters
    ----------
    path : path, or object with a method ``save``
        File that ``popflow certify``, ``popflow stationary`` or a method ``save`` wrote; or the
        certificate itself, of which the file is written to a temporary folder and then read.
    system : System, optional
        The certificate must be about this system.
    start : array_like or mapping, optional
        The certificate must be about this start, to the last bit. A mapping needs the system.
    t_end : float, optional
        The certificate must reach to this time exactly; infinity: it must be about all times.

    Returns
    -------
    Verification
        Accepted, or refused with the reason.

    Raises
    ------
    InputError
        If the file cannot be read or is not JSON, and for a start that is none of the system.

    Notes
    -----
    The working precision of python-flint, which is global, is put back.
    """
    if callable(getattr(path, "save", None)):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "certificate.json"
            path.save(file)
            return verify(file, system, start, t_end)
    if not isinstance(path, str | os.PathLike):
        raise InputError(
            f"verify: expected a certificate or the path of its file, got {path!r:.60}; give what"
            " flows.certify returns"
        )
    if system is None and isinstance(start, Mapping):
        raise InputError("verify: expected a system beside a start with names; give both")
    before = ctx.prec
    try:
        if Path(path).stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: expected at most {MAX_BYTES} bytes; name a certificate")
        data = parsed(Path(path).read_text("ascii"))
        with threadpool_limits(1):  # matrices are small: threads would wait for each other
            return _checked(data, system, start, t_end)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name a certificate") from None
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise InputError(f"{path}: expected a certificate, got no JSON; name another") from None
    except Refused as reason:
        return Verification(str(reason))
    except InputError:
        raise
    except (
        ValueError,
        KeyError,
        TypeError,
        IndexError,
        AttributeError,
        OverflowError,
        MemoryError,
    ) as error:
        return Verification(f"a part of it is missing or malformed: {error!r}")
    finally:
        ctx.prec = before


def _checked(data: Any, system: Any, start: Any, t_end: float | None) -> Verification:
    """Check what the file says; numbers are read exactly or refused."""
    if data["format"] == STATIONARY:
        no_flow = start is None and t_end is None
        require(no_flow, "it is about a critical point, not about a flow")
        return _point(data, system)
    if data["format"] in POTENTIALS:
        no_flow = system is None and start is None and t_end is None
        require(no_flow, "it is about all starts of a set, not about one flow")
        found = POTENTIALS[data["format"]](data)
        return Verification("", system="potential", potential=found)
    if data["format"] == LATE:
        no_flow = system is None and start is None and t_end is None
        require(no_flow, "it is about a set of states, not about one flow")
        check_states = STATES[_known(data["system"], STATES)]
        ctx.prec = _within(data["precision"])
        return Verification("", system=data["system"], states=check_states(data))
    require(data["format"] == FORMAT, "its format is unknown")
    kind, parameters = EQUATIONS[_known(data["system"], EQUATIONS)], exact(data["parameters"])
    expected = ", ".join(kind.stated)
    require({*parameters} == {*kind.stated}, f"its parameters are not {expected}")
    w = numbers(exact(data["start"]))
    end = number(data["t_end"])
    require(0 < w.size <= MOST and end > 0, "start and end do not fit")
    same = start is None or np.array_equal(start, w)
    if system is not None:
        form = getattr(system, "certified_form", None)
        system, start = form(None if same else start) if form else (None, None)
        about = getattr(system, "certified", None)
        require(about == (data["system"], parameters), "it is about another system")
    require(same or np.array_equal(start, w), "it is about another start")
    ends = {end, math.inf} if "infinity" in data else {end}
    require(t_end is None or t_end in ends, f"it is about another end, t = {end:g}")
    bits, ctx.prec = (_within(data[key]) for key in ("bits", "precision"))
    stated = data["pieces"]
    flow = kind(parameters, w)
    if "sums" in data:
        flow.summed(data["sums"])
    radius = number(data["radius"]) if "radius" in data else 0.0
    require(radius >= 0, "its radius is negative")
    require(radius == 0 or _whole(flow), "its starts leave the span that was computed in")
    error, final_error = check(flow, end, bits, stated, radius)
    proved: Theorem | Rest | Failing | Falling | Plateau | None = None
    if "infinity" in data:
        proved = _endless(data["infinity"], flow, stated, bits, radius)
        _states_no_more(data["infinity"], proved)
    return Verification(
        "",
        error,
        final_error,
        len(stated),
        data["system"],
        parameters,
        w,
        end,
        proved,
        parameters if flow.about is None else flow.about,
        radius,
    )


def _point(data: Any, system: Any) -> Verification:
    """Check a file about a critical point, of this system if one is given."""
    check_point = POINTS[_known(data["system"], POINTS)]
    bits, ctx.prec = (_within(data[key]) for key in ("bits", "precision"))
    found = check_point(data, bits)
    same = getattr(system, "name", "") == data["system"] and found.is_of(system)
    require(system is None or same, "it is about another system")
    about = {
        "students": len(found.students),
        "teachers": found.teachers.tolist(),
        "slope": found.slope,
        "output_weights": found.output_weights.tolist(),
        "teacher_weights": found.teacher_weights.tolist(),
    }
    return Verification("", system=data["system"], about=about, point=found)


def _known(name: Any, known: Mapping[str, Any]) -> str:
    """Name of a system of which something is known here."""
    require(name in known, f"its system is not one of {', '.join(known)}")
    return str(name)


def _whole(flow: Any) -> bool:
    """Whether a ball about the start is one in these coordinates, up to rotations.

    Neurons near those of the start span other directions. One rotation across the teacher takes
    them into the frame and no further away, if that is the whole space or has one axis a neuron.
    """
    return flow.form != "neurons" or len(flow.v) >= min(flow.d, flow.n + 1)


def _endless(
    data: Any, flow: Any, pieces: Any, bits: int, radius: float
) -> Theorem | Rest | Failing | Falling | Plateau:
    """What is proved for all times: of a flow that rests or fails, or of neurons."""
    if data.get("kind") == "failing":
        require(radius == 0, "layers near these do not balance")
        return failing(data, flow)
    if data.get("kind") == "potential":
        return falling(data, flow, pieces, bits, radius)
    if data.get("kind") == "means":
        ends = [end.ravel() for end in ends_of(flow, pieces, bits, radius, 1)]
        return plateau(data, flow, pieces, ends, bits)
    if data.get("kind") in (None, "funnel", "at zero"):
        require(flow.form == "neurons", "there is no proof to infinity of this system")
        ends = ends_of(flow, pieces, bits, radius, len(flow.v))
        return _of_neurons(data, flow, pieces, ends, bits, radius)
    return rest(data, flow, pieces, bits)


def _states_no_more(data: Any, found: Any) -> None:
    """Refuse bounds of all times that are sharper than the proved ones."""
    if hasattr(found, "lower"):
        low, high = map(number, data["all_times"])
        why = f"it states {low:.6g} <= (1+t)^p L <= {high:.6g}, and the proved bounds"
        proved = low <= found.lower and found.upper <= high
        require(proved, f"{why} are {found.lower:.6g} and {found.upper:.6g}")
    if "then" in data:
        _states_no_more(data["then"], found)


def _of_neurons(data: Any, flow: Any, pieces: Any, ends: Any, bits: int, radius: float) -> Theorem:
    """What is proved of neurons, one of which may reach zero first."""
    kind = data.get("kind")
    if kind == "at zero":
        left = at_zero(data, flow, pieces, ends, bits, radius)
        pieces, ends = [*pieces, *left.pieces], [*ends, *left.ends]
        found = _of_neurons(data["then"], left.flow, pieces, ends, bits, radius)
        k = left.gone.neuron
        later = (x._replace(neuron=x.neuron + (x.neuron >= k)) for x in found.gone)
        h = np.array([*found.h[:k], arb(0), *found.h[k:]])
        return found._replace(h=h, gone=(left.gone, *later))
    require(kind in (None, "funnel"), "its kind is unknown")
    continued = theorem if kind is None else funnelled
    proved = continued(data, flow.v[0], pieces, ends, bits)
    check_limits(proved.limit, proved.h, data, bits)
    return proved


def ends_of(flow: Equations, pieces: Any, bits: int, radius: float, width: int) -> list[Any]:
    """Rows of numbers at the begin and at the ends of checked pieces, as balls."""
    shape = (-1, width)
    ends = [(flow.start + UNIT * radius).reshape(shape)]
    for piece in pieces:
        ends.append(end_of(piece, bits, ends[0]))
    return ends


def end_of(piece: Any, bits: int, like: Any) -> Any:
    """Balls at the end of a checked piece, in the rows of an array."""
    unit = np.eye(like.size, dtype=int)[:, None]
    off = np.array([off_at_end(piece, form, bits) for form in unit])
    return values(piece, bits, like) + UNIT * off.reshape(like.shape)


def _within(bits: Any) -> int:
    require(
        isinstance(bits, int) and 64 <= bits <= MAX_BITS,
        f"a precision is not between 64 and {MAX_BITS} bits",
    )
    return int(bits)
