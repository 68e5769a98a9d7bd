"""Laws of losses that average over several numbers, against quadrature and minimisation by hand."""

import numpy as np
import pytest
import scipy.optimize
import sympy as sp

import flows
from symbolic import Cube, Expectation, Gaussian

A, B, C, D = sp.symbols("a b c d", real=True)
X, Y = sp.symbols("x y", real=True)
# A lattice knows these averages to this.
SURE = 1e-9
NODES = 0.2 * np.arange(-45.0, 46.0)
WEIGHTS = 0.2 * np.exp(-(NODES**2) / 2) / np.sqrt(2 * np.pi)
# Central differences know a curvature to this.
DIFFERENCES = 1e-7
# The leading form is seen at two distances, whose orders beside it are taken out.
FAR, LEADING = 0.04, 2e-3
# At t = 1e6 a run is off its law by the root of what is left of the time.
LATE, RUN = 1e6, 1e-3
# Of a law by nodes, beside the same by a formula.
DIGITS = 1e-12


def students(activation, pairs, teachers):
    """Squared gap of students, pairs of symbols, and teachers in the plane, halved."""
    return sum(activation(u * X + v * Y) for u, v in pairs) - sum(
        activation(u * X + v * Y) for u, v in teachers
    )


def own(integrand, *blocks, **density):
    return flows.OwnSystem("own", blocks, Expectation(integrand, (X, Y), **density) / 2)


def residuals(gap, blocks):
    """Gap at nodes in the plane times the roots of their weights, as a function of the entries."""
    x, y = (part.ravel() for part in np.meshgrid(NODES, NODES))
    weights = np.outer(WEIGHTS, WEIGHTS).ravel()
    at = sp.lambdify((*blocks, X, Y), gap)
    return lambda entries: np.sqrt(weights / 2) * at(*entries, x, y)


def hessian(miss, where):
    """Of half a sum of squares that vanishes there: by central differences of the parts."""
    steps = 1e-6 * np.eye(len(where))
    slopes = np.array([(miss(where + h) - miss(where - h)) / 2e-6 for h in steps])
    return 2 * slopes @ slopes.T


@pytest.mark.parametrize("activation", [sp.sin, sp.tanh])
def test_a_rate_of_two_numbers_is_the_least_curvature_by_another_quadrature(activation):
    gap = students(activation, [(A, B), (C, D)], [(1, 0), (0, sp.Rational(1, 2))])
    where = np.array([1, 0, 0, 0.5])
    law = flows.late_time_law(own(gap**2, A, B, C, D), at=where)
    rate = 2 * np.linalg.eigvalsh(hessian(residuals(gap, (A, B, C, D)), where))[0]
    assert law.laws[0].rate == pytest.approx(rate, rel=DIFFERENCES)
    assert law.laws[0].rate != pytest.approx(1.001 * rate, rel=DIFFERENCES)


@pytest.mark.parametrize(
    ("density", "average"),
    [(Gaussian([1, 0], [[1, 0.5], [0.5, 2]]), ([1, 0], [[1, 0.5], [0.5, 2]])), (Cube(-1, 1), None)],
)
def test_a_rate_under_another_density_is_that_of_this_density(density, average):
    gap = sp.sin(A * X + B * Y) - sp.sin(X)
    law = flows.late_time_law(own(gap**2, A, B, density=density), at=[1, 0])
    nodes, weights = np.polynomial.legendre.leggauss(40) if average is None else (NODES, WEIGHTS)
    pairs = np.array([(u, v) for u in nodes for v in nodes])
    if average is not None:
        pairs = np.array(average[0]) + pairs @ np.linalg.cholesky(np.array(average[1])).T
    each = np.outer(weights, weights).ravel()
    slope = np.cos(pairs[:, :1]) * pairs
    rate = 2 * np.linalg.eigvalsh((slope.T * each / each.sum()) @ slope)[0]
    assert law.laws[0].rate == pytest.approx(rate, rel=SURE)


def test_one_student_too_many_has_the_constant_of_the_loss_minimised_by_hand():
    gap = students(sp.sin, [(A, B), (C, D)], [(1, 0), (1, 0)])
    law = flows.late_time_law(own(gap**2, A, B, C, D), at=[1, 0, 1, 0]).laws[0]
    where, miss = np.array([1.0, 0, 1, 0]), residuals(gap, (A, B, C, D))
    _, axes = np.linalg.eigh(hessian(miss, where))
    along = axes[:, :2] @ (axes[:, :2].T @ np.array(law.direction))
    along /= np.linalg.norm(along)

    def lowest(direction, far):
        """Loss at a distance, with the other two directions at its minimum, over its 4th power."""
        begun = where + far * direction
        found = scipy.optimize.least_squares(
            lambda s: miss(begun + axes[:, 2:] @ s), np.zeros(2), xtol=1e-15, ftol=1e-15, gtol=1e-15
        )
        return 2 * found.cost / far**4

    def form(direction):
        return (4 * lowest(direction, FAR / 2) - lowest(direction, FAR)) / 3

    # rho' = -4 l rho^3, so that L = l rho^4 -> 1/(64 l t^2).
    assert float(law.exponent) == 2
    assert law.constant == pytest.approx(1 / (64 * form(along)), rel=LEADING)
    assert law.constant != pytest.approx(1.01 / (64 * form(along)), rel=LEADING)
    turned = [np.cos(w) * axes[:, 0] + np.sin(w) * axes[:, 1] for w in np.linspace(0, np.pi, 25)]
    assert min(map(form, turned)) > form(along) * (1 - LEADING)


def test_numbers_across_a_teacher_have_moments_so_that_more_of_them_change_no_digit():
    gap = sp.tanh(A * X) + sp.tanh(C * X) - 2 * sp.tanh(X)
    line = flows.OwnSystem("line", [A, C], Expectation(gap**2, X) / 2)
    alone = flows.late_time_law(line, at=[1, 1]).laws[0]
    u, v, x = (sp.MatrixSymbol(name, 10, 1) for name in "uvx")
    every = sum(sp.tanh((w.T * x)[0, 0]) for w in (u, v)) - 2 * sp.tanh(x[0, 0])
    space = flows.OwnSystem("space", [u, v], Expectation(every**2, x) / 2)
    law = flows.late_time_law(space, at=np.eye(10)[[0, 0]].ravel()).laws[0]
    assert law.constant == pytest.approx(alone.constant, rel=DIGITS)


def test_a_run_in_space_finds_its_law_and_follows_it():
    # Beside the limit the forms span space: there a rule to all digits takes too many nodes.
    u, v, x = (sp.MatrixSymbol(name, 3, 1) for name in "uvx")
    gap = sum(sp.tanh((w.T * x)[0, 0]) for w in (u, v)) - 2 * sp.tanh(x[0, 0])
    space = flows.OwnSystem("space", [u, v], Expectation(gap**2, x) / 2)
    run = flows.integrate(space, [1.2, 0.3, 0.1, 0.7, -0.2, -0.1], LATE)
    law = flows.late_time_law(run)
    measured = run["loss"][-1] * LATE**2
    assert law.laws[law.chosen].constant == pytest.approx(measured, rel=RUN)
    assert law.laws[law.chosen].constant != pytest.approx(1.01 * measured, rel=RUN)


def test_a_run_whose_limit_is_no_fraction_has_the_rate_there():
    teacher = sp.sqrt(2), sp.Rational(3, 17)
    gap = students(sp.sin, [(A, B)], [teacher])
    run = flows.integrate(own(gap**2, A, B), [0.9, 0.2], 30.0)
    law = flows.late_time_law(run)
    rate = 2 * np.linalg.eigvalsh(hessian(residuals(gap, (A, B)), np.array(teacher, float)))[0]
    assert law.laws[0].rate == pytest.approx(rate, rel=DIFFERENCES)


@pytest.mark.parametrize(
    ("gap", "where", "reason"),
    [
        (sp.tanh(A * X + B * Y) - sp.tanh(X), [1.1, 0], "not critical"),
        (sp.tanh(A * X + B * Y) - sp.tanh(X), [1, 0.001], "not critical"),
        (
            sp.tanh(60 * A * X) + sp.tanh(60 * B * Y) - sp.tanh(60 * X) - sp.tanh(60 * Y),
            [1, 1],
            "more than 40000 nodes",
        ),
    ],
)
def test_where_there_is_no_law_the_reason_says_why(gap, where, reason):
    law = flows.late_time_law(own(gap**2, A, B), at=where)
    assert not law.laws and reason in law.reason


def test_a_point_of_a_family_where_the_run_does_not_end_is_not_taken_for_its_limit():
    # Outputs that add up to one are a family: this run ends at 0.505, and 1/2 has another constant.
    c, d = sp.symbols("p q", real=True)
    gap = c * sp.tanh(A * X + B * Y) + d * sp.tanh(C * X + D * Y) - sp.tanh(X)
    system = own(gap**2, A, B, C, D, c, d)
    run = flows.integrate(system, [1.05, 0.1, 0.95, -0.1, 0.51, 0.5], 1e8)
    law = flows.late_time_law(run)
    assert not law.laws and "the distance to the point that it may go to" in law.reason
    assert flows.late_time_law(system, at=[1, 0, 1, 0, 0.5, 0.5]).laws
