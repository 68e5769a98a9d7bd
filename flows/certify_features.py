r"""Quantities of potentials and claims along an enclosed trajectory, as balls.

A box is a stretch of one piece; every quantity on it is a ball that holds its values along the true
flow there. States are polynomials plus the tube. Rates are the polynomials' derivatives: the flow's
own velocity differs from ``p'`` by at most ``|H| tube e^tau + defect``. The loss decreases, so that
on a box it lies between its values at the ends.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import sympy as sp
from flint import arb, arb_mat

import potentials
from flows import certify_chebyshev as chebyshev
from flows.certificate import Certificate
from flows.certify_flow import Singular, dot
from potentials.notation import FROZEN
from potentials.potential import Over, Potential, Term
from symbolic.lower import lower

Ball = Any  # flint.arb
Vector = list[Ball]
WHOLE = (-1.0, 1.0)


@functools.cache
def lowered(expressions: tuple[sp.Expr, ...]) -> tuple[tuple[str, ...], Callable[..., Any]]:
    """Names of the quantities in expressions, and the function of balls that evaluates them."""
    symbols = sorted(set().union(*(e.free_symbols for e in expressions)), key=str)
    return tuple(s.name for s in symbols), lower(expressions, symbols, "ball")


class Scene:
    """A certificate with what its boxes share. All methods need the certificate's precision."""

    def __init__(self, certificate: Certificate) -> None:
        self.certificate, self.flow = certificate, certificate.flow()
        self.n, self.q = self.flow.size // self.flow.q, self.flow.q
        self.pairs = [(i, j) for i, j in self.flow.pairs() if j < self.n]
        name = certificate.system.name
        known = (*potentials.potentials(name), *potentials.auxiliaries(name))
        self.potentials = {p.name: p for p in known}
        parameters = certificate.system.parameters
        self.constants = {
            "n": arb(self.n), "d": arb(parameters["d"]), "teacher_norm": self.flow.teacher[0],
            "t_end": arb(certificate.t_end),
        }  # fmt: skip
        self.frozen: dict[str, Quantities] = {}
        self._losses: dict[tuple[int, float], Ball] = {}
        self._polynomials: dict[int, Any] = {}

    def polynomials(self, index: int) -> tuple[Any, Vector]:
        """State, differences of neurons, their sum, and the derivatives of all: rows of balls.

        Beside them bounds of their derivatives. Differences are taken of the exact coefficients.
        """
        if index not in self._polynomials:
            q, rows = self.q, self.certificate.pieces[index].rows
            neurons = [rows[k : k + q] for k in range(0, len(rows), q)]
            apart = [[x - y for x, y in zip(a, b, strict=True)] for i, j in self.pairs
                     for a, b in zip(neurons[i], neurons[j], strict=True)]  # fmt: skip
            total = [[sum(column) for column in zip(*component, strict=True)]
                     for component in zip(*neurons, strict=True)]  # fmt: skip
            values = [*rows, *apart, *total]
            values += [chebyshev.differentiated(row) for row in values]
            bits = self.certificate.bits
            bounds = [arb((sum(map(abs, chebyshev.differentiated(row))), -bits)) for row in values]
            self._polynomials[index] = chebyshev.column(values, bits).transpose(), bounds
        return self._polynomials[index]

    def loss(self, index: int, s: float) -> Ball:
        """Loss at one point of a piece."""
        if (index, s) not in self._losses:
            piece = self.certificate.pieces[index]
            x = chebyshev.evaluated(piece.rows, arb(s), self.certificate.bits)
            self._losses[index, s] = self.flow.loss([c + arb(0, piece.tube) for c in x])
        return self._losses[index, s]

    def box(self, index: int, low: float, high: float) -> Quantities:
        """Quantities on a stretch of a piece."""
        return Quantities(self, index, low, high)


class Quantities(dict[str, Any]):
    """Quantities on a box by name: balls, or lists of them over neurons or pairs."""

    def __init__(self, scene: Scene, index: int, low: float, high: float) -> None:
        super().__init__(scene.constants)
        self.scene, self.index, self.low, self.high = scene, index, low, high
        certificate, n, q = scene.certificate, scene.n, scene.q
        middle, radius = arb(low + high) / 2, arb(high - low) / 2
        span, tube = certificate.span(index), arb(certificate.pieces[index].tube)
        table, bounds = scene.polynomials(index)
        at = arb_mat([[t] for t in chebyshev.at(middle, table.ncols() - 1)])
        values = [row[0] + arb(0, 1) * (radius * bound)
                  for row, bound in zip((table * at).tolist(), bounds, strict=True)]  # fmt: skip
        states, half = n * q, len(values) // 2
        self.tau = span.centre + span.half * (middle + arb(0, 1) * radius)
        self["t"] = self.tau.expm1().nonnegative_part()
        self._speeds = [v / span.half for v in values[half:]]
        # A difference of two neurons, or their sum, is off by at most n times the tube.
        wide = [tube] * states + [n * tube] * (half - states)
        values = [v + arb(0, 1) * r for v, r in zip(values, wide, strict=False)]
        self.x = values[:states]
        self.apart = _rows(values[states : half - q], q)
        self.residual = [a - b for a, b in zip(values[half - q :], scene.flow.teacher, strict=True)]
        self.w = _rows(self.x, q)

    def __missing__(self, name: str) -> Any:
        """Evaluate a quantity and keep it."""
        base = name.removesuffix("_dot")
        for suffix in FROZEN:
            if name.endswith(suffix):
                self[name] = self.scene.frozen[suffix[1:]][name.removesuffix(suffix)]
                return self[name]
        # A potential may have the name of a quantity, and then is that.
        if base in ("loss", "gradient_norm") or name == "rho_dot" or base in _PAIRS | _NEURONS:
            self._fill(name)
        elif name == "rho":
            self["rho"] = self.residual[0]
        elif base in self.scene.potentials:
            self[base], self[f"{base}_dot"] = _evaluated(self.scene.potentials[base], self)
        elif name in self.scene.frozen:
            self[name] = self.scene.frozen[name]["t"]
        if name not in self:
            raise KeyError(f"unknown quantity {name!r}")
        return self[name]

    @functools.cached_property
    def velocity(self) -> Vector:
        """Time derivatives of state, differences and sum."""
        scene = self.scene
        piece, n, q = scene.certificate.pieces[self.index], scene.n, scene.q
        entries = [c for row in scene.flow.hessian(self.x).tolist() for c in row]
        stiff = dot(entries, entries).nonnegative_part().sqrt() * self.tau.exp()
        off = stiff * piece.tube + piece.defect
        slow = (-self.tau).exp()
        wide = [off] * (n * q) + [n * off] * (len(self._speeds) - n * q)
        return [(v + arb(0, 1) * r) * slow for v, r in zip(self._speeds, wide, strict=True)]

    def _fill(self, name: str) -> None:
        scene, n, q = self.scene, self.scene.n, self.scene.q
        if name == "loss":
            early, late = (scene.loss(self.index, s) for s in (self.low, self.high))
            self["loss"] = early.union(late).nonnegative_part()
        elif name in ("loss_dot", "gradient_norm"):
            square = dot(self.velocity[: n * q], self.velocity[: n * q]).nonnegative_part()
            self["loss_dot"], self["gradient_norm"] = -square, square.sqrt()
        elif name == "rho_dot":
            self[name] = self.velocity[-q]
        elif name.removesuffix("_dot") in _NEURONS:
            self._fill_neurons(name.endswith("_dot"))
        else:
            self._fill_pairs(name.endswith("_dot"))

    def _fill_neurons(self, rates: bool) -> None:
        h, z = [w[0] for w in self.w], [w[1:] for w in self.w]
        zeta = self["zeta"] = [_length(x) for x in z]
        norm = self["norm"] = [_length(w) for w in self.w]
        self["h"] = h
        self["theta"] = [arb.atan2(b, a) for a, b in zip(h, zeta, strict=True)]
        if rates:
            moved = _rows(self.velocity[: len(self.x)], self.scene.q)
            self["h_dot"] = [v[0] for v in moved]
            self["zeta_dot"] = [dot(x, v[1:]) / s for x, v, s in zip(z, moved, zeta, strict=True)]
            self["norm_dot"] = [dot(w, v) / s for w, v, s in zip(self.w, moved, norm, strict=True)]
            self["theta_dot"] = [
                (a * c - b * v[0]) / (s * s)
                for a, b, c, v, s in zip(h, zeta, self["zeta_dot"], moved, norm, strict=True)
            ]

    def _fill_pairs(self, rates: bool) -> None:
        z, zeta, pairs = [w[1:] for w in self.w], self["zeta"], self.scene.pairs
        gaps = [gap[1:] for gap in self.apart]
        self["distance"] = [_length(gap) for gap in gaps]
        self["kappa"] = [_angle(z[i], z[j]) for i, j in pairs]
        self["theta_pair"] = [_angle(self.w[i], self.w[j]) for i, j in pairs]
        if rates:
            q, moved = self.scene.q, _rows(self.velocity, self.scene.q)
            speeds = [v[1:] for v in moved[len(z) : len(z) + len(pairs)]]
            self["distance_dot"] = [dot(a, b) / s for a, b, s in
                                    zip(gaps, speeds, self["distance"], strict=True)]  # fmt: skip
            turning = []
            for i, j in pairs:
                product = zeta[i] * zeta[j]
                cosine = dot(z[i], z[j]) / product
                growth = self["zeta_dot"][i] / zeta[i] + self["zeta_dot"][j] / zeta[j]
                change = (dot(moved[i][1:], z[j]) + dot(z[i], moved[j][1:])) / product
                sine = _area(z[i], z[j]) / product
                turning.append((cosine * growth - change) / sine if q > 2 else arb(0))
            self["kappa_dot"] = turning

    def at(self, expressions: Sequence[sp.Expr], over: Over) -> list[tuple[Ball, ...]]:
        """Evaluate expressions at each index; balls that are not finite where undefined."""
        names, function = lowered(tuple(expressions))
        values = [self[name] for name in names]
        count = {"state": 1, "neuron": self.scene.n, "pair": len(self.scene.pairs)}[over]
        rows = ([v[k] if isinstance(v, list) else v for v in values] for k in range(count))
        return [tuple(arb(x) for x in function(*row)) for row in rows]


_NEURONS = {"h", "zeta", "norm", "theta"}
_PAIRS = {"distance", "kappa", "theta_pair"}


def _rows(values: Vector, q: int) -> list[Vector]:
    return [values[k : k + q] for k in range(0, len(values), q)]


def _length(vector: Vector) -> Ball:
    return abs(vector[0]) if len(vector) == 1 else dot(vector, vector).nonnegative_part().sqrt()


def _area(a: Vector, b: Vector) -> Ball:
    minors = [a[k] * b[m] - a[m] * b[k] for k in range(len(a)) for m in range(k)]
    return dot(minors, minors).nonnegative_part().sqrt() if minors else arb(0)


def _angle(a: Vector, b: Vector) -> Ball:
    angle = arb.atan2(_area(a, b), dot(a, b)).nonnegative_part()
    return angle if angle.is_finite() else arb(0).union(arb.pi())


def _evaluated(potential: Potential, box: Quantities) -> tuple[Any, Any]:
    """Value and Lie derivative of a potential on a box."""
    lie = potential.lie_derivative()
    terms: dict[str, Any] = {}
    for term, rate in zip(potential.terms, lie.rates, strict=True):
        values = [v for (v,) in box.at((term.expression,), term.over)]
        try:
            rates = [v for (v,) in box.at((rate,), term.over)]
        except Singular:
            rates = [arb.nan()] * len(values)
        terms[term.name], terms[f"{term.name}_dot"] = _reduced(term, values, rates)
    value, rate = (_outer(e, terms, box) for e in (potential.expression, lie.expression))
    return value, rate


def _outer(expression: sp.Expr, terms: dict[str, Any], box: Quantities) -> Any:
    """Outer expression of a potential: a ball, or a list of them where a term is one."""
    names, function = lowered((expression,))
    arguments = [terms[name] if name in terms else box[name] for name in names]
    lists = [a for a in arguments if isinstance(a, list)]
    if not lists:
        return arb(function(*arguments)[0])
    rows = ([a[k] if isinstance(a, list) else a for a in arguments] for k in range(len(lists[0])))
    return [arb(function(*row)[0]) for row in rows]


def _reduced(term: Term, values: Vector, rates: Vector) -> tuple[Any, Any]:
    """Remove the index of a term; an extremum has the rate of an index that may attain it."""
    if term.reduce is None:
        return (values[0], rates[0]) if term.over == "state" else (values, rates)
    if term.reduce == "sum" or not values:
        return sum(values, arb(0)), sum(rates, arb(0))
    sign = 1 if term.reduce == "max" else -1
    best = functools.reduce(lambda a, b: a.max(b), [sign * v for v in values])
    able = [r for v, r in zip(values, rates, strict=True) if not sign * v < best]
    return sign * best, functools.reduce(lambda a, b: a.union(b), able)
