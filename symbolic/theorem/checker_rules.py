"""The rules of the second reader, written again from their statements.

A rule takes its premises and arguments and returns hypotheses and conclusion. Identities of
polynomials are decided by `fmpq_mpoly`, curves by balls and by derivatives where they touch zero.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flint import arb, fmpq, fmpq_mpoly_ctx

from symbolic.theorem import checker_formulas as forms
from symbolic.theorem import checker_terms as terms
from symbolic.theorem.checker_curves import never_negative
from symbolic.theorem.checker_formulas import eq, fair, ge, gt, hyps_of, need_free, put_in, rel
from symbolic.theorem.checker_terms import P, dot, free, fun, melt, need, norm, num, put, sym, total

__all__ = ["FACTS", "RULES"]


# --- logic and algebra ----------------------------------------------------------------------
def r_assume(_: Any, f: Any) -> Any:
    need(f[0] == "rel", "only a relation is assumed so")
    return {f}, f


def r_spec(_: Any, f: Any, by: Any) -> Any:
    need(f[0] == "all" and set(by) == set(f[1]), "terms for all bound names are needed")
    fair(by)
    return {f, *(put_in(g, by) for g in f[2])}, put_in(f[3], by)


def r_subst(p: Any, by: Any) -> Any:
    fair(by)
    return {put_in(h, by) for h in p[0][0]}, put_in(p[0][1], by)


def r_cut(p: Any, f: Any) -> Any:
    need(f in p[0][0] and f[0] != "apart", "what is cut is no such hypothesis")
    rest = p[1][0] - set(f[2]) if f[0] == "all" else p[1][0]
    need_free(f[1] if f[0] == "all" else (), *rest)
    forms.says((p[1], f[3] if f[0] == "all" else f))
    return (p[0][0] - {f}) | rest, p[0][1]


def r_index_cases(p: Any, i: str, k: str) -> Any:
    hyps, by = p[0][0] - {("apart", *sorted((i, k)))}, fair({k: i})
    forms.says((p[1], put_in(p[0][1], by)))
    need(p[1][0] <= {put_in(h, by) for h in hyps}, "the case of equal indices assumes more")
    return hyps, p[0][1]


def r_exhaust(p: Any, f: Any) -> Any:
    need(f[3][1] == ">", "the family must be positive")
    forms.says((p[1], p[0][1]))
    rest = p[1][0] - set(f[2]) - {ge(-melt(f[3][2]))}
    need_free(f[1], p[1][1], *rest)
    return (p[0][0] - {f}) | rest, p[0][1]


def r_contradiction(p: Any, goal: Any) -> Any:
    q = forms.quotient(forms.value_of(p[0]))
    need(not {">=": q >= 0, ">": q > 0, "=": q == 0}[p[0][1][1]], "the premise is true")
    return p[0][0], goal


def r_combine(p: Any, goal: Any, parts: Any) -> Any:
    left, rows, strict = list(p), [], False
    for c, size in parts:
        k = forms.natural(size)
        need(k <= len(left), "premises are missing")
        row, left = left[:k], left[k:]
        ops = [s[1][1] for s in row]
        if "=" not in ops:
            need(goal[1] != "=" and forms.quotient(c) >= 0, "a factor must be a number >= 0")
            strict |= forms.quotient(c) > 0 and set(ops) <= {">"}
        rows.append((c, [forms.value_of(s) for s in row]))
    need(not left, "premises are left over")
    need(goal[1] != ">" or strict, "a strict goal needs a strict summand")
    aim = melt(goal[2])
    everything = sorted({a for c, r in rows for q in (aim, c, *r) for m in q for a in m}, key=repr)
    place = {a: k for k, a in enumerate(everything)}
    ring = fmpq_mpoly_ctx.get([f"a{k}" for k in range(max(1, len(place)))], "lex")

    def flint(q: Any) -> Any:
        table: dict[Any, Any] = {}
        for m, c in q.items():
            powers = [0] * max(1, len(place))
            for a in m:
                powers[place[a]] += 1
            table[tuple(powers)] = c
        return ring.from_dict(table)

    found = flint({})
    for c, row in rows:
        product = flint(c)
        for q in row:
            product *= flint(q)
        found += product
    need(found == (flint(aim) if rows else ring.from_dict({})), "the sum is not the goal")
    need(rows or not aim, "the sum is not the goal")
    return hyps_of(*p), goal


def r_antisymmetry(p: Any) -> Any:
    e = forms.value_of(p[0])
    forms.says((p[0], ge(e)), (p[1], ge(-e)))
    return hyps_of(*p), eq(e)


def r_root(p: Any, name: str, k: Any) -> Any:
    n, e = forms.natural(k), forms.value_of(p[1])
    need(n > 0 and p[1][1][1] != "=", "a root needs a number >= 0")
    rest = p[0][0] - {ge(sym(name)), eq(sym(name) ** n - e)}
    need(name not in free(e) | {"t", "n", "pi"} and name[:1] not in ("_", "~"), f"{name} is taken")
    need_free({name}, p[0][1], *rest)
    return rest | p[1][0], p[0][1]


def r_sum_up(p: Any, k: str) -> Any:
    need_free({k}, *p[0][0])
    return p[0][0], rel("=" if p[0][1][1] == "=" else ">=", total(k, forms.value_of(p[0])))


def r_swap(_: Any, i: str, k: str, a: Any) -> Any:
    need(i != k and not (i.startswith("X") and k.startswith("X")), "two means")
    return (), eq(total(i, total(k, a)) - total(k, total(i, a)))


def r_pick(p: Any, k: str, at: Any) -> Any:
    a, hyps = forms.value_of(p[0]), p[0][0]
    need(p[0][1][1] != "=" and len(at) in (1, 2), "one or two of what is not negative")
    need(not any(s.startswith("X") for s in (k, *at)), "a sample is no index")
    need_free({k}, *hyps)
    legs = sum((put(a, fair({k: i})) for i in at), num(0))
    return hyps | ({("apart", *sorted(at))} if len(at) == 2 else set()), ge(total(k, a) - legs)


# --- numbers, angles, curves ------------------------------------------------------------------
def r_pi(_: Any, q: Any) -> Any:
    """`pi - q > 0`, or `q' - pi > 0` where `q = -q'` is negative."""
    r = forms.quotient(q)
    need(arb.pi() > arb(r) if r > 0 else arb(-r) > arb.pi(), "not so for pi")
    return (), gt(sym("pi") - q if r > 0 else -q - sym("pi"))


def r_cos_order(p: Any, a: Any, b: Any) -> Any:
    forms.says((p[0], ge(fun("cos", a) - fun("cos", b))), (p[1], ge(b)), (p[2], ge(sym("pi") - a)))
    return hyps_of(*p), ge(b - a)


def r_pointwise(_: Any, e: Any, x: str, low: Any, high: Any) -> Any:
    need(free(e) <= {x, "pi"} and x not in ("n", "t", "pi"), "more than one name")
    need(free(low) | free(high) <= {"pi"}, "the ends must be numbers")
    need({a[0] for a in terms.atoms(e)} <= {"s", "sin", "cos"}, "only x, sine and cosine")
    need(never_negative(e, x, low, high), "not found to be >= 0 on the interval")
    return {ge(sym(x) - low), ge(high - sym(x))}, ge(e)


# --- time -----------------------------------------------------------------------------------
def span(a: str, b: str) -> Any:
    return sym(b) - sym(a)


def window(hyps: Any, start: str, end: str) -> Any:
    """What does not say that t is between start and end; in it t is not free."""
    for name in {start, end} if end != "t" else {start}:
        need(name not in ("t", "n", "pi") and name[:1] not in ("", "_", "~"), "no constant")
    ends = ((start, "t"), ("t", end)) if end != "t" else ((start, "t"),)
    rest = frozenset(hyps) - {rel(op, span(*pair)) for op in (">=", ">") for pair in ends}
    need_free({"t"}, *rest)
    return rest


def still(*constants: Any) -> None:
    need(not any("t" in free(c) for c in constants), "a constant depends on t")


def tame(p: Any, *also: str) -> None:
    for a in terms.atoms(p):
        known = (*terms.TIMED[:2], "dot", "norm", "sin", "cos", "exp", "sum", *also)
        need(a[0] in known and not (a[0] == "sum" and a[1][2]), f"{a[0]} is not continuous")


def lengths(p: Any) -> Any:
    return [P({(a,): fmpq(1)}) for a in terms.atoms(p) if a[0] == "norm" and "t" in free(a)]


def slope(v: Any) -> Any:
    """`<v, v'>`, v with constant coefficients."""
    still(*v.values())
    return terms.rate(dot(v, v)) * fmpq(1, 2)


def r_derive(_: Any, u: Any) -> Any:
    found = lengths(u)
    need(not any(isinstance(x, tuple) for a in found for x in free(a)), "a norm under a sum")
    return {gt(a) for a in found}, eq(fun("d", u) - terms.rate(u))


def r_norm_rate(_: Any, v: Any) -> Any:
    return {gt(norm(v))}, eq(norm(v) * fun("d", norm(v)) - slope(v))


def r_dini_norm(p: Any, m: Any, e: Any, v: Any) -> Any:
    forms.says((p[0], ge(m * slope(v) + e * norm(v))), (p[1], ge(e)), (p[2], gt(m)))
    return (p[0][0] - {gt(norm(v))}) | hyps_of(*p[1:]), ge(m * fun("low", norm(v)) + e)


def r_dini_sum(p: Any, m: Any, a: Any, e: Any, k: str) -> Any:
    forms.says((p[0], ge(m * fun("low", a) + e)), (p[1], gt(m)))
    need(k not in free(m) and not k.startswith("X"), f"{k} is free elsewhere")
    tame(a)
    need_free({k}, *hyps_of(*p))
    return hyps_of(*p), ge(m * fun("low", total(k, a)) + total(k, e))


def r_monotone(p: Any, u: Any, start: str, end: str) -> Any:
    forms.says((p[0], ge(fun("d", u))))
    tame(u)
    need({gt(a) for a in lengths(u)} <= {s[1] for s in p[1:]}, "a length may vanish")
    hyps = window(hyps_of(*p), start, end) | {ge(span(start, end))}
    return hyps, ge(put(u, {"t": end}) - put(u, {"t": start}))


def r_compare(p: Any, m: Any, k: Any, u: Any, kind: str, side: Any, start: str, end: str) -> Any:
    sign, first, past = int(forms.quotient(side).p), put(u, {"t": start}), span(start, end)
    need((kind, sign) in (("low", 1), ("d", 1), ("d", -1)), "lower bounds: low or d; upper: d")
    forms.says((p[0], ge((m * fun(kind, u) + k * u * u) * sign)))
    forms.says((p[1], gt(m)), (p[2], ge(k)), (p[3], gt(first)))
    still(m, k)
    tame(u)
    need(kind == "low" or not lengths(u), "a norm need not have d")
    hyps = window(hyps_of(*p), start, end) | {ge(past)}
    return hyps, ge((put(u, {"t": end}) * (m + k * first * past) - m * first) * sign)


def r_bounded(p: Any, m: Any, g: Any, start: str, end: str, name: str) -> Any:
    forms.says((p[1], gt(m)))
    still(m)
    tame(g, "angle")
    need("t" not in (start, end, name) and name[:1] not in ("", "_", "~", "X"), "no constants")
    roof = ge(m * sym(name) - g)
    hyps = p[0][0] - {("all", ("t",), (ge(span(start, "t")), ge(span("t", end))), roof)}
    hyps = hyps | p[1][0]
    need(name not in free(m) | free(g) | {start, end, "n", "pi"}, f"{name} is taken")
    need_free({name}, p[0][1], *hyps)
    return hyps, p[0][1]


def r_bootstrap(p: Any, f: Any, start: str, end: str, last: str, side: Any) -> Any:
    sign, u, bound = forms.quotient(side), melt(f[3][2]), f[1][:-1]
    need(sign in (1, -1) and f[1][-1] == "t" and f[3][1] != "=", "no family at time t")
    need(len({start, end, last, *f[1], "n", "pi"}) == 5 + len(f[1]), "names must differ")
    since, until, grown, left, whole = (
        span(*ends) * sign
        for ends in ((start, "t"), ("t", end), (start, end), (end, last), (start, last))
    )
    inside = {ge(since), rel(f[3][1], until)}
    need(inside <= set(f[2]), "the family is not that of the window")
    for a in terms.atoms(u):
        if a[0] in terms.TIMED:
            need(not {a[1], a[3]} & set(bound), "the family must be finite")
    need(not any(b.startswith("X") for b in bound) and end not in free(u), "no finite family")
    tame(u)
    forms.says((p[0], gt(put(u, {"t": end}))), (p[1], gt(put(u, {"t": start}))))
    guards = frozenset(f[2]) - inside
    hyps = ((p[0][0] - {f, ge(grown), gt(grown), ge(left)}) | p[1][0]) - guards
    need_free({"t", end}, *guards)
    need_free({"t", end, *bound}, *hyps)
    return hyps | guards | {ge(whole)}, gt(put(u, {"t": last}))


FACTS: dict[str, Callable[..., Any]] = {
    "square": lambda e: ge(e * e),
    "count": lambda: ge(sym("n") - 1),
    "norm_square": lambda v: eq(norm(v) * norm(v) - dot(v, v)),
    "norm_sign": lambda v: ge(norm(v)),
    "cauchy": lambda v, w: ge(norm(v) * norm(w) - dot(v, w)),
    "angle_least": lambda v, w: ge(terms.angle(v, w)),
    "angle_most": lambda v, w: ge(sym("pi") - terms.angle(v, w)),
    "angle_dot": lambda v, w: eq(norm(v) * norm(w) * fun("cos", terms.angle(v, w)) - dot(v, w)),
    "pythagoras": lambda a: eq(fun("sin", a) ** 2 + fun("cos", a) ** 2 - 1),
    "cos_sum": lambda a, b: eq(
        fun("cos", a + b) - fun("cos", a) * fun("cos", b) + fun("sin", a) * fun("sin", b)
    ),
    "exp_zero": lambda: eq(fun("exp", num(0)) - 1),
    "exp_sign": lambda a: gt(fun("exp", a)),
    "exp_sum": lambda a, b: eq(fun("exp", a + b) - fun("exp", a) * fun("exp", b)),
}
RULES = {name[2:]: rule for name, rule in list(globals().items()) if name.startswith("r_")}
