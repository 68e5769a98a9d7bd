"""Formulas: relations of a term to zero, distinct indices, and closed hypotheses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any

from symbolic.theorem.terms import Poly, Refused, Vec, kinds, names, number, replaced

__all__ = [
    *("Distinct", "Forall", "Formula", "Rel", "eq", "free", "ge", "gt", "kinds_of", "plain", "put")
]


@dataclass(frozen=True)
class Rel:
    """`poly >= 0`, `poly > 0` or `poly = 0`."""

    poly: Poly
    op: str

    def __post_init__(self) -> None:
        """Refuse any other relation, which rules would read as one of these."""
        if self.op not in (">=", ">", "=") or not isinstance(self.poly, Poly):
            raise Refused(f"a relation is >=, > or = of a term, came {self.op!r}")


@dataclass(frozen=True)
class Distinct:
    """Two indices differ; `p != q` and `q != p` are one formula."""

    p: str
    q: str

    def __post_init__(self) -> None:
        """Put the two in order."""
        low, high = sorted((self.p, self.q))
        object.__setattr__(self, "p", low)
        object.__setattr__(self, "q", high)


@dataclass(frozen=True)
class Forall:
    """For all that the bound names stand for: if the guards hold, so does the body."""

    bound: tuple[str, ...]
    guards: tuple[Rel | Distinct, ...]
    body: Rel

    def __post_init__(self) -> None:
        """Refuse to bind a name that is reserved."""
        if any(name in ("n", "pi") or name[:1] in ("", "_", "~") for name in self.bound):
            raise Refused(f"{self.bound} may not be bound")
        if not isinstance(self.body, Rel) or any(isinstance(g, Forall) for g in self.guards):
            raise Refused("a quantifier has a relation as its body, and no other one inside")


Formula = Rel | Distinct | Forall


def ge(x: Any) -> Rel:
    """`x >= 0`."""
    return Rel(number(x), ">=")


def gt(x: Any) -> Rel:
    """`x > 0`."""
    return Rel(number(x), ">")


def eq(x: Any) -> Rel:
    """`x = 0`."""
    return Rel(number(x), "=")


def _parts(f: Formula) -> tuple[Any, ...]:
    if isinstance(f, Rel):
        return (f.poly,)
    if isinstance(f, Distinct):
        return (("s", "", (f.p, f.q), ""),)
    return tuple(part for g in (*f.guards, f.body) for part in _parts(g))


def kinds_of(f: Formula) -> list[Any]:
    """Free names with what they are."""
    if isinstance(f, Distinct):
        return [(f.p, ("index",)), (f.q, ("index",))]
    if isinstance(f, Rel):
        return list(kinds(f.poly))
    return [(x, k) for g in (*f.guards, f.body) for x, k in kinds_of(g) if x not in f.bound]


def free(f: Formula) -> set[str]:
    """Free names of a formula."""
    found = set().union(*(names(p) for p in _parts(f)))
    return found - set(f.bound) if isinstance(f, Forall) else found


def put(f: Any, by: Mapping[str, Any]) -> Any:
    """Put terms for free names; refused where a bound name would capture one."""
    if isinstance(f, Rel):
        return Rel(replaced(f.poly, by), f.op)
    if isinstance(f, Distinct):
        if not all(isinstance(by.get(i, i), str) for i in (f.p, f.q)):
            raise Refused("an index may be replaced by a name only")
        return Distinct(by.get(f.p, f.p), by.get(f.q, f.q))
    by = {k: v for k, v in by.items() if k in free(f)}
    new = set().union(*({v} if isinstance(v, str) else names(v) for v in by.values()))
    if new & set(f.bound):
        raise Refused(f"{sorted(new & set(f.bound))[0]} would be captured by a quantifier")
    return Forall(f.bound, tuple(put(g, by) for g in f.guards), put(f.body, by))


def plain(x: Any) -> bool:
    """Whether an argument is made of our own terms and formulas, not of what acts like them.

    All the way down: no name that equals every other, no list in a term that changes later.
    """
    kind = type(x)
    if kind is dict:
        return all(type(key) is str and _solid(value) for key, value in x.items())
    return all(map(plain, x)) if kind is list else _solid(x)


def _solid(x: Any) -> bool:
    kind = type(x)
    if kind is tuple:
        loose = len(x) == 3 and x[0] == "sum" and x[1][:1] != "_"  # could be free elsewhere
        return all(map(_solid, x)) and not loose
    if kind in (Poly, Vec, Rel, Distinct, Forall):
        parts = [getattr(x, field.name) for field in fields(x)]
        return all(map(_solid, parts)) and (kind is not Forall or type(x.bound) is tuple)
    return kind in (str, int, bool, Fraction)
