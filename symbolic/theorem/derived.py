"""Rules made of the kernel's rules; nothing here is trusted, as the kernel makes every theorem."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symbolic.theorem import kernel
from symbolic.theorem.formulas import Forall, ge, gt
from symbolic.theorem.kernel import Theorem
from symbolic.theorem.proving import add, discharge, given
from symbolic.theorem.terms import Poly, T, Vec, function, names, rate, replaced, symbol

__all__ = ["cancel", "cases", "gronwall", "integrate", "power", "star", "trap"]


def cases(above: Theorem, below: Theorem, e: Poly) -> Theorem:
    """From `H, e >= 0 |- c` and `G, -e > 0 |- c` follows `H, G |- c`."""
    family = Forall((), (), gt(-e))
    negative = kernel.spec(family, {})
    if negative.concl not in below.hyps:
        return below
    return kernel.exhaust(kernel.cut(below, negative, negative.concl), above, family)


def cancel(product: Theorem, factor: Theorem, e: Poly) -> Theorem:
    """From `H |- f e op 0` and `G |- f > 0` follows `H, G |- e op 0`."""
    if product.concl.op == "=":
        sides = (kernel.combine(ge(s * product.concl.poly), (s, [product])) for s in (1, -1))
        return kernel.antisymmetry(
            *(cancel(x, factor, s * e) for x, s in zip(sides, (1, -1), strict=True))
        )
    if product.concl.op == ">":
        goal, other = gt(e), ge(-e)
    else:
        goal, other = ge(e), gt(-e)
    false = kernel.combine(gt(0), (1, [product]), (1, [factor, kernel.assume(other)]))
    wrong, right = kernel.contradiction(false, goal), kernel.assume(goal)
    return cases(wrong, right, -e) if goal.op == ">" else cases(right, wrong, e)


def power(powers: Theorem, least: Theorem, a: Poly, b: Poly, k: int) -> Theorem:
    """From `H |- a^k - b^k >= 0` and `G |- a >= 0` follows `H, G |- a - b >= 0`."""
    if k == 1:
        return powers
    less = kernel.assume(gt(b - a))
    more = add(less, least, strict=True)  # b > 0
    parts = [(1, [more] * (k - 1))]
    parts += [(1, [more] * (k - 1 - j) + [least] * j) for j in range(1, k)]
    false = add((1, [less, add(*parts, strict=True)]), strict=True)
    false = kernel.combine(gt(0), (1, [false]), (1, [powers]))
    return cases(kernel.assume(ge(a - b)), kernel.contradiction(false, ge(a - b)), a - b)


def star(th: Theorem, kl: tuple[str, str], x: str, p: str, q: str) -> Theorem:
    """From `H |- a_kl >= 0` follows `H, p != q |- sum_kl a_kl - 2 a_xp - 2 a_xq >= 0`.

    `a_kl = a_lk`, `a_kk = 0`; k and l are not free in `H`.
    """
    th = kernel.subst(th, dict(zip(kl, ("row", "column"), strict=True)))  # x may be k or l
    legs = kernel.pick(kernel.subst(th, {"row": x}), "column", (p, q))
    rows = kernel.pick(kernel.pick(th, "column", (x,)), "row", (x,))
    return add(rows, (2, [legs]))


def grown(th: Theorem, k: Poly, u: Poly, lengths: Sequence[Theorem], ends: Any) -> Theorem:
    """From `H, s <= t <= e |- rate(u) + k u >= 0`: `u(e) - exp(-k (e - s)) u(s) >= 0`."""
    start, end = ends
    past = k * (T - symbol(start))
    factor = function("exp", past)
    u_end = replaced(u, {"t": end})
    slope = add((1, [kernel.derive(u * factor)]), (1, [kernel.exp_sign(past), th]))
    grows = kernel.monotone(discharge(slope, *lengths), lengths, u * factor, start, end)
    # u(e) exp(k (e - s)) >= u(s) exp(0), times exp(-k (e - s))
    now = replaced(past, {"t": end})
    inverse = add((-1, [kernel.exp_sum(now, -now)]), kernel.exp_zero())  # product of both is 1
    back = function("exp", -now)
    return add(
        (1, [kernel.exp_sign(-now), grows]),
        (-1 * u_end, [inverse]),
        (back * replaced(u, {"t": start}), [kernel.exp_zero()]),
    )


def gronwall(th: Theorem, k: Poly, u: Poly, start: str) -> Theorem:
    """From `H, t >= s |- d(u) + k u >= 0`, k constant: `u - u(s) exp(-k (t - s)) >= 0`."""
    if not k.terms:
        return kernel.monotone(th, (), u, start, "t")
    return grown(add(th, (-1, [kernel.derive(u)])), k, u, (), (start, "t"))


def trap(
    th: Theorem,
    positive: Theorem,
    lengths: Sequence[Theorem],
    begin: Theorem | None,
    f: Forall,
    mgs: tuple[Poly, Poly, str],
) -> Theorem:
    """A finite family of numbers that are positive stays so, forward or backward in time.

    `f` is `Forall(u > 0)` at time t, over indices. Forward: from `H, t >= s, f, guards |- m d(u) +
    g u >= 0` and `G, guards |- u(s) > 0` follows `H, G, t >= s, guards |- u > 0`. Backward: from
    `H, t >= s, f, guards |- -m d(u) + g u >= 0` follows `H, t >= s, f, guards |- u(s) > 0`.
    `m > 0` is constant, g bounded on bounded intervals; `|x| > 0` for each norm in u.
    """
    (m, g, first), u, side = mgs, f.body.poly, 1 if begin else -1
    taken = names(u) | names(m) | names(g) | set(f.bound)
    if taken & {"begin", "end", "last", "rise"}:
        raise ValueError("the names begin, end, last and rise are those of this rule")
    start, last = (first, "last") if begin else ("begin", first)
    now, then = symbol(start), symbol("end")
    inside = (ge(T - now), gt(then - T)) if begin else (ge(now - T), gt(T - then))
    always = Forall((*f.bound, "t"), (*f.guards, *inside), f.body)
    low, high = (start, "end") if begin else ("end", start)

    def inward(x: Theorem) -> Theorem:
        if f in x.hyps:
            x = kernel.cut(x, given(always), f)
        if not begin and ge(T - symbol(first)) in x.hyps:  # t > e >= first
            after = add(kernel.assume(ge(then - symbol(first))), kernel.assume(gt(T - then)))
            x = kernel.cut(x, after, after.concl)
        return x

    lengths = [inward(x) for x in lengths]
    roof = Forall(("t",), (ge(T - symbol(low)), ge(symbol(high) - T)), ge(m * symbol("rise") - g))
    rise = add((1, [inward(th)]), (1, [given(roof), given(always)]))
    slope = discharge(kernel.derive(u), *lengths)
    rise = add(rise, (-side * m, [slope]))  # side m rate(u) + m rise u >= 0
    rise = cancel(rise, positive, side * rate(u) + symbol("rise") * u)
    least = grown(rise, side * symbol("rise"), side * u, lengths, (low, high))
    past = side * symbol("rise") * (symbol(high) - symbol(low))
    sign = kernel.exp_sign(-past)
    where = {"t": start}
    source = begin or given(Forall(f.bound, f.guards, gt(replaced(u, where))))
    if begin:
        there = add((1, [sign, source]), least, strict=True)
    else:  # exp(rise (e - s)) u(low) >= u(high) > 0
        there = cancel(add(source, least, strict=True), sign, replaced(u, {"t": low}))
    there = kernel.bounded(there, positive, (m, g), (low, high, "rise"))
    whole = kernel.bootstrap(there, source, always, (start, "end", last), side)
    return kernel.subst(whole, {"last" if begin else "begin": "t"})


def integrate(th: Theorem, x: Vec, speed: Poly, ends: tuple[str, str]) -> Theorem:
    """From `H, s <= t <= e |- d(f) - |x'| >= 0` follows `f(e) - f(s) - |x(e) - x(s)| >= 0`.

    x is a vector symbol of t and `speed` is f, continuous and without norms.
    """
    start, end = ends
    y = Vec.symbol("y")
    u = speed * y.norm() - x.dot(y)
    slope = add(
        kernel.derive(u),
        (-1 * y.norm(), [kernel.derive(speed)]),
        (1, [kernel.norm_sign(y), th]),
        kernel.cauchy(x.prime, y),
    )
    moved = kernel.monotone(slope, (), u, start, end)
    after, before = (
        sum((Vec((((*a[:3], when), c),)) for a, c in x.parts), Vec(())) for when in (end, start)
    )
    step = after - before
    along = kernel.subst(moved, {"y": step})
    gain = replaced(speed, {"t": end}) - replaced(speed, {"t": start})
    product = add(along, (-1, [kernel.norm_square(step)]))  # |step| (gain - |step|) >= 0
    length = step.norm()
    far = cancel(product, kernel.assume(gt(length)), gain - length)
    # a step of length zero: f does not fall
    speed_up = add(th, kernel.norm_sign(x.prime))
    rest = kernel.monotone(speed_up, (), speed, start, end)
    still = add(rest, kernel.assume(ge(-length)))
    return cases(still, far, -length)
