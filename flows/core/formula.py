"""Losses that are formulas of the blocks: the polynomial, and conserved quantities."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from flows.core.arrays import Array
from flows.core.errors import InputError
from flows.core.views import VIEWS

if TYPE_CHECKING:
    from potentials.search.invariants import Invariants
    from potentials.search.subject import Subject
    from symbolic.language.blocks import Block
    from symbolic.systems.own.rates import Kept

__all__ = ["Formula"]

#: Largest degree of invariants that are sought: higher degrees take minutes.
MOST = 6
# Degree and number of monomials of invariants that are sought by default: it takes a second.
USUAL, FEW = 2, 200


class Formula:
    """A loss that a system may state as a formula of the blocks that move."""

    name: ClassVar[str]

    @property
    def formula(self) -> tuple[Sequence[Block], Any]:
        """Blocks that move, and the loss as an expression of them and of its averages.

        Raises
        ------
        InputError
            For a system that states none.
        """
        raise InputError(f"{self.name} states no loss as a formula of its blocks")

    @property
    def general(self) -> Any:
        """The system of :attr:`formula`, as a loss of one's own: the general path, beside this one.

        Its states are flat arrays of the entries of the blocks.

        Raises
        ------
        InputError
            For a system that states no formula.

        Examples
        --------
        >>> import flows
        >>> neuron = flows.ReLUNeuron(n=2, d=2)
        >>> start = [[0.5, 0.1], [0.2, 0.3]]
        >>> abs(neuron.general.loss([0.5, 0.1, 0.2, 0.3]) - neuron.loss(start)) < 1e-15
        True
        """
        return VIEWS["general"](self)

    def flat(self, state: Any) -> Array:
        """State as the flat array of the entries of the blocks."""
        return np.ravel(state)

    def unpack(self, state: Any) -> Mapping[str, Array]:
        """Arrays of the blocks by name; none of a system whose state is one array."""
        return {}

    @property
    def polynomial(self) -> Subject:
        """The loss as a polynomial, in which potentials and invariants are sought."""
        from potentials.search.subject import Subject

        blocks, expression = self.formula
        return Subject(self.name, tuple(blocks), expression)

    @property
    def moving(self) -> Subject:
        """The flow whose invariants are sought: here, the gradient flow of the loss."""
        return self.polynomial

    def invariants(self, degree: int = 2) -> Invariants:
        r"""What a polynomial flow keeps, exactly, up to a degree.

        .. math:: \dot p = 0, \qquad \dot p = \lambda p, \qquad \frac{d}{dt} \frac PN = 1

        Parameters
        ----------
        degree : int
            Largest degree of `p`, and of `P` and `N`, from 1 to 6.

        Returns
        -------
        Invariants
            ``conserved``: a basis of conserved polynomials; ``darboux``: pairs `(p, lambda)`, whose
            zeros and signs stay; ``clocks``: expressions that grow like time on every flow.

        Raises
        ------
        InputError
            For a loss, or a field, that is no polynomial with fractions as coefficients, another
            degree, and more than 1000 monomials of this degree.

        Notes
        -----
        Units: `t` is the time of the flow, such as ``dx/dt = -grad L``.
        Source: linear algebra over the rationals; Pereira 2001 for Darboux polynomials.
        Accuracy: exact.

        Examples
        --------
        >>> import flows, sympy as sp
        >>> a, b = sp.symbols("a b")
        >>> flows.OwnSystem("product", [a, b], (a * b - 1) ** 2 / 2).invariants(2).conserved
        (a**2 - b**2,)
        """
        from potentials.search.invariants import MOST_MONOMIALS, invariants, monomials

        if isinstance(degree, bool) or not isinstance(degree, int) or not 1 <= degree <= MOST:
            raise InputError(f"degree: expected a whole number from 1 to {MOST}, got {degree!r}")
        flow = self.moving.flow
        if (count := monomials(flow, degree)) > MOST_MONOMIALS:
            raise InputError(
                f"{self.name}: expected at most {MOST_MONOMIALS} monomials of invariants, got"
                f" {count} of degree {degree} in {flow.size} variables; give a lower degree or a"
                " smaller system"
            )
        return invariants(flow, degree)

    def reduced(self, potentials: Any, keep: Any = ()) -> Any:
        r"""Closed equation of potentials, `\dot P = F(P)`, PROVED, as a :class:`flows.ODE`.

        Parameters
        ----------
        potentials : mapping of str to Expr
            Polynomials in the blocks, by name.
        keep : sequence of Eq
            Equations that the flow keeps, such as that of a sphere; without them, invariant
            spheres and ellipsoids are tried, such as the unit sphere where it is kept.

        Returns
        -------
        ODE
            Its blocks are the potentials; ``start_of(state)`` gives the start that belongs to a
            state of this flow, ``derive()`` the proof.

        Raises
        ------
        InputError
            For a function that is no polynomial with fractions as coefficients, an equation that
            the flow does not keep, and potentials that are not closed, with the rate that shows it.

        Notes
        -----
        Units: `t` is the time of this flow.
        Source: linear algebra over the rationals.
        Accuracy: exact.

        Examples
        --------
        >>> import flows, sympy as sp
        >>> a, b = sp.symbols("a b")
        >>> system = flows.OwnSystem("product", [a, b], (a * b - 1) ** 2 / 2)
        >>> closed = system.reduced({"P": a * b, "S": a**2 + b**2})
        >>> closed.parameters["formula"]
        "P' = -S*(P - 1), S' = -4*P*(P - 1)"
        """
        return VIEWS["reduced"](self, potentials, keep)

    def kept(self) -> Kept | None:
        """Invariants of degree two of a polynomial in few exact numbers; else None."""
        from potentials.search.invariants import invariants
        from symbolic.systems.own.rates import Kept

        try:
            subject = self.moving
            many = math.comb(len(subject.entries) + USUAL, USUAL) > FEW
            if many or not subject.exact:
                return None
            flow = subject.flow
        except InputError:
            return None
        found, written = invariants(flow, USUAL), subject.in_blocks
        return Kept(
            tuple(map(written, found.conserved)),
            tuple((written(p), written(rate)) for p, rate in found.darboux),
            tuple(map(written, found.clocks)),
        )
