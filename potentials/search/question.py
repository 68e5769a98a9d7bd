"""What is asked of a search for a potential, and its answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flint import fmpq

from potentials.search.rates import Found, Power, Rate
from potentials.search.slowest import Slowest

__all__ = ["DEGREES", "RATES", "Answer", "Look", "Question"]

#: Degrees of monomials that proofs use beyond Newton's polytope, in turn.
DEGREES = (0, 4, 6, 8, 10, 12, 14)
#: Rates from the fastest to the slowest: exponential, then exponents of `1/t`.
RATES: tuple[Rate, ...] = (
    "exp",
    Power(4, 1),
    Power(3, 1),
    Power(2, 1),
    Power(3, 2),
    Power(4, 3),
    Power(1, 1),
    Power(1, 2),
)


@dataclass(frozen=True)
class Question:
    """What is asked for.

    Parameters
    ----------
    rates : tuple of Rate
        Those that are tried, in turn.
    level : fmpq, optional
        Only starts with `L <= level`.
    degrees : tuple of int
        Of proofs, in turn, as far as programs are not too large.
    coordinates : tuple
        Symmetric matrices, or functions, of the blocks; of none the entries themselves.
    template : int, or sequence of Expr, optional
        The span of potentials that are not below the loss: all monomials up to a degree, or these.
        One expression is the potential itself. Without a template it is the loss above its least
        value.
    keep : sequence of Relational
        Further conditions on starts.
    lower : bool
        Whether a bound from below is sought.
    free : bool
        Whether the potential of a span need not be above the loss: its largest coefficient is one.
    until : fmpq, optional
        It is about the time before the loss is at most this.
    sharp : bool
        Whether a better constant is looked for where a state shows that one is possible.
    """

    rates: tuple[Rate, ...] = RATES
    level: fmpq | None = None
    degrees: tuple[int, ...] = DEGREES
    coordinates: tuple[Any, ...] = ()
    template: Any = None
    keep: tuple[Any, ...] = ()
    lower: bool = False
    free: bool = False
    until: fmpq | None = None
    sharp: bool = True


@dataclass(frozen=True)
class Answer:
    """What was found, or why nothing was.

    Parameters
    ----------
    found : Found, optional
        The proof.
    reason : str
        Why there is none.
    degree : int
        Of the proof, or of the last attempt.
    tried : tuple
        Rate, degree and reason of each attempt.
    slowest : Slowest, optional
        A state where no better constant is possible, or no rate.
    """

    found: Found | None
    reason: str
    degree: int
    tried: tuple[tuple[Rate, int, str], ...] = ()
    slowest: Slowest | None = None


#: Takes the answer so far, before each attempt, and may raise.
Look = Callable[[Answer], None]
