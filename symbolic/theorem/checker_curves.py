"""Whether a polynomial in x, sine and cosine is never negative on an interval, by python-flint."""

from __future__ import annotations

from typing import Any

from flint import arb, fmpq

from symbolic.theorem.checker_terms import leibniz, melt, num, one, put

__all__ = ["never_negative"]

HALF_TURNS = ((0, 1), (1, 0), (0, -1), (-1, 0))  # sine and cosine of multiples of pi/2
BOXES = 4000


def ball(p: Any, x: str, at: arb) -> arb:
    def atom(a: Any) -> arb:
        if a[0] == "s":
            return arb.pi() if a[1] == "pi" else at
        inner = ball(melt(a[1]), x, at)
        return inner.sin() if a[0] == "sin" else inner.cos()

    found = arb(0)
    for m, c in p.items():
        product = arb(c)
        for a in m:
            product *= atom(a)
        found += product
    return found


def slope(p: Any, x: str) -> Any:
    """Derivative by x."""

    def atom(a: Any) -> Any:
        if a[0] == "s":
            return num(int(a[1] == x))
        outer = one("cos", a[1]) if a[0] == "sin" else -one("sin", a[1])
        return outer * slope(melt(a[1]), x)

    return leibniz(p, atom)


def vanishes(p: Any, x: str, end: Any) -> bool:
    """Whether p is zero at a multiple of pi/2, exactly: pi is no root of a polynomial."""
    out = num(0)
    for m, c in put(p, {x: end}).items():
        product = num(c)
        for a in m:
            if a[0] == "s":
                product *= one(*a)
                continue
            turns = melt(a[1]) * 2
            k = next(iter(turns.values()), fmpq(0))
            if not set(turns) <= {(("s", "pi", (), ""),)} or k.q != 1:
                return False
            product *= HALF_TURNS[int(k.p) % 4][a[0] == "cos"]
        out += product
    return not out


def never_negative(p: Any, x: str, low: Any, high: Any) -> bool:
    """Whether p >= 0: by its first derivative that is not zero near an end, by balls between."""
    a, b = (ball(e, x, arb(0)) for e in (low, high))
    if not a < b:
        return False
    inner = []
    for end, at, side in ((low, a, 1), (high, b, -1)):
        order, f = 0, p
        while order < 8 and vanishes(f, x, end):
            f, order = slope(f, x), order + 1
        f = f * side**order
        steps = (at + side * (b - a) / 2**k for k in range(20))
        spans = ((s, (at, s) if side > 0 else (s, at)) for s in steps)
        near = next((s for s, (u, w) in spans if positive(f, x, u, w, 64)), None)
        if near is None:
            return False
        inner.append(near)
    return bool(inner[0] >= inner[1]) or positive(p, x, inner[0], inner[1], BOXES)


def positive(p: Any, x: str, a: arb, b: arb, boxes: int) -> bool:
    """Whether balls show p > 0 on [a, b], by halving, in mean value form."""
    todo, rise = [(a, b)], slope(p, x)
    for _ in range(boxes):
        if not todo:
            return True
        u, w = todo.pop()
        box, middle = u.union(w), (u + w) / 2
        tight = ball(p, x, middle) + ball(rise, x, box) * (box - middle)
        if not (ball(p, x, box) > 0 or tight > 0):
            todo += [(u, middle), (middle, w)]
    return not todo
