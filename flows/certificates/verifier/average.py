r"""A loss with an expectation, ``A(y) + E f(y, x)``, ``x ~ N(0, I)``: sums stand for ``E``.

The file states boxes of states, and for each of them two rules: of the loss with its gradient, and
of Hessians. It also states bounds of their errors, which :mod:`.trapezoidal` proves of every rule
that is used.

On an ellipse the sum for its box takes the place of the expectation, from which it differs by the
stated error at most: at the points of interpolation and between them.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
from flint import acb, arb, ctx

from flows.certificates.verifier.curve import UNIT
from flows.certificates.verifier.derived import Derived, derived
from flows.certificates.verifier.exact import whole
from flows.certificates.verifier.formula import formula
from flows.certificates.verifier.loss import Loss
from flows.certificates.verifier.reading import MOST, Refused, number, require
from flows.certificates.verifier.segment import Segment
from flows.certificates.verifier.steps import Code, Step, read
from flows.certificates.verifier.trapezoidal import Rule

__all__ = ["Average", "Sums"]

# Inputs that an expectation has at most.
MOST_INPUTS = 2


class Sums:
    """Sums of a file, each proved when it is first used.

    Parameters
    ----------
    average : Derived
        What is averaged: the loss with its gradient, and its Hessian.
    size, inputs : int
        Numbers of a state, and of inputs.
    """

    def __init__(self, average: Derived, size: int, inputs: int) -> None:
        self.codes, self.size, self.inputs = (average.first, average.second), size, inputs
        self.errors = [arb(0)] * 2
        self.boxes: list[list[arb]] = []
        self.rules: list[list[Rule]] = []
        self.proved = functools.cache(self._proved)
        self.points = functools.cache(lambda k, order, _: self.rules[k][order].points(inputs))

    def read(self, stated: Any) -> None:
        """The sums of a file: bounds of their errors, and boxes of states with two rules each."""
        self.errors = [arb(number(c)) for c in stated["errors"]]
        require(len(self.errors) == 2 and len(stated["near"]) <= MOST, "its sums are too many")
        for one in stated["near"]:
            self.add(one)

    def add(self, one: Any) -> None:
        """A box of states, and its rules: of the loss and its gradient, and of Hessians."""
        middle, radius = [number(c) for c in one["middle"]], number(one["radius"])
        fits = len(middle) == self.size and radius > 0 and len(one["rules"]) == 2
        require(fits, "a sum is of no such states")
        self.boxes.append([arb(c, radius) for c in middle])
        self.rules.append([Rule.read(*rule) for rule in one["rules"]])

    def find(self, x: Sequence[Any]) -> int:
        """The first box with these states."""
        for k, box in enumerate(self.boxes):
            if all(a.contains(c.real) for a, c in zip(box, x, strict=True)):
                return k
        raise Refused("no sum is stated for these states")

    def _proved(self, k: int, order: int) -> None:
        """Refuse sums that are further off than stated."""
        off = self.rules[k][order].error(self.codes[order], self.inputs, self.boxes[k])
        require(off <= self.errors[order], "a sum is further off than stated")

    def run(self, x: Sequence[Any], order: int) -> list[Any]:
        """Averages at a state of balls or boxes; real ones with the error of the sums."""
        k = self.find(x)
        self.proved(k, order)
        points, weights = self.points(k, order, ctx.prec)
        found = self.codes[order].run([*x, *points], ())
        real = not any(isinstance(c, acb) for c in x)
        off = self.errors[order] * UNIT if real else arb(0)
        return [weights @ b + off if isinstance(b, np.ndarray) else b for b in found]


class Averaged(NamedTuple):
    """A plain part, and one that is averaged over inputs, run as one."""

    plain: Code
    sums: Sums
    order: int

    def run(self, x: Any, signs: Sequence[Any]) -> list[Any]:
        """Results of both."""
        parts = zip(self.plain.run(x, signs), self.sums.run(x, self.order), strict=True)
        return [a + b for a, b in parts]


class Average(Loss):
    """The entries of the blocks, row by row, and the gradient flow of a loss in them."""

    stated = ("name", "blocks", "steps", "inputs", "average")
    kind: ClassVar[type[Sums]] = Sums

    def __init__(self, parameters: Any, start: Any) -> None:
        super().__init__(parameters, start)
        inputs, size = whole(parameters["inputs"], MOST_INPUTS), len(self.names)
        lines: tuple[Step, ...] = tuple(read(parameters["average"], size + inputs))
        require(inputs > 0, "it has no inputs")
        require(all(line[0] != "side" for line in lines), "an average has a kink")
        self.sums = self.kind(derived(lines, size), size, inputs)
        plain, self.by = self.by, copy.copy(self.by)
        codes = {"first": plain.first, "second": plain.second}
        made = {name: Averaged(codes[name], self.sums, k) for k, name in enumerate(codes)}
        self.by.__dict__ |= made
        names = [f"x{i + 1}" for i in range(inputs)]
        law = f"E[{formula(lines, [*self.names, *names])}], {', '.join(names)} ~ N(0, 1)"
        more = "" if self.formula() == "0" else f"{self.formula()} + "
        self.about = {"name": self.name, "loss": more + law}

    def summed(self, stated: Any) -> None:
        """Take the sums of the file."""
        self.sums.read(stated)

    def branching(self, segment: Segment, parts: int) -> arb:
        """Bound what the sum for an ellipse costs beside the branch."""
        count, size = segment.p.shape
        lebesgue, speed = 1 + 2 / arb.pi() * arb(size).log(), (segment.centre + segment.half).exp()
        off = (1 + lebesgue) * arb(count).sqrt() * self.sums.errors[0] * speed
        return super().branching(segment, parts) + off


EQUATIONS = Average
