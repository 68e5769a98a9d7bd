"""A loss of one's own as the steps that a certificate states it by, and back.

A step is a word with numbers of earlier steps, as the checker of certificates reads it. Nothing in
it is code.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import sympy as sp

from symbolic.asymptotics.given import exact
from symbolic.language.averages.expectation import Expectation
from symbolic.language.blocks import Explicit
from symbolic.language.primitives import (
    AngleBetween,
    ArgMinusSinCos,
    NormMinusArgDot,
    SafeNorm,
    SafeRatio,
    SafeUnit,
    definition,
)

__all__ = ["FUNCTIONS", "Unknown", "loss_of_steps", "stated_steps", "steps_of"]

#: Functions of one number that have a step of their name.
FUNCTIONS: dict[str, Any] = {
    f.__name__: f
    for f in (
        *(sp.exp, sp.log, sp.erf, sp.sin, sp.cos, sp.tan, sp.asin, sp.acos, sp.atan),
        *(sp.sinh, sp.cosh, sp.tanh),
    )
}


class Unknown(ValueError):
    """An expression that no step makes."""


def stated_steps(
    y: tuple[sp.Symbol, ...], form: Explicit, written: Sequence[Any]
) -> dict[str, Any] | str:
    """Steps of a loss in its entries, or why it has none, with the entries as they are written.

    With those of an average over Gaussian inputs, where there is one.
    """
    if form.density is not None or (form.integrand != 0 and len(form.x) > 2):
        # Of more numbers sums take too long.
        return "expected expectations with closed forms, or of one or two Gaussian numbers"
    try:
        made: dict[str, Any] = {"steps": steps_of(exact(form.plain), y)}
        if form.integrand != 0:
            made["average"] = steps_of(exact(form.integrand), (*y, *form.x))
            made["inputs"] = len(form.x)
        return made
    except Unknown as unknown:
        shown = str(unknown.args[0].xreplace(dict(zip(y, written, strict=True))))
        short = shown if len(shown) < 60 else f"{shown[:60]} ..."
        return f"expected a loss of {', '.join(FUNCTIONS)}, powers and angles, got {short}"


@functools.lru_cache(maxsize=32)
def steps_of(expression: sp.Expr, y: tuple[sp.Basic, ...]) -> list[list[Any]]:
    """The steps that make an expression of its variables; the last one is the expression.

    Raises
    ------
    Unknown
        For a function that has no step.
    """
    return _Writer(y).written(expression)


class _Writer:
    """Steps of expressions; what occurs twice is one step."""

    def __init__(self, y: Sequence[sp.Basic]) -> None:
        self.known: dict[Any, int] = {}
        self.steps: list[list[Any]] = []
        self.made: dict[tuple[Any, ...], int] = {}
        self.known = {s: self.put("variable", i) for i, s in enumerate(y)}

    def written(self, e: Any) -> list[list[Any]]:
        """All steps; the last one is the expression."""
        last = self.step(e)
        if last + 1 < len(self.steps):
            self.steps.append(["plus", last, self.put("number", "0")])
        return self.steps

    def put(self, *line: Any) -> int:
        """Number of a step."""
        if line not in self.made:
            self.made[line] = len(self.steps)
            self.steps.append([*line])
        return self.made[line]

    def step(self, e: Any) -> int:
        """Number of the step that makes an expression."""
        if e not in self.known:
            self.known[e] = self._step(e)
        return self.known[e]

    def _step(self, e: Any) -> int:
        if e.is_Rational or e.is_Float:  # a double is the fraction that it is
            return self.put("number", str(sp.Rational(e)))
        if e is sp.pi or e is sp.E:
            return self.put("pi") if e is sp.pi else self.put("exp", self.step(sp.S.One))
        if e.is_Add or e.is_Mul:
            kind = "plus" if e.is_Add else "times"
            # A number times a sum would be another sum where steps are read: numbers come last.
            parts = [self.step(x) for x in sorted(e.args, key=lambda x: bool(x.is_Number))]
            return functools.reduce(lambda a, b: self.put(kind, a, b), parts)
        if e.is_Pow and e.exp.is_Rational:
            return self.put("power", self.step(e.base), str(e.exp))
        if type(e).__name__ in FUNCTIONS:
            return self.put(type(e).__name__, self.step(e.args[0]))
        if isinstance(e, sp.Abs):
            return self.put("side", self.step(e.args[0]))
        if isinstance(e, sp.atan2):
            return self.put("angle", *(self.step(x) for x in e.args))
        if e.is_Pow:
            return self.step(sp.exp(e.exp * sp.log(e.base), evaluate=False))
        return self._primitive(e)

    def _primitive(self, e: Any) -> int:
        if isinstance(e, SafeNorm):
            return self._length(e.args)
        if isinstance(e, NormMinusArgDot | ArgMinusSinCos):
            kind = "bent" if isinstance(e, NormMinusArgDot) else "flat"
            return self.put(kind, self._length(e.args[1:]), self.step(e.args[0]))
        if isinstance(e, AngleBetween):
            chord, antichord = (self.step(x) for x in e.args)
            return self.put("times", self.put("number", "2"), self.put("angle", chord, antichord))
        if isinstance(e, SafeUnit | SafeRatio):
            inverse = self.put("power", self.step(e.args[1]), "-1")
            return self.put("times", self.step(e.args[0]), inverse)
        plain = definition(e)
        if plain == e:
            raise Unknown(e)
        return self.step(plain)

    def _length(self, parts: Sequence[Any]) -> int:
        """Length of a vector; of a number it has a kink."""
        if len(parts) == 1:
            (x,) = parts
            return self.put("side", self.step(-x if x.could_extract_minus_sign() else x))
        squares = [self.put("power", self.step(x), "2") for x in parts]
        total = functools.reduce(lambda a, b: self.put("plus", a, b), squares)
        return self.put("power", total, "1/2")


def expression_of_steps(steps: Any, y: Sequence[sp.Expr]) -> sp.Expr:
    """The expression that steps make of its variables; words of the list above only.

    Raises
    ------
    ValueError
        For a step that is none.
    """
    made: list[sp.Expr] = []
    for kind, *rest in steps:
        if kind in ("number", "pi", "variable"):
            place = rest[0] if kind == "variable" else 0
            known = {"pi": sp.pi, "variable": y[place]}
            made.append(known[kind] if kind in known else _fraction(rest[0]))
        elif kind in ("plus", "times"):
            a, b = (made[k] for k in rest)
            made.append(a + b if kind == "plus" else a * b)
        elif kind == "power":
            made.append(made[rest[0]] ** _fraction(rest[1]))
        elif kind == "side":
            made.append(SafeNorm(made[rest[0]]))
        elif kind == "angle":
            made.append(sp.atan2(*(made[k] for k in rest)))
        elif kind in ("bent", "flat"):
            parts = (made[k] for k in _parts(steps, rest[0]))
            made.append(
                (NormMinusArgDot if kind == "bent" else ArgMinusSinCos)(made[rest[1]], *parts)
            )
        elif kind in FUNCTIONS:
            made.append(FUNCTIONS[kind](made[rest[0]]))
        else:
            raise ValueError(f"a step is of no known kind: {kind!r:.40}")
    return made[-1]


def loss_of_steps(stated: dict[str, Any], y: Sequence[sp.Expr]) -> sp.Expr:
    """A loss of the steps of a file, with an expectation where they state one."""
    made, count = expression_of_steps(stated["steps"], y), stated.get("inputs", 0)
    x = sp.symbols(f"x1:{count + 1}", real=True)
    return made + Expectation(expression_of_steps(stated["average"], [*y, *x]), x) if x else made


def _fraction(text: str) -> sp.Rational:
    """A number of its text, `p` or `p/q`."""
    return sp.Rational(*map(int, text.split("/")))


def _parts(steps: Any, k: int) -> list[int]:
    """Steps, one of which is the length."""
    kind, *rest = steps[k]
    if kind == "side":
        return [rest[0]]
    total, parts = rest[0], []
    if kind == "power" and rest[1] == "1/2":
        while steps[total][0] == "plus":
            total, last = steps[total][1:]
            parts.append(last)
        parts.append(total)
        if all(steps[part][0] == "power" and steps[part][2] == "2" for part in parts):
            return [steps[part][1] for part in reversed(parts)]
    return [k]
