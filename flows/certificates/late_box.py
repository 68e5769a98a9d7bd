r"""Quantities of neurons after the end of a finite certificate, divided by powers of a clock.

There every quantity is a power of a clock ``s`` times a factor that stays bounded, such as ``L =
s^3 Lambda`` and ``Z = s sum |y_i - y_j|``, and time is ``t = pace/s - t0``. In the two sides of a
comparison, divided by the leading power of the right one, SymPy cancels the clock; what is left is
evaluated on boxes, the last of which reaches to ``s = 0``.

Of what is used of a box, ``dz_i/dt = -s^2 (y_i - y_i')``, where ``y' = E F + a'``, so that
distances ``|y_i - y_j|`` and their rates do not depend on ``a``; and ``|grad L|^2 = s^4 (|c - F|^2
+ |(n/2) rho + sum B/2pi|^2/n + |s G|^2 + ((n/2) sigma + s sum A/2pi)^2/n)``.

Neurons at zero are no part of the late flow. Their lengths are zero, their directions may be any.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp
from flint import arb

from flows.certificates.boxes import Enclosure, at_each_index
from flows.certificates.living import Living
from flows.certificates.tail.late import Late
from flows.certificates.verifier.curve import UNIT, norm
from potentials.notation import FROZEN, symbol
from potentials.potential import Over

Ball = Any  # flint.arb

#: Powers of the clock in what falls; what is not named here and is known does not.
POWERS = {
    "loss": 3,
    "loss_dot": 4,
    "distance": 1,
    "pairwise_distance": 1,
    "pairwise_distance_dot": 2,
    "zeta": 1,
    "z_max": 1,
    "z_min": 1,
    "theta": 1,
    "angle_max": 1,
    "rho": 2,
    "residual_norm": 2,
    "residual_projection": 2,
    "gradient_norm": 2,
}
#: Of these what is not positive has no power in any claim.
FALLING = frozenset(POWERS) - {"loss_dot", "rho", "residual_projection", "pairwise_distance_dot"}
CLOCK, S = sp.Symbol("clock", real=True), sp.Symbol("s", positive=True)
PACE = sp.Symbol("pace", positive=True)


@functools.cache
def scaled(left: sp.Expr, right: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """Two expressions divided by the leading power of the clock in the second one."""
    sides = [_in_clock(x) for x in (left, right)]
    power = _leading(sides[1])
    named = {sp.Symbol(name, positive=name in FALLING or None): symbol(name) for name in POWERS}
    first, second = (sp.powsimp(sp.expand_mul(x * S**-power)).subs(named) for x in sides)
    return first, second


def _in_clock(expression: sp.Expr) -> sp.Expr:
    """An expression in bounded factors and the clock, whose powers are taken out of sums."""
    moved = {
        # Positive so that powers of products part: a form that holds for either sign.
        x: S ** POWERS[x.name] * sp.Symbol(x.name, positive=x.name in FALLING or None)
        for x in expression.free_symbols
        if x.name in POWERS
    }
    moved[symbol("t")] = PACE / S - CLOCK
    inner = expression.subs(moved, simultaneous=True)
    inner = inner.replace(lambda x: x.is_Pow and x.base.is_Add and x.base.has(S), _taken_out)
    return sp.powsimp(sp.expand_mul(sp.expand_power_base(inner)))


def _taken_out(power: sp.Expr) -> sp.Expr:
    """A power of a sum, the leading power of the clock before it."""
    base, exponent = power.as_base_exp()
    leading = _leading(base)
    rest = sp.powsimp(sp.expand_mul(base * S**-leading))
    return S ** (leading * exponent) * rest**exponent


def _leading(expression: sp.Expr) -> sp.Expr:
    """Least exponent of the clock in the terms of a sum."""
    terms = sp.Add.make_args(sp.expand_mul(expression))
    return min(term.as_powers_dict().get(S, sp.S.Zero) for term in terms)


@dataclass
class Shared:
    """What late boxes share.

    Parameters
    ----------
    enclosure : Enclosure
        The finite part, of all neurons.
    living : Living
        Those that are left.
    clock, teacher : arb
        ``t0``, and the teacher's length.
    frozen : set of str
        Marks of the finite part that are marks of all times.
    """

    enclosure: Enclosure
    living: Living
    clock: Ball
    teacher: Ball
    frozen: set[str]


class LateBox(dict[str, Any]):
    """Quantities on a box of the late flow, divided by their powers of the clock."""

    def __init__(
        self, shared: Shared, late: Late, first: Ball, last: Ball, energy: Ball, pace: Ball
    ) -> None:
        s = first.union(last).nonnegative_part()
        super().__init__(
            {**_constants(shared.enclosure), "clock": shared.clock, "s": s, "pace": pace}
        )
        self.shared = shared
        self.time = pace / first - shared.clock
        n, basis, v, h = late.n, late.basis, shared.teacher, late.h
        c, y, across, along, rates = late.box
        falling = basis.T @ rates.b
        mean = norm(rates.b.sum(axis=0)) + n * across / 2
        pairs = [basis[i] - basis[j] for i, j in itertools.combinations(range(n), 2)]
        gaps, moves = ([column @ x for column in pairs] for x in (c, -falling))
        falls = UNIT * mean / n - basis @ falling
        zeta = [norm(x) for x in y]
        size = [(a * a + s * s * b * b).sqrt() for a, b in zip(h, zeta, strict=True)]
        angles = [_angle(a, b, s) for a, b in zip(h, zeta, strict=True)]
        for name, values in (("h", h), ("zeta", zeta), ("norm", size)):
            self[name] = shared.living.neurons([v * x for x in values])
        self["theta"] = shared.living.neurons(angles)
        turned = [_between(a, b) for a, b in itertools.combinations(y, 2)]
        self["kappa"] = shared.living.pairs(turned)
        distances = self["distance"] = shared.living.pairs(
            [v * norm(gap) for gap in gaps], self["zeta"]
        )
        closing = shared.living.pairs(
            [v * _component(gap, move) for gap, move in zip(gaps, moves, strict=True)],
            shared.living.neurons([v * _component(a, b) for a, b in zip(y, falls, strict=True)]),
        )
        self["pairwise_distance"] = sum(distances, arb(0))
        self["pairwise_distance_dot"] = sum(closing, arb(0))
        for name, of in (("kappa_max", "kappa"), ("angle_max", "theta"), ("z_max", "zeta")):
            self[name] = functools.reduce(lambda a, b: a.max(b), self[of])
        self["z_min"] = functools.reduce(lambda a, b: a.min(b), self["zeta"])
        self["rho"] = v * UNIT * along
        self["residual_projection"] = -self["rho"]
        rest = (across**2 + along**2).sqrt()
        self["residual_norm"] = v * arb(0).union(rest)
        self["loss"] = (v * v * energy).nonnegative_part()
        sums = s.upper() * abs(rates.a.sum()) + n * along / 2
        drift = s.upper() * norm(basis.T @ rates.a)
        other = arb(0).union((mean * mean + sums * sums) / n + drift * drift)
        square = (falling * falling).sum().nonnegative_part() + other
        self["gradient_norm"], self["loss_dot"] = v * square.sqrt(), -v * v * square

    def inside(
        self, where: Sequence[sp.Expr], over: Over, strict: Sequence[bool] = ()
    ) -> list[bool | None]:
        """Whether conditions hold: surely, surely not, or None, at each index.

        They are ``x >= 0``, or ``x > 0`` where they are strict.
        """
        strict = strict or [False] * len(where)
        try:
            rows = self.at([scaled(x, x)[0] for x in where], over)
        except KeyError:  # what is not enclosed for ever selects neither surely
            return [None] * self.shared.enclosure.count[over]
        return [
            False
            if any(x < 0 or (no and x <= 0) for x, no in zip(row, strict, strict=True))
            else True
            if all(x > 0 for x in row)
            else None
            for row in rows
        ]

    def __missing__(self, name: str) -> Any:
        """Constants, and what was frozen at marks of the finite part."""
        enclosure = self.shared.enclosure
        for suffix in FROZEN:
            if name.endswith(suffix) and suffix[1:] in self.shared.frozen:
                return enclosure.frozen[suffix[1:]][name.removesuffix(suffix)]
        if name in self.shared.frozen:
            return enclosure.frozen[name]["t"]
        raise KeyError(f"{name} is not enclosed for ever")

    def at(self, expressions: Sequence[sp.Expr], over: Over) -> list[tuple[Ball, ...]]:
        """Evaluate expressions in bounded factors at each index."""
        return at_each_index(expressions, self, self.shared.enclosure.count[over])


def _constants(enclosure: Enclosure) -> dict[str, Ball]:
    """The end of the finite part is none."""
    return {k: v for k, v in enclosure.constants.items() if k != "t_end"}


def _component(gap: Any, move: Any) -> Ball:
    """``<gap, move>/|gap|``, whose size is that of the move at most."""
    length = norm(gap)
    return gap @ move / length if length > 0 else UNIT * norm(move)


def _angle(h: Ball, zeta: Ball, s: Ball) -> Ball:
    """``atan(s zeta/h)/s``, as ``atan(u)/u`` is between ``1 - u^2/3`` and 1."""
    if not h > 0:
        return arb.nan()
    u = (s * zeta / h).upper()
    return zeta / h * arb(1).union(1 - u * u / 3)


def _between(a: Any, b: Any) -> Ball:
    """Angle of two vectors, any where one may vanish."""
    minors = [a[j] * b[k] - a[k] * b[j] for j, k in itertools.combinations(range(len(a)), 2)] or [
        arb(0)
    ]
    angle = arb.atan2(norm(np.array(minors)), a @ b).nonnegative_part()
    return angle if angle.is_finite() else arb(0).union(arb.pi())
