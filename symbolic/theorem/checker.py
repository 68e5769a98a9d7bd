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


def check(proof: Any) -> Any:
    """Check a proof step by step; return the plain data of hypotheses and conclusion.

    Raises
    ------
    Wrong
        With the number of the first step that is not what its rule gives.
    """
    formulas = [read_formula(f) for f in proof["formulas"]]
    done: list[Step] = []
    for number, step in enumerate(proof["steps"]):
        try:
            need(step["rule"] in RULES, f"unknown rule {step['rule']}")
            places = [*step["if"], step["then"], *step["from"]]
            need(all(type(i) is int and i >= 0 for i in places), "places are natural numbers")
            need(all(i < number for i in step["from"]), "a premise does not stand before it")
            premises = [done[i] for i in step["from"]]
            hyps, concl = RULES[step["rule"]](premises, *read_value(step["with"]))
            said = frozenset(formulas[i] for i in step["if"]), formulas[step["then"]]
            need(frozenset(hyps) == said[0], "other hypotheses")
            need(concl == said[1], "another conclusion")
            one_kind(*said[0], said[1])
        except Wrong as why:
            raise Wrong(f"step {number} ({step['rule']}): {why}") from None
        except (KeyError, TypeError, IndexError, ValueError, AttributeError, ArithmeticError):
            raise Wrong(f"step {number} cannot be read") from None
        done.append(said)
    need(done, "no steps")
    last = proof["steps"][-1]
    return [proof["formulas"][i] for i in last["if"]], proof["formulas"][last["then"]]


def one_kind(*formulas: Any) -> None:
    """No name stands for things of two kinds; no bound index is loose."""
    seen: dict[str, Any] = dict.fromkeys(("t", "n", "pi"), ("s", 0, False))

    def visit(f: Any, bound: Any) -> None:
        if f[0] == "all":
            for g in (*f[2], f[3]):
                visit(g, f[1])
        elif f[0] == "apart":
            for name in set(f[1:]) - set(bound):
                need(seen.setdefault(name, "index") == "index", f"two kinds of {name}")
        else:
            need(not any(isinstance(x, tuple) for x in free(f[2])), "a loose bound index")
            for a in atoms(f[2]):
                if a[0] in TIMED:
                    kind = ("s" if a[0] == "s" else "v", len(a[2]), bool(a[3]))
                    said = [(a[1], kind), *((i, "index") for i in a[2])]
                    said += [(a[3], ("s", 0, False))] * bool(a[3])
                    for name, what in said:
                        if isinstance(name, str) and name not in bound:
                            need(seen.setdefault(name, what) == what, f"two kinds of {name}")

    for f in formulas:
        visit(f, ())


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


def r_cases(p: Any, e: Any) -> Any:
    says(p[1], p[0][1])
    return (p[0][0] - {ge(e)}) | (p[1][0] - {gt(mul(num(-1), e))}), p[0][1]


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


def r_cancel(p: Any, e: Any) -> Any:
    need(p[1][1][1] == ">" and value_of(p[0]) == mul(value_of(p[1]), e), "not the product")
    return hyps_of(*p), rel(p[0][1][1], e)


def r_antisymmetry(p: Any) -> Any:
    e = value_of(p[0])
    says(p[0], ge(e))
    says(p[1], ge(mul(num(-1), e)))
    return hyps_of(*p), eq(e)


def r_power(p: Any, a: Any, b: Any, k: Any) -> Any:
    n = int(quotient(k).p)
    need(quotient(k) == n and n > 0, "no power")
    says(p[0], ge(minus(mul(*[a] * n), mul(*[b] * n))))
    says(p[1], ge(a))
    return hyps_of(*p), ge(minus(a, b))


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


def r_star(p: Any, kj: Any, x: str, y: str, z: str) -> Any:
    (k, j), a = kj, value_of(p[0])
    need(p[0][1][1] == ">=" and k != j, "the summand must not be negative")
    need(not any(s.startswith("X") for s in (k, j, x, y, z)), "a sample is no index")
    need(not any({k, j} & names(h) for h in p[0][0]), "an index is free in a hypothesis")
    need(put(a, {k: j, j: k}) == a and put(a, {j: k}) == {}, "not symmetric, or not zero at k = k")
    legs = plus(put(a, {k: x, j: y}), put(a, {k: x, j: z}))
    far = minus(total(k, total(j, a)), mul(num(2), legs))
    return p[0][0] | {("apart", *sorted((y, z)))}, ge(far)


# --- numbers, lengths, angles, curves --------------------------------------------------------
def r_pi(_: Any, q: Any) -> Any:
    """`pi - q > 0`, or `q' - pi > 0` where `q = -q'` is negative."""
    r = quotient(q)
    gap = arb.pi() - arb(r) if r > 0 else arb(-r) - arb.pi()
    need(gap > 0, "not so for pi")
    return (), gt(minus(sym("pi"), q) if r > 0 else minus(mul(num(-1), q), sym("pi")))


def r_angle(_: Any, v: Any, w: Any, what: str) -> Any:
    a = angle(v, w)
    cosine = one("cos", ice(a))
    said = {"least": ge(a), "most": ge(minus(sym("pi"), a))}
    return (), {**said, "dot": eq(minus(mul(norm(v), norm(w), cosine), dot(v, w)))}[what]


def r_pythagoras(_: Any, a: Any) -> Any:
    s, c = one("sin", ice(a)), one("cos", ice(a))
    return (), eq(plus(mul(s, s), mul(c, c), num(-1)))


def r_cos_sum(_: Any, a: Any, b: Any) -> Any:
    (s, c), (u, d) = ((one("sin", ice(x)), one("cos", ice(x))) for x in (a, b))
    return (), eq(plus(one("cos", ice(plus(a, b))), mul(num(-1), c, d), mul(s, u)))


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
def window(hyps: Any, start: str, *bound: str) -> Any:
    need(start not in ("t", "n", "pi") and start[:1] not in ("", "_", "~"), "no constant")
    now = ge(minus(sym("t"), sym(start)))
    for h in hyps - {now}:
        need(not names(h) & {"t", *bound}, "t or a bound name is free in a hypothesis")
    return now


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


def r_trap(p: Any, f: Any, m: Any, g: Any, start: str, forward: bool) -> Any:
    u, bound, guards = melt(f[3][2]), f[1], set(f[2])
    need(f[0] == "all" and f[3][1] == ">" and "t" not in bound, "no family at time t")
    need(not any(b.startswith("X") for b in bound), "the family must be finite")
    for a in atoms(u):
        if a[0] in TIMED:
            need(not {a[1], a[3]} & set(bound), "the family must be finite")
    need(not any("t" in names(h) for h in guards), "a guard depends on t")
    side = mul(num(1 if forward else -1), m, one("d", ice(u)))
    says(p[0], ge(plus(side, mul(g, u))))
    says(p[1], gt(m))
    still(m)
    tame(u)
    tame(g, "angle")
    inner, lengths = p[: len(p) - forward], [s[1] for s in p[2 : len(p) - forward]]
    need(all(gt({(a,): fmpq(1)}) in lengths for a in norms_in(u)), "a length may vanish")
    hyps = hyps_of(*inner) - {f} - guards
    hyps = hyps | {window(hyps, start, *bound)} | guards
    first = gt(put(u, {"t": start}))
    if not forward:
        return hyps | {f}, first
    says(p[-1], first)
    begin = p[-1][0] - guards
    need(not any(names(h) & {"t", *bound} for h in begin), "a bound name is free elsewhere")
    return hyps | begin, gt(u)


def r_compare(p: Any, m: Any, k: Any, u: Any, kind: str, side: Any, start: str) -> Any:
    sign = int(quotient(side).p)
    need((kind, sign) in (("low", 1), ("d", 1), ("d", -1)), "lower bounds: low or d; upper: d")
    says(p[0], ge(mul(num(sign), plus(mul(m, one(kind, ice(u))), mul(k, u, u)))))
    says(p[1], gt(m))
    says(p[2], ge(k))
    first = put(u, {"t": start})
    says(p[3], gt(first))
    still(m, k)
    tame(u)
    need(kind == "low" or not any(a[0] == "norm" for a in atoms(u)), "a norm need not have d")
    now = window(hyps_of(*p), start)
    past = minus(sym("t"), sym(start))
    grown = minus(mul(u, plus(m, mul(k, first, past))), mul(m, first))
    return hyps_of(*p) | {now}, ge(mul(num(sign), grown))


def r_gronwall(p: Any, k: Any, u: Any, start: str) -> Any:
    says(p[0], ge(plus(one("d", ice(u)), mul(k, u))))
    still(k)
    tame(u)
    need(not any(a[0] == "norm" for a in atoms(u)), "a norm need not have a derivative")
    now = window(p[0][0], start)
    past = mul(num(-1), k, minus(sym("t"), sym(start)))
    factor = one("exp", ice(past)) if k else num(1)
    return p[0][0] | {now}, ge(minus(u, mul(factor, put(u, {"t": start}))))


RULES: dict[str, Callable[..., Any]] = {
    "square": lambda _, e: ((), ge(mul(e, e))),
    "count": lambda _: ((), ge(minus(sym("n"), num(1)))),
    "norm_square": lambda _, v: ((), eq(minus(mul(norm(v), norm(v)), dot(v, v)))),
    "norm_sign": lambda _, v: ((), ge(norm(v))),
    "cauchy": lambda _, v, w: ((), ge(minus(mul(norm(v), norm(w)), dot(v, w)))),
    **{name[2:]: rule for name, rule in list(globals().items()) if name.startswith("r_")},
}
