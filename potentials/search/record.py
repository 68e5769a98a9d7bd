"""A potential with its proof as plain data, for a file that an independent program checks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from potentials.search.exact import Proved
from potentials.search.polynomials import Polynomial
from potentials.search.rates import Found
from potentials.search.regions import Condition

__all__ = ["FORMAT", "data_of"]

FORMAT = "popflow potential 1"


def data_of(found: Found) -> dict[str, Any]:
    """Everything that a check needs; numbers are whole, or text `p/q`."""
    flow = found.flow
    data: dict[str, Any] = {
        "format": FORMAT,
        "variables": [str(x) for x in flow.symbols],
        "loss": terms(flow.loss),
        "rate": "exp" if found.rate == "exp" else [found.rate.m, found.rate.k],
        "V": terms(found.V),
        "target": terms(found.target),
        "constant": str(found.constant),
        "region": [_condition(c) for c in found.where.conditions],
        "claims": {p.claim.name: _proved(p) for p in found.proof.claims},
    }
    if found.lower:
        data["lower"] = 1
    if found.least is not None:
        data["least"] = str(found.least)
    if found.jacobian is not None:
        data["squares"] = [[str(w), terms(p)] for w, p in found.jacobian.squares]
    if found.factor is not None:
        data["factor"] = terms(found.factor)
    if flow.origin is not None:
        data["origin"] = {
            "variables": [str(x) for x in flow.origin.symbols],
            "loss": terms(flow.origin.loss),
            "map": [terms(p) for p in flow.images],
            "field": [terms(p) for p in flow.field],
            "matrices": [
                {"matrix": _rows(one.matrix), "factor": _rows(one.factor)} for one in flow.factored
            ],
        }
    return data


def terms(p: Polynomial) -> list[list[Any]]:
    """Coefficients with exponents, in order."""
    return [[str(c), [int(k) for k in e]] for e, c in p.to_dict().items()]


def _rows(matrix: Sequence[Sequence[Polynomial]]) -> list[Any]:
    return [[terms(p) for p in row] for row in matrix]


def _condition(c: Condition) -> dict[str, Any]:
    """A condition of the region with its reason."""
    data: dict[str, Any] = {"p": terms(c.p), "equal": int(c.equal), "kept": c.reason}
    if c.level is not None:
        data["level"] = str(c.level)
    if c.cofactor is not None:
        data["cofactor"] = terms(c.cofactor)
    if c.proof is not None:
        data["proof"] = _proved(c.proof.claims[0])
    return data


def _proved(one: Proved) -> dict[str, Any]:
    """Squares and multipliers of a claim."""
    blocks = []
    for block, gram in zip(one.claim.blocks, one.grams, strict=True):
        matrix = isinstance(block.multiplier, tuple)
        blocks.append(
            {
                "multiplier": _rows(block.multiplier) if matrix else terms(block.multiplier),
                "matrix": int(matrix),
                "basis": [[terms(p) for p in m] if matrix else terms(m) for m in block.basis],
                "gram": [[str(x) for x in row] for row in gram],
            }
        )
    multipliers = [{"zero": terms(h), "times": terms(p)} for h, p in one.multipliers if p != 0]
    return {"blocks": blocks, "multipliers": multipliers}
