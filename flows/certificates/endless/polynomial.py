"""For all times, of a polynomial loss: it comes to rest, or a potential falls."""

from __future__ import annotations

from typing import Any

from flows.certificates.certificate import Certificate
from flows.certificates.rest.by_potential import certify_falling
from flows.certificates.rest.settle import certify_rest
from flows.certificates.steps import Uncertified
from flows.core.system import System

__all__ = ["prove"]


def prove(system: System, *asked: Any) -> Certificate:
    """Prove it of a start, or of those of a ball."""
    try:
        return certify_rest(system, *asked)
    except Uncertified as reason:
        try:
            return certify_falling(system, *asked)
        except Uncertified as other:
            raise Uncertified(f"{reason}; by a potential, {other}") from None
