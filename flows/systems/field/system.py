r"""An ordinary differential equation of your own as a system, by the same machinery as losses.

.. math:: \dot y = f(y, t)
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Self

from flows.core.arrays import Array
from flows.core.errors import InputError
from flows.systems.field.blocks import check_names, frozen, hold_tuples
from flows.systems.field.flow import FieldFlow
from flows.systems.field.recorded import definition_of
from flows.systems.field.statements import fingerprint
from flows.systems.field.written import TIME, Expressions, components, expressions
from symbolic.evidence.derivation import Document

__all__ = ["ODE"]


@dataclass(frozen=True)
class ODE(FieldFlow):
    r"""Flow of a field that is given as SymPy expressions over named blocks and the time.

    .. math:: \dot y = f(y, t), \qquad
              \frac{d}{dt} \Phi(y, t) = \nabla \Phi \cdot f + \partial_t \Phi

    Jacobian and Lie derivatives are derived from the expressions.

    Parameters
    ----------
    name : str
        Name of the system, none of the built-in ones.
    blocks : sequence of Symbol or MatrixSymbol
        What moves: scalars, vectors (one column), matrices. A state is the flat array of their
        entries, in this order and row by row; see :meth:`pack` and :meth:`unpack`.
    field : mapping of Block to Expr, or sequence
        The right side of each block, of its shape, in the blocks and ``t``. A symbol of this name
        is the time, whatever is assumed of it. Expectations must have a closed form.
    potentials : mapping of str to Expr, optional
        Functions of the blocks and ``t`` that are observed, with their derivatives along the flow.
    claims : sequence of Claim, optional
        Statements in the symbols of these names (`potentials.symbol`), for :func:`flows.check`.
    marks : sequence of Mark, optional
        Times that the claims refer to.
    constants : mapping of str to float, optional
        Numbers that the claims refer to, by names of your own.

    Raises
    ------
    InputError
        For names that cannot be used, a right side of another shape, other symbols in an
        expression, kinks, and functions that doubles do not compute.

    Notes
    -----
    Units: ``t`` is the time of ``dy/dt = f``.
    Accuracy: states are doubles. Errors are measured: three runs go beside each, one with 30 times
    the tolerance and two whose fields are off, to either side, by ten tolerances in a unit of
    log-time. The stated error is five times their largest distance within 0.4 decades, of states
    and of each potential; a run costs as much as four. A potential is NaN where its error is a
    tenth, or more, of itself or of its values on both sides. Laws, certificates and `excess`,
    which need a loss, say so.

    Examples
    --------
    >>> import flows, sympy as sp
    >>> x, v = sp.symbols("x v")
    >>> energy = (x**2 + v**2) / 2
    >>> spring = flows.ODE("spring", [x, v], {x: v, v: -x - v / 10}, {"energy": energy})
    >>> run = flows.integrate(spring, [1, 0], 50, [50])
    >>> bool(run["energy"][-1] < 0.004), bool(run.errors("energy")[-1] < 1e-5)
    (True, True)
    """

    name: str  # type: ignore[misc]
    blocks: Any
    field: Any
    potentials: Any = ()
    claims: Any = ()
    marks: Any = ()
    constants: Any = ()
    reduction: Any = dataclasses.field(default=None, compare=False, repr=False, init=False)
    settings: Any = dataclasses.field(default=(), kw_only=True)
    start: Any = dataclasses.field(default=None, compare=False, repr=False, kw_only=True)
    steps: tuple[float, float, float] = dataclasses.field(
        default=(0.0, 0.0, 0.0), compare=False, repr=False, init=False
    )
    along = r"\left\langle \nabla %(phi)s, f \right\rangle + \partial_t %(phi)s"

    def __post_init__(self) -> None:
        """Check everything and derive what the flow needs; mappings become tuples."""
        hold_tuples(self, ("potentials", "constants"))
        given = self.potentials, self.claims, self.marks, self.constants
        check_names(self.name, self.blocks, *given)
        if TIME.name in {block.name for block in self.blocks}:
            raise InputError("a block cannot be called t, which is the time; give it another name")
        field = tuple(frozen(part) for part in components(self.blocks, self.field))
        object.__setattr__(self, "field", field)
        _ = self.compiled  # which refuses what cannot be used

    @property
    def expressions(self) -> Expressions:
        """Field and potentials in entries."""
        return expressions(self.blocks, self.field, None, self.potentials)

    @classmethod
    def from_parameters(cls, parameters: dict[str, Any]) -> Self:
        """No system is made of plain values alone."""
        raise InputError("build the field and give it: flows.load(path, system=...)")

    @property
    def parameters(self) -> dict[str, Any]:
        """Shapes of the blocks, the field as text for people, its fingerprint, and constants."""
        pairs = zip(self.blocks, self.field, strict=True)
        return self._stated(
            formula=", ".join(f"{block.name}' = {f}" for block, f in pairs),
            fingerprint=fingerprint(self.blocks, self.field),
            features=list(self._features),
        )

    def start_of(self, state: Any) -> Array:
        """Start that belongs to a state of the flow of which this is the closed equation.

        Raises
        ------
        InputError
            For a field that no :meth:`reduced` has made, and for an array that is no state of
            the flow.
        """
        if self.reduction is None:
            raise InputError(f"{self.name} is no closed equation of another flow's potentials")
        found: Array = self.reduction.values(state)
        return found

    def derive(self) -> Document:
        """Derive the rates of potentials; of a closed equation, why it is closed.

        Raises
        ------
        InputError
            For more than 40 entries.
        """
        if self.reduction is not None:
            found: Document = self.reduction.derive()
            return found
        return super().derive()

    @property
    def definition(self) -> Any:
        """Blocks, field and potentials as plain data, so that a file can be evaluated again."""
        names = [block.name for block in self.blocks]
        return definition_of(
            "field",
            {
                "blocks": tuple(zip(names, self.blocks, strict=True)),
                "field": tuple(zip(names, self.field, strict=True)),
                "potentials": self.potentials,
            },
        )
