r"""Independent check that a flow falls at a proved rate for ever, within the set of a potential.

The file holds a potential `V` with its own proof, checked by :mod:`potential`: on a set that the
flow does not leave, `\dot V \le -c V`, or `\dot V \le -d^{-k/m} V^{1+k/m}`. It is one of the loss
that the pieces are about: both are compared as polynomials with fractions. At the end `T` of the
pieces the flow lies in a ball, on which every condition of the set is evaluated; an equation that
stays true is evaluated at the start, exactly. So for all `t \ge T`

.. math:: V(t) \le V(T) e^{-c (t - T)} \quad \text{or} \quad
          V(t) \le d \Big(\frac{m/k}{t - T + s}\Big)^{m/k},
          \qquad s = \tfrac mk d^{k/m} V(T)^{-k/m} .
"""

import math
from fractions import Fraction
from typing import Any, NamedTuple

from flint import arb, fmpq

from flows.certificates.verifier.curve import UNIT, at
from flows.certificates.verifier.exact import Exact, read
from flows.certificates.verifier.potential import fall
from flows.certificates.verifier.reading import require
from flows.certificates.verifier.rest import segments_of
from flows.certificates.verifier.taylor import raised


class Falling(NamedTuple):
    """What is proved of `V` for all times from the end of the pieces on.

    Parameters
    ----------
    statement : str
        The bound.
    V : str
        The potential.
    begin : float
        What it is at most at the end of the pieces.
    """

    statement: str
    V: str
    begin: float


def falling(data: Any, flow: Any, pieces: Any, bits: int, radius: float) -> Falling:
    """Check it.

    Raises
    ------
    Refused
        With what does not hold.
    """
    require(flow.form == "polynomial", "there is no polynomial loss")
    stated = data["potential"]
    found = fall(stated)
    require(not found.hypotheses and "lower" not in stated, "its potential proves less")
    require("bounded" in stated["claims"], "the flow may not exist for ever")
    whole, size = stated.get("origin", stated), len(flow.names) + 1
    require(whole["variables"] == flow.names, "its potential is of other variables")
    same = read(whole["loss"], size).terms == _terms(flow)
    require(same, "its potential is one of another loss")
    last, _, after = [*segments_of(pieces, bits)][-1]
    end = at(last.p, arb(1)) + UNIT * after
    for part in stated["region"]:
        if part["kept"] in ("identity", "squares"):
            continue
        require(part["kept"] != "length", "the path from the end of the pieces may be long")
        p = _written(part["p"], stated, size)
        if part["equal"]:
            start = [Fraction(float(x)) for x in flow.start]
            true = radius == 0 and _value(p, start, Fraction) == 0
            require(true, "an equation is not proved of the start")
        else:
            inside = _value(p, list(end), _ball) >= 0
            require(inside, "the flow is not proved to be in the set at the end of its pieces")
    begin = _above(_value(_written(stated["V"], stated, size), list(end), _ball))
    require(0 < begin < math.inf, "the potential is not known at the end of the pieces")
    time = _above((last.centre + last.half).expm1())
    law = _law(stated["rate"], found.constant, begin, time)
    said = f"V = {found.V}{_functions(stated, size)}: {law} for all t >= {time!r}"
    return Falling(said, found.V, begin)


def _law(rate: Any, d: Fraction, begin: float, time: float) -> str:
    """The bound in words, each number rounded to its safe side."""
    if rate == "exp":
        return f"V(t) <= {_above(arb(begin))!r} exp(-{d} (t - {time!r}))"
    q = Fraction(*rate)
    waited = _ball(q) * (_ball(d) / arb(begin)) ** _ball(1 / q) - arb(time)
    shift = math.nextafter(float(waited.lower()), -math.inf)
    late = f"t {'-' if shift < 0 else '+'} {abs(shift)!r}"
    if q.denominator == 1:
        return f"V(t) <= {d * q ** int(q)} ({late})^-{q}"
    return f"V(t) <= {d} (({q})/({late}))^({q})"


def _functions(stated: Any, size: int) -> str:
    """What the variables of the potential are, where they are functions of the entries."""
    if "origin" not in stated:
        return ""
    inner = stated["origin"]["variables"]
    images = zip(stated["variables"], stated["origin"]["map"], strict=True)
    return f" with {', '.join(f'{name} = {read(p, size).text(inner)}' for name, p in images)}"


def _above(x: Any) -> float:
    """A double whose shortest decimal is no smaller."""
    return math.nextafter(float(x.upper()), math.inf)


def _ball(x: Fraction) -> Any:
    return arb(fmpq(x.numerator, x.denominator))


def _terms(flow: Any) -> dict[tuple[int, ...], Fraction]:
    """The loss of the pieces, with an exponent of the variable of rates."""
    found = {}
    for factor, powers in flow.terms:
        e = [0] * (len(flow.names) + 1)
        for i, k in powers:
            e[i] = k
        found[tuple(e)] = Fraction(int(factor.p), int(factor.q))
    return found


def _written(rows: Any, stated: Any, size: int) -> Exact:
    """A polynomial in the entries, of one in functions of them."""
    if "origin" not in stated:
        return read(rows, size)
    image = [read(p, size) for p in stated["origin"]["map"]]
    return read(rows, len(image) + 1).of(image, size)


def _value(p: Exact, x: list[Any], kind: Any) -> Any:
    """Value of a polynomial, its coefficients taken as a kind of number."""
    total = kind(Fraction(0))
    for e, c in p.terms.items():
        term = kind(c)
        for y, k in zip(x, e[:-1], strict=True):
            term = term * (raised(y, k) if isinstance(y, arb) else y**k) if k else term
        total = total + term
    return total
