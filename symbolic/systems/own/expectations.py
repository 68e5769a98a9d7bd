"""Expectations in closed form: by moments of a Gaussian, and by kernels of activations."""

from __future__ import annotations

from collections.abc import Sequence

import sympy as sp
from sympy.core.function import Application

from symbolic.evidence.derivation import Derivation, Step
from symbolic.language.averages.expectation import Expectation
from symbolic.language.averages.kinks import has_kinks
from symbolic.language.blocks import averages
from symbolic.lemmas.activation_mean import activation_mean, applied
from symbolic.lemmas.activations import Activation
from symbolic.lemmas.dual_kernel import derive_kernel
from symbolic.systems.own.check import by_kernels, by_moments
from symbolic.systems.own.derivatives import SOURCE
from symbolic.systems.own.loss import Loss, numbers_of

__all__ = ["closed"]


def closed(loss: Loss) -> list[Derivation]:
    """Expectations by the moments of a Gaussian, and by the kernels of activations."""
    steps: list[Step] = []
    kernels: dict[Activation, None] = {}
    for a in averages(loss.expression, loss.blocks, activation_mean):
        if a.mean is not None:
            put = {**loss.on_paper, **numbers_of(loss.blocks, a.x)}
            node = Expectation(a.integrand, sp.Tuple(*a.x)).xreplace(put)
            used = _activations(node.integrand, node.x)
            kernels |= {activation: None for activation in used}
            rule = "products of Hermite polynomials are orthogonal"
            if used:
                rule = "means by parts, kernels of " + " and ".join(sorted({k.name for k in used}))
            given = (f"{', '.join(s.name for s in node.x)} independent, each N(0, 1)",)
            kinked = has_kinks(node.integrand, node.x)
            if kinked and not used:
                rule = "means of ramps and steps, by parts"
            check = by_kernels if kinked or used else by_moments
            mean = a.mean.xreplace(put)
            steps.append(Step(node, mean, rule, assumptions=given, check=check))
    closed = [Derivation("expectations in closed form", SOURCE, tuple(steps))] if steps else []
    return [*(derive_kernel(activation) for activation in kernels), *closed]


def _activations(integrand: sp.Expr, x: Sequence[sp.Symbol]) -> list[Activation]:
    """Activations of linear forms that stand in an integrand."""
    found = (applied(e, x) for e in integrand.atoms(Application) if e.has(*x))
    return list(dict.fromkeys(form[0] for form in found if form))
