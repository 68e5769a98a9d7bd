"""Terms of the second reader: sparse polynomials with `fmpq` coefficients, read from plain data.

It knows nothing of the kernel. A polynomial is `{monomial: fmpq}`, a monomial a sorted tuple of
atoms, a vector `{atom: polynomial}`; a bound index is a tuple, so no name can be mistaken for it.
"""

from __future__ import annotations

import re
from itertools import count
from typing import Any

from flint import fmpq

__all__ = [
    *("INDEX", "P", "PLAIN", "TIMED", "Wrong", "angle", "atoms", "dot", "free", "fun"),
    *("ice", "leibniz", "melt", "mul", "need", "norm", "num", "one", "plus", "put"),
    *("rate", "read", "sym", "total"),
]

RATE, TIMED = ("d", "low"), ("s", "v", "dv")
Q1, FRESH = fmpq(1), count()
# Names are restricted so that they stay distinct when a formula is printed.
NAME = re.compile(r"(?!(sin|cos|exp|angle)$)[A-Za-z][A-Za-z0-9]*(_[A-WYZ])?")
INDEX, BOUND = re.compile(r"[a-z][a-z0-9]*|X[0-9]*"), re.compile(r"_X?[0-9]{1,2}")
PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9]*")


class Wrong(ValueError):
    """A step is not what its rule gives; the message says which and why."""


def need(condition: Any, why: str) -> None:
    if not condition:
        raise Wrong(why)


# --- terms: {monomial: fmpq}; a monomial is a sorted tuple of atoms, an atom a tuple ------------
class P(dict[Any, Any]):
    """A polynomial: sums and products are polynomials again, plain numbers are read as such."""

    def __add__(self, other: Any) -> Any:
        return plus(self, other if isinstance(other, P) else num(other))

    def __mul__(self, other: Any) -> Any:
        return mul(self, other if isinstance(other, P) else num(other))

    def __neg__(self) -> Any:
        return self * -1

    def __sub__(self, other: Any) -> Any:
        return self + (other if isinstance(other, P) else num(other)) * -1

    def __rsub__(self, other: Any) -> Any:
        return num(other) - self

    def __pow__(self, k: int) -> Any:
        return mul(*[self] * k)

    __radd__, __rmul__ = __add__, __mul__


def tidy(pairs: Any) -> P:
    out: dict[Any, Any] = {}
    for m, c in pairs:
        m = tuple(sorted(m, key=repr))
        out[m] = out.get(m, fmpq(0)) + c
    return P({m: c for m, c in out.items() if c != 0})


def num(q: Any) -> Any:
    return P({(): fmpq(q)}) if q != 0 else P()


def one(*atom: Any) -> Any:
    return P({(atom,): Q1})


def sym(name: str) -> Any:
    return one("s", name, (), "")


def plus(*ps: Any) -> Any:
    return tidy(pair for p in ps for pair in p.items())


def mul(*ps: Any) -> Any:
    out = num(1)
    for p in ps:
        out = tidy(((*a, *b), c * d) for a, c in out.items() for b, d in p.items())
    return out


def ice(x: Any) -> Any:
    """A polynomial or vector as a tuple, to stand inside an atom."""
    if not isinstance(x, dict):
        return x
    return (
        "P",
        *sorted(((k, ice(c) if isinstance(c, dict) else str(c)) for k, c in x.items()), key=repr),
    )


def fun(kind: str, x: Any) -> Any:
    """A function or a rate of a polynomial."""
    return one(kind, ice(x))


def melt(x: Any) -> Any:
    """The polynomial or vector of such a tuple; what is empty is the zero of both."""
    if any(isinstance(c, tuple) for _, c in x[1:]):
        return {k: melt(c) for k, c in x[1:]}
    return P({k: fmpq(*map(int, c.split("/"))) for k, c in x[1:]})


def free(x: Any) -> set[Any]:
    """Names, of which bound ones are tuples."""
    if isinstance(x, dict):
        return free(ice(x))
    if not isinstance(x, tuple) or not x:
        return set()
    if x[0] in TIMED and len(x) == 4 and isinstance(x[1], str):
        return {x[1], *x[2], *((x[3],) if x[3] else ())}
    inside = set().union(*map(free, x))
    return inside - {x[1]} if x[0] == "sum" else inside


def atoms(x: Any) -> Any:
    if isinstance(x, dict):
        yield from atoms(ice(x))
    elif isinstance(x, tuple):
        if x and isinstance(x[0], str) and x[0] != "P":
            yield x
        for part in () if x and x[0] in TIMED else x[2:] if x and x[0] == "sum" else x:
            yield from atoms(part)


def total(k: Any, p: Any) -> Any:
    """Sum over the index k: what does not know it goes out, the rest is bound by its depth."""
    out, mean = num(0), k[2] if isinstance(k, tuple) else k.startswith("X")
    for m, c in p.items():
        inside = [a for a in m if k in free(a)]
        rest = P({tuple(a for a in m if k not in free(a)): c})
        if not inside:
            out = plus(out, mul(rest, num(1) if mean else sym("n")))
            continue
        depth = 1 + max((a[1][1] for i in inside for a in atoms(i) if a[0] == "sum"), default=-1)
        (body,) = mul(*(put_atom(a, {k: ("#", depth, mean)}) for a in inside))
        out = plus(out, mul(rest, one("sum", ("#", depth, mean), body)))
    return out


def vplus(*vs: Any) -> Any:
    out: dict[Any, Any] = {}
    for v in vs:
        for a, c in v.items():
            out[a] = plus(out.get(a, num(0)), c)
    return {a: c for a, c in out.items() if c}


def vmul(c: Any, v: Any) -> Any:
    return vplus({a: mul(c, b) for a, b in v.items()})


def dot(v: Any, w: Any) -> Any:
    pairs = ((a, b, c, d) for a, c in v.items() for b, d in w.items())
    return plus(*(mul(c, d, one("dot", *sorted((a, b), key=repr))) for a, b, c, d in pairs))


def norm(v: Any) -> Any:
    """|v|, one form for v and -v."""
    both = sorted((ice(v), ice(vmul(num(-1), v))), key=repr)
    return one("norm", both[0]) if v else num(0)


def angle(v: Any, w: Any) -> Any:
    return one("angle", *sorted((ice(v), ice(w)), key=repr))


def put(p: Any, by: Any) -> Any:
    return plus(*(mul(num(c), *(put_atom(a, by) for a in m)) for m, c in p.items()))


def vput(v: Any, by: Any) -> Any:
    return vplus(*(vmul(put(c, by), put_atom(a, by)) for a, c in v.items()))


def put_atom(a: Any, by: Any) -> Any:
    by, kind = {k: v for k, v in by.items() if v != k}, a[0]
    if kind in TIMED:
        _, name, index, time = a
        new, when = tuple(by.get(i, i) for i in index), by.get(time, time)
        need(all(not isinstance(i, dict) for i in (*new, when)), "an index becomes a name only")
        need(kind != "dv" or when == time, "t is replaced under a derivative")
        if name in by:
            need(not index and not time, "a function is replaced")
            value = sym(by[name]) if isinstance(by[name], str) else by[name]
            vector = any(isinstance(c, dict) for c in value.values())
            need(vector == (kind != "s") or not value, "a term of another kind")
            return value
        atom = (kind, name, new, when)
        return one(*atom) if kind == "s" else {atom: num(1)}
    if kind == "sum":
        fresh = ("~", next(FRESH), a[1][2])
        return total(fresh, mul(*(put_atom(b, {**by, a[1]: fresh}) for b in a[2])))
    if kind in RATE:
        moving = [k for k in free(a) & set(by) if "t" in {k} | free_value(by[k])]
        need(not moving, "a moving term under a derivative")
    if kind == "dot":
        return dot(put_atom(a[1], by), put_atom(a[2], by))
    if kind == "norm":
        return norm(vput(melt(a[1]), by))
    if kind == "angle":
        return angle(vput(melt(a[1]), by), vput(melt(a[2]), by))
    return one(kind, ice(put(melt(a[1]), by)))


def free_value(v: Any) -> set[Any]:
    return free(v) if isinstance(v, dict) else {v}


def leibniz(p: Any, of: Any) -> Any:
    """Product rule: what `of` gives for each atom, times the others."""
    parts = ((m, c, k, a) for m, c in p.items() for k, a in enumerate(m))
    return plus(*(mul(P({m[:k] + m[k + 1 :]: c}), of(a)) for m, c, k, a in parts))


def rate(p: Any) -> Any:
    return leibniz(p, rate_atom)


def rate_atom(a: Any) -> Any:
    kind = a[0]
    if "t" not in free(a):
        return num(0)
    if a == ("s", "t", (), ""):
        return num(1)
    if kind in ("s", "norm"):
        return fun("d", one(*a))
    if kind == "dot" and a[1][0] == a[2][0] == "v":
        ends = [(x, y) for x, y in ((a[1], a[2]), (a[2], a[1])) if x[3] == "t"]
        return plus(*(dot({("dv", *x[1:]): num(1)}, {y: num(1)}) for x, y in ends))
    if kind == "sum" and not a[1][2]:
        fresh = ("~", next(FRESH), False)
        return total(fresh, rate(mul(*(put_atom(b, {a[1]: fresh}) for b in a[2]))))
    outer = {"exp": one(*a), "sin": one("cos", a[1]), "cos": -one("sin", a[1])}
    need(kind in outer, f"no derivative of {kind}")
    return mul(outer[kind], rate(melt(a[1])))


# --- reading ------------------------------------------------------------------------------------
def read(x: Any, env: Any) -> Any:
    """A term of the file; `env` has the indices that are bound around it."""
    need(len(x) == 1, "a term that says two things")
    if "q" in x:
        return num(fmpq(*map(int, x["q"].split("/"))))
    if "p" in x:
        pairs = [(fmpq(*map(int, c.split("/"))), m) for c, m in x["p"]]
        need(not any(a[0] in TIMED[1:] for _, m in pairs for a in m), "a vector among numbers")
        return plus(num(0), *(mul(num(c), *(read_atom(a, env) for a in m)) for c, m in pairs))
    need(all(a[0] in TIMED[1:] and "p" in c for a, c in x["v"]), "no vector")
    return vplus(*(vmul(read(c, env), read_atom(a, env)) for a, c in x["v"]))


def read_atom(a: Any, env: Any) -> Any:
    kind = a[0]
    if kind in TIMED:
        need(len(a) == 4 and type(a) is type(a[2]) is list, "no symbol")
        need(all(isinstance(s, str) for s in (a[1], a[3], *a[2])), "no symbol")
        need(NAME.fullmatch(a[1]), "no name")
        need(PLAIN.fullmatch(a[3] or "t"), "no time")
        index = tuple(env.get(i, i) for i in a[2])
        loose = (i for i in index if isinstance(i, str))
        need(all(map(INDEX.fullmatch, loose)), "a loose index")
        return put_atom((kind, a[1], index, a[3]), {})
    if kind == "sum":
        need(BOUND.fullmatch(a[1]), "no bound index")
        fresh = ("~", next(FRESH), "X" in a[1])
        return total(fresh, mul(*(read_atom(b, {**env, a[1]: fresh}) for b in a[2])))
    if kind == "dot":
        need(a[1][0] in TIMED[1:] and a[2][0] in TIMED[1:], "no vector")
        return dot(read_atom(a[1], env), read_atom(a[2], env))
    if kind in ("norm", "angle"):
        need(all("v" in v for v in a[1:]), "no vector")
        return (norm if kind == "norm" else angle)(*(read(v, env) for v in a[1:]))
    need(kind in ("sin", "cos", "exp", *RATE) and len(a) == 2, f"unknown term {kind}")
    need("v" not in a[1], "a function of a vector")
    return one(kind, ice(read(a[1], env)))
