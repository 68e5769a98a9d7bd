r"""A loss of your own as a system: its gradient flow, potentials and claims, by the same machinery.

.. math:: L(y) = A(y) + E f(y, x), \qquad x \sim N(0, I), \qquad \dot y = -\nabla L(y)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from flows.core.arrays import Array
from flows.core.arrival import arrival
from flows.core.balls import precision
from flows.core.errors import InputError
from flows.core.limit import Limit, find_limit
from flows.core.minimiser import Approach, Minimiser
from flows.core.system import Excess
from flows.systems.own.exact import (
    Nodes,
    balls,
    from_doubles,
    to_double,
)
from flows.systems.own.features import (
    TRUSTED,
    Frame,
    SoundState,
)
from flows.systems.own.polynomial import (
    PolynomialFlow,
    block_shapes,
    stated_terms,
)
from flows.systems.own.reading import errors_of
from symbolic.asymptotics.derive import point_of
from symbolic.asymptotics.given import exact as fractions
from symbolic.asymptotics.point import Point
from symbolic.asymptotics.refusal import NoLaw
from symbolic.systems.own.document import derive

if TYPE_CHECKING:
    from symbolic.evidence.derivation import Document

from flows.systems.own.flow import Flow
from flows.systems.own.given import closed

__all__ = ["OwnSystem"]

# Bits of a difference of two losses.
BITS_OF_EXCESS = 1400


@dataclass(frozen=True)
class OwnSystem(Flow):
    r"""Gradient flow of a loss that is given as a SymPy expression over named blocks.

    .. math:: \dot y = -\nabla L(y), \qquad \frac{d}{dt} \Phi(y) = -\nabla \Phi \cdot \nabla L

    Gradient, Jacobian and Lie derivatives are derived from the expressions.

    Parameters
    ----------
    name : str
        Name of the system, none of the built-in ones.
    blocks : sequence of Symbol or MatrixSymbol
        What moves: scalars, vectors (one column), matrices. A state is the flat array of their
        entries, in this order and row by row; see :meth:`pack` and :meth:`unpack`.
    expression : Expr
        The loss, in the blocks, their entries and products. `symbolic.Expectation(f, x)` is a
        Gaussian expectation: that of a polynomial in `x` is brought into closed form, any other
        one is computed by quadrature with a measured error.
    potentials : mapping of str to Expr, optional
        Functions of the blocks that are observed, with their derivatives along the flow.
    claims : sequence of Claim, optional
        Statements in the symbols of these names (`potentials.symbol`), for
        :func:`flows.check`.
    decay : mapping of Block to float, optional
        Deprecated: ignored where states are exact. In doubles, `{block: p}` scales a block that
        tends to zero like `t^-p`.
    marks : sequence of Mark, optional
        Times `T1` and `T2` that the claims refer to.
    constants : mapping of str to float, optional
        Numbers that the claims refer to, by names of `potentials.CONSTANTS`.

    arithmetic : {"auto", "balls", "doubles"}
        How states are kept. `balls`: exact states, of about 160 bits and of more where it takes
        them, the gradient in ball arithmetic, increments in units of the energy that is left
        (:mod:`flows.systems.own.energy`); expectations in one dimension by a fixed trapezoidal rule
        that is right to 1e-30. `doubles`: no state has more than 16 digits. `auto` is `balls`, and
        `doubles` where those are not possible (an expectation in two or more dimensions, or one
        that 2000 nodes do not resolve; a function without ball arithmetic), and where they are
        slow: for more than 150 entries, and for an expectation whose gradient takes more than 6000
        steps of its program, over all nodes.

    Raises
    ------
    InputError
        For names that cannot be used, other symbols in an expression, a loss with kinks, and one
        that is not linear in expectations without a closed form.

    Notes
    -----
    Units: ``t`` is the time of ``dy/dt = -grad L``.
    Accuracy: with exact states, at ``rtol = 1e-10``, the loss above its limit is right to 1e-9 up
    to t = 1e12 on the losses of the tests, down to 1e-290 (averages: 1e-60), where the state stays
    and what is not known is NaN. In doubles it is that of the expressions, and it is measured: a
    loss, gradient or potential is NaN where its error is a tenth of it or more, and below that the
    error adds to ``run.errors()``.
    The derived code grows with the number of entries, which is at most 500.

    Examples
    --------
    >>> y = sp.Symbol("y")
    >>> system = OwnSystem("quartic", [y], y**4 / 4, potentials={"square": y**2})
    >>> system.loss([2.0]), system.gradient([2.0]).tolist(), system.hessian([2.0]).tolist()
    (4.0, [8.0], [[12.0]])
    """

    def derive(self) -> Document:
        r"""Derive gradient, closed form of expectations, Hessian, Lie derivatives, invariants.

        .. math:: \frac{d}{dt} \Phi(y) = -\langle \nabla \Phi(y), \nabla L(y) \rangle

        Returns
        -------
        Document
            As of a built-in system: `verify()` adds the evidence of each step, `latex()` gives an
            appendix. The gradient is a matrix expression where the loss is written in traces; the
            rate of each potential along the flow is substituted and simplified, with ``= 0`` or its
            sign where that is proved; quadratics ``y'Xy`` that a linear symmetry of the loss
            conserves are found. See :func:`symbolic.systems.own.document.derive`.

        Raises
        ------
        InputError
            For more than 40 entries.

        Examples
        --------
        >>> u, v = sp.symbols("u v")
        >>> system = OwnSystem("scalar", [u, v], (u * v - 1) ** 2 / 2, {"gap": (u * v - 1) ** 2})
        >>> system.derive().verify().derivations[2].steps[2].equation
        '- 2 \\left(u^{2} + v^{2}\\right) \\left(u v - 1\\right)^{2} \\le 0'
        """
        try:
            return derive(self.name, self.blocks, self.expression, self.potentials)
        except ValueError as refused:
            raise InputError(f"{self.name}: {refused}") from None

    def limit(self, states: SoundState, t: Array) -> Limit | str:
        """Limit point of a run from its last state, or why it is not known; see `find_limit`."""
        if not states.exact:
            return (
                "limit not found: the states of the run are doubles; where the loss allows for it,"
                " arithmetic='balls' keeps more digits"
            )
        digits = from_doubles(states.digits[-1])
        nodes = self._nodes(states.x[-1])
        if isinstance(nodes, str):
            return f"limit not found: {nodes}"
        since = float(states.energy[-1, 0])
        return find_limit(balls(self._loss, nodes), digits, max(since, float(t[-1])))

    def excess(self, frame: Frame, states: SoundState, t: Array, loss: Array) -> Excess:
        """Loss above that of the limit point of the run, both with many digits."""
        unknown = np.full(len(t), np.nan)
        found = self.limit(states, t)
        if isinstance(found, str):
            return Excess(unknown, math.nan, found)
        nodes = self._nodes(states.x[-1])
        exact = balls(self._loss, None if isinstance(nodes, str) else nodes)
        rule = nodes.rule if isinstance(nodes, Nodes) else None
        value, error = unknown.copy(), np.zeros(len(t))
        for k, digits in enumerate(states.digits):
            place = from_doubles(digits)
            with precision(BITS_OF_EXCESS):
                both = exact.both(place)
                above = both[0] - found.loss
            slope = np.array([float(x) for x in both[1:]])
            off = errors_of(self._loss, place, slope, states.energy[k], states.error[k], rule)
            error[k] = float(above.rad()) + off.of_loss(slope)
            if error[k] <= TRUSTED * float(above):
                value[k] = to_double(above)
        with np.errstate(invalid="ignore"):
            rate = np.nan_to_num(np.abs(self.features(frame, states)["loss_dot"]))
        error = error + self.steps[0] * t * rate
        lost = np.isnan(value).sum()
        rests = f"not known at {lost} of {len(t)} times: the states no longer tell it from zero"
        return Excess(value, float(found.loss), rests if lost else "", error)

    def minimiser(self, at: Any = None) -> Minimiser:
        """Loss at a point, whose numbers are taken for the fractions that they are written as."""
        if at is None:
            raise InputError(f"at: expected a minimiser of {self.name}, got none; give its entries")
        y = self._flat(at)
        values = dict(zip(self.blocks, self._parts(y), strict=True))
        return Minimiser(y, point_of(self.expression, self.blocks, values))

    def approach(self, frame: Frame, state: SoundState, t: float) -> Approach:
        """Limit of the flow from an exact state on."""
        if not state.exact:
            raise NoLaw(
                "the limit of the run is not looked for: its states are doubles; where the loss"
                " allows for it, arithmetic='balls' keeps more digits"
            )
        nodes = self._nodes(state.x)
        assert not isinstance(nodes, str)  # the state is exact
        form = self._loss.form
        point = Point(self._entries, fractions(form.plain), fractions(form.integrand), form.x, ())
        return arrival(
            balls(self._loss, nodes),
            point,
            from_doubles(state.digits),
            max(float(state.energy[0]), t),
            lambda entries: entries,
        )

    @property
    def certified(self) -> tuple[str, dict[str, Any]] | str:
        """Terms of a polynomial loss, by which a certificate states it; or why it is none."""
        terms = stated_terms(self.blocks, self._loss.form)
        if isinstance(terms, str):
            return f"{self.name}: {terms}"
        return "polynomial", {
            "name": self.name,
            "blocks": block_shapes(self.blocks),
            "terms": terms,
        }

    def ball_flow(self, start: Array) -> PolynomialFlow:
        """Flow of a polynomial loss in ball arithmetic, from which certificates are made."""
        known = {name: closed(self.blocks, p) for name, p in self.potentials}
        return PolynomialFlow(self._entries, self._loss.form, known, start)
