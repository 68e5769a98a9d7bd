"""Terms and formulas in text and in LaTeX, from the plain data of a certificate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, count, groupby, islice
from typing import Any

__all__ = ["shown", "tex"]

BOUND = "klmopqrsu"  # names that are shown for bound indices
GREEK = {"lam": r"\lambda"} | {
    name: f"\\{name}"
    for name in ("pi", "theta", "kappa", "mu", "psi", "delta", "rho", "tau", "omega", "ell")
}


def shown(formula: Any) -> str:
    """Return a formula as text, such as ``v > 0``."""
    if "apart" in formula:
        return " != ".join(formula["apart"])
    if "forall" in formula:
        guards = ", ".join(shown(g) for g in formula["guards"])
        where = f" with {guards}" if guards else ""
        return f"for all {', '.join(formula['forall'])}{where}: {shown(formula['body'])}"
    return _relation(formula, _Text(frozenset(_indices(formula))))


def tex(formula: Any) -> str:
    """Return a formula in LaTeX."""
    if "apart" in formula:
        return r" \ne ".join(map(_letters, formula["apart"]))
    if "forall" in formula:
        guards = ",\\ ".join(tex(g) for g in formula["guards"])
        where = rf"\ ({guards})" if guards else ""
        names = ", ".join(map(_letters, formula["forall"]))
        return rf"\forall {names}{where}:\quad {tex(formula['body'])}"
    return _relation(formula, _Latex(frozenset(_indices(formula))))


def _letters(name: str) -> str:
    """A name of several letters is one word, not their product."""
    base, primes = name.rstrip("'"), name[len(name.rstrip("'")) :]
    return GREEK.get(base, rf"\mathit{{{base}}}" if len(base) > 1 else base) + primes


def _indices(x: Any) -> Iterator[str]:
    """Indices that have a name, which no bound index may be shown as."""
    if isinstance(x, dict):
        x = list(x.values())
    if isinstance(x, list):
        timed = len(x) == 4 and x[0] in ("s", "v", "dv")
        yield from (i for i in x[2] if not i.startswith("_")) if timed else ()
        for part in () if timed else x:
            yield from _indices(part)


@dataclass(frozen=True)
class _Text:
    """How text writes what LaTeX writes otherwise; `taken` are the names of indices."""

    taken: frozenset[str]
    at_least, times = ">=", " "

    def bound(self, index: str) -> str:
        if not index.startswith("_"):
            return index
        place = int(index.lstrip("_X"))
        samples: Iterator[str] = ("x" + str(k) * (k > 0) for k in count())
        letters = samples if "X" in index else chain(BOUND, (f"k{k}" for k in count(1)))
        return next(islice((c for c in letters if c not in self.taken), place, None))

    def name(self, name: str, index: list[str], time: str) -> str:
        return name + (f"_{','.join(index)}" if index else "") + (f"({time})" if time else "")

    def power(self, base: str, k: int) -> str:
        return f"{base}^{k}" if k > 1 else base

    def fraction(self, c: Fraction) -> str:
        return str(c)

    def rate(self, kind: str, inner: str) -> str:
        return f"{ {'d': 'd/dt', 'low': 'D_low'}[kind] } [{inner}]"

    def call(self, name: str, inner: str) -> str:
        return f"{name}({inner})"

    def dot(self, a: str, b: str) -> str:
        return f"<{a}, {b}>"

    def norm(self, a: str) -> str:
        return f"|{a}|"

    def total(self, mean: bool, index: str, inner: str) -> str:
        return f"{'E' if mean else 'sum'}_{index} [{inner}]"

    def prime(self, name: str) -> str:
        return f"{name}'"


class _Latex(_Text):
    at_least, times = r"\ge", r"\,\penalty900 "

    def name(self, name: str, index: list[str], time: str) -> str:
        base, _, sub = name.partition("_")
        below = ",".join(map(_letters, ([sub] if sub else []) + index))
        time = _letters(time) if time else ""
        return _letters(base) + (f"_{{{below}}}" if below else "") + (f"({time})" if time else "")

    def power(self, base: str, k: int) -> str:
        return f"{base}^{{{k}}}" if k > 1 else base

    def fraction(self, c: Fraction) -> str:
        return str(c) if c.denominator == 1 else rf"\tfrac{{{c.numerator}}}{{{c.denominator}}}"

    def rate(self, kind: str, inner: str) -> str:
        return {"d": r"\tfrac{d}{dt}", "low": r"\underline{D}"}[kind] + rf"\bigl[{inner}\bigr]"

    def call(self, name: str, inner: str) -> str:
        return rf"\{name}({inner})" if name != "angle" else rf"\angle({inner})"

    def dot(self, a: str, b: str) -> str:
        return rf"\langle {a}, {b}\rangle"

    def norm(self, a: str) -> str:
        return rf"\lvert {a}\rvert"

    def total(self, mean: bool, index: str, inner: str) -> str:
        return rf"\mathbb{{E}}_{{{index}}} {inner}" if mean else rf"\sum_{{{index}}} {inner}"


def _relation(formula: Any, write: _Text) -> str:
    """Positive terms on the left, negative ones on the right."""
    terms = formula["of"]["p"]
    left = [t for t in terms if Fraction(t[0]) > 0]
    right = [[str(-Fraction(c)), m] for c, m in terms if Fraction(c) < 0]
    sides = _poly({"p": left}, write), _poly({"p": right}, write)
    return f"{sides[0]} {write.at_least if formula['op'] == '>=' else formula['op']} {sides[1]}"


def _poly(poly: Any, write: _Text) -> str:
    parts = []
    for c, monomial in poly["p"]:
        value = Fraction(c)
        atoms = sorted(monomial, key=_rank)
        factors = [write.power(_atom(a, write), len(list(g))) for a, g in groupby(atoms)]
        if abs(value) != 1 or not factors:
            factors.insert(0, write.fraction(abs(value)))
        sign = " - " if value < 0 else " + "
        parts.append(sign + write.times.join(factors))
    text = "".join(parts)
    return f"-{text[3:]}" if text.startswith(" - ") else text[3:] or "0"


def _rank(atom: Any) -> tuple[int, str]:
    order = {"s": 1, "exp": 2, "sin": 2, "cos": 2, "angle": 2, "norm": 3, "dot": 4}
    constant = atom[0] == "s" and atom[1] in ("pi", "n")
    return (0 if constant else order.get(atom[0], 5), repr(atom))


def _atom(atom: Any, write: _Text) -> str:
    kind = atom[0]
    if kind in ("s", "v", "dv"):
        index = [write.bound(i) for i in atom[2]]
        if kind == "dv":
            return write.name(write.prime(atom[1]), index, atom[3])
        return write.name(atom[1], index, atom[3])
    if kind == "sum":
        inner = _poly({"p": [["1", atom[2]]]}, write)
        return write.total("X" in atom[1], write.bound(atom[1]), inner)
    if kind == "dot":
        return write.dot(_atom(atom[1], write), _atom(atom[2], write))
    if kind == "norm":
        return write.norm(_vector(atom[1], write))
    if kind == "angle":
        return write.call("angle", ", ".join(_vector(v, write) for v in atom[1:]))
    call: Callable[[str, str], str] = write.rate if kind in ("d", "low") else write.call
    return call(kind, _poly(atom[1], write))


def _vector(vector: Any, write: _Text) -> str:
    parts = []
    for atom, c in vector["v"]:
        one = c["p"] == [["1", []]]
        minus = c["p"] == [["-1", []]]
        scale = "" if one or minus else f"({_poly(c, write)}) "
        parts.append((" - " if minus else " + ") + scale + _atom(atom, write))
    return "".join(parts).removeprefix(" + ")
