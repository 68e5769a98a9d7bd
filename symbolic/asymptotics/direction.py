"""An attracting direction made rigorous: recognised and proved by substitution, or in balls.

Where the entries are rational or square roots of rationals, substitution proves that they are a
critical direction. Otherwise Krawczyk's test on the bordered equations encloses one. That it
attracts is shown by its eigenvalues where they are those of a rational matrix, otherwise by the
Cholesky decomposition of a matrix of balls. Here it is decided which way is taken; the ways are in
`direction_exact` and `direction_enclosed`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy as sp

from symbolic.asymptotics.bordered import Bordered, border
from symbolic.asymptotics.circle import Ray
from symbolic.asymptotics.degenerate import Settled, settled
from symbolic.asymptotics.direction_enclosed import (
    cholesky_proves,
    in_balls,
    krawczyk,
    newton,
    precisely,
    value_in_balls,
)
from symbolic.asymptotics.direction_exact import (
    eigenvalues_prove,
    exact_value,
    recognised,
    without_flat_roots,
)
from symbolic.asymptotics.refusal import NoLaw
from symbolic.asymptotics.sphere import Form, Minimum, Vector
from symbolic.evidence.identity import Evidence

__all__ = ["Attractor", "sharpen"]

# Digits of a direction that has no fractions.
SHOWN = 60
# A radicand below this on the sphere, in doubles, may be zero.
VANISHING = 1e-24
# Curvatures below this, relative to the value, belong to an orbit.
FLAT = 1e-6
# A root of a polynomial is known to 1e-70.
ROOTED = 1e-65


@dataclass(frozen=True)
class Attractor:
    """A direction on the sphere that attracts.

    Parameters
    ----------
    direction : ndarray
        In doubles, on the sphere.
    exact : tuple of Expr or None
        The direction up to its length, where it is recognised.
    value : Expr or None
        The form there, exactly.
    enclosure : object or None
        The same as a ball (`flint.arb`).
    curvatures : tuple of float
        ``kappa - p ell`` transverse to direction and orbit.
    orbit : int
        Dimension of the orbit of rotations.
    critical, attracts : Evidence
        That it is a critical direction, and that it attracts.
    share : float
        Part of all directions that lead to one of this class.
    bordered : Bordered
        Its equations.
    precise : tuple of Expr or None
        The direction in fractions where it has some, otherwise to many digits; None if sampled.
    order : Rational or None
        Degree of the form along a direction in which it has no curvature; None where it has some.
    toward : tuple of ndarray
        Where it has none: ways from the direction to the sides from which it attracts.
    """

    direction: Vector
    exact: tuple[sp.Expr, ...] | None
    value: sp.Expr | None
    enclosure: Any
    curvatures: tuple[float, ...]
    orbit: int
    critical: Evidence
    attracts: Evidence
    share: float
    bordered: Bordered
    precise: tuple[sp.Expr, ...] | None
    order: sp.Rational | None = None
    toward: tuple[Vector, ...] = ()


def sharpen(
    form: sp.Expr,
    z: tuple[sp.Symbol, ...],
    degree: sp.Rational,
    metric: sp.ImmutableMatrix,
    numerical: Form,
    minimum: Minimum,
    rotations: Sequence[sp.ImmutableMatrix],
    cone: Sequence[sp.ImmutableMatrix] = (),
    parameters: dict[sp.Symbol, sp.Expr] | None = None,
) -> Attractor:
    """Prove or enclose a direction that attracts.

    Parameters
    ----------
    form : Expr
        The leading form; it may hold parameters.
    numerical : Form
        The same on arrays, with numbers in place of parameters.
    minimum : Minimum
        Where it was found.
    rotations, cone : sequence of Matrix
        What leaves the form alone, and conserved forms that vanish.
    parameters : dict
        Numbers in place of the parameters.

    Returns
    -------
    Attractor
        The direction, with the evidence that it is critical and that it attracts.

    Raises
    ------
    NoLaw
        Where the form has no curvature along some line, and it is not decided from which sides the
        direction attracts.
    """
    sample = form.subs(parameters or {})
    bordered, u = border(sample, z, metric, numerical, minimum.direction, rotations, cone)
    rests: Ray | Settled | None = None if parameters else minimum.ray
    direction = minimum.direction if rests else numerical.normalised(np.asarray(u[: len(z)]))
    curvatures = np.sort(numerical.curvatures(direction))
    orbit = len(bordered.rotations)
    if not np.isfinite(curvatures).all():
        raise NoLaw("the form is not twice differentiable there")
    transverse = curvatures[np.argsort(np.abs(curvatures))][orbit:]
    if rests is None and transverse.min(initial=np.inf) <= FLAT * abs(minimum.value):
        if cone or parameters:
            kept = "on a cone" if cone else "of a loss with symbols for numbers"
            raise NoLaw(f"a direction without curvature is not decided {kept}")
        rests = settled(form, z, degree, metric, minimum.direction, rotations)
        if not rests.sides:
            raise NoLaw("the form falls to both sides of it")
        direction = numerical.normalised(np.array([float(x) for x in rests.exact]))
    steady = _without_vanishing_roots(bordered, direction)
    precise: list[Any] | None = None
    exact: tuple[sp.Expr, ...] | None = rests.exact if isinstance(rests, Settled) else None
    if not isinstance(rests, Settled):
        precise = newton(steady, u) if rests is None else _rooted(rests, metric)
        exact = recognised(_shown(precise[: len(z)])) if precise is not None else None
    value = exact_value(form, z, degree, metric, exact) if exact is not None else None
    critical = Evidence.SAMPLED
    attracts = Evidence.SAMPLED if rests is None else Evidence.PROVED
    box: list[Any] | None = None
    if value is not None and exact is not None:
        critical = Evidence.PROVED
        if eigenvalues_prove(form, z, degree, metric, exact, value, orbit, len(cone)):
            attracts = Evidence.PROVED
    else:
        exact = None
        if precise is not None and not parameters and steady is bordered:
            box = precise if rests else krawczyk(bordered, precise)
            critical = Evidence.SAMPLED if box is None else Evidence.ENCLOSED
    if critical is not Evidence.SAMPLED and not len(transverse):
        attracts = Evidence.PROVED  # the sphere is one orbit
    if attracts is Evidence.SAMPLED and critical is not Evidence.SAMPLED and not parameters:
        equations, where = bordered, (box or [])[: len(z)]
        if exact is not None:
            flat = without_flat_roots(sample, z, dict(zip(z, exact, strict=True)))
            equations = replace(bordered, form=flat)
            where = in_balls(exact, metric) or []
        if where and cholesky_proves(equations, where, degree, numerical, direction, orbit):
            attracts = Evidence.ENCLOSED
    enclosure = value_in_balls(bordered, box, degree) if box is not None else None
    digits = tuple(_shown(precise[: len(z)])) if precise and box is not None else None
    if exact is not None:  # a zero is exact in numbers of many digits, too
        rational = all(e.is_Rational for e in exact)
        digits = exact if rational else tuple(e if e == 0 else e.evalf(SHOWN) for e in exact)
    resting = rests is not None and bool(rests.order > 2)
    curved = tuple(np.sort(transverse)[int(resting) :].tolist())
    found = direction, exact, value, enclosure, curved, orbit, critical, attracts, minimum.share
    if rests is None or not resting:
        return Attractor(*found, bordered, digits)
    pull = numerical.metric @ direction  # on a circle its tangent has no curvature
    along = rests.along if isinstance(rests, Settled) else np.array([-pull[1], pull[0]])
    toward = tuple(side * along for side in rests.sides)
    return Attractor(*found, bordered, digits, sp.Rational(rests.order), toward)


def _rooted(ray: Ray, metric: sp.ImmutableMatrix) -> list[Any] | None:
    """Entries of a ray on the circle, in balls that are far wider than where its root may be."""
    from flint import arb

    found = in_balls(ray.point, metric) or []
    return precisely(lambda: [e + arb(0, ROOTED) for e in found] or None)


def _shown(precise: Sequence[Any]) -> list[sp.Float]:
    """Middles of balls."""
    return [sp.Float(p.str(SHOWN, radius=False), SHOWN) for p in precise]


def _without_vanishing_roots(bordered: Bordered, direction: Vector) -> Bordered:
    """Equations without the roots that seem to vanish there, which have no derivatives in balls."""
    point = dict(zip(bordered.z, map(sp.Float, direction.tolist()), strict=True))
    flat = {
        e: sp.S.Zero
        for e in bordered.form.atoms(sp.Pow)
        if not e.exp.is_Integer and e.exp > 1 and abs(e.base.xreplace(point)) < VANISHING
    }
    return replace(bordered, form=bordered.form.xreplace(flat)) if flat else bordered
