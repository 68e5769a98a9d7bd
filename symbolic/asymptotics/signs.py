"""Forms with signs and absolute values: the signs as numbers of their own, constant nearby."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sympy as sp

from symbolic.asymptotics.numbers import Kind

__all__ = ["Signed"]


@dataclass(frozen=True)
class Signed:
    """An expression in which `signs` stand for the signs of `arguments`.

    A kink of degree above two is twice differentiable, with the derivatives of the expression in
    which its sign is a constant.
    """

    expression: sp.Expr
    signs: tuple[sp.Symbol, ...]
    arguments: tuple[sp.Expr, ...]

    @classmethod
    def of(cls, f: sp.Expr) -> Signed:
        """Take the signs out of an expression."""
        f = f.replace(sp.Abs, lambda u: sp.sign(u) * u)
        found = sorted(f.atoms(sp.sign), key=sp.default_sort_key)
        signs = tuple(sp.Symbol(f"sign{k}", real=True) for k in range(len(found)))
        plain = f.xreplace(dict(zip(found, signs, strict=True)))
        return cls(plain, signs, tuple(s.args[0] for s in found))

    def compiled(self, z: Sequence[sp.Symbol], kind: Kind) -> Callable[..., list[Any]]:
        """Signs in one kind of numbers as a function of `z`."""
        if not self.signs:
            return lambda *_: []
        inner = kind.compiled(self.arguments, tuple(z))
        return lambda *values: [kind.sign(a) for a in inner(*values)]
