"""Nodes of the integrands of a loss, at which numbers are known and changed."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from flint import arb

from flows.core.arrays import Array
from flows.expectations.forms import Forms
from flows.expectations.hermite import Rule
from flows.expectations.planes import PlaneNodes
from flows.systems.own.by_forms import Formed
from flows.systems.own.in_pairs import enclosed_code, rows_of
from flows.systems.own.loss import Loss
from flows.systems.own.numeric import numeric
from symbolic.language.lower import NoBall

__all__ = ["Nodes", "has_changes"]


def has_changes(loss: Loss) -> bool:
    """Whether all functions of an integrand have changes and balls."""
    tape = loss.formed.tape if loss.formed.forms.symbols else None
    if tape is None:
        return False
    try:
        tape.exact(tape.results)(*[arb(0.5)] * len(loss.formed.variables))
        rows_of(loss.formed)
        numeric(loss.form.plain, loss.y, (), "ball")
    except NoBall:
        return False
    return True


@dataclass(frozen=True, eq=False)
class Nodes:
    """Nodes for each of several integrands whose sum is averaged.

    Parameters
    ----------
    formed : tuple of Formed
        The integrands.
    parts : tuple of PlaneNodes
        The nodes of each.
    """

    formed: tuple[Formed, ...]
    parts: tuple[PlaneNodes, ...]

    def __len__(self) -> int:
        """Return the number of all nodes."""
        return sum(map(len, self.parts))

    @property
    def forms(self) -> tuple[Forms, ...]:
        """Nodes and weights of each integrand."""
        return tuple(one.forms for one in self.formed)

    @property
    def bound(self) -> Array:
        """Of the errors of the average, and of the length of its gradient, shape (2,)."""
        return np.sum([part.bound for part in self.parts], axis=0)

    @property
    def on_line(self) -> bool:
        """Whether they lie on a line, where balls are summed over them."""
        return len(self.parts[0].axes) == 1

    @functools.cached_property
    def enclosed(self) -> bool:
        """Whether two doubles compute all integrands."""
        return all(enclosed_code(one) is not None for one in self.formed)

    @property
    def alone(self) -> bool:
        """Whether there is one integrand, whose plane the flow leaves as it is."""
        return len(self.parts) == 1

    def at(self, y: Array) -> tuple[PlaneNodes, ...]:
        """Nodes at a state: planes of several integrands turn as it moves."""
        if self.alone:
            return self.parts
        pairs = zip(self.forms, self.parts, strict=True)
        return tuple(part.turned(forms, y) for forms, part in pairs)

    def rules(self, y: Array) -> tuple[tuple[Formed, Rule], ...]:
        """Integrands, with nodes in space at a state."""
        pairs = zip(self.formed, self.at(y), strict=True)
        return tuple((one, part.rule) for one, part in pairs)

    @functools.cached_property
    def finer(self) -> Nodes:
        """Nodes that show what these leave where the average is small beside its terms."""
        return Nodes(self.formed, tuple(part.finer for part in self.parts))

    def off(self, y: Array) -> float:
        """Distance of a state from the plane over the allowed one: up to 1 the bound holds."""
        given = zip(self.forms, self.parts, self.at(y), strict=True)
        return max(part.off(one, y, now.axes) for one, part, now in given)

    def cancels(self, y: Array) -> float:
        """Part of the sizes of all that is left of their sum; all of it where all are zero."""
        total, size = np.sum([one.summed(y, rule) for one, rule in self.rules(y)], axis=0)
        return abs(float(total[0])) / float(size[0]) if size[0] else 1.0
