r"""Setting of the lower bound: neurons, their parts across the teacher, their flow, a window.

The setting is one of vectors `w_i`, of which the flow of `z_i`, orthogonal to the teacher, is known
from `pair_flow()`. What the proofs need beyond it is in the statements.

Source: Xu & Du, COLT 2023, arXiv 2302.10034.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import sympy as sp

from symbolic.lemmas.dual_kernel import ALPHA, BETA, THETA
from symbolic.systems.relu_neuron.flow import pair_flow
from symbolic.theorem import kernel
from symbolic.theorem.formulas import Distinct, Forall, Formula, eq, ge, gt
from symbolic.theorem.proving import add, known
from symbolic.theorem.terms import PI, N, Poly, T, Vec, function, number, symbol, total

START = symbol("T")
V, C = symbol("v"), symbol("c")  # |v| and the cosine of the angle that is kept
LOSS = symbol("L", time="t")
E = Vec.symbol("e")  # the teacher's direction
Y = Vec.symbol("y")
PAIR = Distinct("a", "b")
AFTER = ge(T - START)


def w(i: str) -> Vec:
    """Neuron i."""
    return Vec.symbol("w", i, time="t")


def z(i: str, time: str = "t") -> Vec:
    """Its part orthogonal to the teacher."""
    return Vec.symbol("z", i, time=time)


def size(i: str, time: str = "t") -> Poly:
    """`|z_i|`."""
    return z(i, time).norm()


def reciprocal(i: str) -> Poly:
    """`1/|w_i|`."""
    return symbol("r", i, time="t")


def cosine_gap(i: str, j: str, time: str = "t") -> Poly:
    """`<z_i, z_j> - c |z_i||z_j|`: positive where the angle is below `arccos c`."""
    return z(i, time).dot(z(j, time)) - C * size(i, time) * size(j, time)


def distances(time: str = "t") -> Poly:
    """`sum_k sum_l |z_k - z_l| = 2 Z`."""
    return total("k", total("l", (z("k", time) - z("l", time)).norm()))


def sin(x: Any) -> Poly:
    """Sine."""
    return function("sin", x)


def cos(x: Any) -> Poly:
    """Cosine."""
    return function("cos", x)


def translated(f: sp.Expr, by: dict[sp.Symbol, Poly]) -> Poly:
    """Turn a SymPy polynomial in symbols, their inverses, sines and cosines into a term."""
    if f.is_Rational:
        return number(Fraction(int(f.p), int(f.q)))
    if f == sp.pi:
        return PI
    if f in by:
        return by[f]
    if isinstance(f, sp.sin | sp.cos):
        return function(type(f).__name__, translated(f.args[0], by))
    parts = [translated(a, by) for a in f.args] if f.is_Add or f.is_Mul else []
    if f.is_Add:
        return sum(parts[1:], parts[0])
    if f.is_Mul:
        product = number(1)
        for part in parts:
            product = product * part
        return product
    if f.is_Pow and f.exp.is_Integer:
        base = sp.Pow(f.base, sp.sign(f.exp))
        return translated(base, by) ** int(abs(f.exp)) if base != f else by[f]
    raise ValueError(f"{f} is no polynomial in the given symbols")


def neuron_pull(i: str, j: str, length: Poly, angle: Poly) -> tuple[Poly, Poly]:
    """`2 pi own, 2 pi other` of `pair_flow` for neuron i against a vector of that length, angle."""
    by = {1 / ALPHA: reciprocal(i), BETA: length, THETA: angle}
    own, other = (translated(sp.expand(2 * sp.pi * f), by) for f in pair_flow())
    return own, other


def flow() -> Forall:
    """`<z_i', y>` for all y, from `pair_flow`; `own` vanishes and `other` is 1/2 at angle zero."""
    own, other = neuron_pull("i", "j", w("j").norm(), w("i").angle(w("j")))
    teacher, _ = neuron_pull("i", "v", V, w("i").angle(E))
    pull = total("j", own) * z("i").dot(Y) + total("j", other * z("j").dot(Y))
    rate = 2 * PI * z("i").prime.dot(Y) + pull - teacher * z("i").dot(Y)
    return Forall(("i", "t", "y"), (AFTER,), eq(rate))


def always(*bound: str, body: Any) -> Forall:
    """For all `t >= T`, and for all that the names stand for."""
    return Forall((*bound, "t"), (AFTER,), body)


TH_I = w("i").angle(E)
SPLIT = Forall(
    ("i", "t", "y"), (AFTER,), eq(z("i").dot(Y) - w("i").dot(Y) + w("i").dot(E) * E.dot(Y))
)
INVERSE = always("i", body=eq(reciprocal("i") * w("i").norm() - 1))
UNIT = eq(E.norm() - 1)
FLOOR = always("i", body=ge(4 * PI * LOSS - w("i").norm() ** 2 * (TH_I - sin(TH_I) * cos(TH_I))))
LIGHT = always("i", body=ge(4 * N * w("i").norm() - V))
HEAVY = always("i", body=ge(4 * V - N * w("i").norm()))
ACUTE = always("i", body=ge(PI / 2 - TH_I))
WIDE = ge(-cosine_gap("a", "b", "T"))
SETTING: dict[Formula, str] = {
    UNIT: "e is the teacher's direction, a unit vector",
    SPLIT: "z_i is the part of w_i orthogonal to e",
    INVERSE: "w_i is not zero; r_i = 1/|w_i|",
    flow(): "axiom flow of z_i: the gradient flow, computed from pair_flow()",
    FLOOR: "axiom floor: where v.x < 0 the loss is at least one neuron's own square",
    LIGHT: "phase 3: |v|/(4n) <= |w_i|",
    HEAVY: "phase 3: |w_i| <= 4|v|/n",
    ACUTE: "phase 3: theta_i <= pi/2",
    gt(V): "|v| > 0",
    ge(C): "c = cos(kappa), kappa <= pi/2",
    gt(1 - C): "kappa > 0",
    PAIR: "two neurons a, b",
    WIDE: "whose z are at angle kappa or more at time T",
    AFTER: "t >= T",
}


X = symbol("x")
ZERO = number(0)
PI_POSITIVE = kernel.constants(Fraction(3), Fraction(22, 7))[0]
POSITIVE_PI = add(PI_POSITIVE, known(3), strict=True)
NEURON = add(kernel.count(), known(1), strict=True)  # n > 0
TEACHER = kernel.assume(gt(V))
OPEN = kernel.assume(gt(1 - C))
COSINE = kernel.assume(ge(C))
