"""The definition of an own system as plain data: for files, certificates and texts."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from flows.core.errors import InputError
from flows.systems.field.in_blocks import InBlocks
from flows.systems.own.given import closed, loss_of
from flows.systems.own.polynomial import block_shapes, stated_terms, written_entries
from flows.systems.own.sound_state import feature_names
from flows.systems.own.steps import stated_steps
from flows.systems.own.view import View
from symbolic.language.blocks import Block
from symbolic.language.stated import stated
from symbolic.systems.own.derivation import derive

if TYPE_CHECKING:
    from symbolic.evidence.derivation import Document

__all__ = ["Defined"]


@functools.lru_cache(maxsize=64)
def _written(expression: Any) -> str:
    """An expression as text: each run of an ensemble asks for it."""
    return str(expression)


class Defined(InBlocks):
    """A loss over named blocks with potentials and claims, of :class:`flows.OwnSystem`."""

    name: str  # type: ignore[misc]
    blocks: Any
    expression: Any
    potentials: Any
    claims: Any
    marks: Any
    constants: Any
    tolerance: float
    steps: tuple[float, float, bool, bool]
    arithmetic: str
    exact_start: Any
    settings: Any
    start: Any

    #: Of a loss of one's own it is not asked.
    nonnegative: ClassVar[bool] = False

    @property
    def parameters(self) -> dict[str, Any]:
        """Settings, shapes of blocks, the loss as text for people, fingerprint, and constants."""
        return self._stated(
            formula=_written(self.expression),
            fingerprint=self._loss.fingerprint,
            features=self._features,
        )

    @property
    def definition(self) -> list[Any] | None:
        """Blocks, loss and potentials as plain data, so that a file can be evaluated again."""
        names = [name for name, _ in self.potentials]
        nodes = stated([*self.blocks, self.expression, *(p for _, p in self.potentials)])
        return None if nodes is None else [names, nodes]

    @property
    def certified(self) -> tuple[str, dict[str, Any]] | str:
        """Terms of a polynomial loss, or steps of another one, by which a certificate states it.

        A reason where it has neither.
        """
        about = {"name": self.name, "blocks": block_shapes(self.blocks)}
        terms = stated_terms(self.blocks, self._loss.form)
        if not isinstance(terms, str):
            return "polynomial", {**about, "terms": terms}
        steps = stated_steps(self._loss.y, self._loss.form, written_entries(self.blocks))
        if isinstance(steps, str):
            return f"{self.name}: {steps}"
        return "average" if "inputs" in steps else "loss", about | steps

    @property
    def formula(self) -> tuple[Sequence[Block], Any]:
        """Blocks and loss as they were given."""
        return self.blocks, self.expression

    @property
    def _features(self) -> list[str]:
        """Names of the observables."""
        return list(feature_names([n for n, _ in self.potentials], self._loss.averaged))

    @property
    def _loss(self) -> Any:
        return loss_of(self.blocks, self.expression)

    @property
    def _view(self) -> View:
        known = tuple((name, closed(self.blocks, p)) for name, p in self.potentials)
        return View(self._loss, known, self.arithmetic, self.tolerance, self.steps)

    def derive(self) -> Document:
        r"""Derive gradient, closed form of expectations, Hessian, Lie derivatives, invariants.

        .. math:: \frac{d}{dt} \Phi(y) = -\langle \nabla \Phi(y), \nabla L(y) \rangle

        Returns
        -------
        Document
            As of a built-in system: `verify()` adds the evidence of each step, `latex()` gives an
            appendix. The gradient is a matrix expression where the loss is written in traces; the
            rate of each potential along the flow is substituted and simplified, with ``= 0`` or its
            sign where that is proved; invariants of degree two of a polynomial are found, of other
            losses quadratics ``y'Xy`` that a linear symmetry conserves. See
            :func:`symbolic.systems.own.derivation.derive`.

        Raises
        ------
        InputError
            For more than 40 entries.

        Examples
        --------
        >>> import flows, sympy as sp
        >>> u, v = sp.symbols("u v")
        >>> gap = (u * v - 1) ** 2
        >>> system = flows.OwnSystem("scalar", [u, v], gap / 2, {"gap": gap})
        >>> system.derive().verify().derivations[2].steps[2].equation
        '- 2 \\left(u^{2} + v^{2}\\right) \\left(u v - 1\\right)^{2} \\le 0'
        """
        try:
            return derive(self.name, self.blocks, self.expression, self.potentials, self.kept())
        except ValueError as refused:
            raise InputError(f"{self.name}: {refused}") from None
