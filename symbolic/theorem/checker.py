"""A second reader of certificates: every rule again, with python-flint and nothing of the kernel.

The rules are written again from their statements. Identities of polynomials are decided by
`fmpq_mpoly`, curves on an interval by balls and, where they touch zero, by their derivatives there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flint import arb, fmpq, fmpq_mpoly_ctx

from symbolic.theorem.checker_curves import never_negative
from symbolic.theorem.checker_terms import (
    TIMED,
    Wrong,
    angle,
    atoms,
    dot,
    free,
    ice,
    melt,
    minus,
    mul,
    need,
    norm,
    num,
    one,
    plus,
    put,
    rate,
    read_formula,
    read_value,
    rel,
    sym,
    total,
)

__all__ = ["Wrong", "check"]

Step = tuple[frozenset[Any], Any]  # hypotheses, conclusion


def check(proof: Any) -> list[Any]:
    """Check steps one by one; return the plain data of hypotheses and conclusion of each.

    Raises
    ------
    Wrong
        With the number of the first step that is not what its rule gives.
    """
    formulas = [read_formula(f) for f in proof["formulas"]]
    kinds = [set(kinds_of(f, ())) for f in formulas]
    done: list[Step] = []
    for number, step in enumerate(proof["steps"]):
        try:
            rule = step["rule"]
            need(rule in RULES or rule in FACTS, f"unknown rule {rule}")
            places = [*step["if"], step["then"], *step["from"]]
            need(all(type(i) is int and i >= 0 for i in places), "places are natural numbers")
            need(all(i < number for i in step["from"]), "a premise does not stand before it")
            premises = [done[i] for i in step["from"]]
            args = read_value(step["with"])
            hyps, concl = (
                RULES[rule](premises, *args) if rule in RULES else ((), FACTS[rule](*args))
            )
            said = frozenset(formulas[i] for i in step["if"]), formulas[step["then"]]
            need(frozenset(hyps) == said[0], "other hypotheses")
            need(concl == said[1], "another conclusion")
            found = RESERVED.union(*(kinds[i] for i in (*step["if"], step["then"])))
            need(len(found) == len({name for name, _ in found}), "a name of two kinds")
        except Wrong as why:
            raise Wrong(f"step {number} ({rule}): {why}") from None
        except (KeyError, TypeError, IndexError, ValueError, AttributeError, ArithmeticError):
            raise Wrong(f"step {number} cannot be read") from None
        done.append(said)
    need(done, "no steps")
    table = proof["formulas"]
    return [([table[i] for i in s["if"]], table[s["then"]]) for s in proof["steps"]]


NUMBER = ("s", 0, False)
RESERVED = {(name, NUMBER) for name in ("t", "n", "pi")}


def kinds_of(f: Any, bound: Any) -> Any:
    """Free names with what they stand for; no bound index is loose."""
    if f[0] == "all":
        for g in (*f[2], f[3]):
            yield from kinds_of(g, f[1])
    elif f[0] == "apart":
        yield from ((name, "index") for name in set(f[1:]) - set(bound))
    else:
        need(not any(isinstance(x, tuple) for x in free(f[2])), "a loose bound index")
        for a in atoms(f[2]):
            if a[0] in TIMED:
                kind = ("s" if a[0] == "s" else "v", len(a[2]), bool(a[3]))
                said = [(a[1], kind), *((i, "index") for i in a[2]), *[(a[3], NUMBER)] * bool(a[3])]
                yield from (x for x in said if isinstance(x[0], str) and x[0] not in bound)


def names(f: Any) -> set[Any]:
    if f[0] == "all":
        return set().union(*map(names, (*f[2], f[3]))) - set(f[1])
    return set(f[1:]) if f[0] == "apart" else free(f[2])


def put_in(f: Any, by: Any) -> Any:
    if f[0] == "rel":
        return rel(f[1], put(melt(f[2]), by))
    if f[0] == "apart":
        need(all(isinstance(by.get(i, i), str) for i in f[1:]), "an index becomes a name only")
        return ("apart", *sorted(by.get(i, i) for i in f[1:]))
    by = {k: v for k, v in by.items() if k in names(f)}
    new = set().union(*({v} if isinstance(v, str) else free(v) for v in by.values()))
    need(not new & set(f[1]), "captured by a quantifier")
    return ("all", f[1], tuple(put_in(g, by) for g in f[2]), put_in(f[3], by))


def fair(by: Any) -> Any:
    for key, value in by.items():
        need(key not in ("n", "pi") and key[:1] not in ("", "_", "~"), f"{key} is replaced")
        sample = isinstance(value, str) and value.startswith("X")
        need(key.startswith("X") == sample, "index and sample are mixed")
        need(not isinstance(value, str) or value[:1] not in ("", "_", "~"), "no name")
        need(isinstance(value, str | dict), "no term")
    return by


def hyps_of(*steps: Step) -> frozenset[Any]:
    return frozenset().union(*(s[0] for s in steps))


def value_of(step: Step) -> Any:
    return melt(step[1][2])


def ge(p: Any) -> Any:
    return rel(">=", p)


def gt(p: Any) -> Any:
    return rel(">", p)


def eq(p: Any) -> Any:
    return rel("=", p)


def quotient(x: Any) -> fmpq:
    """A plain number."""
    need(set(x) <= {()}, "not a number")
    return x.get((), fmpq(0))


def says(step: Step, wanted: Any, why: str = "a premise says something else") -> None:
    need(step[1] == wanted, why)


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
    rest = p[1][0]
    if f[0] == "all":
        rest = rest - set(f[2])
        need(not any(names(h) & set(f[1]) for h in rest), "a bound name is free elsewhere")
    says(p[1], f[3] if f[0] == "all" else f)
    return (p[0][0] - {f}) | rest, p[0][1]


def r_index_cases(p: Any, i: str, k: str) -> Any:
    hyps, by = p[0][0] - {("apart", *sorted((i, k)))}, fair({k: i})
    says(p[1], put_in(p[0][1], by))
    need(p[1][0] <= {put_in(h, by) for h in hyps}, "the case of equal indices assumes more")
    return hyps, p[0][1]


def r_exhaust(p: Any, f: Any) -> Any:
    need(f[3][1] == ">", "the family must be positive")
    says(p[1], p[0][1])
    rest = p[1][0] - set(f[2]) - {ge(mul(num(-1), melt(f[3][2])))}
    used = set().union(names(p[1][1]), *map(names, rest))
    need(not used & set(f[1]), "a bound name is free elsewhere")
    return (p[0][0] - {f}) | rest, p[0][1]


def r_contradiction(p: Any, goal: Any) -> Any:
    q = quotient(value_of(p[0]))
    need(not {">=": q >= 0, ">": q > 0, "=": q == 0}[p[0][1][1]], "the premise is true")
    return p[0][0], goal


def r_combine(p: Any, goal: Any, parts: Any) -> Any:
    p, rows, strict = list(p), [], False
    for c, size in parts:
        k = int(quotient(size).p)
        need(0 <= k <= len(p) and quotient(size).q == 1, "premises are missing")
        row, p = p[:k], p[k:]
        ops = [s[1][1] for s in row]
        if "=" not in ops:
            need(goal[1] != "=" and quotient(c) >= 0, "a factor must be a number >= 0")
            strict |= quotient(c) > 0 and set(ops) <= {">"}
        rows.append((c, row))
    need(not p, "premises are left over")
    need(goal[1] != ">" or strict, "a strict goal needs a strict summand")
    polys = [melt(goal[2]), *(c for c, _ in rows), *(value_of(s) for _, r in rows for s in r)]
    atoms_ = sorted({a for q in polys for m in q for a in m}, key=repr)
    ring = fmpq_mpoly_ctx.get([f"a{k}" for k in range(len(atoms_))] or ["a"], "lex")

    def flint(q: Any) -> Any:
        place = {a: k for k, a in enumerate(atoms_)}
        table: dict[Any, Any] = {}
        for m, c in q.items():
            powers = [0] * max(1, len(atoms_))
            for a in m:
                powers[place[a]] += 1
            table[tuple(powers)] = c
        return ring.from_dict(table)

    found = flint({})
    for c, row in rows:
        product = flint(c)
        for s in row:
            product *= flint(value_of(s))
        found += product
    need(found == flint(melt(goal[2])), "the sum of the premises is not the goal")
    return hyps_of(*(s for _, row in rows for s in row)), goal


def r_antisymmetry(p: Any) -> Any:
    e = value_of(p[0])
    says(p[0], ge(e))
    says(p[1], ge(mul(num(-1), e)))
    return hyps_of(*p), eq(e)


def r_root(p: Any, name: str, k: Any) -> Any:
    n, e = int(quotient(k).p), value_of(p[1])
    need(quotient(k) == n and n > 0 and p[1][1][1] != "=", "a root needs a number >= 0")
    rest = p[0][0] - {ge(sym(name)), eq(minus(mul(*[sym(name)] * n), e))}
    used = set().union(free(e), names(p[0][1]), *map(names, rest))
    need(name not in used | {"t", "n", "pi"} and name[:1] not in ("_", "~"), f"{name} is free")
    return rest | p[1][0], p[0][1]


def r_sum_up(p: Any, k: str) -> Any:
    need(not any(k in names(h) for h in p[0][0]), f"{k} is free in a hypothesis")
    return p[0][0], rel("=" if p[0][1][1] == "=" else ">=", total(k, value_of(p[0])))


def r_swap(_: Any, i: str, k: str, a: Any) -> Any:
    need(i != k and not (i.startswith("X") and k.startswith("X")), "two means")
    return (), eq(minus(total(i, total(k, a)), total(k, total(i, a))))


def r_pick(p: Any, k: str, at: Any) -> Any:
    a, hyps = value_of(p[0]), p[0][0]
    need(p[0][1][1] != "=" and len(at) in (1, 2), "one or two of what is not negative")
    need(not any(s.startswith("X") for s in (k, *at)), "a sample is no index")
    need(not any(k in names(h) for h in hyps), f"{k} is free in a hypothesis")
    legs = plus(*(put(a, fair({k: i})) for i in at))
    apart = {("apart", *sorted(at))} if len(at) == 2 else set()
    return hyps | apart, ge(minus(total(k, a), legs))


# --- numbers, lengths, angles, curves --------------------------------------------------------
def r_pi(_: Any, q: Any) -> Any:
    """`pi - q > 0`, or `q' - pi > 0` where `q = -q'` is negative."""
    r = quotient(q)
    gap = arb.pi() - arb(r) if r > 0 else arb(-r) - arb.pi()
    need(gap > 0, "not so for pi")
    return (), gt(minus(sym("pi"), q) if r > 0 else minus(mul(num(-1), q), sym("pi")))


def r_cos_order(p: Any, a: Any, b: Any) -> Any:
    says(p[0], ge(minus(one("cos", ice(a)), one("cos", ice(b)))))
    says(p[1], ge(b))
    says(p[2], ge(minus(sym("pi"), a)))
    return hyps_of(*p), ge(minus(b, a))


def r_pointwise(_: Any, e: Any, x: str, low: Any, high: Any) -> Any:
    need(free(e) <= {x, "pi"} and x not in ("n", "t", "pi"), "more than one name")
    need(free(low) | free(high) <= {"pi"}, "the ends must be numbers")
    need({a[0] for a in atoms(e)} <= {"s", "sin", "cos"}, "only x, sine and cosine")
    need(never_negative(e, x, low, high), "not found to be >= 0 on the interval")
    return {ge(minus(sym(x), low)), ge(minus(high, sym(x)))}, ge(e)


# --- time -----------------------------------------------------------------------------------
def span(a: str, b: str) -> Any:
    return minus(sym(b), sym(a))


def window(hyps: Any, start: str, end: str) -> Any:
    """What does not say that t is between start and end; in it t is not free."""
    constants = {start, end} if end != "t" else {start}
    need(not constants & {"t", "n", "pi"} and constants == named(constants), "no constant")
    inside = {rel(op, span(*ends)) for op in (">=", ">") for ends in ((start, "t"), ("t", end))}
    rest = frozenset(hyps) - inside
    need(not any("t" in names(h) for h in rest), "t is free in a hypothesis")
    return rest


def named(words: Any) -> set[str]:
    return {w for w in words if isinstance(w, str) and w[:1] not in ("", "_", "~")}


def still(*constants: Any) -> None:
    need(not any("t" in free(c) for c in constants), "a constant depends on t")


def tame(p: Any, *also: str) -> None:
    for a in atoms(p):
        need(
            a[0] in (*TIMED[:2], "dot", "norm", "sin", "cos", "exp", "sum", *also), "not continuous"
        )
        need(a[0] != "sum" or not a[1][2], "an expectation")


def norms_in(p: Any) -> Any:
    return {a for a in atoms(p) if a[0] == "norm" and "t" in free(a)}


def r_derive(_: Any, u: Any) -> Any:
    lengths = norms_in(u)
    need(not any(isinstance(x, tuple) for a in lengths for x in free(a)), "a norm under a sum")
    return {gt({(a,): fmpq(1)}) for a in lengths}, eq(minus(one("d", ice(u)), rate(u)))


def r_norm_rate(_: Any, v: Any) -> Any:
    still(*v.values())
    n = norm(v)
    half = mul(num(fmpq(1, 2)), rate(dot(v, v)))
    return {gt(n)}, eq(minus(mul(n, one("d", ice(n))), half))


def r_dini_norm(p: Any, m: Any, e: Any, v: Any) -> Any:
    still(*v.values())
    n = norm(v)
    half = mul(num(fmpq(1, 2)), m, rate(dot(v, v)))
    says(p[0], ge(plus(half, mul(e, n))))
    says(p[1], ge(e))
    says(p[2], gt(m))
    return (p[0][0] - {gt(n)}) | hyps_of(*p[1:]), ge(plus(mul(m, one("low", ice(n))), e))


def r_dini_sum(p: Any, m: Any, a: Any, e: Any, k: str) -> Any:
    says(p[0], ge(plus(mul(m, one("low", ice(a))), e)))
    says(p[1], gt(m))
    used = set().union(free(m), *map(names, hyps_of(*p)))
    need(k not in used and not k.startswith("X"), f"{k} is free elsewhere")
    return hyps_of(*p), ge(plus(mul(m, one("low", ice(total(k, a)))), total(k, e)))


def r_monotone(p: Any, u: Any, start: str, end: str) -> Any:
    says(p[0], ge(one("d", ice(u))))
    tame(u)
    lengths = {s[1] for s in p[1:]}
    need(all(gt({(a,): fmpq(1)}) in lengths for a in norms_in(u)), "a length may vanish")
    hyps = window(hyps_of(*p), start, end)
    return hyps | {ge(span(start, end))}, ge(minus(put(u, {"t": end}), put(u, {"t": start})))


def r_compare(p: Any, m: Any, k: Any, u: Any, kind: str, side: Any, start: str, end: str) -> Any:
    sign = int(quotient(side).p)
    need((kind, sign) in (("low", 1), ("d", 1), ("d", -1)), "lower bounds: low or d; upper: d")
    says(p[0], ge(mul(num(sign), plus(mul(m, one(kind, ice(u))), mul(k, u, u)))))
    says(p[1], gt(m))
    says(p[2], ge(k))
    first, last = put(u, {"t": start}), put(u, {"t": end})
    says(p[3], gt(first))
    still(m, k)
    tame(u)
    need(kind == "low" or not norms_in(u), "a norm need not have d")
    hyps = window(hyps_of(*p), start, end) | {ge(span(start, end))}
    grown = minus(mul(last, plus(m, mul(k, first, span(start, end)))), mul(m, first))
    return hyps, ge(mul(num(sign), grown))


def r_bounded(p: Any, m: Any, g: Any, start: str, end: str, name: str) -> Any:
    says(p[1], gt(m))
    still(m)
    tame(g, "angle")
    need("t" not in (start, end, name) and named((name,)), "the window has constant ends")
    roof = ge(minus(mul(m, sym(name)), g))
    f = ("all", ("t",), (ge(span(start, "t")), ge(span("t", end))), roof)
    hyps = (p[0][0] - {f}) | p[1][0]
    used = free(m) | free(g) | {start, end, "n", "pi"}
    need(name not in used.union(names(p[0][1]), *map(names, hyps)), f"{name} is free elsewhere")
    return hyps, p[0][1]


def r_bootstrap(p: Any, f: Any, start: str, end: str, last: str, side: Any) -> Any:
    sign, u, bound = quotient(side), melt(f[3][2]), f[1][:-1]
    need(sign in (1, -1) and f[1][-1] == "t" and f[3][1] != "=", "no family at time t")
    need(len({start, end, last, *f[1]}) == 3 + len(f[1]), "names must differ")

    def ahead(a: str, b: str) -> Any:
        return mul(num(sign), span(a, b))

    inside = {ge(ahead(start, "t")), rel(f[3][1], ahead("t", end))}
    need(inside <= set(f[2]), "the family is not that of the window")
    need(not any(b.startswith("X") for b in bound), "the family must be finite")
    for a in atoms(u):
        if a[0] in TIMED:
            need(not {a[1], a[3]} & set(bound), "the family must be finite")
    need(end not in free(u), "the family depends on the end")
    tame(u)
    says(p[0], gt(put(u, {"t": end})))
    says(p[1], gt(put(u, {"t": start})))
    guards, grown = frozenset(f[2]) - inside, ahead(start, end)
    hyps = p[0][0] - {f, ge(grown), gt(grown), ge(ahead(end, last))}
    hyps = (hyps | p[1][0]) - guards
    need(not any(names(h) & {"t", end} for h in guards), "a guard depends on time")
    need(not any(names(h) & {"t", end, *bound} for h in hyps), "a name is free elsewhere")
    return hyps | guards | {ge(ahead(start, last))}, gt(put(u, {"t": last}))


def r_limit(p: Any, a: Any, b: Any, start: str) -> Any:
    says(p[0], ge(plus(a, mul(b, span(start, "t")))))
    still(a, b)
    return window(p[0][0], start, "t"), ge(b)


def fun(kind: str, *x: Any) -> Any:
    return one(kind, ice(plus(*x)))


FACTS: dict[str, Callable[..., Any]] = {
    "square": lambda e: ge(mul(e, e)),
    "count": lambda: ge(minus(sym("n"), num(1))),
    "norm_square": lambda v: eq(minus(mul(norm(v), norm(v)), dot(v, v))),
    "norm_sign": lambda v: ge(norm(v)),
    "cauchy": lambda v, w: ge(minus(mul(norm(v), norm(w)), dot(v, w))),
    "angle_least": lambda v, w: ge(angle(v, w)),
    "angle_most": lambda v, w: ge(minus(sym("pi"), angle(v, w))),
    "angle_dot": lambda v, w: eq(minus(mul(norm(v), norm(w), fun("cos", angle(v, w))), dot(v, w))),
    "pythagoras": lambda a: eq(plus(*(mul(fun(k, a), fun(k, a)) for k in ("sin", "cos")), num(-1))),
    "cos_sum": lambda a, b: eq(
        plus(
            fun("cos", a, b),
            mul(num(-1), fun("cos", a), fun("cos", b)),
            mul(fun("sin", a), fun("sin", b)),
        )
    ),
    "exp_zero": lambda: eq(minus(fun("exp"), num(1))),
    "exp_sign": lambda a: gt(fun("exp", a)),
    "exp_sum": lambda a, b: eq(minus(fun("exp", a, b), mul(fun("exp", a), fun("exp", b)))),
}
RULES = {name[2:]: rule for name, rule in list(globals().items()) if name.startswith("r_")}
