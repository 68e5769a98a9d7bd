"""Whether a polynomial in x, sine and cosine is never negative on an interval, by python-flint."""

from __future__ import annotations

from typing import Any

from flint import arb, fmpq

from symbolic.theorem.checker_terms import ice, melt, mul, num, one, plus, put, rate, sym

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
    moved = rate(put(p, {x: one("s", "curve", (), "t")}))
    back = {("d", ice(one("s", "curve", (), "t"))): num(1), ("s", "curve", (), "t"): sym(x)}

    def atom(a: Any) -> Any:
        return (
            back[a]
            if a in back
            else one(a[0], ice(swap_in(melt(a[1]))))
            if a[0] != "s"
            else {(a,): fmpq(1)}
        )

    def swap_in(q: Any) -> Any:
        return plus(*(mul(num(c), *map(atom, m)) for m, c in q.items()))

    return swap_in(moved)


def vanishes(p: Any, x: str, end: Any) -> bool:
    """Whether p is zero at a multiple of pi/2, exactly: pi is no root of a polynomial."""
    at = put(p, {x: end})
    out = num(0)
    for m, c in at.items():
        product = num(c)
        for a in m:
            if a[0] != "s":
                turns = mul(num(2), melt(a[1]))
                if not set(turns) <= {(("s", "pi", (), ""),)}:
                    return False
                k = next(iter(turns.values()), fmpq(0))
                if k.q != 1:
                    return False
                product = mul(product, num(HALF_TURNS[int(k.p) % 4][a[0] == "cos"]))
            else:
                product = mul(product, {(a,): fmpq(1)})
        out = plus(out, product)
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
        f = mul(num(side**order), f)
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
