"""Potentials and claims that a person gives, as statements about a system."""

from __future__ import annotations

import hashlib
from types import MappingProxyType
from typing import Any

import sympy as sp

from flows.systems.field.blocks import Pairs
from potentials import Potential, Source, Statements
from potentials.notation import symbol
from potentials.potential import single

__all__ = ["fingerprint", "statements_of"]

HERE = Source("this system", 2026, "", "its own definition", "definition")


def statements_of(
    potentials: Pairs, claims: tuple[Any, ...], marks: tuple[Any, ...], along: str
) -> Statements:
    """Statements whose potentials are observed at states, with their rates.

    Parameters
    ----------
    potentials : tuple of (str, Expr)
        By name.
    claims, marks : tuple
        As they were given.
    along : str
        LaTeX of the rate along the flow, of a potential `%(phi)s`.
    """
    found = []
    for name, expression in potentials:
        sign = rf"\mathrm{{{name}}}".replace("_", r"\_")
        names = MappingProxyType({name: sp.latex(expression), f"{name}_dot": along % {"phi": sign}})
        terms = single(name, "state", symbol(name), None)
        found.append(Potential(name, sign, terms, symbol(name), "where it is smooth", HERE, names))
    return Statements(tuple(found), (), claims, marks)


def fingerprint(*expressions: Any) -> str:
    """Text that is the same for the same expressions alone."""
    return hashlib.sha256(sp.srepr(expressions).encode()).hexdigest()
