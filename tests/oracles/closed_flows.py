r"""Gradient flows in closed form, and losses made of them whose flow is known with 40 digits.

A *part* is a loss :math:`\ell(z)` of one number, or of two, with :math:`z(t)` in closed form. An
orthogonal matrix with rational entries, a scale, a shift and a constant make of several parts

.. math:: L(y) = c_0 + \sum_k c\, \ell_k(z_k), \qquad y = b + s Q z, \qquad
   z_k(t) = \phi_k(c t/s^2, z_k(0))

whose flow is that of the parts: the gradient flow commutes with rotations, and `s` and `c` change
its clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import sympy as sp
from mpmath import mp

DIGITS, HALVED = 40, 60
T = sp.Symbol("t")


@dataclass(frozen=True)
class Part:
    """A loss with a flow in closed form.

    `loss` in SymPy; `flow(z, t)` the numbers at a time; `above(z, t)` the loss above that of the
    limit, and `limit(z)` that one; `law(z)` the same in SymPy, as a function of `T`, or None;
    `decay(z)` the exponent `p` of `above ~ t^-p`, infinite for an exponential; `converges` whether
    there is a limit point; `entries` how many numbers; `pulls(z, t)` the gradient at a time where
    that of the place has no digits.
    """

    name: str
    loss: Callable[..., sp.Expr]
    flow: Callable[[list[Any], Any], list[Any]]
    slope: Callable[[list[Any]], list[Any]]
    above: Callable[[list[Any], Any], Any]
    limit: Callable[[list[Any]], Any]
    decay: Callable[[list[Any]], float]
    law: Callable[[list[Any]], sp.Expr] | None = None
    lojasiewicz: float = 1.0
    converges: bool = True
    entries: int = 1
    polynomial: bool = False
    largest: float = 1e4
    pulls: Callable[[list[Any], Any], list[Any]] | None = None
    value: Callable[[Any], Any] | None = None


def root(function: Callable[[Any], Any], slope: Callable[[Any], Any], low: Any, high: Any) -> Any:
    """Root of an increasing function between two numbers: halvings, then Newton's steps."""
    with mp.extradps(mp.dps):
        for _ in range(HALVED):
            x = (low + high) / 2
            low, high = (x, high) if function(x) < 0 else (low, x)
        x = (low + high) / 2
        for _ in range(200):
            value = function(x)
            low, high = (x, high) if value < 0 else (low, x)
            nearer = x - value / slope(x)
            inside = low <= nearer <= high
            before, x = x, nearer if inside else (low + high) / 2
            if abs(x - before) <= mp.mpf(10) ** -DIGITS * abs(x):
                return x
    raise ArithmeticError("no root")


def digits(value: Any) -> sp.Float:
    """A number of mpmath in SymPy."""
    return sp.Float(value, DIGITS)


def power(p: int) -> Part:
    """`z^p/p`: an exponential for p = 2, else `|z|^(2-p)` grows linearly."""

    def flow(z, t):
        (a,) = z
        if p == 2:
            return [a * mp.exp(-t)]
        if a == 0:
            return [a]
        return [mp.sign(a) * (abs(a) ** (2 - p) + (p - 2) * t) ** (mp.mpf(1) / (2 - p))]

    def law(z):
        a = digits(abs(z[0]))
        if p == 2:
            return a**2 / 2 * sp.exp(-2 * T)
        return (a ** (2 - p) + (p - 2) * T) ** sp.Rational(p, 2 - p) / p

    return Part(
        f"z^{p}/{p}",
        lambda z: z**p / p,
        flow,
        lambda z: [z[0] ** (p - 1)],
        lambda z, t: flow(z, t)[0] ** p / p,
        lambda z: 0,
        lambda z: mp.inf if p == 2 or z[0] == 0 else p / (p - 2),
        lambda z: law(z) if z[0] else sp.S.Zero,
        lojasiewicz=2 * (p - 1) / p,
        polynomial=True,
        largest=1e8 if p == 2 else 1e3,
    )


def _well(z, t):
    (a,) = z
    if a == 0:
        return [a]
    return [mp.sign(a) / mp.sqrt(1 + (1 / a**2 - 1) * mp.exp(-2 * t))]


def _well_gap(z, t):
    """`1 - z^2`."""
    (a,) = z
    return (1 / a - a) / a * mp.exp(-2 * t) * _well(z, t)[0] ** 2 if a else mp.one


def _well_above(z, t):
    return _well_gap(z, t) ** 2 / 4 if z[0] else mp.zero


def _well_law(z):
    if z[0] == 0:
        return sp.S.Zero
    far = digits(1 / z[0] ** 2 - 1) * sp.exp(-2 * T)
    return (far / (1 + far)) ** 2 / 4


WELL = Part(
    "z^4/4 - z^2/2",
    lambda z: z**4 / 4 - z**2 / 2,
    _well,
    lambda z: [z[0] ** 3 - z[0]],
    _well_above,
    lambda z: -mp.mpf(1) / 4 if z[0] else 0,
    lambda z: mp.inf,
    _well_law,
    polynomial=True,
    largest=1e3,
    pulls=lambda z, t: [-_well(z, t)[0] * _well_gap(z, t)],
    value=lambda z: z**2 * (z**2 - 2) / 4,
)


def _cosh(z, t):
    return [mp.asinh(mp.sinh(z[0]) * mp.exp(-t))]


COSH = Part(
    "log cosh z",
    lambda z: sp.log(sp.cosh(z)),
    _cosh,
    lambda z: [mp.tanh(z[0])],
    lambda z, t: mp.log1p((mp.sinh(z[0]) * mp.exp(-t)) ** 2) / 2,
    lambda z: 0,
    lambda z: mp.inf,
    lambda z: sp.log(1 + digits(mp.sinh(z[0]) ** 2) * sp.exp(-2 * T)) / 2,
    largest=30.0,
)

EXP = Part(
    "exp(-z)",
    lambda z: sp.exp(-z),
    lambda z, t: [mp.log1p(mp.expm1(z[0]) + t)],
    lambda z: [-mp.exp(-z[0])],
    lambda z, t: 1 / (mp.exp(z[0]) + t),
    lambda z: 0,
    lambda z: 1.0,
    lambda z: 1 / (digits(mp.exp(z[0])) + T),
    converges=False,
    largest=30.0,
)


def _softplus(z, t):
    c = z[0] + mp.expm1(z[0]) + t
    if t == 0:
        return [z[0]]
    # Between the start and what the speed at the start, which falls, would reach.
    top = z[0] + t / (1 + mp.exp(z[0]))
    top = min(top, mp.log1p(c)) if c > 0 else top
    return [root(lambda x: x + mp.expm1(x) - c, lambda x: 1 + mp.exp(x), z[0], top)]


SOFTPLUS = Part(
    "log(1 + exp(-z))",
    lambda z: sp.log(1 + sp.exp(-z)),
    _softplus,
    lambda z: [-1 / (1 + mp.exp(z[0]))],
    lambda z, t: mp.log1p(mp.exp(-_softplus(z, t)[0])),
    lambda z: 0,
    lambda z: 1.0,
    converges=False,
    largest=30.0,
)


def _cosine(z, t):
    turns = mp.nint(z[0] / (2 * mp.pi))
    return [2 * mp.pi * turns + 2 * mp.atan(mp.tan(z[0] / 2) * mp.exp(-t))]


def _cosine_far(z):
    return mp.tan(z[0] / 2) ** 2


COSINE = Part(
    "1 - cos z",
    lambda z: 1 - sp.cos(z),
    _cosine,
    lambda z: [mp.sin(z[0])],
    lambda z, t: 2 / (1 + mp.exp(2 * t) / _cosine_far(z)) if _cosine_far(z) else mp.zero,
    lambda z: 0,
    lambda z: mp.inf,
    lambda z: 2 / (1 + sp.exp(2 * T) / digits(_cosine_far(z))) if z[0] else sp.S.Zero,
    largest=30.0,
)


def _implicit(inner, rate, half):
    """Flow of `z` by `F(log(half z^2)) = F(log(half z_0^2)) - rate t`, with `F` and `F'`."""

    def flow(z, t):
        (a,) = z
        if a == 0 or t == 0:
            return [a]
        first = mp.log(half * a**2)
        aim = inner(first)[0] - rate * t
        low = first - 1
        while inner(low)[0] > aim:
            low = first - 2 * (first - low)
        w = root(lambda x: inner(x)[0] - aim, lambda x: inner(x)[1], low, first)
        return [mp.sign(a) * mp.sqrt(mp.exp(w) / half)]

    return flow


_gauss = _implicit(lambda w: (mp.ei(mp.exp(w)), mp.exp(mp.exp(w))), 2, mp.mpf(1) / 2)
_grows = _implicit(lambda w: (-mp.e1(mp.exp(w)), mp.exp(-mp.exp(w))), 2, mp.mpf(1) / 2)
_lorentz = _implicit(
    lambda w: (w + 2 * mp.exp(w) + mp.exp(2 * w) / 2, (1 + mp.exp(w)) ** 2), 4, mp.mpf(1)
)


def _plateau(name, loss, flow, slope, value, largest):
    return Part(
        name,
        loss,
        flow,
        slope,
        lambda z, t: value(flow(z, t)[0]),
        lambda z: 0,
        lambda z: mp.inf,
        largest=largest,
    )


GAUSS = _plateau(
    "1 - exp(-z^2/2)",
    lambda z: 1 - sp.exp(-(z**2) / 2),
    _gauss,
    lambda z: [z[0] * mp.exp(-(z[0] ** 2) / 2)],
    lambda z: -mp.expm1(-(z**2) / 2),
    8.0,
)
LORENTZ = _plateau(
    "z^2/(1 + z^2)",
    lambda z: z**2 / (1 + z**2),
    _lorentz,
    lambda z: [2 * z[0] / (1 + z[0] ** 2) ** 2],
    lambda z: z**2 / (1 + z**2),
    1e3,
)


def averaged(expectation, symbol):
    """Parts that are averages: `1 - E cos(z x)`, and `E exp(z x)`, which is at least 1."""
    cosine = _plateau(
        "1 - E cos(z x)",
        lambda z: 1 - expectation(sp.cos(z * symbol), symbol),
        _gauss,
        GAUSS.slope,
        lambda z: -mp.expm1(-(z**2) / 2),
        4.0,
    )
    grows = Part(
        "E exp(z x)",
        lambda z: expectation(sp.exp(z * symbol), symbol),
        _grows,
        lambda z: [z[0] * mp.exp(z[0] ** 2 / 2)],
        lambda z, t: mp.expm1(_grows(z, t)[0] ** 2 / 2),
        lambda z: 1,
        lambda z: mp.inf,
        largest=3.0,
    )
    return cosine, grows


def _squares(z, t):
    """Squares of both numbers of the valley, and which one decays."""
    a, b = z[0] ** 2, z[1] ** 2
    kept = abs(a - b)
    least = min(a, b)
    if least == 0:
        return a, b
    if kept == 0:
        now = least / (1 + 2 * least * t)
    else:
        now = kept / (mp.expm1(2 * kept * t) + kept / least * mp.exp(2 * kept * t))
    return (now + kept, now) if a > b else (now, now + kept)


def _valley(z, t):
    a, b = _squares(z, t)
    return [mp.sign(z[0]) * mp.sqrt(a), mp.sign(z[1]) * mp.sqrt(b)]


VALLEY = Part(
    "x^2 y^2/2",
    lambda x, y: x**2 * y**2 / 2,
    _valley,
    lambda z: [z[0] * z[1] ** 2, z[1] * z[0] ** 2],
    lambda z, t: mp.fprod(_squares(z, t)) / 2,
    lambda z: 0,
    lambda z: 2.0 if z[0] ** 2 == z[1] ** 2 != 0 else mp.inf,
    lojasiewicz=1.5,
    entries=2,
    polynomial=True,
    largest=1e3,
)

PARTS = (
    power(2),
    power(2),
    power(4),
    power(6),
    WELL,
    COSH,
    EXP,
    SOFTPLUS,
    COSINE,
    GAUSS,
    LORENTZ,
    VALLEY,
)


@dataclass(frozen=True)
class Flow:
    """A loss made of parts: `y = shift + size Q z`, `L = constant + factor sum of losses`."""

    parts: tuple[Part, ...]
    turn: sp.Matrix
    size: sp.Rational
    factor: sp.Rational
    shift: sp.Matrix
    constant: sp.Rational

    def expression(self, y: list[sp.Symbol]) -> sp.Expr:
        """The loss."""
        z = list(self.turn.T * (sp.Matrix(y) - self.shift) / self.size)
        total = self.constant
        for part in self.parts:
            mine, z = z[: part.entries], z[part.entries :]
            total += self.factor * part.loss(*mine)
        return total

    def inner(self, start: list[float]) -> list[list[Any]]:
        """Exact `z` of a start of doubles, by part."""
        y = [Fraction(x) - _fraction(b) for x, b in zip(start, self.shift, strict=True)]
        n = len(y)
        z = [
            sum(_fraction(self.turn[i, k]) * y[i] for i in range(n)) / _fraction(self.size)
            for k in range(n)
        ]
        numbers = [mp.mpf(x.numerator) / x.denominator for x in z]
        found = []
        for part in self.parts:
            found.append(numbers[: part.entries])
            numbers = numbers[part.entries :]
        return found

    @property
    def clock(self) -> Any:
        """`c/s^2`."""
        rate = _fraction(self.factor) / _fraction(self.size) ** 2
        return mp.mpf(rate.numerator) / rate.denominator

    def limit(self, start: list[float]) -> Any:
        """Loss to which it falls."""
        factor, constant = _mp(self.factor), _mp(self.constant)
        z = self.inner(start)
        return constant + factor * sum(
            mp.mpf(p.limit(a)) for p, a in zip(self.parts, z, strict=True)
        )

    def at(self, start: list[float], t: float) -> dict[str, Any]:
        """Excess, loss, length of the gradient, and the state at a time."""
        z, tau = self.inner(start), self.clock * mp.mpf(t)
        above = sum(p.above(a, tau) for p, a in zip(self.parts, z, strict=True))
        now, slopes, losses = [], [], []
        for p, a in zip(self.parts, z, strict=True):
            place = p.flow(a, tau)
            now += place
            losses.append(p.value(*place) if p.value else p.limit(a) + p.above(a, tau))
            slopes += p.pulls(a, tau) if p.pulls else p.slope(place)
        n = len(now)
        turn, size = self.turn.tolist(), _mp(self.size)
        state = [
            _mp(self.shift[i]) + size * mp.fsum(_mp(turn[i][k]) * now[k] for k in range(n))
            for i in range(n)
        ]
        factor = _mp(self.factor)
        return {
            "excess": factor * above,
            "loss": _mp(self.constant) + factor * mp.fsum(losses),
            "gradient_norm": factor / size * mp.sqrt(mp.fsum(s * s for s in slopes)),
            "state": state,
            "inner": now,
        }

    def law(self, start: list[float]) -> sp.Expr | None:
        """Excess as an expression in `T`, where all parts have one."""
        z = self.inner(start)
        if any(p.law is None for p in self.parts):
            return None
        total = sum(p.law(a) for p, a in zip(self.parts, z, strict=True))
        return self.factor * total.subs(T, digits(self.clock) * T)


def _fraction(x: Any) -> Fraction:
    x = sp.Rational(x)
    return Fraction(int(x.p), int(x.q))


def _mp(x: Any) -> Any:
    x = sp.Rational(x)
    return mp.mpf(int(x.p)) / int(x.q)
