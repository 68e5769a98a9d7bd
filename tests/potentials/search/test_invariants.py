"""What a polynomial flow keeps, held against derivatives that SymPy takes."""

import pytest
import sympy as sp

from potentials.search.invariants import invariants
from potentials.search.polynomials import gradient_flow

a, b, c, d = sp.symbols("a b c d", real=True)
PRODUCT = (a * b - 1) ** 2 / 2
DEEP = (a * b * c - 1) ** 2 / 2
HALF = sp.Rational(1, 2)
LOSSES = [
    (PRODUCT, (a, b), 2),
    (DEEP, (a, b, c), 2),
    ((a * b + c * d - 1) ** 2 / 2, (a, b, c, d), 2),
    ((a**2 + b**2) ** 2 / 4, (a, b), 2),
    (a**2 / 2 + b**4 / 4, (a, b), 3),
    (a**2 * b - b**3 / 3, (a, b), 2),
]
#: A coefficient that is off by this is no invariant's.
OFF = sp.Rational(1, 1000)


def along(p, loss, variables):
    return sp.expand(-sum(sp.diff(p, x) * sp.diff(loss, x) for x in variables))


@pytest.mark.parametrize("loss, variables, degree", LOSSES)
def test_all_that_is_kept_is_kept_by_the_definition(loss, variables, degree):
    found = invariants(gradient_flow(loss, variables), degree)
    for p in found.conserved:
        assert along(p, loss, variables) == 0
    for p, rate in found.darboux:
        assert sp.expand(along(p, loss, variables) - rate * p) == 0
    for clock in found.clocks:
        assert sp.simplify(along(clock, loss, variables) - 1) == 0
    assert found.conserved or found.darboux


@pytest.mark.parametrize("loss, variables, degree", LOSSES)
def test_what_is_off_by_a_thousandth_is_not_kept(loss, variables, degree):
    found = invariants(gradient_flow(loss, variables), degree)
    for p in found.conserved:
        first = sp.Add.make_args(p)[0]
        assert along(p + OFF * first, loss, variables) != 0
    for clock in found.clocks:
        assert sp.simplify(along((1 + OFF) * clock, loss, variables) - 1) != 0


@pytest.mark.parametrize(
    "loss, variables, count",
    [(PRODUCT, (a, b), 1), (DEEP, (a, b, c), 2), (a**2 / 2 + b**2, (a, b), 0)],
)
def test_there_are_as_many_conserved_quadratics_as_layers_that_balance(loss, variables, count):
    assert len(invariants(gradient_flow(loss, variables), 2).conserved) == count


def test_a_quartic_well_has_a_clock_for_every_start():
    (clock,) = invariants(gradient_flow(a**4 / 4, (a,)), 2).clocks
    assert sp.simplify(clock - 1 / (2 * a**2)) == 0


def test_the_basins_of_a_double_well_are_invariant_sets():
    found = invariants(gradient_flow((a**2 - 1) ** 2 / 4 + b**2 / 2, (a, b)), 2)
    assert found.complete
    assert {a, b} < {p for p, _ in found.darboux}


def test_a_loss_without_symmetry_keeps_nothing():
    loss = a**2 / 2 + a * b**2 / 3 + b**4 / 4 + a**3 * b / 5
    found = invariants(gradient_flow(loss, (a, b)), 2)
    assert (found.conserved, found.clocks) == ((), ())
    assert str(found) == "none of this degree"
