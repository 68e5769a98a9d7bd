r"""Terms of the kernel: polynomials over atoms, always in normal form, without division.

A number is a `Poly`, a vector a `Vec`, a linear combination of vector atoms. Two terms are equal as
soon as they are one object up to the ring axioms, bilinearity of `dot`, and linearity of `sum` and
`mean`. `n` is the size of the index set, which is not empty; `t` is time; every other name is free.
A function symbol of time is continuously differentiable. A name of an index that starts with `X`
is a sample and has no count: `mean` is a linear functional with `mean(1) = 1`, monotone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, cached_property
from typing import Any

__all__ = [
    *("N", "PI", "T", "Poly", "Refused", "Vec", "atoms", "continuous", "fair", "function"),
    *("kinds", "lengths", "names", "number", "rate", "replaced", "sampled", "symbol", "total"),
]

Atom = tuple[Any, ...]
RATES = ("d", "low", "up")  # derivative, lower and upper right Dini derivative


class Refused(ValueError):
    """A rule does not apply; the message says why."""


def _order(x: Any) -> str:
    return repr(x)


@dataclass(frozen=True, repr=False)
class Poly:
    """A polynomial: sorted pairs of a monomial (sorted atoms) and a coefficient, none zero."""

    terms: tuple[tuple[tuple[Atom, ...], Fraction], ...]

    def __post_init__(self) -> None:
        """Refuse what rounds: identities of polynomials are those of exact numbers."""
        if not all(type(c) is Fraction for _, c in self.terms):
            raise Refused("the coefficients of a term are fractions")

    @cached_property
    def _text(self) -> str:
        return "P" + repr(tuple((m, str(c)) for m, c in self.terms))

    def __repr__(self) -> str:
        return self._text

    def __hash__(self) -> int:
        return hash(self._text)

    @staticmethod
    def collect(pairs: Iterable[tuple[Iterable[Atom], Fraction]]) -> Poly:
        """Sum of coefficient times product of atoms."""
        found: dict[tuple[Atom, ...], Fraction] = {}
        for atoms, c in pairs:
            key = tuple(sorted(atoms, key=_order))
            found[key] = found.get(key, Fraction(0)) + c
        return Poly(tuple((m, found[m]) for m in sorted(found, key=_order) if found[m]))

    def __add__(self, other: Any) -> Poly:
        return Poly.collect((*self.terms, *number(other).terms))

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, Vec):
            return NotImplemented
        right = number(other).terms
        return Poly.collect(((*a, *b), c * d) for a, c in self.terms for b, d in right)

    def __pow__(self, k: int) -> Poly:
        if not isinstance(k, int) or k < 0:
            raise Refused(f"a power must be a natural number, came {k!r}")
        return number(1) if k == 0 else self * self ** (k - 1)

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self) -> Poly:
        return self * -1

    def __sub__(self, other: Any) -> Poly:
        return self + number(other) * -1

    def __rsub__(self, other: Any) -> Poly:
        return number(other) - self

    def __truediv__(self, q: int | Fraction) -> Poly:
        return self * (1 / Fraction(q))


@dataclass(frozen=True)
class Vec:
    """A linear combination: sorted pairs of a vector atom and a coefficient, none zero."""

    parts: tuple[tuple[Atom, Poly], ...]

    @staticmethod
    def symbol(name: str, *index: str, time: str = "") -> Vec:
        """A vector, or a family of them, constant or a function of time."""
        return Vec(((("v", name, index, time), number(1)),))

    def __add__(self, other: Vec) -> Vec:
        found: dict[Atom, Poly] = {}
        for atom, c in (*self.parts, *other.parts):
            found[atom] = found.get(atom, number(0)) + c
        return Vec(tuple((a, found[a]) for a in sorted(found, key=_order) if found[a].terms))

    def __mul__(self, c: Any) -> Vec:
        scaled = ((a, b * number(c)) for a, b in self.parts)
        return Vec(tuple((a, b) for a, b in scaled if b.terms))

    __rmul__ = __mul__

    def __sub__(self, other: Vec) -> Vec:
        return self + other * -1

    def dot(self, other: Vec) -> Poly:
        """Inner product: bilinear and symmetric."""
        return sum(
            (
                c * d * Poly.collect([((("dot", *sorted((a, b), key=_order)),), Fraction(1))])
                for a, c in self.parts
                for b, d in other.parts
            ),
            number(0),
        )

    def norm(self) -> Poly:
        """Length; `|-x| = |x|`, `|0| = 0`."""
        if not self.parts:
            return number(0)
        first = self.parts[0][1].terms[0][1]
        return _single(("norm", self if first > 0 else self * -1))

    def angle(self, other: Vec) -> Poly:
        """Angle between two vectors, in `[0, pi]`; any such number where one vanishes."""
        return _single(("angle", *sorted((self, other), key=_order)))

    @property
    def prime(self) -> Vec:
        """Derivative by time of a vector symbol."""
        ((kind, name, index, time), c) = self.parts[0]
        if len(self.parts) != 1 or kind != "v" or time != "t" or c != number(1):
            raise Refused("only a vector symbol of t has a derivative as a symbol")
        return Vec(((("dv", name, index, time), c),))


def _single(atom: Atom) -> Poly:
    return Poly((((atom,), Fraction(1)),))


def number(x: Any) -> Poly:
    """Return a rational number, or a `Poly` as it is."""
    if isinstance(x, Poly):
        return x
    if isinstance(x, bool) or not isinstance(x, int | Fraction):
        raise Refused(f"a number must be a term or a fraction, came {x!r}")
    return Poly((((), Fraction(x)),)) if x else Poly(())


def symbol(name: str, *index: str, time: str = "") -> Poly:
    """Return a real number, or a family of them, constant or a function of time."""
    return _single(("s", name, index, time))


def function(kind: str, x: Any) -> Poly:
    """Return `sin`, `cos` or `exp` of a number, or a rate (`d`, `low`, `up`) of it."""
    if kind not in ("sin", "cos", "exp", *RATES):
        raise Refused(f"unknown function {kind!r}")
    return _single((kind, number(x)))


def total(index: str, body: Any) -> Poly:
    """Return the sum over an index, or the mean over a sample, in normal form."""
    if any(name[0] in "_~" for name in (index, *names(number(body)))):
        raise Refused("names that begin with _ or ~ are those of bound indices")
    return _total(index, number(body))


def _total(index: str, body: Poly) -> Poly:
    count, found = (number(1) if sampled(index) else N), number(0)
    for product, c in body.terms:
        inside = tuple(a for a in product if index in names(a))
        factor = Poly.collect([((a for a in product if index not in names(a)), c)])
        # Above all indices that are bound inside, so that none captures another.
        bound = [int(a[1].lstrip("_X")) for a in atoms(inside) if a[0] == "sum"]
        name = f"_{'X' * sampled(index)}{1 + max(bound, default=-1)}"
        renamed = (replaced(_single(a), {index: name}) for a in inside)
        monomial = tuple(sorted((p.terms[0][0][0] for p in renamed), key=_order))
        found += factor * (_single(("sum", name, monomial)) if inside else count)
    return found


def _opened(atom: Atom, avoid: set[str]) -> tuple[str, str]:
    """The bound index of a sum, and a name for it that nothing else has."""
    taken, prefix = names(atom[2]) | avoid, "X~" if sampled(atom[1]) else "~"
    return atom[1], next(
        f"{prefix}{k}" for k in range(len(taken) + 1) if f"{prefix}{k}" not in taken
    )


def sampled(index: str) -> bool:
    """Whether the name of an index is that of a sample."""
    return index.lstrip("_").startswith("X")


def names(x: Any) -> set[str]:
    """Free names of a term."""
    if isinstance(x, Poly | Vec):
        return _names_of(x)
    if not isinstance(x, tuple) or not x:
        return set()
    if x[0] in ("s", "v", "dv"):
        return {name for name in (x[1], *x[2], x[3]) if name}
    if x[0] == "sum":
        return names(x[2]) - {x[1]}
    return set().union(*(names(part) for part in x))


@cache
def _names_of(x: Poly | Vec) -> set[str]:
    parts = x.terms if isinstance(x, Poly) else x.parts
    return set().union(*(names(key) | names(c) for key, c in parts))


def atoms(x: Any) -> Iterator[Atom]:
    """All atoms of a term, those inside others included."""
    if isinstance(x, Poly | Vec):
        for key, c in x.terms if isinstance(x, Poly) else x.parts:
            yield from atoms(key)
            yield from atoms(c) if isinstance(c, Poly) else ()
    elif isinstance(x, tuple):
        named = bool(x) and isinstance(x[0], str)
        if named:
            yield x
        for part in () if named and x[0] in ("s", "v", "dv") else x:
            yield from atoms(part)


def kinds(x: Any) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Names with what they are: an index, or a number or vector with its indices and its time."""
    for atom in atoms(x):
        if atom[0] == "sum":
            yield atom[1], ("index",)
        if atom[0] in ("s", "v", "dv"):
            kind, name, index, time = atom
            yield name, (kind.lstrip("d"), len(index), bool(time))
            yield from ((i, ("index",)) for i in index)
            yield from ((name, ("s", 0, False)) for name in (time,) if name)


def fair(by: Mapping[str, Any]) -> dict[str, Any]:
    """Refuse to put for names what may not stand for them; leave out what stays as it is."""
    by = dict(by)
    for key, value in by.items():
        if type(key) is not str or not isinstance(value, str | Poly | Vec):
            raise Refused(f"{key} must be replaced by a term")
        if key in ("n", "pi") or key[:1] in ("", "_", "~"):
            raise Refused(f"{key} may not be replaced")
        if isinstance(value, str) and value[:1] in ("", "_", "~"):
            raise Refused(f"{value!r} is no name")
        if sampled(key) != (isinstance(value, str) and sampled(value)):
            raise Refused(f"{key}: other kind")
    return {key: value for key, value in by.items() if value != key}


def lengths(u: Poly) -> list[Vec]:
    """Vectors whose lengths are in a term and depend on time."""
    return [a[1] for a in atoms(u) if a[0] == "norm" and "t" in names(a)]


def continuous(u: Poly, *also: str) -> None:
    """Refuse a term that is not known to be a continuous function of time."""
    for a in atoms(u):
        if a[0] not in ("s", "v", "dot", "norm", "sin", "cos", "exp", "sum", *also):
            raise Refused(f"{a[0]!r} is not known to be continuous")
        if a[0] == "sum" and sampled(a[1]):
            raise Refused("an expectation is not known to be continuous")


def replaced(x: Any, by: Mapping[str, Any]) -> Any:
    """Put terms for names: `Poly` for numbers, `Vec` for vectors, names for indices and times.

    Under a derivative only what does not depend on time may be put in, and never for `t`.
    """
    by = {name: value for name, value in by.items() if value != name}
    if not by or not isinstance(x, Poly | Vec):
        return x
    if isinstance(x, Vec):
        return sum((_atom(a, by) * replaced(c, by) for a, c in x.parts), Vec(()))
    found = number(0)
    for factors, c in x.terms:
        found += c * _product(factors, by)
    return found


def _product(factors: Iterable[Atom], by: Mapping[str, Any]) -> Poly:
    product = number(1)
    for factor in factors:
        product = product * _atom(factor, by)
    return product


def _atom(atom: Atom, by: Mapping[str, Any]) -> Any:
    kind = atom[0]
    if kind in ("s", "v", "dv"):
        _, name, index, time = atom
        moved = tuple(_name(by.get(i, i)) for i in index)
        when = _name(by.get(time, time))
        if kind == "dv" and time != when:
            raise Refused("t may not be replaced under a derivative")
        if name in by and not index and not time:
            expected = Poly if kind == "s" else Vec
            value = by[name] if not isinstance(by[name], str) else symbol(by[name])
            if not isinstance(value, expected):
                raise Refused(f"{name} must be replaced by a term of its kind")
            return value
        if name in by:
            raise Refused(f"{name} is a function and may not be replaced")
        return (
            Vec((((kind, name, moved, when), number(1)),))
            if kind != "s"
            else _single(("s", name, moved, when))
        )
    if kind == "sum":
        avoid = set(by).union(*(names_of(value) for value in by.values()))
        bound, fresh = _opened(atom, avoid)
        return _total(fresh, _product(atom[2], {**by, bound: fresh}))
    if kind in RATES:
        moving = [k for k in names(atom) & set(by) if k == "t" or "t" in names_of(by[k])]
        if moving:
            raise Refused(f"{moving[0]} may not become a function of time under a derivative")
        return function(kind, replaced(atom[1], by))
    if kind == "dot":
        return _atom(atom[1], by).dot(_atom(atom[2], by))
    if kind == "norm":
        return replaced(atom[1], by).norm()
    if kind == "angle":
        return replaced(atom[1], by).angle(replaced(atom[2], by))
    return function(kind, replaced(atom[1], by))


def names_of(value: Any) -> set[str]:
    """Names in what is put in, which may be a name itself."""
    return {value} if isinstance(value, str) else names(value)


def _name(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise Refused("an index or a time may be replaced by a name only")


def rate(x: Poly) -> Poly:
    """Derivative by `t`: product and chain rule; `|x|'` stays a symbol, which needs `|x| > 0`."""
    found = number(0)
    for factors, c in x.terms:
        for k, atom in enumerate(factors):
            found += Poly.collect([((*factors[:k], *factors[k + 1 :]), c)]) * _rate(atom)
    return found


def _rate(atom: Atom) -> Poly:
    kind = atom[0]
    if "t" not in names(atom):
        return number(0)
    if atom == ("s", "t", (), ""):
        return number(1)
    if kind in ("s", "norm"):
        return function("d", _single(atom))
    if kind == "dot" and atom[1][0] == atom[2][0] == "v":
        a, b = (Vec(((v, number(1)),)) for v in atom[1:])
        moving = [(x, y) for x, y in ((a, b), (b, a)) if x.parts[0][0][3] == "t"]
        return sum((x.prime.dot(y) for x, y in moving), number(0))
    if kind == "sum" and not sampled(atom[1]):  # no derivative under an expectation
        bound, fresh = _opened(atom, set())
        return _total(fresh, rate(_product(atom[2], {bound: fresh})))
    if kind in ("sin", "cos", "exp"):
        outer = {"sin": function("cos", atom[1]), "exp": _single(atom)}
        return outer.get(kind, -function("sin", atom[1])) * rate(atom[1])
    raise Refused(f"no derivative is known of a term with {kind!r}")


N, PI, T = symbol("n"), symbol("pi"), symbol("t")
