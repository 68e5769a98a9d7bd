"""What is derived from the steps of a loss: its gradient, its Hessian, and what its kinks do."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache

from flows.certificates.verifier.steps import Code, Step, Steps

__all__ = ["Derived", "derived"]


class Derived:
    """Derivatives of a loss, each made when it is first asked for.

    Parameters
    ----------
    lines : tuple
        Steps of the loss.
    size : int
        Number of variables.
    """

    def __init__(self, lines: tuple[Step, ...], size: int) -> None:
        self.steps, self.last = Steps(lines), len(lines) - 1
        self.kinks = list(dict.fromkeys(line[1] for line in lines if line[0] == "side"))
        self.places = [self.steps.put("variable", i) for i in range(size)]
        self.shares = self.steps.shares(self.last)
        self.slopes = self._picked(self.shares, self.places)

    def _picked(self, found: dict[int, int], places: Sequence[int]) -> list[int]:
        return [found.get(k, self.steps.number(0)) for k in places]

    def _code(self, results: Sequence[int]) -> Code:
        return Code.of(self.steps, results, self.kinks)

    @cached_property
    def first(self) -> Code:
        """The loss and its gradient."""
        return self._code([self.last, *self.slopes])

    @cached_property
    def second(self) -> Code:
        """The Hessian, from its diagonal to the right, row by row."""
        rows = [self.steps.rates(self.slopes[i:], k) for i, k in enumerate(self.places)]
        return self._code([k for row in rows for k in row])

    @cached_property
    def within(self) -> Code:
        """What stands within the kinks, then its derivatives, row by row."""
        rows = [self._picked(self.steps.shares(k), self.places) for k in self.kinks]
        return self._code([*self.kinks, *(k for row in rows for k in row)])

    @cached_property
    def across(self) -> list[Code]:
        """Of each kink the derivatives of the gradient by its side, then by its sign."""
        found = []
        for a in self.kinks:
            moving = [self.steps.put(kind, a) for kind in ("side", "sign")]
            rates = [self.steps.rates(self.slopes, k) for k in moving]
            found.append(self._code([k for row in rates for k in row]))
        return found

    @cached_property
    def jumps(self) -> list[Code]:
        """Of each kink the derivative of the loss by its side."""
        sides = [self.steps.put("side", a) for a in self.kinks]
        return [self._code([k]) for k in self._picked(self.shares, sides)]


@lru_cache(maxsize=8)
def derived(lines: tuple[Step, ...], size: int) -> Derived:
    """Derivatives of a loss; of one and the same loss they are made once."""
    return Derived(lines, size)
