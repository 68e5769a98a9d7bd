"""Evidence for the steps: names written out, integrands compared by themselves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import scipy.special
import sympy as sp
from scipy.stats import qmc

from symbolic.evidence.identity import Basis, Evidence, Finding, examine
from symbolic.language.expressions import as_expression
from symbolic.language.lower import lower
from symbolic.language.primitives import definition
from symbolic.lemmas.composition import composed
from symbolic.systems.own.loss import Loss, in_entries, split

__all__ = ["Check", "by_kernels", "by_moments"]

# Seconds of processor time for each attempt at the evidence of one step.
PATIENCE = 5.0
# Of sampled means: shifted rules, their points, standard errors that refute, rounding.
SHIFTS, POINTS, WRONG, ROUNDING, SEED = 16, 2**13, 8.0, 1e-12, 19


def by_moments(lhs: Any, rhs: Any) -> Finding:
    """Evidence from ``E x^k = (k-1)!!`` for even `k`, and 0 for odd `k`."""
    total = sp.Poly(lhs.integrand, *lhs.x)
    moments = [
        c * sp.prod(0 if k % 2 else sp.factorial2(k - 1) for k in powers)
        for powers, c in total.terms()
    ]
    return examine(sp.Add(*moments), rhs)


def by_kernels(lhs: Any, rhs: Any) -> Finding:
    """Evidence from the composition of proved kernels; from the definition where there is none."""
    whole = composed(lhs.integrand, tuple(lhs.x))
    if whole is not None:
        found = examine(definition(whole), definition(rhs), patience=PATIENCE)
        if found.evidence is Evidence.PROVED:
            return Finding(Evidence.PROVED, basis=Basis.ALGEBRA)
    return _by_samples(lhs, rhs)


def _by_samples(lhs: Any, rhs: Any) -> Finding:
    """Evidence from the definition: randomised quasi-Monte Carlo at a random point."""
    names = sorted(lhs.free_symbols | rhs.free_symbols, key=str)
    generator = np.random.default_rng(SEED)
    point = generator.normal(size=len(names))
    value = float(lower([rhs], names)(*point)[0])
    integrand = lower([lhs.integrand], [*names, *lhs.x])
    means = []
    for shift in range(SHIFTS):
        uniform = qmc.Sobol(len(lhs.x), seed=SEED + shift).random(POINTS)
        normal = scipy.special.ndtri(uniform)
        means.append(np.mean(np.broadcast_to(integrand(*point, *normal.T)[0], POINTS)))
    mean, error = float(np.mean(means)), float(np.std(means, ddof=1) / math.sqrt(SHIFTS))
    off = abs(mean - value)
    if off > WRONG * error + ROUNDING * abs(value):
        shown = [(s.name, f"{x:.6g}") for s, x in zip(names, point, strict=True)]
        both = (("lhs", f"{mean:.9g}"), ("rhs", f"{value:.9g}"))
        return Finding(Evidence.REFUTED, (*shown, *both))
    detail = f"the definition, sampled, gives {mean:.9g} +- {error:.1g} for {value:.9g}"
    return Finding(Evidence.SAMPLED, detail=f"no composition of kernels proves it; {detail}")


@dataclass(frozen=True)
class Check:
    """Evidence for a step: names are written out, what is averaged is compared by itself."""

    loss: Loss
    known: Mapping[Any, Any] = field(default_factory=dict)
    defines: bool = False

    def __call__(self, lhs: Any, rhs: Any) -> Finding:
        """Evidence for the equality of two sides."""
        left, right = (self._written_out(side) for side in (lhs, rhs))
        pairs = [(split(a), split(b)) for a, b in zip(left, right, strict=True)]
        (plain, inner), (its_plain, its_inner) = (
            [sp.ImmutableMatrix([pair[side][part] for pair in pairs]) for part in (0, 1)]
            for side in (0, 1)
        )
        found = examine(plain, its_plain, patience=PATIENCE)
        if found.evidence is Evidence.PROVED and inner != its_inner:
            found = examine(inner, its_inner, patience=PATIENCE)
            if found.evidence is Evidence.REFUTED:
                # Unequal functions may have equal means.
                found = Finding(Evidence.OPEN, detail=f"what is averaged differs: {found.reason}")
        if found.basis is Basis.DEFINITION and not self.defines:
            return replace(found, basis=Basis.EVALUATION)  # sides came here evaluated
        return found

    def _written_out(self, side: Any) -> list[sp.Expr]:
        side = self.known.get(side, side)
        if getattr(side, "is_Matrix", False):
            whole = side.xreplace(self.loss.in_blocks).doit()
            whole = whole.as_explicit() if hasattr(whole, "as_explicit") else whole
            return [e.doit() for e in whole]
        put = {self.loss.symbol: self.loss.value, **self.known}
        side = as_expression(side).xreplace(put)
        if side.has(sp.MatrixSymbol):
            side = in_entries(side, self.loss.blocks).plain.xreplace(self.loss.on_paper)
        return [side.doit()]
