"""Flows and proofs around a minimiser, where what vanishes there has no constant term."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from flint import fmpq, fmpq_mat

from potentials.search.exact import Proof, Proved
from potentials.search.polynomials import Factored, Flow, Polynomial
from potentials.search.rates import Found
from potentials.search.regions import Set
from potentials.search.squares import Affine, Block

__all__ = ["centre", "displaced", "moved", "moved_back"]


def centre(flow: Flow, residuals: Sequence[Polynomial]) -> tuple[fmpq, ...] | None:
    """The point where affine residuals vanish, if there is just one."""
    if not residuals or any(p.total_degree() > 1 for p in residuals):
        return None
    size = flow.size
    unit = [tuple(int(j == i) for j in range(size + 1)) for i in range(size)]
    terms = [p.to_dict() for p in residuals]
    matrix = fmpq_mat(len(terms), size, [t.get(e, fmpq(0)) for t in terms for e in unit])
    right = fmpq_mat(len(terms), 1, [-t.get((0,) * (size + 1), fmpq(0)) for t in terms])
    across = matrix.transpose()
    if matrix.rank() < size:
        return None
    found = (across * matrix).solve(across * right)
    if matrix * found != right:
        return None
    return tuple(found[i, 0] for i in range(size))


def displaced(p: Polynomial, point: Sequence[fmpq], sign: int = 1) -> Polynomial:
    """A polynomial of `x + sign point`."""
    *gens, s = p.context().gens()
    return p.compose(*(x + sign * c for x, c in zip(gens, point, strict=True)), s)


def moved(flow: Flow, point: Sequence[fmpq]) -> Flow:
    """The flow of displacements from a point."""
    images = tuple(p - c for p, c in zip(flow.images, point, strict=True)) if flow.images else ()
    factored = tuple(Factored(_every(one.matrix, point, 1), one.factor) for one in flow.factored)
    return replace(
        flow,
        field=tuple(displaced(p, point) for p in flow.field),
        loss=displaced(flow.loss, point),
        images=images,
        factored=factored,
    )


def moved_back(found: Found, flow: Flow, point: Sequence[fmpq]) -> Found:
    """What was found around a point, in the variables of the flow."""

    def back(p: Any) -> Any:
        return _every(p, point, -1)

    claims = []
    for one in found.proof.claims:
        blocks = tuple(Block(back(b.multiplier), back(b.basis)) for b in one.claim.blocks)
        parts = {k: back(p) for k, p in one.claim.expression.parts.items()}
        claim = replace(one.claim, expression=Affine(parts), blocks=blocks, multipliers=())
        multipliers = tuple((back(h), back(p)) for h, p in one.multipliers)
        claims.append(Proved(claim, one.grams, multipliers))
    conditions = tuple(replace(c, p=back(c.p)) for c in found.where.conditions)
    where = Set(conditions, tuple(one.matrix for one in flow.factored))
    return replace(
        found,
        flow=flow,
        where=where,
        V=back(found.V),
        target=back(found.target),
        factor=None if found.factor is None else back(found.factor),
        proof=Proof(found.proof.unknowns, tuple(claims)),
    )


def _every(p: Any, point: Sequence[fmpq], sign: int) -> Any:
    """A polynomial, or tuples of them, of `x + sign point`."""
    if isinstance(p, tuple):
        return tuple(_every(part, point, sign) for part in p)
    return p if isinstance(p, int) else displaced(p, point, sign)
