"""Terms and formulas in numbers, which shows whether a theorem speaks of a run and is right there.

This proves nothing. A theorem whose hypotheses no run meets says nothing; one whose conclusion
fails where they hold would be wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np

from symbolic.theorem.formulas import Distinct, Forall, Formula, Rel
from symbolic.theorem.terms import Poly, Vec, atoms, kinds, rate, sampled

__all__ = ["Model", "Unread", "holds", "margin", "solved", "value"]

Env = Mapping[str, Any]
#: A relation holds where it fails by less than this part of its largest terms.
ROUNDING = 1e-9


class Unread(LookupError):
    """A formula has an expectation, and the model has no samples."""


@dataclass(frozen=True)
class Model:
    """What the names of a theorem stand for.

    Parameters
    ----------
    size : int
        Number of indices, `n`.
    names : mapping of str to callable
        ``names[f](*indices, time)`` is a number or a vector; a constant takes no arguments. The
        time is left out where the symbol has none.
    rates : mapping of str to callable
        The same for the derivatives of vectors and of numbers that are symbols.
    times : sequence of float
        Times at which a hypothesis "for all t" is evaluated.
    directions : sequence of ndarray
        Vectors at which a hypothesis "for all y" is evaluated.
    weights : sequence of float
        Of the samples, for a mean.
    step : float
        Step of the difference quotient that stands for `low` and for other derivatives.
    """

    size: int
    names: Mapping[str, Callable[..., Any]]
    rates: Mapping[str, Callable[..., Any]]
    times: Sequence[float] = ()
    directions: Sequence[Any] = ()
    weights: Sequence[float] = ()
    step: float = 1e-5


def value(x: Poly, model: Model, env: Env) -> tuple[float, float]:
    """Return the value of a term and the sum of the sizes of its parts.

    Parameters
    ----------
    x : Poly
        The term.
    model : Model
        What its functions stand for.
    env : mapping
        What its free indices (`int`), times and constants stand for; `t` is the time.
    """
    found = scale = 0.0
    for factors, c in x.terms:
        part = float(c) * math.prod(_atom(a, model, env) for a in factors)
        found, scale = found + part, scale + abs(part)
    return found, scale


def _symbol(atom: Any, table: Mapping[str, Callable[..., Any]], env: Env) -> Any:
    _, name, index, time = atom
    if name in env and not index and not time:
        return env[name]
    return table[name](*(env[i] for i in index), *((env[time],) if time else ()))


def _atom(atom: Any, model: Model, env: Env) -> float:
    kind = atom[0]
    if kind == "s":
        known = {"pi": math.pi, "n": float(model.size)}
        return known[atom[1]] if atom[1] in known else float(_symbol(atom, model.names, env))
    if kind == "sum":
        mean = sampled(atom[1])
        if mean and not len(model.weights):
            raise Unread("no samples")
        weights = model.weights if mean else [1.0] * model.size
        body = Poly(((atom[2], Fraction(1)),))
        return sum(w * value(body, model, {**env, atom[1]: k})[0] for k, w in enumerate(weights))
    if kind == "dot":
        return float(np.dot(*(_vector_atom(a, model, env) for a in atom[1:])))
    if kind == "norm":
        return float(np.linalg.norm(_vector(atom[1], model, env)))
    if kind == "angle":
        a, b = (_vector(v, model, env) for v in atom[1:])
        a, b = a * np.linalg.norm(b), b * np.linalg.norm(a)
        return 2 * math.atan2(np.linalg.norm(a - b), np.linalg.norm(a + b))
    if kind in ("d", "low"):
        return _rate(atom[1], model, env, kind)
    return float({"sin": math.sin, "cos": math.cos, "exp": math.exp}[kind](_of(atom, model, env)))


def _of(atom: Any, model: Model, env: Env) -> float:
    return value(atom[1], model, env)[0]


def _rate(u: Poly, model: Model, env: Env, kind: str) -> float:
    """A derivative by the rates of the model where it has them, otherwise a difference quotient."""
    alone = len(u.terms) == 1 and len(u.terms[0][0]) == 1 and u.terms[0][1] == 1
    atom = u.terms[0][0][0] if alone else ("sum of terms",)
    if kind == "d" and atom[0] == "s" and atom[1] in model.rates:
        return float(_symbol(atom, model.rates, env))
    if kind == "d" and atom[0] not in ("s", "norm"):
        return value(rate(u), model, env)[0]
    h = model.step * max(1.0, abs(env["t"]))

    def at(shift: float) -> float:
        return value(u, model, {**env, "t": env["t"] + shift})[0]

    if kind == "low":
        return (at(h) - at(0)) / h
    return (at(h) - at(-h)) / (2 * h)


def _vector_atom(atom: Any, model: Model, env: Env) -> Any:
    table = model.rates if atom[0] == "dv" else model.names
    return np.asarray(_symbol(("s", *atom[1:]), table, env), dtype=float)


def _vector(v: Vec, model: Model, env: Env) -> Any:
    return sum(value(c, model, env)[0] * _vector_atom(a, model, env) for a, c in v.parts)


def margin(f: Formula, model: Model, env: Env) -> float:
    """Return by how much a formula holds, relative to its largest terms; below zero: it fails.

    A hypothesis "for all" is evaluated at all indices, and at the times, vectors and samples of the
    model; the smallest margin is returned.
    """
    if isinstance(f, Distinct):
        return 1.0 if env[f.p] != env[f.q] else -1.0
    if isinstance(f, Rel):
        found, scale = value(f.poly, model, env)
        if f.op == ">" and found <= 0:
            return -1.0  # what is strict does not hold by rounding
        return (-abs(found) if f.op == "=" else found) / (scale or 1.0)
    inside = (
        margin(f.body, model, here)
        for here in _instances(f, model, env)
        if all(margin(g, model, here) >= 0 for g in f.guards)
    )
    return min(inside, default=0.0)


def _instances(f: Forall, model: Model, env: Env) -> Iterator[Env]:
    what = dict(kinds(f.body.poly))

    def choices(name: str) -> Sequence[Any]:
        if name == "t":
            return model.times
        if sampled(name) and not len(model.weights):
            raise Unread("no samples")
        if what.get(name, ("index",)) == ("index",):
            return range(len(model.weights) if sampled(name) else model.size)
        return model.directions

    for chosen in product(*map(choices, f.bound)):
        yield {**env, **dict(zip(f.bound, chosen, strict=True))}


def holds(f: Formula, model: Model, env: Env, rounding: float = ROUNDING) -> bool:
    """Whether a formula holds up to rounding, see `margin`."""
    return margin(f, model, env) >= -rounding


def solved(formulas: Iterable[Formula], model: Model, env: Env) -> dict[str, Any]:
    """Return an environment with the constants that equations among the formulas name.

    Parameters
    ----------
    formulas : iterable of Formula
        Such as ``2 Z = S`` or ``kappa^2 = 2 delta^6``: an equation with one constant that is not
        known yet, of degree one, or its square; of this the root that is not negative.
    model : Model
        What functions stand for.
    env : mapping
        What is known.
    """
    found, todo = dict(env), [f for f in formulas if isinstance(f, Rel) and f.op == "="]
    while True:
        for f in todo:
            unknown = _constants(f.poly) - set(found)
            if len(unknown) == 1:
                name = unknown.pop()
                found[name] = _root(f.poly, name, model, found)
                break
        else:
            return found


def _constants(x: Poly) -> set[str]:
    seen = (a for a in atoms(x) if a[0] == "s" and not a[2] and not a[3])
    return {a[1] for a in seen} - {"n", "pi", "t"}


def _root(x: Poly, name: str, model: Model, env: Env) -> float:
    parts = [0.0, 0.0, 0.0]
    for factors, c in x.terms:
        others = [a for a in factors if a[:2] != ("s", name)]
        parts[len(factors) - len(others)] += float(c) * math.prod(
            _atom(a, model, env) for a in others
        )
    return math.sqrt(-parts[0] / parts[2]) if parts[2] else -parts[0] / parts[1]
