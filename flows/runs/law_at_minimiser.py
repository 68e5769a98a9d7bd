r"""The late-time law of a system at a minimiser, in the user's units.

.. math:: L - L^* \sim C \, t^{-p/(p-2)}
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import sympy as sp

from flows.core.errors import InputError
from flows.core.minimiser import Minimiser
from flows.core.system import System
from flows.runs.late_law import LateLaw
from symbolic.asymptotics.decimals import in_decimals, law_in_decimals
from symbolic.asymptotics.derive import law_at
from symbolic.asymptotics.law import LateTimeLaw, Law
from symbolic.asymptotics.refusal import NO_POLYNOMIAL, NoLaw
from symbolic.evidence.identity import Evidence

# A gradient in doubles below this, relative to the Hessian, is that of a critical point.
CRITICAL = 1e-9
# Eigenvalues below this, relative to the largest, are those of the kernel.
KERNEL = 1e-9
SUMMED = "in decimals: the expectation is a sum over nodes"


def law_at_minimiser(
    system: System,
    minimiser: Minimiser,
    confined: bool | None,
    valleys: bool | None,
    log_terms: bool,
    arrives: bool = False,
    tangents: sp.ImmutableMatrix | None = None,
) -> LateLaw:
    """Law at a minimiser: exact, in decimals, or of doubles, as far as the minimiser is known.

    Other arguments are those of :func:`flows.late_time_law`; `arrives` says that a run goes there,
    and `tangents` has those of the family as columns.
    """
    if tangents is not None and (minimiser.point is None or in_decimals(minimiser.point)):
        raise InputError("tangents: expected a minimiser in simple fractions beside them; give one")
    if minimiser.point is None:
        derived = _numerical(system, minimiser)
    elif in_decimals(minimiser.point):
        derived = law_in_decimals(minimiser.point)
    else:
        derived = law_at(
            minimiser.point,
            tangents,
            confined=confined,
            valleys=valleys,
            symmetries=minimiser.symmetries,
            log_terms=log_terms,
            arrives=arrives,
        )
        derived = in_units(derived, minimiser)
    notes = minimiser.remarks
    if derived.reason == NO_POLYNOMIAL and minimiser.summed is not None:
        try:
            derived, notes = law_in_decimals(minimiser.summed()), (*notes, SUMMED)
        except NoLaw as reason:
            derived = LateTimeLaw((), str(reason))
    return LateLaw(system.name, system.parameters, minimiser.where, derived, notes=notes)


def in_units(derived: LateTimeLaw, minimiser: Minimiser) -> LateTimeLaw:
    """Laws of the user's loss and time."""
    unit, clock = minimiser.loss_unit, minimiser.time_unit
    if (unit == 1 and clock == 1) or not derived.laws:
        return derived

    def scaled(law: Law) -> Law:
        if law.kind == "exponential":
            rate = None if law.rate is None else law.rate * float(clock)
            exact = None if law.rate_exact is None else law.rate_exact * clock
            return replace(law, rate=rate, rate_exact=exact)
        assert law.exponent is not None
        factor = unit * clock**-law.exponent
        exact = None if law.constant_exact is None else sp.simplify(law.constant_exact * factor)
        number = None if law.constant is None else law.constant * float(factor)
        if exact is not None:
            number = float(exact.evalf(30))
        radius = law.constant_radius * float(factor)
        ball = law.constant_ball if factor == 1 else ""
        return replace(
            law,
            constant=number,
            constant_exact=exact,
            constant_radius=radius,
            constant_ball=ball,
            log_term=None if law.log_term is None else law.log_term / clock,
        )

    limit = None if derived.limit is None else derived.limit * unit
    return replace(derived, laws=tuple(map(scaled, derived.laws)), limit=limit)


def _numerical(system: System, minimiser: Minimiser) -> LateTimeLaw:
    """Rate from the Hessian in doubles, where the dimension of the family is known."""
    where = minimiser.where
    slope, values = system.gradient(where), np.linalg.eigvalsh(system.hessian(where))
    largest = float(np.abs(values).max())
    if float(np.abs(slope).max()) > CRITICAL * largest * max(1.0, float(np.abs(where).max())):
        return LateTimeLaw(
            (), f"the point is not critical: its gradient has an entry {np.abs(slope).max():.3g}"
        )
    flat = np.abs(values) <= KERNEL * largest
    if values[0] < -KERNEL * largest:
        return LateTimeLaw((), "the Hessian has a negative eigenvalue: the point is a saddle")
    if int(flat.sum()) != minimiser.tangents:
        return LateTimeLaw(
            (),
            f"the Hessian has a kernel of dimension {int(flat.sum())} in doubles, the family"
            f" {minimiser.tangents}: give a minimiser in simple fractions",
        )
    law = Law(
        "exponential",
        rate=2 * float(values[~flat].min()),
        evidence=MappingProxyType(
            {
                "critical point": Evidence.SAMPLED,
                "Hessian": Evidence.SAMPLED,
                "rate": Evidence.SAMPLED,
            }
        ),
    )
    kernel = (int(flat.sum()), 0, int((~flat).sum()))
    value = system.loss(where)
    # A loss of the size of a squared rounding is that of a minimiser at zero.
    limit = sp.S.Zero if value <= CRITICAL**2 * largest else sp.Float(value, 17)
    notes = ("computed in doubles, because the coordinates of the point are no simple fractions",)
    return LateTimeLaw((law,), limit=limit, kernel=kernel, notes=notes)
