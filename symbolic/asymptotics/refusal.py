"""Why there is no law: a reason in words, which the caller shows in place of a number."""

from __future__ import annotations

__all__ = ["NO_POLYNOMIAL", "Degenerate", "NoLaw"]

#: An expectation that only a sum over nodes has a series of, in decimals.
NO_POLYNOMIAL = (
    "an expectation cannot be expanded coefficient by coefficient: at the minimiser its integrand"
    " is not a polynomial"
)


class NoLaw(Exception):
    """A loss or a point for which no law is derived; its text is the reason."""


class Degenerate(NoLaw):
    """The leading form does not decide by itself: conserved quantities or valleys may."""
