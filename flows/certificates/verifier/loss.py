r"""Equations of a loss that is written in the file as steps.

*Kinks.* ``side a`` is ``|a|``. On a branch it is ``s a`` with a stated sign ``s``. Let ``g(v, u)``
be the gradient where ``side a`` is ``v`` and its derivative ``u`` times that of ``a``. The branch
has ``g(s a, s)``, the flow ``g(|a|, sign a)``: they agree where ``s a >= 0``. Beyond, where ``|a|``
is at most ``o``, they differ by at most

.. math:: 2 o \sup |\partial_v g| + 2 \sup |\partial_u g|, \qquad |v| \le o, \; |u| \le 1.

The second one is the derivative of the loss by ``v``, times that of ``a``. Where the tube of a flow
may meet a kink the former must vanish at ``v = 0``, exactly: then the gradient is continuous, and
the Hessians on both sides bound how fast two flows part.
"""

from __future__ import annotations

import math
import re
from typing import Any, ClassVar

import numpy as np
from flint import arb

from flows.certificates.verifier.curve import UNIT, at, norm
from flows.certificates.verifier.derived import derived
from flows.certificates.verifier.formula import formula
from flows.certificates.verifier.reading import MOST, require
from flows.certificates.verifier.segment import Equations, Segment
from flows.certificates.verifier.steps import Step, read

WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class Loss(Equations):
    """The entries of the blocks, row by row, and the gradient flow of a loss in them."""

    stated: ClassVar[tuple[str, ...]] = ("name", "blocks", "steps")
    form = "variables"

    def __init__(self, parameters: Any, start: Any) -> None:
        self.name, self.names = word(parameters["name"]), entries(parameters["blocks"])
        fits = start.dtype == float and start.shape == (len(self.names),)
        require(fits, "blocks and start do not fit")
        self.start = np.array([arb(x) for x in start.tolist()])
        self.lines = tuple(self.read(parameters))
        self.by = derived(self.lines, len(self.names))
        self.about = {"name": self.name, "loss": self.formula()}

    def read(self, parameters: Any) -> list[Step]:
        """Steps of the file."""
        return read(parameters["steps"], len(self.names))

    def formula(self) -> str:
        """The loss, as it was read."""
        return formula(self.lines, self.names)

    def signed(self, signs: Any) -> Any:
        """Signs of the kinks; those of the values where none are given."""
        return signs or [None] * len(self.by.kinks)

    def field(self, x: Any, signs: Any) -> Any:
        """Minus the gradient."""
        return -np.array(self.by.first.run(x, self.signed(signs))[1:])

    def hessian(self, x: Any) -> Any:
        """Second derivatives; on both sides of a kink that may be near, where the flow has one."""
        self.smooth(x)
        found, size = np.full((len(x), len(x)), arb(0), dtype=object), len(x)
        found[np.triu_indices(size)] = self.by.second.run(x, self.signed(()))
        return np.triu(found) + np.triu(found, 1).T

    def smooth(self, x: Any) -> None:
        """Refuse unless the gradient is continuous at the kinks that may be near."""
        for k, area in enumerate(self.areas(x)):
            if not (area > 0 or area < 0):
                signs = self.signed(())
                signs[k] = arb(0), UNIT
                jump = self.by.jumps[k].run(x, signs)[0]
                require(jump == 0, "the gradient may jump at a kink")

    def loss(self, x: Any) -> arb:
        """The loss: what it is in the middle of a box, and how it changes from there."""
        middle = np.array([c.mid() for c in x])
        value, *slopes = self.by.first.run(x, self.signed(()))
        change = np.array(slopes) @ (x - middle)
        return (
            self.by.first.run(middle, self.signed(()))[0] + change if change.is_finite() else value
        )

    def areas(self, x: Any) -> list[Any]:
        """What stands within the kinks."""
        return self.by.within.run(x, self.signed(()))[: len(self.by.kinks)]

    def branching(self, segment: Segment, parts: int) -> arb:
        """Bound how far the branch of the stated signs is from the field."""
        right = len(segment.signs) == len(self.by.kinks) and {*segment.signs} <= {-1, 1}
        require(right, "wrong signs of areas")
        total = arb(0)
        for part in range(parts if self.by.kinks else 0):
            box = segment.box(part, parts)
            before = [a * s >= 0 for a, s in zip(self.areas(box), segment.signs, strict=True)]
            # Kink after kink is passed: others that may be passed too are on any side.
            sides = [None if known else UNIT for known in before]
            for k, sign in enumerate(segment.signs):
                if before[k]:
                    continue
                beyond = -self._lowest(segment, k, sign, part, parts).lower()
                if not beyond <= 0:
                    total += segment.time(part, parts).exp() * self.beyond(box, k, beyond, sides)
        return total

    def _lowest(self, segment: Segment, k: int, sign: int, part: int, parts: int) -> arb:
        """A ball above which what stands within a kink lies on a part, this sign before it."""
        box, ends = segment.box(part, parts), (arb(2 * part + j - parts) / parts for j in (0, 2))
        n, m = len(box), len(self.by.kinks)
        run = self.by.within.run(box, self.signed(()))
        along = Segment(segment.slope, arb(-1), arb(1)).box(part, parts)
        rate = np.array(run[m + n * k : m + n * (k + 1)]) @ along
        if rate > 0 or rate < 0:  # least at an end
            return arb.min(*(sign * self.areas(at(segment.p, s))[k] for s in ends))
        return sign * run[k]

    def beyond(self, box: Any, k: int, off: arb, sides: Any = ()) -> arb:
        """Bound what the branch is off where what stands within a kink is beyond it by so much."""
        signs = [*self.signed(sides)]
        signs[k] = off * UNIT, UNIT
        found = np.array(self.by.across[k].run(box, signs))
        side, sign = np.abs(found[: len(box)]), np.abs(found[len(box) :])
        bound: arb = (2 * off * norm(side) + 2 * norm(sign)).upper()
        require(bound.is_finite(), "a kink is passed where its sides are not known")
        return bound


def word(name: Any) -> str:
    """A name that is a plain word."""
    require(isinstance(name, str) and WORD.fullmatch(name), "a name is not a plain word")
    return str(name)


def entries(blocks: Any) -> list[str]:
    """Names of the entries of blocks ``[name, shape]``, row by row."""
    found, known = [], set()
    for name, shape in blocks:
        require(word(name) not in known, "two blocks have one name")
        known.add(name)
        sizes = isinstance(shape, list) and all(type(k) is int and 0 < k <= MOST for k in shape)
        require(sizes and len(shape) <= 2 and math.prod(shape) <= MOST, "a shape is wrong")
        places = np.ndindex(*shape)
        found += [name + (f"[{','.join(map(str, place))}]" if place else "") for place in places]
    require(len(found) <= MOST, "there are too many entries")
    return found


EQUATIONS = Loss
