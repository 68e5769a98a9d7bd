"""The series of an expression, part by part."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import sympy as sp
from flint import ctx

from symbolic.asymptotics.averaged import BITS, DIGITS, Nodes, decimal
from symbolic.asymptotics.refusal import NoLaw
from symbolic.asymptotics.series import ONCE, Lacks, Series, SeriesRing, fits
from symbolic.language.primitives import definition

__all__ = ["expand"]

# How often the domain of the coefficients may grow by a number that it lacks.
ATTEMPTS = 6
# Nodes at which coefficients are known at once: each takes a hundred bytes a node.
TOGETHER = 1000
T = sp.Dummy("t", real=True)


def expand(
    expression: sp.Expr,
    values: Callable[[SeriesRing], Mapping[sp.Symbol, Series]],
    weights: Mapping[sp.Symbol, Any],
    order: Any,
    *,
    constants: Sequence[sp.Expr] = (),
    integrand: sp.Expr = sp.S.Zero,
    x: Sequence[sp.Symbol] = (),
    nodes: Nodes | None = None,
) -> tuple[SeriesRing, Series]:
    """Expand ``expression + E integrand`` with a series in place of each entry.

    Parameters
    ----------
    expression, integrand : Expr
        In the entries; the integrand also in Gaussian numbers `x`.
    values : callable
        Gives the series of each entry in the ring.
    weights : mapping
        Variables of the series.
    order : number
        Up to which weight.
    constants : sequence of Expr
        Numbers and parameters that the values bring in.
    x : sequence of Symbol
        The Gaussian numbers.
    nodes : Nodes, optional
        Over the first of them, for an integrand that is no polynomial in these at the point.

    Returns
    -------
    SeriesRing, Series
        The ring, and the series in normal form.

    Raises
    ------
    NoLaw
        For a loss that has no such series.
    """
    plain, averaged = definition(expression), definition(integrand)
    kinks = (sp.Abs, sp.Max, sp.Min, sp.sign)
    spare = sum(
        2
        for e in {*sp.preorder_traversal(plain), *sp.preorder_traversal(averaged)}
        if isinstance(e, kinks) or (isinstance(e, sp.Pow) and not e.exp.is_Integer)
    )
    found = {*constants, sp.Float(1, DIGITS)} if nodes else set(constants)
    every: dict[sp.Symbol, Any] = {**weights, **dict.fromkeys(x, 0)}
    for attempt in range(ATTEMPTS + 1):
        ring = SeriesRing(every, order, sorted(found, key=sp.default_sort_key), spare)
        if attempt == ATTEMPTS:
            ring = SeriesRing(every, order, [sp.sqrt(2) + sp.pi + sp.E], spare)
        try:
            total = _Walk(ring, values(ring))(plain)
            if averaged != 0 and nodes is None:
                known = {**values(ring), **{s: ring.variable(s) for s in x}}
                total = ring.add([total, ring.average(_Walk(ring, known)(averaged), x)])
            for some in nodes.parts(TOGETHER) if nodes else ():
                inner = SeriesRing(every, order, (), spare, some)
                total = ring.add([total, _averaged(inner, averaged, values, x, ring)])
            return ring, ring.reduced(total)
        except Lacks as lack:
            found.add(lack.number)
    raise NoLaw("the numbers of the loss have no exact arithmetic")


def _averaged(
    inner: SeriesRing,
    integrand: sp.Expr,
    values: Callable[[SeriesRing], Mapping[sp.Symbol, Series]],
    x: Sequence[sp.Symbol],
    ring: SeriesRing,
) -> Series:
    """Sum over the nodes of a ring, in the ring of decimals."""
    domain = inner.domain
    with ctx.workprec(BITS):
        columns = zip(*domain.nodes.places, strict=True)
        places = [{Fraction(0): inner.ring.ground_new(domain.dtype(*each))} for each in columns]
        rest = x[len(places) :]
        known = dict(zip(x, [*places, *map(inner.variable, rest)], strict=True))
        found = inner.average(_Walk(inner, {**known, **values(inner)})(integrand), rest)
        total: Series = {}
        for w, part in found.items():
            terms = [(m, domain.average(c)) for m, c in part.iterterms()]
            if any(any(m[len(inner.variables) :]) for m, _ in terms):
                raise NoLaw("at the minimiser a kink of the integrand moves with the numbers")
            if not all(c.is_finite() for _, c in terms):
                raise NoLaw("the integrand is not finite at the minimiser")
            total[w] = ring.gathered((m, ring.domain.from_sympy(decimal(c))) for m, c in terms)
        return total


class _Walk:
    """Series of an expression, each part once and only to the order in which it is felt."""

    def __init__(self, ring: SeriesRing, known: Mapping[sp.Symbol, Series]) -> None:
        self.ring = ring
        every = {e: (ring.order, a) for e, a in known.items()}
        self.found: dict[Any, tuple[Fraction, Series]] = every
        self.lowest: dict[Any, Fraction] = {
            e: min((w % ONCE for w in a), default=ring.order + 1) for e, a in known.items()
        }

    def __call__(self, e: sp.Expr, order: Fraction | None = None) -> Series:
        # A constant part is always looked at: it says whether a function is analytic there.
        order = self.ring.order if order is None else max(order, Fraction(0))
        if e not in self.found or self.found[e][0] < order:
            parts = self._series(e, order)
            self.found[e] = order, {w: p for w, p in parts.items() if fits(w, order)}
        return self.found[e][1]

    def _least(self, e: sp.Expr) -> Fraction:
        """Weight below which an expression has no part."""
        if e not in self.lowest:
            least = Fraction(0)
            if e.is_Add:
                least = min(map(self._least, e.args))
            elif e.is_Mul:
                least = sum(map(self._least, e.args), least)
            elif e.is_Pow and e.exp.is_Integer and e.exp > 0:
                least = int(e.exp) * self._least(e.base)
            self.lowest[e] = least
        return self.lowest[e]

    def _series(self, e: sp.Expr, order: Fraction) -> Series:
        ring = self.ring
        if e.is_number or (e.is_Symbol and e not in self.found):
            if e.has(sp.zoo, sp.oo, sp.nan, -sp.oo):
                raise NoLaw("the loss is not finite at the minimiser")
            return ring.number(e)
        if e.is_Add:
            return ring.add([self(a, order) for a in e.args])
        if e.is_Mul:
            found, so_far = ring.number(sp.S.One), order - self._least(e)
            for a in e.args:
                factor = self(a, order - self._least(e) + self._least(a))
                so_far += self._least(a)
                found = ring.times(found, factor, so_far)
            return found
        if e.is_Pow and e.exp.is_Integer:
            if e.exp > 0:
                least, k = self._least(e.base), int(e.exp)
                return ring.power(self(e.base, order - (k - 1) * least), k, order)
            return ring.power(ring.inverse(self(e.base, order), order), -int(e.exp), order)
        # What a kink or a root needs of its argument is known by its leading part only.
        if e.is_Pow and e.exp.is_Rational:
            exponent = Fraction(int(e.exp.p), int(e.exp.q))
            return ring.root(self(e.base), exponent, bool(e.base.is_nonnegative))
        if e.is_Pow and not (e.base.is_number and e.base == sp.E):
            if ring.split(self(e.base, order))[0] == 0:
                raise NoLaw(
                    "no series is known of a power whose base vanishes at the minimiser and whose"
                    " exponent is no fraction"
                )
            return self(sp.exp(e.exp * sp.log(e.base), evaluate=False), order)
        if isinstance(e, sp.Abs):
            inner = self(e.args[0])
            return ring.times(ring.sign(inner), inner) if ring.reduced(inner) else {}
        if isinstance(e, sp.sign):
            return ring.sign(ring.reduced(self(e.args[0])))
        if isinstance(e, sp.Max | sp.Min) and len(e.args) == 2:
            a, b = e.args
            way = 1 if isinstance(e, sp.Max) else -1
            return self((a + b + way * sp.Abs(a - b)) / 2)
        if isinstance(e, sp.Function | sp.exp) and len(e.args) == 1:
            return self._function(e.func, self(e.args[0], order), order)
        raise NoLaw(f"no series of {e.func.__name__} is known")

    def _function(self, function: Any, a: Series, order: Fraction) -> Series:
        constant, rest = self.ring.split(a)
        if function in (sp.exp, sp.log):
            value = _coefficient(function, constant, 0)
            if function is sp.exp:
                return self.ring.exponential(value, rest, order)
            return self.ring.logarithm(value, constant, rest, order)
        return self.ring.compose(lambda k: _coefficient(function, constant, k), rest, order)


@functools.lru_cache(maxsize=4096)
def _coefficient(function: Any, constant: sp.Expr, k: int) -> sp.Expr:
    """Coefficient of a function's Taylor series."""
    value = _derivative(function, k).subs(T, constant)
    name = getattr(function, "__name__", str(function))
    if value.has(sp.Derivative, sp.Subs) or value is sp.nan:
        raise NoLaw(f"no Taylor series of {name} at {constant} is known")
    if value.has(sp.DiracDelta, sp.Heaviside) or value.is_finite is False:
        raise NoLaw(f"{name} is not analytic at {constant}")
    if value.is_real is False:
        raise NoLaw(f"{name} is not real at {constant}")
    return value / sp.factorial(k)


@functools.lru_cache(maxsize=256)
def _derivative(function: Any, k: int) -> sp.Expr:
    return function(T) if k == 0 else sp.diff(_derivative(function, k - 1), T)
