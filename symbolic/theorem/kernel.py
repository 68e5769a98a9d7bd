r"""The rules that make theorems; nothing else does.

A theorem `H |- e op 0` says: for all reals, vectors and C^1 functions of time that its free names
stand for, if all of `H` hold then `e op 0`. A hypothesis is a relation `e op 0`, `p != q` for two
indices, or a closed `Forall`. "For all t >= T" is a theorem with `t` free and `t - T >= 0` in `H`;
a rule about time demands that `t` is free in no *other* hypothesis. Each docstring is the rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass
from fractions import Fraction
from typing import Any

import sympy as sp

from symbolic.evidence.identity import Evidence, examine
from symbolic.theorem.formulas import (
    Distinct,
    Forall,
    Formula,
    Rel,
    eq,
    free,
    ge,
    gt,
    kinds_of,
    put,
)
from symbolic.theorem.terms import (
    PI,
    N,
    Poly,
    Refused,
    T,
    Vec,
    atoms,
    function,
    kinds,
    names,
    number,
    rate,
    replaced,
    sampled,
    symbol,
    total,
)

_SEAL = object()


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
            for name, kind in kinds_of(formula):
                if not (isinstance(name, str) and name):
                    raise Refused("a name has letters; without any it would be overlooked")
                if seen.setdefault(name, kind) != kind:
                    raise Refused(f"the name {name!r} stands for things of two kinds")


def _need(condition: Any, why: str) -> None:
    if not condition:
        raise Refused(why)


def _made(
    rule: str, hyps: Any, concl: Rel, premises: Sequence[Theorem] = (), *args: Any
) -> Theorem:
    return Theorem(frozenset(hyps), concl, rule, tuple(premises), args, _SEAL)


def _hyps(*theorems: Theorem) -> frozenset[Formula]:
    return frozenset().union(*(th.hyps for th in theorems))


def _names_for(by: Mapping[str, Any]) -> dict[str, Any]:
    for key, value in by.items():
        _need(isinstance(value, str | Poly | Vec), f"{key} must be replaced by a term")
        _need(key not in ("n", "pi") and key[0] not in "_~", f"{key} may not be replaced")
        _need(
            not isinstance(value, str) or value[:1] not in ("", "_", "~"), f"{value!r} is no name"
        )
        _need(sampled(key) == (isinstance(value, str) and sampled(value)), f"{key}: other kind")
    return {key: value for key, value in by.items() if value != key}


def assume(f: Rel) -> Theorem:
    """`f |- f`."""
    _need(isinstance(f, Rel), "only a relation may be assumed so; use spec")
    return _made("assume", {f}, f, (), f)


def spec(f: Forall, by: Mapping[str, Any]) -> Theorem:
    """`Forall, guards[by] |- body[by]` for terms put for all bound names."""
    _need(set(by) == set(f.bound), f"terms are needed for {f.bound}, came {sorted(by)}")
    new = _names_for(by)
    hyps = {f, *(put(g, new) for g in f.guards)}
    return _made("spec", hyps, put(f.body, new), (), f, dict(by))


def subst(th: Theorem, by: Mapping[str, Any]) -> Theorem:
    """From `H |- c` follows `H[by] |- c[by]`; no capture, nothing moving under a derivative."""
    new = _names_for(by)
    return _made("subst", {put(h, new) for h in th.hyps}, put(th.concl, new), (th,), dict(by))


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


def cases(above: Theorem, below: Theorem, e: Poly) -> Theorem:
    """From `H, e >= 0 |- c` and `G, -e > 0 |- c` follows `H, G |- c`."""
    _need(above.concl == below.concl, "the two cases prove different things")
    hyps = (above.hyps - {ge(e)}) | (below.hyps - {gt(-e)})
    return _made("cases", hyps, above.concl, (above, below), e)


def index_cases(apart: Theorem, same: Theorem, p: str, q: str) -> Theorem:
    """From `H, p != q |- c` and `G |- c[q:=p]`, `G` within `H[q:=p]`, follows `H |- c`."""
    hyps = apart.hyps - {Distinct(p, q)}
    by = _names_for({q: p})
    _need(same.concl == put(apart.concl, by), "the case of equal indices proves something else")
    _need(same.hyps <= {put(h, by) for h in hyps}, "the case of equal indices assumes more")
    return _made("index_cases", hyps, apart.concl, (apart, same), p, q)


def exhaust(all_: Theorem, some: Theorem, f: Forall) -> Theorem:
    """From `H, Forall(u > 0) |- c` and `G, guards, -u >= 0 |- c` follows `H, G |- c`.

    No bound name is free in `G` or `c`.
    """
    _need(f.body.op == ">" and all_.concl == some.concl, "no case distinction of one conclusion")
    rest = some.hyps - set(f.guards) - {ge(-f.body.poly)}
    elsewhere = set().union(free(some.concl), *(free(h) for h in rest))
    _need(not elsewhere & set(f.bound), "a bound name is free elsewhere")
    return _made("exhaust", (all_.hyps - {f}) | rest, some.concl, (all_, some), f)


def contradiction(th: Theorem, goal: Rel) -> Theorem:
    """From `H |- q op 0`, false for the number `q`, follows `H |- goal`."""
    value = dict(th.concl.poly.terms).get((), Fraction(0))
    _need(th.concl.poly == number(value), "the premise is no statement about a number")
    true = {">=": value >= 0, ">": value > 0, "=": value == 0}[th.concl.op]
    _need(not true, "the premise is true, so nothing follows from it")
    return _made("contradiction", th.hyps, goal, (th,), goal)


def combine(goal: Rel, *parts: tuple[Any, Sequence[Theorem]]) -> Theorem:
    """`H |- goal` where `goal = sum of c * product of premises`, an identity of polynomials.

    `c >= 0` is a number, or any term where a premise of the product is an equality; an equality
    needs equalities, a strict goal one summand `c > 0` of strict premises.
    """
    found, strict = number(0), False
    used: list[Theorem] = []
    for c, theorems in parts:
        ops = [th.concl.op for th in theorems]
        if "=" not in ops:
            _need(goal.op != "=", "an equality follows from equalities only")
            _need(not isinstance(c, Poly) and Fraction(c) >= 0, "a factor must be a number >= 0")
            strict |= Fraction(c) > 0 and all(op == ">" for op in ops)
        product = number(c)
        for th in theorems:
            product = product * th.concl.poly
        used += theorems
        found += product
    _need(goal.op != ">" or strict, "a strict goal needs a strict summand")
    _need(found == goal.poly, "the sum of the premises is not the goal")
    return _made("combine", _hyps(*used), goal, used, goal, [(c, len(t)) for c, t in parts])


def square(e: Any) -> Theorem:
    """`|- e^2 >= 0`."""
    return _made("square", (), ge(number(e) ** 2), (), number(e))


def cancel(product: Theorem, factor: Theorem, e: Poly) -> Theorem:
    """From `H |- f e op 0` and `G |- f > 0` follows `H, G |- e op 0`."""
    _need(factor.concl.op == ">", "what is cancelled must be positive")
    _need(product.concl.poly == factor.concl.poly * e, "the premise is not the product")
    return _made("cancel", _hyps(product, factor), Rel(e, product.concl.op), (product, factor), e)


def antisymmetry(least: Theorem, most: Theorem) -> Theorem:
    """From `H |- e >= 0` and `G |- -e >= 0` follows `H, G |- e = 0`."""
    e = least.concl.poly
    _need(least.concl == ge(e) and most.concl == ge(-e), "not the two sides of an equality")
    return _made("antisymmetry", _hyps(least, most), eq(e), (least, most))


def power(powers: Theorem, least: Theorem, a: Poly, b: Poly, k: int) -> Theorem:
    """From `H |- a^k - b^k >= 0` and `G |- a >= 0` follows `H, G |- a - b >= 0`."""
    _need(k > 0 and least.concl == ge(a), "the first of the two must not be negative")
    _need(powers.concl == ge(a**k - b**k), "the premise does not compare the powers")
    return _made("power", _hyps(powers, least), ge(a - b), (powers, least), a, b, k)


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
    _need(bool(sp.Rational(least) < sp.pi) and bool(sp.pi < sp.Rational(most)), "not so for pi")
    return _made("pi", (), gt(PI - least), (), least), _made("pi", (), gt(most - PI), (), -most)


def count() -> Theorem:
    """`|- n - 1 >= 0`: there is an index."""
    return _made("count", (), ge(N - 1))


def pointwise(e: Poly, name: str, low: Poly, high: Poly) -> Theorem:
    """`x >= low, x <= high |- e >= 0`, e of x, sin, cos: PROVED inside, and e is continuous."""
    _need(names(e) <= {name, "pi"} and name not in ("n", "t", "pi"), "more than one name")
    _need(names(low) | names(high) <= {"pi"}, "the ends must be numbers")
    _need(not any(a[0] not in ("s", "sin", "cos") for a in atoms(e)), "only x, sin and cos")
    x, (ends, f) = sp.Symbol(name, real=True), ([_sympy(low), _sympy(high)], _sympy(e))
    _need(bool(ends[0] < ends[1]), "the interval is empty")
    finding = examine(f, sp.S.Zero, ((x, *ends),), ">=")
    _need(finding.evidence is Evidence.PROVED, f"not PROVED: {finding.reason}")
    hyps = {ge(symbol(name) - low), ge(high - symbol(name))}
    return _made("pointwise", hyps, ge(e), (), e, name, low, high)


def _sympy(p: Poly) -> sp.Expr:
    def one(a: Any) -> sp.Expr:
        if a[0] == "s":
            return sp.pi if a[1] == "pi" else sp.Symbol(a[1], real=True)
        return {"sin": sp.sin, "cos": sp.cos}[a[0]](_sympy(a[1]))

    return sp.Add(*(sp.Rational(c) * sp.Mul(*(one(a) for a in m)) for m, c in p.terms))


def norm_square(x: Vec) -> Theorem:
    """`|- |x|^2 - <x, x> = 0`."""
    return _made("norm_square", (), eq(x.norm() ** 2 - x.dot(x)), (), x)


def norm_sign(x: Vec) -> Theorem:
    """`|- |x| >= 0`."""
    return _made("norm_sign", (), ge(x.norm()), (), x)


def cauchy(x: Vec, y: Vec) -> Theorem:
    """`|- |x||y| - <x, y> >= 0` (Cauchy-Schwarz)."""
    return _made("cauchy", (), ge(x.norm() * y.norm() - x.dot(y)), (), x, y)


def angle(x: Vec, y: Vec, what: str) -> Theorem:
    """`|- angle >= 0` (least), `|- pi - angle >= 0` (most), `|- |x||y| cos - <x, y> = 0` (dot)."""
    a = x.angle(y)
    said = {"least": ge(a), "most": ge(PI - a)}
    said["dot"] = eq(x.norm() * y.norm() * function("cos", a) - x.dot(y))
    _need(what in said, f"unknown statement {what!r}")
    return _made("angle", (), said[what], (), x, y, what)


def pythagoras(a: Any) -> Theorem:
    """`|- sin(a)^2 + cos(a)^2 - 1 = 0`."""
    a = number(a)
    return _made("pythagoras", (), eq(function("sin", a) ** 2 + function("cos", a) ** 2 - 1), (), a)


def cos_sum(a: Any, b: Any) -> Theorem:
    """`|- cos(a + b) - cos(a) cos(b) + sin(a) sin(b) = 0`."""
    a, b = number(a), number(b)
    (ca, cb, cab), (sa, sb) = (
        (function("cos", x) for x in (a, b, a + b)),
        (function("sin", x) for x in (a, b)),
    )
    return _made("cos_sum", (), eq(cab - ca * cb + sa * sb), (), a, b)


def cos_order(cosines: Theorem, least: Theorem, most: Theorem, a: Poly, b: Poly) -> Theorem:
    """From `cos(a) - cos(b) >= 0`, `b >= 0` and `pi - a >= 0` follows `b - a >= 0`."""
    _need(cosines.concl == ge(function("cos", a) - function("cos", b)), "no order of cosines")
    _need(least.concl == ge(b) and most.concl == ge(PI - a), "the angles leave [0, pi]")
    premises = (cosines, least, most)
    return _made("cos_order", _hyps(*premises), ge(b - a), premises, a, b)


def sum_up(th: Theorem, index: str) -> Theorem:
    """From `H |- a op 0` follows `H |- sum(a) op 0` (`>` weakens to `>=`); index not in `H`."""
    _need(not any(index in free(h) for h in th.hyps), f"{index} is free in a hypothesis")
    op = th.concl.op.replace(">=", ">").replace(">", ">=")
    return _made("sum_up", th.hyps, Rel(total(index, th.concl.poly), op), (th,), index)


def swap(i: str, k: str, a: Poly) -> Theorem:
    """`|- sum_i sum_k a - sum_k sum_i a = 0`; at most one of the two is a mean."""
    _need(i != k and not (sampled(i) and sampled(k)), "two means do not change places")
    return _made("swap", (), eq(total(i, total(k, a)) - total(k, total(i, a))), (), i, k, a)


def star(th: Theorem, kl: tuple[str, str], x: str, p: str, q: str) -> Theorem:
    """From `H |- a_kl >= 0` follows `H, p != q |- sum_kl a_kl - 2 a_xp - 2 a_xq >= 0`.

    `a_kl = a_lk`, `a_kk = 0`; k and l are not free in `H`.
    """
    (k, j), a = kl, th.concl.poly
    _need(th.concl.op == ">=" and k != j, "the summand must not be negative")
    _need(not any(map(sampled, (k, j, x, p, q))), "a sample is no index")
    _need(not any({k, j} & free(h) for h in th.hyps), "the indices are free in a hypothesis")
    _need(replaced(a, {k: j, j: k}) == a, "the summand is not symmetric")
    _need(replaced(a, {j: k}) == number(0), "the summand does not vanish on the diagonal")
    legs = replaced(a, {k: x, j: p}) + replaced(a, {k: x, j: q})
    concl = ge(total(k, total(j, a)) - 2 * legs)
    return _made("star", th.hyps | {Distinct(p, q)}, concl, (th,), kl, x, p, q)


def derive(u: Poly) -> Theorem:
    """`|x| > 0 for every norm in u |- d(u) - rate(u) = 0`: product and chain rule."""
    lengths = {a for a in atoms(u) if a[0] == "norm" and "t" in names(a)}
    _need(not any(name[0] == "_" for a in lengths for name in names(a)), "a norm under a sum")
    hyps = {gt(a[1].norm()) for a in lengths}
    return _made("derive", hyps, eq(function("d", u) - rate(u)), (), u)


def norm_rate(x: Vec) -> Theorem:
    """`|x| > 0 |- |x| d(|x|) - <x, x'> = 0`; x with constant coefficients."""
    length = x.norm()
    _still(*(c for _, c in x.parts))
    concl = eq(length * function("d", length) - rate(x.dot(x)) / 2)
    return _made("norm_rate", {gt(length)}, concl, (), x)


def _window(hyps: Any, start: str, *bound: str) -> None:
    _need(start not in ("t", "n", "pi") and start[0] not in "_~", "a window begins at a constant")
    for h in hyps - {ge(T - symbol(start))}:
        _need("t" not in free(h), "t is free in a hypothesis that is not t >= T")
        _need(not free(h) & set(bound), "a bound name is free in a hypothesis")


def _still(*constants_: Poly) -> None:
    for c in constants_:
        _need("t" not in names(c), "a constant of a rule about time depends on t")


def _continuous(u: Poly, also: tuple[str, ...] = ()) -> None:
    allowed = ("s", "v", "dot", "norm", "sin", "cos", "exp", "sum", *also)
    for a in atoms(u):
        _need(a[0] in allowed, f"{a[0]!r} is not known to be continuous")
        _need(a[0] != "sum" or not sampled(a[1]), "an expectation is not known to be continuous")


def _at(u: Poly, start: str) -> Poly:
    found: Poly = replaced(u, {"t": start})
    return found


def dini_norm(th: Theorem, sign: Theorem, positive: Theorem, m: Poly, e: Poly, x: Vec) -> Theorem:
    """From `H, |x| > 0 |- m <x, x'> + e |x| >= 0`, `e >= 0`, `m > 0`: `m low(|x|) + e >= 0`.

    Where `x = 0`, `|x|` is least there, so its lower Dini derivative is not negative.
    """
    length = x.norm()
    _still(*(c for _, c in x.parts))
    _need(th.concl == ge(m * rate(x.dot(x)) / 2 + e * length), "not the rate of a length")
    _need(sign.concl == ge(e) and positive.concl == gt(m), "e >= 0 and m > 0 are needed")
    hyps = (th.hyps - {gt(length)}) | _hyps(sign, positive)
    concl = ge(m * function("low", length) + e)
    return _made("dini_norm", hyps, concl, (th, sign, positive), m, e, x)


def dini_sum(th: Theorem, positive: Theorem, m: Poly, a: Poly, e: Poly, index: str) -> Theorem:
    """From `H |- m low(a) + e >= 0`, `m > 0`: `m low(sum a) + sum e >= 0`; index not in H, m."""
    _need(th.concl == ge(m * function("low", a) + e), "no lower Dini derivative of the summand")
    _need(positive.concl == gt(m) and not sampled(index), "m > 0 and a finite sum are needed")
    elsewhere = set().union(names(m), *(free(h) for h in _hyps(th, positive)))
    _need(index not in elsewhere, f"{index} is free elsewhere")
    concl = ge(m * function("low", total(index, a)) + total(index, e))
    return _made("dini_sum", _hyps(th, positive), concl, (th, positive), m, a, e, index)


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
    `m > 0` is constant, u continuous, g bounded on bounded intervals; `|x| > 0` for each norm in u.
    """
    (m, g, start), u, side = mgs, f.body.poly, 1 if begin else -1
    _need(f.body.op == ">" and "t" not in f.bound, "the family must be positive at time t")
    allowed = {("index",)}
    _need({k for a, k in kinds(u) if a in f.bound} <= allowed, "the family must be finite")
    _need(not any(map(sampled, f.bound)), "the family must be finite")
    _need(not any("t" in free(g_) for g_ in f.guards), "a guard depends on t")
    _need(th.concl == ge(side * m * function("d", u) + g * u), "not the rate that is needed")
    _need(positive.concl == gt(m), "m > 0 is needed")
    _still(m)
    _continuous(u)
    _continuous(g, ("angle",))
    hyps = _hyps(th, positive, *lengths) - {f, *f.guards}
    needed = {gt(a[1].norm()) for a in atoms(u) if a[0] == "norm" and "t" in names(a)}
    _need(needed <= {th_.concl for th_ in lengths}, "each length in u must be positive")
    _window(hyps, start, *f.bound)
    window = {ge(T - symbol(start)), *f.guards}
    premises = (th, positive, *lengths, *((begin,) if begin else ()))
    if begin is None:
        return _made("trap", hyps | window | {f}, gt(_at(u, start)), premises, f, *mgs, False)
    _need(begin.concl == gt(_at(u, start)), "the family must be positive at the beginning")
    first = begin.hyps - set(f.guards)
    _need(not any(free(h) & {"t", *f.bound} for h in first), "a bound name is free elsewhere")
    return _made("trap", hyps | first | window, gt(u), premises, f, *mgs, True)


def compare(
    th: Theorem, signs: tuple[Theorem, Theorem], begin: Theorem, mku: tuple[Any, ...]
) -> Theorem:
    """Comparison with `m y' = -k y^2`, constants `m > 0`, `k >= 0`, `u(s) > 0`, u continuous.

    From `H, t >= s |- m low(u) + k u^2 >= 0` (or d, of u without norms) follows
    `u (m + k u(s) (t - s)) - m u(s) >= 0`; from `-m d(u) - k u^2 >= 0` the opposite.
    """
    m, k, u, kind, side, start = mku
    _need((kind, side) in (("low", 1), ("d", 1), ("d", -1)), "lower bounds: low or d; upper: d")
    _need(th.concl == ge(side * (m * function(kind, u) + k * u**2)), "not the rate needed")
    _need(signs[0].concl == gt(m) and signs[1].concl == ge(k), "m > 0 and k >= 0 are needed")
    _need(begin.concl == gt(_at(u, start)), "u must be positive at the beginning")
    _still(m, k)
    _continuous(u)
    _need(kind == "low" or not any(a[0] == "norm" for a in atoms(u)), "a norm need not have d")
    premises = (th, *signs, begin)
    _window(_hyps(*premises), start)
    first = _at(u, start)
    concl = ge(side * (u * (m + k * first * (T - symbol(start))) - m * first))
    return _made("compare", _hyps(*premises) | {ge(T - symbol(start))}, concl, premises, *mku)


def gronwall(th: Theorem, k: Poly, u: Poly, start: str) -> Theorem:
    """From `H, t >= s |- d(u) + k u >= 0`, k constant: `u - u(s) exp(-k (t - s)) >= 0`.

    u is continuous and has no norm; `k = 0` is the rule of the monotone function.
    """
    _need(th.concl == ge(function("d", u) + k * u), "not the rate that is needed")
    _still(k)
    _continuous(u)
    _need(not any(a[0] == "norm" for a in atoms(u)), "a norm need not have a derivative")
    _window(th.hyps, start)
    factor = function("exp", -k * (T - symbol(start))) if k.terms else number(1)
    hyps = th.hyps | {ge(T - symbol(start))}
    return _made("gronwall", hyps, ge(u - factor * _at(u, start)), (th,), k, u, start)
