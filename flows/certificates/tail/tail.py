r"""The tail: from some time on the shape contracts for ever, and the limits exist.

Radii are proposed here, and enlarged until :func:`flows.certificates.verifier.tail.lasting` proves
that the flow stays in its box. Data are a clock ``s_T = 1/(t0 + T)``, a shape ``cbar``, and radii.
Let the box hold all ``|c - cbar| <= e + 2 d``, ``|a| <= s_T R/n``, ``|r0| <= s_T^2 R0``, ``0 <= X
<= s_T^2``, and ``g`` within ``D`` of where it is at ``T``. If

1. at ``T``, ``|c - cbar| < e``, ``|rho| < R``, ``|sigma| < R0``,
2. on the box ``|sum B|/2pi < (n/2 - 2 s_T) R`` and ``s_T |sum A|/2pi < (n/2 - 2 s_T) R0``,
3. ``s_T^2 |G|/2 < D``,
4. ``<x, DF x> <= -rate |x|^2`` for ``x`` across the rotations of any shape within ``d`` of
   ``cbar``,
5. ``|F(cbar)| < rate (e - j)``, and at ``s = 0`` ``|F(cbar)| < rate d``,

then the flow stays in the box, up to one rotation of the space across the teacher: a first time of
exit contradicts one of them. The distance to the rotations of ``cbar`` is what contracts. At ``s =
0`` the box is invariant under a gradient flow, so it holds a zero ``c*``, within ``d``; and with
``D+ e <= -rate e + K s`` shapes converge to its rotations.

In 5 ``|rho|`` is ``P/k``, ``P = sup |sum B|/2pi`` and ``k = n/2 - 2 s_T``: what it is more at first
falls like ``exp(-k (t - T))``, and adds ``j = s_T^2 |D_a F| |rho(T)|/(n k)`` to ``e`` at most, so 1
is asked of ``|c - cbar| + j``.

A neuron of length ``h`` has the direction ``y/h``, and errors of this direction fall at a rate like
``1/h``. A cube that holds the error of the slowest direction holds any direction of a short neuron.
So where cubes fail, ``c = cbar + P x``, ``|x| <= e``, with a matrix ``P`` that is the more narrow
the faster errors fall: distances of shapes are those of ``x``, and ``DF`` is ``P^-1 DF P``. At the
nearest rotation ``x`` is orthogonal to what a rotation does to ``P^-1 c``.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from flint import arb, ctx

from flows.certificates.chebyshev import rounded
from flows.certificates.decision import up
from flows.certificates.stated import LEAST, ROOM, Open, enlarged
from flows.certificates.tail.late import Late, exact
from flows.certificates.verifier.curve import norm
from flows.certificates.verifier.ellipsoid import middles
from flows.certificates.verifier.late_flow import rates
from flows.certificates.verifier.reading import Refused
from flows.certificates.verifier.tail import lasting

Ball = Any  # flint.arb

#: The zero of the limiting field is sought so often.
NEWTON = 60
#: A limit is this part of the first distance away, where it is tried first.
NEAR = 2.0**-20
#: Directions in which errors fall more slowly than that are not made narrow; the others like a
#: power of the rate.
SLOWEST, POWER = 0.5, 0.65
#: What is proved of a tail: limits of ``t^3 L`` and ``h``, and bounds of ``(1 + t)^3 L``.
Limits = tuple[Ball, Any, Ball]


def zero(late: Late) -> Any:
    """A zero of the limiting field near a shape, by Newton's method with the least step.

    Raises
    ------
    Open
        Where it leaves.
    """
    still = late.resting()
    c = _scaled(still, exact(late.c))
    for _ in range(NEWTON):
        field, form = _newton(still, c)
        size = float(norm(field.ravel()))
        if not np.isfinite(size):
            break
        values, vectors = np.linalg.eigh(middles(form))
        # In the eigenbasis of doubles: linear convergence, at their precision a step.
        inverse = np.vectorize(arb, otypes=[object])(vectors @ np.diag(1 / values) @ vectors.T)
        step = exact(inverse @ field.ravel()).reshape(c.shape)
        if not float(norm(step.ravel())) <= 0.5 * float(norm(c.ravel())):
            break
        c = exact(c + step)
        if size < 2.0 ** (16 - ctx.prec):
            return c
    else:
        return c
    raise Open("no limiting shape is near: Newton's method leaves")


def _newton(still: Late, c: Any) -> tuple[Any, Any]:
    """The limiting field at a shape, and minus its derivative, rotations held."""
    try:
        found = rates(still.basis @ c, still.h, arb(0))
    except Refused as reason:
        raise Open(f"no limiting shape is near: {reason}") from None
    return exact(c - still.basis.T @ found.b), still.held(still.derivative(found), c)


def _scaled(still: Late, c: Any) -> Any:
    """A shape at its best size: ``Lambda`` is of degree three, so ``|c|^2 = <c, grad Lambda>``.

    An early shape is too small by the time that its clock is off.
    """
    field, _ = _newton(still, c)
    pull = float((c * (c - field)).sum())
    size = float((c * c).sum()) / pull if pull > 0 else 1.0
    return exact(c * arb(size)) if np.isfinite(size) and size > 0 else c


def prove(late: Late, shape: Any, clock: float, bits: int) -> tuple[dict[str, Any], Limits]:
    """Find radii for which the inequalities hold about a shape, and what follows.

    Raises
    ------
    Open
        With the inequality that fails.
    """
    c = np.array([arb((rounded(x, bits), -bits)) for x in shape.ravel()]).reshape(shape.shape)
    _, form = _newton(late.resting(), c)
    values, vectors = np.linalg.eigh(middles(form))
    if not values[0] > 0:
        raise Open(
            f"the limiting shape near t^3 L = {float((c * c).sum()) / 3:.6g} is a saddle: "
            f"a rate is {values[0]:.3g}, not positive"
        )
    near = NEAR * up(late.e + norm((late.c - c).ravel()))
    radii = {"e": 0.0, "d": near, "across": up(late.across), "along": up(late.along), "drift": 0.0}
    stated = {
        "shape": [f"{rounded(x, bits):x}" for x in c.ravel()],
        **{name: (ROOM * x + LEAST).hex() for name, x in radii.items()},
        "rate": float(values[0]).hex(),
    }

    def check(stated: dict[str, Any]) -> tuple[Late, Limits]:
        found = copy.copy(late)
        return found, lasting(found, stated, arb(clock), bits)

    narrow = vectors / np.maximum(np.abs(values), SLOWEST) ** POWER
    try:
        stated, (found, limits) = enlarged(stated, check)
    except Open as reason:  # the first one is simpler
        try:
            bent = stated | {"frame": [[float(x).hex() for x in row] for row in narrow]}
            stated, (found, limits) = enlarged(bent, check)
        except Open:
            raise reason from None
    return stated | {"rate": (-found.growth).hex()}, limits
