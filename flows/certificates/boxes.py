r"""Quantities of potentials and claims along an enclosed trajectory, as balls.

A box is a stretch of one segment; every quantity on it is a ball that holds its values along the
true flow there. States are polynomials plus the tube. Rates are the polynomials' derivatives: the
flow's own velocity differs from ``p'`` by at most ``|H| tube e^tau + defect``. The loss decreases,
so that on a box it lies between its values at the ends. A system's observables are in
``flows/certificates/features/<system>.py``.
"""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sympy as sp
from flint import arb, arb_mat

from flows.certificates import chebyshev
from flows.certificates.certificate import Certificate
from flows.certificates.chebyshev import Row
from flows.certificates.living import Living
from flows.core.arrays import numbers
from flows.core.balls import Singular, dot
from potentials.notation import FROZEN
from potentials.potential import Over, Potential, Term
from symbolic.language.lower import lower

Ball = Any  # flint.arb
Vector = list[Ball]


@functools.cache
def lowered(expressions: tuple[sp.Expr, ...]) -> tuple[tuple[str, ...], Callable[..., Any]]:
    """Names of the quantities in expressions, and the function of balls that evaluates them."""
    symbols = sorted(set().union(*(e.free_symbols for e in expressions)), key=str)
    return tuple(s.name for s in symbols), lower(expressions, symbols, "ball")


class Enclosure:
    """A certificate with what its boxes share. All methods need the certificate's precision."""

    def __init__(self, certificate: Certificate, kind: type[Box]) -> None:
        self.certificate = certificate
        self.flow: Any = certificate.flow()  # a BallFlow of the system that is measured
        system = certificate.system
        statements = system.statements
        known = (*statements.potentials, *statements.auxiliaries)
        self.potentials = {p.name: p for p in known}
        self.marks = statements.marks
        self.kind = kind
        self.count = kind.count(self)
        self.constants = {
            **{key: arb(value) for key, value in numbers(system.parameters).items()},
            "t_end": arb(certificate.t_end),
            **kind.constants(self),
        }
        #: The certificate that is continued for ever, and the neurons that it is about.
        self.last, self.living = certificate, Living.all(self.count["neuron"])
        self.frozen: dict[str, Any] = {}  # boxes, or what holds their quantities
        self.cache: dict[int, Any] = {}  # of each segment, what boxes share
        self._losses: dict[tuple[int, float], Ball] = {}
        self._polynomials: dict[int, Any] = {}
        self._widths: dict[int, Vector] = {}

    @property
    def segments(self) -> int:
        """How many stretches of time there are, one after the other."""
        return len(self.certificate.pieces)

    def begin(self, index: int) -> float:
        """Where one begins; it ends at 1."""
        return -1.0

    def polynomials(self, index: int) -> tuple[Any, Vector]:
        """State and its combinations, and the derivatives of all: rows of balls.

        Beside them bounds of their derivatives.
        """
        if index not in self._polynomials:
            rows = self.certificate.pieces[index].rows
            values = [*rows, *self.kind.combined(self, rows)]
            values += [chebyshev.differentiated(row) for row in values]
            bits = self.certificate.bits
            bounds = [arb((sum(map(abs, chebyshev.differentiated(row))), -bits)) for row in values]
            self._polynomials[index] = chebyshev.column(values, bits).transpose(), bounds
        return self._polynomials[index]

    def widths(self, index: int) -> Vector:
        """How far each component may be from its polynomial on a segment."""
        if index not in self._widths:
            certificate = self.certificate
            self._widths[index] = certificate.pieces[index].widths(certificate.bits)
        return self._widths[index]

    def loss(self, index: int, s: float) -> Ball:
        """Loss at one point of a segment."""
        if (index, s) not in self._losses:
            segment = self.certificate.pieces[index]
            x = chebyshev.evaluated(segment.rows, arb(s), self.certificate.bits)
            off = self.widths(index)
            self._losses[index, s] = self.flow.loss(
                [c + arb(0, 1) * r for c, r in zip(x, off, strict=True)]
            )
        return self._losses[index, s]

    def box(self, index: int, low: float, high: float) -> Box:
        """Box of a stretch of a segment."""
        return self.kind(self, index, low, high)


class Box(dict[str, Any], abc.ABC):
    """Quantities on a stretch of a segment by name: balls, or lists of them over neurons or pairs.

    Subclasses say what a system measures: `names`, and how to :meth:`fill` them.
    """

    #: Quantities without their rates.
    names: frozenset[str] = frozenset()

    @classmethod
    def enclose(cls, certificate: Certificate) -> Enclosure:
        """Enclosure of a certificate, with boxes of this kind."""
        return Enclosure(certificate, cls)

    @staticmethod
    def count(enclosure: Enclosure) -> dict[Over, int]:
        """Indices of each kind, where no quantity has them."""
        return {"state": 1, "neuron": 1, "pair": 0}

    @staticmethod
    def constants(enclosure: Enclosure) -> dict[str, Ball]:
        """Constants that doubles do not state."""
        return {}

    @staticmethod
    def combined(enclosure: Enclosure, rows: Sequence[Row]) -> list[Row]:
        """Sums and differences of components, of their exact coefficients."""
        return []

    def __init__(self, enclosure: Enclosure, index: int, low: float, high: float) -> None:
        super().__init__(enclosure.constants)
        self.enclosure, self.index, self.low, self.high = enclosure, index, low, high
        certificate, states = enclosure.certificate, enclosure.flow.size
        middle, radius = arb(low + high) / 2, arb(high - low) / 2
        span, segment = certificate.span(index), certificate.pieces[index]
        table, bounds = enclosure.polynomials(index)
        at = arb_mat([[t] for t in chebyshev.at(middle, table.ncols() - 1)])
        middles, half = [row[0] for row in (table * at).tolist()], len(bounds) // 2
        # To second order, where the derivative is known, and to first order.
        reach = [
            radius * abs(slope) + radius * radius / 2 * bend
            for slope, bend in zip(middles[half:], bounds[half:], strict=True)
        ]
        reach += [radius * bound for bound in bounds[half:]]
        values = [v + arb(0, 1) * r for v, r in zip(middles, reach, strict=True)]
        self.tau = span.centre + span.half * (middle + arb(0, 1) * radius)
        self["t"] = self.tau.expm1().nonnegative_part()
        self.speeds = [v / span.half for v in values[half:]]
        off = [*enclosure.widths(index), *self._off(arb(segment.tube))[states:]]
        self.known = [v + arb(0, 1) * r for v, r in zip(values, off, strict=False)]
        self.x = self.known[:states]

    def _off(self, tube: Ball) -> Vector:
        """How far components and combinations may be from the flow: these of up to n terms."""
        states, half = self.enclosure.flow.size, len(self.speeds)
        return [tube] * states + [self.enclosure.count["neuron"] * tube] * (half - states)

    def __missing__(self, name: str) -> Any:
        """Evaluate a quantity and keep it."""
        base = name.removesuffix("_dot")
        for suffix in FROZEN:
            if name.endswith(suffix):
                self[name] = self.enclosure.frozen[suffix[1:]][name.removesuffix(suffix)]
                return self[name]
        # A potential may have the name of a quantity, and then is that.
        if name in ("loss", "loss_dot", "gradient_norm"):
            self._fill_loss(name)
        elif base in self.names:
            self.fill(base, rates=name != base)
        elif base in self.enclosure.potentials:
            evaluate = _value if name == base else _rate
            self[name] = evaluate(self.enclosure.potentials[base], self)
        elif name in self.enclosure.frozen:
            self[name] = self.enclosure.frozen[name]["t"]
        if name not in self:
            raise KeyError(f"unknown quantity {name!r}")
        return self[name]

    @abc.abstractmethod
    def fill(self, base: str, rates: bool) -> None:
        """Evaluate one of `names`, or its rate, and whatever comes with it."""

    @functools.cached_property
    def velocity(self) -> Vector:
        """Time derivatives of the components and their combinations."""
        segment = self.enclosure.certificate.pieces[self.index]
        entries = [c for row in self.enclosure.flow.hessian(self.x).tolist() for c in row]
        stiff = dot(entries, entries).nonnegative_part().sqrt() * self.tau.exp()
        off = self._off(stiff * segment.tube + segment.defect)
        slow = (-self.tau).exp()
        return [(v + arb(0, 1) * r) * slow for v, r in zip(self.speeds, off, strict=True)]

    def _fill_loss(self, name: str) -> None:
        enclosure = self.enclosure
        if name == "loss":
            early, late = (enclosure.loss(self.index, s) for s in (self.low, self.high))
            self["loss"] = early.union(late).nonnegative_part()
        else:
            moving = self.velocity[: enclosure.flow.size]
            square = dot(moving, moving).nonnegative_part()
            self["loss_dot"], self["gradient_norm"] = -square, square.sqrt()

    def at(self, expressions: Sequence[sp.Expr], over: Over) -> list[tuple[Ball, ...]]:
        """Evaluate expressions at each index; balls that are not finite where undefined."""
        return at_each_index(expressions, self, self.enclosure.count[over])

    def along(self, expression: sp.Expr, over: Over) -> Vector:
        """Evaluate an expression at each index."""
        return [value for (value,) in self.at((expression,), over)]


def at_each_index(
    expressions: Sequence[sp.Expr], values: Mapping[str, Any], count: int
) -> list[tuple[Ball, ...]]:
    """Expressions of balls and lists of balls by name, `count` times where none is a list."""
    names, function = lowered(tuple(expressions))
    found = [values[name] for name in names]
    lists = [len(v) for v in found if isinstance(v, list)]
    rows = (
        [v[k] if isinstance(v, list) else v for v in found]
        for k in range(lists[0] if lists else count)
    )
    return [tuple(arb(x) for x in function(*row)) for row in rows]


def _value(potential: Potential, box: Box) -> Any:
    """Value of a potential on a box."""
    terms = {
        term.name: _reduced(term, box.along(term.expression, term.over)) for term in potential.terms
    }
    return _outer(potential.expression, terms, box)


def _rate(potential: Potential, box: Box) -> Any:
    """Lie derivative of a potential on a box."""
    lie = potential.lie_derivative()
    terms: dict[str, Any] = {}
    for term, rate in zip(potential.terms, lie.rates, strict=True):
        values = box.along(term.expression, term.over)
        try:
            rates = box.along(rate, term.over)
        except Singular:
            rates = [arb.nan()] * len(values)  # a rate that is not known decides nothing
        terms[term.name] = _reduced(term, values)
        terms[f"{term.name}_dot"] = _reduced_rate(term, values, rates)
    return _outer(lie.expression, terms, box)


def _outer(expression: sp.Expr, terms: dict[str, Any], box: Box) -> Any:
    """Outer expression of a potential: a ball, or a list of them where a term is one."""
    names, function = lowered((expression,))
    arguments = [terms[name] if name in terms else box[name] for name in names]
    lists = [a for a in arguments if isinstance(a, list)]
    if not lists:
        return arb(function(*arguments)[0])
    rows = ([a[k] if isinstance(a, list) else a for a in arguments] for k in range(len(lists[0])))
    return [arb(function(*row)[0]) for row in rows]


def _reduced(term: Term, values: Vector) -> Any:
    """Remove the index of a term."""
    if term.reduce is None:
        return values[0] if term.over == "state" else values
    if term.reduce == "sum" or not values:
        return sum(values, arb(0))
    return functools.reduce(lambda a, b: a.max(b) if term.reduce == "max" else a.min(b), values)


def _reduced_rate(term: Term, values: Vector, rates: Vector) -> Any:
    """Remove the index of a rate; an extremum has that of an index that may attain it."""
    if term.reduce in (None, "sum") or not values:
        return _reduced(term, rates)
    best = _reduced(term, values)
    able = [
        r
        for v, r in zip(values, rates, strict=True)
        if not (v < best if term.reduce == "max" else v > best)
    ]
    return functools.reduce(lambda a, b: a.union(b), able)
