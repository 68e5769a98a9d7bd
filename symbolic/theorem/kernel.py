r"""The rules that make theorems; nothing else does.

A theorem `H |- e op 0` says: for all reals, vectors and C^1 functions of time that its free names
stand for, if all of `H` hold then `e op 0`. A hypothesis is a relation `e op 0`, `p != q` for two
indices, or a closed `Forall`. "For all t >= T" is a theorem with `t` free and `t - T >= 0` in `H`;
a rule about time demands that `t` is free in no *other* hypothesis. Each docstring is the rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import InitVar, dataclass
from fractions import Fraction
from functools import partial
from typing import Any

from symbolic.theorem import curves, formulas, terms
from symbolic.theorem.formulas import Distinct, Forall, Formula, Rel, eq, free, ge, gt, put
from symbolic.theorem.terms import PI, N, Poly, Refused, T, Vec, names, number, symbol, total

_SEAL = object()
_sin, _cos, _exp = (partial(terms.function, kind) for kind in ("sin", "cos", "exp"))
_d, _low = partial(terms.function, "d"), partial(terms.function, "low")


@dataclass(frozen=True, eq=False, repr=False)
class Theorem:
    """`hyps |- concl`, with the rule, premises and arguments that made it."""

    hyps: frozenset[Formula]
    concl: Rel
    rule: str
    premises: tuple[Theorem, ...]
    args: tuple[Any, ...]
    seal: InitVar[object]

    def __post_init__(self, seal: object) -> None:
        """Refuse what no rule made, and a name that stands for things of two kinds."""
        if seal is not _SEAL:
            raise Refused("theorems are made by the rules of the kernel only")
        seen: dict[str, Any] = {"t": ("s", 0, False), "n": ("s", 0, False), "pi": ("s", 0, False)}
        for formula in (*self.hyps, self.concl):
            if any(name[0] in "_~" for name in free(formula)):
                raise Refused("a bound index is free")
            for name, kind in formulas.kinds_of(formula):
                if not (isinstance(name, str) and name):
                    raise Refused("a name has letters; without any it would be overlooked")
                if seen.setdefault(name, kind) != kind:
                    raise Refused(f"the name {name!r} stands for things of two kinds")


def _need(condition: Any, why: str) -> None:
    if not condition:
        raise Refused(why)


def _made(rule: str, hyps: Any, concl: Rel, premises: Any = (), *args: Any) -> Theorem:
    own = all(map(formulas.plain, args)) and all(type(th) is Theorem for th in premises)
    _need(own, "an argument that is no term, formula, name, number or theorem")
    return Theorem(frozenset(hyps), concl, rule, tuple(premises), args, _SEAL)


def _hyps(*theorems: Theorem) -> frozenset[Formula]:
    return frozenset().union(*(th.hyps for th in theorems))


def assume(f: Rel) -> Theorem:
    """`f |- f`."""
    _need(isinstance(f, Rel), "only a relation may be assumed so; use spec")
    return _made("assume", {f}, f, (), f)


def spec(f: Forall, by: Mapping[str, Any]) -> Theorem:
    """`Forall, guards[by] |- body[by]` for terms put for all bound names."""
    by = dict(by)
    _need(set(by) == set(f.bound), f"terms are needed for {f.bound}, came {sorted(by)}")
    new = terms.fair(by)
    hyps = {f, *(put(g, new) for g in f.guards)}
    return _made("spec", hyps, put(f.body, new), (), f, by)


def subst(th: Theorem, by: Mapping[str, Any]) -> Theorem:
    """From `H |- c` follows `H[by] |- c[by]`; no capture, nothing moving under a derivative."""
    new = terms.fair(by)
    return _made("subst", {put(h, new) for h in th.hyps}, put(th.concl, new), (th,), new)


def cut(th: Theorem, by: Theorem, f: Formula) -> Theorem:
    """From `H, f |- c` and `G |- f` follows `H, G |- c`.

    For a `Forall` f: from `G, guards |- body`, no bound name free in `G`.
    """
    _need(f in th.hyps, "what is cut is no hypothesis")
    _need(not isinstance(f, Distinct), "that indices differ is no conclusion")
    rest = by.hyps
    if isinstance(f, Forall):
        rest = rest - set(f.guards)
        _need(not any(free(h) & set(f.bound) for h in rest), "a bound name is free elsewhere")
        _need(by.concl == f.body, "the body is not what was proved")
    else:
        _need(by.concl == f, "the hypothesis is not what was proved")
    return _made("cut", (th.hyps - {f}) | rest, th.concl, (th, by), f)


def index_cases(distinct: Theorem, same: Theorem, p: str, q: str) -> Theorem:
    """From `H, p != q |- c` and `G |- c[q:=p]`, `G` within `H[q:=p]`, follows `H |- c`."""
    hyps = distinct.hyps - {Distinct(p, q)}
    by = terms.fair({q: p})
    _need(same.concl == put(distinct.concl, by), "the case of equal indices proves something else")
    _need(same.hyps <= {put(h, by) for h in hyps}, "the case of equal indices assumes more")
    return _made("index_cases", hyps, distinct.concl, (distinct, same), p, q)


def exhaust(all_: Theorem, some: Theorem, f: Forall) -> Theorem:
    """From `H, Forall(u > 0) |- c` and `G, guards, -u >= 0 |- c` follows `H, G |- c`.

    No bound name is free in `G` or `c`.
    """
    _need(f.body.op == ">" and all_.concl == some.concl, "no case distinction of one conclusion")
    rest = some.hyps - set(f.guards) - {ge(-f.body.poly)}
    known = set().union(free(some.concl), *(free(h) for h in rest))
    _need(not known & set(f.bound), "a bound name is free elsewhere")
    return _made("exhaust", (all_.hyps - {f}) | rest, some.concl, (all_, some), f)


def contradiction(th: Theorem, goal: Rel) -> Theorem:
    """From `H |- q op 0`, false for the number `q`, follows `H |- goal`."""
    value = dict(th.concl.poly.terms).get((), Fraction(0))
    _need(th.concl.poly == number(value), "the premise is no statement about a number")
    true = {">=": value >= 0, ">": value > 0, "=": value == 0}
    _need(not true[th.concl.op], "the premise is true, so nothing follows from it")
    return _made("contradiction", th.hyps, goal, (th,), goal)


def combine(goal: Rel, *parts: tuple[Any, Sequence[Theorem]]) -> Theorem:
    """`H |- goal` where `goal = sum of c * product of premises`, an identity of polynomials.

    `c >= 0` is a number, or any term where a premise of the product is an equality; an equality
    needs equalities, a strict goal one summand `c > 0` of strict premises.
    """
    found, strict = number(0), False
    pairs = [(c, tuple(theorems)) for c, theorems in parts]
    for c, theorems in pairs:
        ops = [th.concl.op for th in theorems]
        if "=" not in ops:
            _need(goal.op != "=", "an equality follows from equalities only")
            _need(not isinstance(c, Poly) and Fraction(c) >= 0, "a factor must be a number >= 0")
            strict |= Fraction(c) > 0 and all(op == ">" for op in ops)
        product = number(c)
        for th in theorems:
            product = product * th.concl.poly
        found += product
    _need(goal.op != ">" or strict, "a strict goal needs a strict summand")
    _need(found == goal.poly, "the sum of the premises is not the goal")
    used = [th for _, theorems in pairs for th in theorems]
    return _made("combine", _hyps(*used), goal, used, goal, [(c, len(t)) for c, t in pairs])


def antisymmetry(least: Theorem, most: Theorem) -> Theorem:
    """From `H |- e >= 0` and `G |- -e >= 0` follows `H, G |- e = 0`."""
    e = least.concl.poly
    _need(least.concl == ge(e) and most.concl == ge(-e), "not the two sides of an equality")
    return _made("antisymmetry", _hyps(least, most), eq(e), (least, most))


def root(th: Theorem, sign: Theorem, name: str, k: int) -> Theorem:
    """From `H, x >= 0, x^k = e |- c` and `G |- e >= 0` follows `H, G |- c`; x nowhere else."""
    x = symbol(name)
    rest = th.hyps - {ge(x), eq(x**k - sign.concl.poly)}
    _need(k > 0 and sign.concl.op in (">=", ">"), "a root needs a number that is not negative")
    _need(name not in ("n", "pi", "t") and name not in names(sign.concl.poly), f"{name} is taken")
    _need(not any(name in free(h) for h in (*rest, th.concl)), f"{name} is free elsewhere")
    return _made("root", rest | sign.hyps, th.concl, (th, sign), name, k)


def constants(least: Fraction, most: Fraction) -> tuple[Theorem, Theorem]:
    """`|- pi - least > 0` and `|- most - pi > 0`."""
    least, most = Fraction(least), Fraction(most)
    _need(curves.pi_between(least, most), "not so for pi")
    return _made("pi", (), gt(PI - least), (), least), _made("pi", (), gt(most - PI), (), -most)


def pointwise(e: Poly, name: str, low: Poly, high: Poly) -> Theorem:
    """`x >= low, x <= high |- e >= 0`, e of x, sin, cos: PROVED inside, and e is continuous."""
    curves.prove(e, name, low, high)
    hyps = {ge(symbol(name) - low), ge(high - symbol(name))}
    return _made("pointwise", hyps, ge(e), (), e, name, low, high)


def _fact(rule: str, says: str, concl: Callable[..., Rel]) -> Callable[..., Theorem]:
    def fact(*args: Any) -> Theorem:
        return _made(rule, (), concl(*args), (), *args)

    fact.__doc__ = f"`|- {says}`."
    return fact


square = _fact("square", "e^2 >= 0", lambda e: ge(number(e) ** 2))
count = _fact("count", "n - 1 >= 0, as there is an index", lambda: ge(N - 1))
norm_square = _fact("norm_square", "|x|^2 - <x, x> = 0", lambda x: eq(x.norm() ** 2 - x.dot(x)))
norm_sign = _fact("norm_sign", "|x| >= 0", lambda x: ge(x.norm()))
cauchy = _fact("cauchy", "|x||y| - <x, y> >= 0", lambda x, y: ge(x.norm() * y.norm() - x.dot(y)))
angle_least = _fact("angle_least", "angle(x, y) >= 0", lambda x, y: ge(x.angle(y)))
angle_most = _fact("angle_most", "pi - angle(x, y) >= 0", lambda x, y: ge(PI - x.angle(y)))
angle_dot = _fact(
    *("angle_dot", "|x||y| cos(angle(x, y)) - <x, y> = 0"),
    lambda x, y: eq(x.norm() * y.norm() * _cos(x.angle(y)) - x.dot(y)),
)
pythagoras = _fact(
    *("pythagoras", "sin(a)^2 + cos(a)^2 - 1 = 0"), lambda a: eq(_sin(a) ** 2 + _cos(a) ** 2 - 1)
)
cos_sum = _fact(
    *("cos_sum", "cos(a + b) - cos(a) cos(b) + sin(a) sin(b) = 0"),
    lambda a, b: eq(_cos(number(a) + b) - _cos(a) * _cos(b) + _sin(a) * _sin(b)),
)
exp_zero = _fact("exp_zero", "exp(0) - 1 = 0", lambda: eq(_exp(0) - 1))
exp_sign = _fact("exp_sign", "exp(a) > 0", lambda a: gt(_exp(a)))
exp_sum = _fact(
    *("exp_sum", "exp(a + b) - exp(a) exp(b) = 0"),
    lambda a, b: eq(_exp(number(a) + b) - _exp(a) * _exp(b)),
)


def cos_order(cosines: Theorem, least: Theorem, most: Theorem, a: Poly, b: Poly) -> Theorem:
    """From `cos(a) - cos(b) >= 0`, `b >= 0` and `pi - a >= 0` follows `b - a >= 0`."""
    _need(cosines.concl == ge(_cos(a) - _cos(b)), "no order of cosines")
    _need(least.concl == ge(b) and most.concl == ge(PI - a), "the angles leave [0, pi]")
    return _made("cos_order", _hyps(cosines, least, most), ge(b - a), (cosines, least, most), a, b)


def sum_up(th: Theorem, index: str) -> Theorem:
    """From `H |- a op 0` follows `H |- sum(a) op 0` (`>` weakens to `>=`); index not in `H`."""
    _need(not any(index in free(h) for h in th.hyps), f"{index} is free in a hypothesis")
    op = th.concl.op.replace(">=", ">").replace(">", ">=")
    return _made("sum_up", th.hyps, Rel(total(index, th.concl.poly), op), (th,), index)


def swap(i: str, k: str, a: Poly) -> Theorem:
    """`|- sum_i sum_k a - sum_k sum_i a = 0`; at most one of the two is a mean."""
    _need(i != k and not (terms.sampled(i) and terms.sampled(k)), "two means do not change places")
    return _made("swap", (), eq(total(i, total(k, a)) - total(k, total(i, a))), (), i, k, a)


def pick(th: Theorem, index: str, at: Sequence[str]) -> Theorem:
    """From `H |- a >= 0` follows `H |- sum a - a_p >= 0`; of two: `H, p != q |- sum a - a_p - a_q`.

    The sum is finite, and its index is not free in `H`.
    """
    _need(th.concl.op in (">=", ">"), "the summand must not be negative")
    _need(not any(map(terms.sampled, (index, *at))) and len(at) in (1, 2), "one or two indices")
    _need(not any(index in free(h) for h in th.hyps), f"{index} is free in a hypothesis")
    rest = total(index, th.concl.poly)
    rest -= sum(terms.replaced(th.concl.poly, terms.fair({index: p})) for p in at)
    hyps = th.hyps | ({Distinct(*at)} if len(at) == 2 else set())
    return _made("pick", hyps, ge(rest), (th,), index, at)


def derive(u: Poly) -> Theorem:
    """`|x| > 0 for every norm in u |- d(u) - rate(u) = 0`: product and chain rule."""
    lengths = terms.lengths(u)
    _need(not any(name[0] == "_" for x in lengths for name in names(x)), "a norm under a sum")
    return _made("derive", {gt(x.norm()) for x in lengths}, eq(_d(u) - terms.rate(u)), (), u)


def norm_rate(x: Vec) -> Theorem:
    """`|x| > 0 |- |x| d(|x|) - <x, x'> = 0`; x with constant coefficients."""
    _still(*(c for _, c in x.parts))
    concl = eq(x.norm() * _d(x.norm()) - terms.rate(x.dot(x)) / 2)
    return _made("norm_rate", {gt(x.norm())}, concl, (), x)


def _still(*constants_: Poly) -> None:
    for c in constants_:
        _need("t" not in names(c), "a constant of a rule about time depends on t")


def _at(u: Poly, start: str) -> Poly:
    return number(terms.replaced(u, {"t": start}))


def dini_norm(th: Theorem, sign: Theorem, positive: Theorem, m: Poly, e: Poly, x: Vec) -> Theorem:
    """From `H, |x| > 0 |- m <x, x'> + e |x| >= 0`, `e >= 0`, `m > 0`: `m low(|x|) + e >= 0`.

    Where `x = 0`, `|x|` is least there, so its lower Dini derivative is not negative.
    """
    length = x.norm()
    _still(*(c for _, c in x.parts))
    _need(th.concl == ge(m * terms.rate(x.dot(x)) / 2 + e * length), "not the rate of a length")
    _need(sign.concl == ge(e) and positive.concl == gt(m), "e >= 0 and m > 0 are needed")
    hyps = (th.hyps - {gt(length)}) | _hyps(sign, positive)
    return _made("dini_norm", hyps, ge(m * _low(length) + e), (th, sign, positive), m, e, x)


def dini_sum(th: Theorem, positive: Theorem, m: Poly, a: Poly, e: Poly, index: str) -> Theorem:
    """From `H |- m low(a) + e >= 0`, `m > 0`: `m low(sum a) + sum e >= 0`; index not in H, m."""
    terms.continuous(a)  # what is, is Lipschitz, so that no Dini derivative is infinite
    _need(th.concl == ge(m * _low(a) + e), "no lower Dini derivative of the summand")
    _need(positive.concl == gt(m) and not terms.sampled(index), "m > 0 and a finite sum are needed")
    elsewhere = set().union(names(m), *(free(h) for h in _hyps(th, positive)))
    _need(index not in elsewhere, f"{index} is free elsewhere")
    concl = ge(m * _low(total(index, a)) + total(index, e))
    return _made("dini_sum", _hyps(th, positive), concl, (th, positive), m, a, e, index)


def _window(hyps: Iterable[Formula], start: str, end: str) -> frozenset[Formula]:
    """Those hypotheses that do not say that t is in the window, in which t may not be free."""
    for name in (start, *((end,) if end != "t" else ())):
        _need(name not in ("t", "n", "pi") and name[:1] not in ("", "_", "~"), "no constant")
    now, then = T - symbol(start), symbol(end) - T
    rest = frozenset(hyps) - {ge(now), gt(now)} - ({ge(then), gt(then)} if end != "t" else set())
    _need(not any("t" in free(h) for h in rest), "t is free in a hypothesis beside the window")
    return rest


def monotone(th: Theorem, lengths: Sequence[Theorem], u: Poly, start: str, end: str) -> Theorem:
    """From `H, s < t < e |- d(u) >= 0` follows `H, e >= s |- u(e) - u(s) >= 0`.

    `|x| > 0` in the window for each norm in u, so that u has a derivative there; u is continuous.
    The window may be shorter of a hypothesis; `e = t` stands for every end.
    """
    _need(th.concl == ge(_d(u)), "not the rate that is needed")
    terms.continuous(u)
    needed = {gt(x.norm()) for x in terms.lengths(u)}
    premises = (th, *lengths)
    _need(needed <= {length.concl for length in premises[1:]}, "a length in u may vanish")
    hyps = _window(_hyps(*premises), start, end) | {ge(symbol(end) - symbol(start))}
    return _made("monotone", hyps, ge(_at(u, end) - _at(u, start)), premises, u, start, end)


def compare(th: Theorem, signs: Sequence[Theorem], begin: Theorem, mku: Sequence[Any]) -> Theorem:
    """Comparison with `m y' = -k y^2`, constants `m > 0`, `k >= 0`, `u(s) > 0`, u continuous.

    From `H, s < t < e |- m low(u) + k u^2 >= 0` (or d, of u without norms) follows `H, e >= s |-
    u(e) (m + k u(s) (e - s)) - m u(s) >= 0`; from `-m d(u) - k u^2 >= 0` the opposite.
    """
    m, k, u, kind, side, start, end = mku
    premises = (th, *signs, begin)
    _need((kind, side) in (("low", 1), ("d", 1), ("d", -1)), "lower bounds: low or d; upper: d")
    _need(th.concl == ge(side * (m * terms.function(kind, u) + k * u**2)), "not the rate needed")
    _need([x.concl for x in premises[1:3]] == [gt(m), ge(k)], "m > 0 and k >= 0 are needed")
    first, past = _at(u, start), symbol(end) - symbol(start)
    _need(begin.concl == gt(first), "u must be positive at the beginning")
    _still(m, k)
    terms.continuous(u)
    _need(kind == "low" or not terms.lengths(u), "a norm need not have d")
    hyps = _window(_hyps(*premises), start, end) | {ge(past)}
    concl = ge(side * (_at(u, end) * (m + k * first * past) - m * first))
    return _made("compare", hyps, concl, premises, m, k, u, kind, side, start, end)


def bounded(th: Theorem, positive: Theorem, mg: Sequence[Poly], window: Sequence[str]) -> Theorem:
    """From `H, Forall(s <= t <= e: m b - g >= 0) |- c` and `G |- m > 0` follows `H, G |- c`.

    m is constant, g made of what is continuous and of angles; the name b is free nowhere else.
    """
    (m, g), (start, end, name) = mg, window
    bound, then = symbol(name), symbol(end)
    f = Forall(("t",), (ge(T - symbol(start)), ge(then - T)), ge(m * bound - g))
    _need(positive.concl == gt(m), "m > 0 is needed")
    _need("t" not in (start, end), "the window has constant ends")
    _still(m)
    terms.continuous(g, "angle")
    terms.fair({name: bound})
    hyps = (th.hyps - {f}) | positive.hyps
    taken = {start, end, "t"}.union(names(m), names(g), *map(free, (th.concl, *hyps)))
    _need(name not in taken, f"{name} is free elsewhere")
    return _made("bounded", hyps, th.concl, (th, positive), m, g, start, end, name)


def bootstrap(th: Theorem, begin: Theorem, f: Forall, window: Sequence[str], side: int) -> Theorem:
    """First exit: a finite family that is positive at s, and at e if it was until then, stays so.

    f is `Forall(s <= t < e, guards: u > 0)` or `Forall(s <= t <= e, guards: u >= 0)`, over indices
    and t, u continuous. From `H, guards, s <= e <= c, f |- u(e) > 0` and `G, guards |- u(s) > 0`
    follows `H, G, guards, c >= s |- u(c) > 0`; e is free nowhere else. Backward with `side = -1`.
    """
    (start, end, last), (*bound, time), u = window, f.bound, f.body.poly
    _need(len({start, end, last, *bound, "t", "n", "pi"}) == 6 + len(bound), "names must differ")
    ends = ((start, "t"), ("t", end), (start, end), (end, last), (start, last))
    since, until, grown, left, whole = (side * (symbol(b) - symbol(a)) for a, b in ends)
    between = {ge(since), Rel(until, f.body.op)}
    _need(abs(side) == 1 and time == "t" and between <= set(f.guards), "no family in a window")
    _need({k for a, k in terms.kinds(u) if a in bound} <= {("index",)}, "the family is not finite")
    _need(not any(map(terms.sampled, bound)) and f.body.op != "=", "the family is not finite")
    _need(end not in names(u), "the family depends on the end of the window")
    terms.continuous(u)
    _need(th.concl == gt(_at(u, end)) and begin.concl == gt(_at(u, start)), "u > 0 at the ends")
    guards = set(f.guards) - between
    hyps = (th.hyps - {f, ge(grown), gt(grown), ge(left)} | begin.hyps) - guards
    elsewhere = set().union(*(free(h) - set(bound) for h in guards), *(free(h) for h in hyps))
    _need(not elsewhere & {end, "t", *bound}, "a bound name, the time or the end is free elsewhere")
    hyps = hyps | guards | {ge(whole)}
    return _made("bootstrap", hyps, gt(_at(u, last)), (th, begin), f, start, end, last, side)
