"""Every number of every claim, broken a little on a run where the claim holds.

An exponent is broken by a tenth, an explicit constant by a thousandth. Either the verdict is
VIOLATED, or the verdict on the claim itself has said that it would not be: it prints by how much
the number can be sharper, and from there on the break is seen.
"""

import functools
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import sympy as sp

import flows
import potentials
from potentials.claim import EXPONENT

A_TENTH, A_THOUSANDTH = sp.Rational(1, 10), sp.Rational(1, 1000)
#: Resolutions of exponents are found to a twentieth.
BEYOND = sp.Rational(11, 10)
HOLDS = ("HOLDS", "HOLDS_BEYOND")


CLAIMS = [(s, c.id) for s in potentials.SYSTEMS for c in potentials.claims(s)]


@functools.cache
def runs_of(system):
    """Makers of runs; a claim is tested on the first one on which its conclusion holds."""
    return [functools.cache(make) for make in import_module(f"oracles.witnesses.{system}").RUNS]


def bare(system, claim):
    (found,) = (c for c in potentials.claims(system) if c.id == claim)
    return replace(found, hypotheses=())


def checked(run, claim):
    (found,) = flows.check(run, claim)
    return found


def witness(system, claim):
    """A run on which the conclusion holds, and the verdict."""
    for make in runs_of(system):
        found = checked(make(), bare(system, claim))
        if found.verdict in HOLDS:
            return make(), found
    raise AssertionError(f"{claim} holds on no run")


def with_constant(claim, place, constant):
    conclusions = list(claim.conclusions)
    conclusions[place] = replace(conclusions[place], constant=constant)
    return replace(claim, conclusions=tuple(conclusions))


def violated(run, claims):
    return any(checked(run, c).verdict == "VIOLATED" for c in claims)


@pytest.mark.parametrize(("system", "claim"), CLAIMS)
def test_a_small_break_of_an_exponent_is_seen_or_said_to_be_unseen(system, claim):
    known = bare(system, claim)
    if not any(c.lhs.has(EXPONENT) or c.rhs.has(EXPONENT) for c in known.conclusions):
        pytest.skip("no exponent")
    run, found = witness(system, claim)

    def off_by(change):
        moved = (known.exponent + change, known.exponent - change)
        return [replace(known, exponent=p) for p in moved if p > 0]

    if violated(run, off_by(A_TENTH)):
        return
    least = found.exponent_resolution
    assert 0 < least < np.inf
    if found.compared == "sides" and not known.asymptotic:
        assert least > A_TENTH
    if found.compared == "sides":
        assert f"nor exponents that differ by less than {least:.2g}" in found.message
    else:
        assert f"if it were sharper by more than t^{found.resolution:.1e}" in found.message
    # From there on it does not hold; what refutes an open constant takes more.
    beyond = [checked(run, x) for x in off_by(BEYOND * sp.Max(A_TENTH, sp.Float(least)))]
    expected = (None, False) if known.asymptotic else (False,)
    assert any(x.conclusion in expected for x in beyond)


@pytest.mark.parametrize(("system", "claim"), CLAIMS)
def test_a_small_break_of_a_constant_is_seen_or_said_to_be_unseen(system, claim):
    known = bare(system, claim)
    places = [k for k, c in enumerate(known.conclusions) if c.constant and c.rhs != 0]
    if not places:
        pytest.skip("no constant")
    run, _ = witness(system, claim)
    for place in places:
        c = known.conclusions[place]
        alone = replace(known, conclusions=(c,))
        # Sharper, and for an equality either way.
        signs = {"<=": (-1,), ">=": (1,), "==": (1, -1)}[c.relation]
        found, little = checked(run, alone), A_THOUSANDTH * sp.Abs(c.constant)
        sharper = [with_constant(alone, 0, c.constant + s * little) for s in signs]
        if violated(run, sharper):
            continue
        if found.constant is None:
            assert found.resolution > A_THOUSANDTH
            assert f"constants that differ by less than {found.resolution:.1e}" in found.message
            continue
        # The verdict has named the sharpest constant: a little beyond it, the break is seen.
        sharpest = sp.Float(found.constant)
        beyond = sharpest + signs[0] * sp.Max(little, A_THOUSANDTH * sp.Abs(sharpest))
        assert violated(run, [with_constant(alone, 0, beyond)])
