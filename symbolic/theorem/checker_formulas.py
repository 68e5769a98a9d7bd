"""Formulas of the second reader, and what rules ask of them."""

from __future__ import annotations

from typing import Any

from flint import fmpq

from symbolic.theorem.checker_terms import (
    INDEX,
    PLAIN,
    TIMED,
    atoms,
    free,
    ice,
    melt,
    need,
    put,
    read,
)

__all__ = [
    *("Step", "need_free", "eq", "fair", "ge", "gt", "hyps_of", "kinds_of", "names", "natural"),
    *("put_in", "quotient", "read_formula", "read_value", "rel", "says", "value_of"),
]

Step = tuple[frozenset[Any], Any]  # hypotheses, conclusion

NUMBER = ("s", 0, False)
KEYS = ({"apart"}, {"forall", "guards", "body"}, {"op", "of"})


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
    """Free names of a formula."""
    if f[0] == "all":
        return set().union(*map(names, (*f[2], f[3]))) - set(f[1])
    return set(f[1:]) if f[0] == "apart" else free(f[2])


def put_in(f: Any, by: Any) -> Any:
    """Put terms for free names, without capture."""
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
    """Refuse what may not be put for a name."""
    for key, value in by.items():
        need(key not in ("n", "pi") and key[:1] not in ("", "_", "~"), f"{key} is replaced")
        sample = isinstance(value, str) and value.startswith("X")
        need(key.startswith("X") == sample, "index and sample are mixed")
        need(not isinstance(value, str) or value[:1] not in ("", "_", "~"), "no name")
        need(isinstance(value, str | dict), "no term")
    return by


def rel(op: str, p: Any) -> Any:
    """A relation of a term to zero."""
    return ("rel", op, ice(p))


def hyps_of(*steps: Step) -> frozenset[Any]:
    """Hypotheses of several steps."""
    return frozenset().union(*(s[0] for s in steps))


def value_of(step: Step) -> Any:
    """The term of a conclusion."""
    return melt(step[1][2])


def ge(p: Any) -> Any:
    """`p >= 0`."""
    return rel(">=", p)


def gt(p: Any) -> Any:
    """`p > 0`."""
    return rel(">", p)


def eq(p: Any) -> Any:
    """`p = 0`."""
    return rel("=", p)


def quotient(x: Any) -> fmpq:
    """A term that is a plain number."""
    need(set(x) <= {()}, "not a number")
    return x.get((), fmpq(0))


def natural(x: Any) -> int:
    """One that is 0, 1, 2, ..., a power or a count of premises."""
    q = quotient(x)
    need(q.q == 1 and 0 <= q < 1000, "not a natural number below 1000")
    return int(q.p)


def says(*pairs: Any) -> None:
    """Refuse a premise that says something else."""
    need(all(step[1] == wanted for step, wanted in pairs), "a premise says something else")


def need_free(taken: Any, *formulas: Any) -> None:
    """Refuse formulas in which one of the names is free."""
    used = set().union(*map(names, formulas))
    need(not used & set(taken), f"one of {sorted(map(str, taken))} is free elsewhere")


def read_formula(f: Any) -> Any:
    """A formula of the file."""
    need(set(f) in KEYS, "a formula that says two things")
    if "apart" in f:
        need(all(INDEX.fullmatch(i) for i in f["apart"]) and len(f["apart"]) == 2, "no indices")
        return ("apart", *sorted(f["apart"]))
    if "forall" in f:
        need(all(PLAIN.fullmatch(b) and b not in ("n", "pi") for b in f["forall"]), "bound name")
        guards = tuple(read_formula(g) for g in f["guards"])
        body = read_formula(f["body"])
        need(body[0] == "rel" and all(g[0] != "all" for g in guards), "a quantifier inside another")
        return ("all", tuple(f["forall"]), guards, body)
    need(f["op"] in (">=", ">", "="), "unknown relation")
    return rel(f["op"], read(f["of"], {}))


def read_value(x: Any) -> Any:
    """An argument of a rule."""
    if isinstance(x, dict):
        if "by" in x:
            return {k: read_value(v) for k, v in x["by"].items()}
        return read_formula(x) if {"op", "forall", "apart"} & set(x) else read(x, {})
    return [read_value(v) for v in x] if isinstance(x, list) else x
