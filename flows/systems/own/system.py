r"""A loss of your own as a system: its gradient flow, potentials and claims, by the same machinery.

.. math:: L(y) = A(y) + E f(y, x), \qquad x \sim N(0, I), \qquad \dot y = -\nabla L(y)
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from flows.core.errors import InputError
from flows.systems.field.blocks import frozen, hold_tuples
from flows.systems.field.metric import MetricFlow
from flows.systems.own.followed import Followed
from flows.systems.own.given import check
from flows.systems.own.polynomial import blocks_of, expression_of, written_entries
from flows.systems.own.steps import loss_of_steps
from symbolic.language.stated import restated

__all__ = ["OwnSystem"]

# Parameters that may be given by their places beside rates or a metric.
LEADING = ("name", "blocks", "expression", "potentials", "claims")


@dataclass(frozen=True)
class OwnSystem(Followed):
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
        Gaussian expectation, or one over a density: that of a polynomial in `x`, times exponentials
        of affine forms, and of polynomials in `Max`, `Abs`, `sign`, `Heaviside` of affine forms are
        brought into closed form; any other one is computed by quadrature, whose error is an upper
        bound (:mod:`flows.expectations`), or measured by rules of two families
        where there is none.
    potentials : mapping of str to Expr, optional
        Functions of the blocks that are observed, with their derivatives along the flow.
    claims : sequence of Claim, optional
        Statements in the symbols of these names (`potentials.symbol`), for
        :func:`flows.check`.
    marks : sequence of Mark, optional
        Times `T1` and `T2` that the claims refer to.
    constants : mapping of str to float, optional
        Numbers that the claims refer to, by names of your own.

    rates : mapping of Block to Expr, optional
        Learning rates by block, positive numbers or expressions in the blocks and ``t``; 1 where
        none is given. With rates, or a metric, `y' = -G^{-1} diag(rates) grad L` is followed in
        doubles with measured errors, as of :class:`flows.ODE`; expectations must have a closed
        form, and laws and certificates are refused.
    metric : Matrix or mapping of Block to Expr, optional
        `G(y)`, symmetric and positive definite, with a row for each entry: natural gradient,
        mirror flow. Of a mapping, the factor by which a block's gradient is divided.
    arithmetic : {"auto", "balls", "doubles"}
        How states are kept. `balls`: exact states, of about 160 bits and of more where it takes
        them, the gradient in ball arithmetic, increments in units of the energy that is left
        (:mod:`flows.systems.own.energy`); expectations in one dimension by a trapezoidal rule
        that is proved to be right to 1e-30, and in more dimensions by nodes in the planes of affine
        forms, right to 1e-13 of the terms by proof; where these cancel, the error is the difference
        to a second rule (:mod:`flows.systems.own.averages`). `doubles`: no state has more than 16
        digits.
        `auto` is `balls`, and `doubles` where those are not possible (an expectation that 2000
        nodes do not resolve, or 300000 in a plane; one over several numbers that is not of students
        of a teacher; a function without ball arithmetic), and where they are slow: for more than
        150 entries, and for an expectation in one dimension whose gradient takes more than 12000
        steps of its program, over all nodes.

    settings : mapping of str to number or str, optional
        What the loss was made with, by name, such as sizes: shown among the parameters.
    start : callable, optional
        Law of random starts: from a generator of NumPy and a scale to arrays by block, or to one
        flat array. By default entries are independent and Gaussian.

    Raises
    ------
    InputError
        For names that cannot be used, other symbols in an expression, a loss with kinks, and one
        that is not linear in expectations without a closed form.

    Notes
    -----
    Units: ``t`` is the time of ``dy/dt = -grad L``.
    Accuracy: with exact states, at ``rtol = 1e-10``, the loss above its limit is right to 1e-9 up
    to t = 1e12 on the losses of the tests, down to 1e-290, where the state stays
    and what is not known is NaN. In doubles it is that of the expressions, and it is measured: a
    loss, gradient or potential is NaN where its error is a tenth of it or more, and below that the
    error adds to ``run.errors()``.
    Entries that the flow of a loss in closed form keeps equal, opposite or zero stay so to all
    digits, also beside a saddle (:mod:`flows.systems.own.subspace`). An expectation that rotations
    leave as it is, as of inputs that no teacher has, is followed in the span of the start, so that
    more such inputs cost nothing (:mod:`flows.systems.own.rotations`).
    The derived code grows with the number of entries, which is at most 500. A loss in traces of
    matrix expressions, and potentials that are too, may have 2000: beyond 500 they are evaluated by
    matrix code, and states are doubles.

    Examples
    --------
    >>> import sympy as sp
    >>> y = sp.Symbol("y")
    >>> system = OwnSystem("quartic", [y], y**4 / 4, potentials={"square": y**2})
    >>> system.loss([2.0]), system.gradient([2.0]).tolist(), system.hessian([2.0]).tolist()
    (4.0, [8.0], [[12.0]])
    """

    name: str  # type: ignore[misc]
    blocks: Any
    expression: Any
    potentials: Any = ()
    claims: Any = ()
    marks: Any = ()
    constants: Any = ()
    tolerance: float = field(default=1e-12, init=False, compare=False, repr=False)
    steps: tuple[float, float, bool, bool] = field(
        default=(0.0, 0.0, True, False), init=False, compare=False, repr=False
    )
    exact_start: Any = field(default=None, init=False, compare=False, repr=False)
    rates: Any = field(default=None, kw_only=True, repr=False)
    metric: Any = field(default=None, kw_only=True, repr=False)
    arithmetic: str = field(default="auto", kw_only=True)
    settings: Any = field(default=(), kw_only=True)
    start: Any = field(default=None, compare=False, repr=False, kw_only=True)

    dimensions: ClassVar[tuple[str, ...]] = ("entry",)

    def __new__(cls, *given: Any, rates: Any = None, metric: Any = None, **named: Any) -> Any:
        """A flow in a metric is one of a field: it is no :class:`OwnSystem`."""
        if rates is None and metric is None:
            return super().__new__(cls)
        named = dict(zip(LEADING, given, strict=False)) | named
        if named.pop("arithmetic", "auto") == "balls":
            raise InputError("arithmetic: expected none beside rates or a metric; leave it out")
        return MetricFlow(**named, rates=rates or (), metric=metric)

    def __post_init__(self) -> None:
        """Check everything and derive what the flow needs; mappings become tuples."""
        hold_tuples(self, ("potentials", "constants"))
        object.__setattr__(self, "expression", frozen(self.expression))
        check(
            self.name,
            self.blocks,
            self.expression,
            self.potentials,
            self.claims,
            self.marks,
            self.constants,
            self.arithmetic,
        )

    @classmethod
    def from_parameters(cls, parameters: dict[str, Any]) -> Self:
        """Loss as a certificate states it, by its terms or by its steps."""
        known = {*parameters} ^ {"name", "blocks"}  # and what is missing of these
        if known not in ({"terms"}, {"steps"}, {"steps", "inputs", "average"}):
            raise InputError(
                "expected the name, blocks and terms of a polynomial loss; of another one build the"
                " system and give it: flows.load(path, system=...)"
            )
        blocks = blocks_of(parameters["blocks"])
        if "terms" in known:
            return cls(parameters["name"], blocks, expression_of(blocks, parameters["terms"]))
        return cls(parameters["name"], blocks, loss_of_steps(parameters, written_entries(blocks)))

    @classmethod
    def defined(cls, name: str, definition: Any) -> Self:
        """System of a :attr:`definition`.

        Raises
        ------
        ValueError
            For a record that defines no loss.
        """
        names, nodes = definition
        parts = restated(nodes)
        count = len(parts) - 1 - len(names)
        known = zip(names, parts[count + 1 :], strict=True)
        return cls(name, parts[:count], parts[count], tuple(known))


# Editors and help texts show what a system is made of, not how it is made.
OwnSystem.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    list(inspect.signature(OwnSystem.__init__).parameters.values())[1:]
)
