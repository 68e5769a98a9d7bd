"""Rodas5P in diffrax: the digits of its coefficients, its order, and what JAX does with it."""

import functools

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
from mpmath import mp

from flows.solvers import rodas_tableau as tableau
from flows.solvers.diffrax_rodas import Rodas5P

# The digits of the source are doubles, and the weights add up to 5.
DIGITS = 1e-14
# Those of the dense output add up to 20.
DENSE_DIGITS = 5e-14
# What a wrong tenth digit must exceed, and the defects do not.
SEEN = 1e-13
# A measured order is right up to the next term of the error.
ORDER = 0.3
# Steps across a jump are off by no more than this times what they state.
MOST = 6.0
# Agreement of two solvers that both run at 1e-11 or below.
STIFF = 1e-8


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


@functools.cache
def trees(order):
    """Rooted trees of this many nodes, a tree being the sorted tuple of its branches."""

    def forests(nodes, largest):
        if nodes == 0:
            yield ()
        for size in range(1, min(nodes, largest) + 1):
            for tree in trees(size):
                for rest in forests(nodes - size, size):
                    yield tuple(sorted((tree, *rest), key=repr))

    return sorted(set(forests(order - 1, order - 1)), key=repr)


def nodes(tree):
    return 1 + sum(map(nodes, tree))


def density(tree):
    return nodes(tree) * np.prod([density(branch) for branch in tree], initial=1)


class Coefficients:
    """Coefficients in the variables of the order conditions, ``alpha``, ``beta``, ``b``."""

    def __init__(self, **changed):
        given = {name: getattr(tableau, name) for name in "ACHM"} | changed
        a, c, h, m = (mp.matrix(given[name].tolist()) for name in "ACHM")
        self.gamma = (mp.eye(tableau.STAGES) / mp.mpf(tableau.GAMMA) - c) ** -1
        self.alpha = a * self.gamma
        self.beta = self.alpha + self.gamma
        self.b = m.T * self.gamma
        self.embedded = (m - mp.matrix([0] * 7 + [1])).T * self.gamma
        self.h = h * self.gamma

    def dense(self, s):
        return s * self.b + s * (1 - s) * (self.h[0, :] + s * self.h[1, :] + s * s * self.h[2, :])

    def weight(self, tree):
        """Elementary weights of the stages (Hairer & Wanner, table IV.7.1)."""
        factor = self.beta if len(tree) == 1 else self.alpha
        total = mp.matrix([1] * tableau.STAGES)
        for branch in tree:
            total = mp.matrix(
                [x * y for x, y in zip(total, factor * self.weight(branch), strict=True)]
            )
        return total

    def defect(self, weights, order, s=1):
        """Largest violation of a condition of this order."""
        return max(
            float(abs((weights * self.weight(tree))[0] - mp.mpf(s) ** order / density(tree)))
            for tree in trees(order)
        )


def broken(coefficients):
    """Whether one of the conditions that the method meets is violated by what a digit is."""
    defects = [coefficients.defect(coefficients.b, order) for order in range(1, 6)]
    defects += [coefficients.defect(coefficients.embedded, order) for order in range(1, 5)]
    s = mp.mpf(2) / 3
    defects += [coefficients.defect(coefficients.dense(s), order, s) for order in range(1, 5)]
    return max(defects) > SEEN


def test_there_are_seventeen_conditions():
    assert [len(trees(order)) for order in range(1, 6)] == [1, 1, 2, 4, 9]
    assert [int(density(tree)) for tree in trees(3)] == [6, 3]


def test_the_method_is_of_order_five_and_no_more():
    method = Coefficients()
    assert max(method.defect(method.b, order) for order in range(1, 6)) < DIGITS
    assert method.defect(method.b, 6) > 1e-5


def test_the_embedded_method_is_of_order_four_and_no_more():
    method = Coefficients()
    assert max(method.defect(method.embedded, order) for order in range(1, 5)) < DIGITS
    assert method.defect(method.embedded, 5) > 1e-5


def test_what_slopes_are_off_is_of_order_five_and_no_multiple_of_the_estimate():
    method = Coefficients()

    def terms(of_stages, order):
        weights = mp.matrix(of_stages.tolist()).T * method.gamma
        return np.array([float((weights * method.weight(tree))[0]) for tree in trees(order)])

    low = np.concatenate([terms(tableau.DEFECT, order) for order in range(2, 5)])
    assert terms(tableau.DEFECT, 1) == pytest.approx(tableau.FIRST, abs=DENSE_DIGITS)
    assert np.abs(low).max() < DENSE_DIGITS
    wrong = terms(tableau.DEFECT * (1 + 1e-10 * np.eye(tableau.STAGES)[2]), 2)
    assert np.abs(wrong).max() > SEEN
    both = [terms(x, 5) for x in (tableau.DEFECT, np.eye(tableau.STAGES)[-1])]
    one, other = (x / np.linalg.norm(x) for x in both)
    assert abs(one @ other) < 0.5


@pytest.mark.parametrize("s", [0.25, 0.6, 1.0])
def test_the_dense_output_is_of_order_four(s):
    method = Coefficients()
    s = mp.mpf(s)
    assert max(method.defect(method.dense(s), order, s) for order in range(1, 5)) < DENSE_DIGITS
    assert method.defect(method.dense(mp.mpf(0.25)), 5, mp.mpf(0.25)) > 1e-6


def test_the_stages_see_time_as_a_component_of_the_state():
    method = Coefficients()
    for i in range(tableau.STAGES):
        assert abs(float(sum(method.alpha[i, :])) - tableau.NODES[i]) < DIGITS
        assert abs(float(sum(method.gamma[i, :])) - tableau.D[i]) < DIGITS


@pytest.mark.parametrize("name, change", [("A", 1e-10), ("C", 1e-10), ("M", 1e-10), ("H", 1e-9)])
def test_no_wrong_digit_survives_the_conditions(name, change):
    matrix = getattr(tableau, name)
    assert not broken(Coefficients())
    # What the last stage adds between steps is an error of fifth order, which nothing prescribes.
    for index in zip(*np.nonzero(matrix[:, :-1] if name == "H" else matrix), strict=True):
        changed = matrix.copy()
        changed[index] *= 1 + change
        assert broken(Coefficients(**{name: changed})), f"{name}{index}"


def test_the_method_is_l_stable():
    gamma = np.linalg.inv(np.eye(tableau.STAGES) / tableau.GAMMA - tableau.C)
    beta, b = (tableau.A + np.eye(tableau.STAGES)) @ gamma, tableau.M @ gamma

    def growth(z):
        return 1 + z * b @ np.linalg.solve(np.eye(tableau.STAGES) - z * beta, np.ones(8))

    axis = np.geomspace(1e-3, 1e4, 300)
    assert max(abs(growth(1j * y)) for y in axis) < 1 + 1e-12
    # The weights of 1/z are of order ten.
    assert abs(growth(-1e10)) < 1e-8
    assert abs(growth(0.1)) > 1, "the control: growth is seen"


def clocked(t, y, args):
    """Nonlinear, coupled and dependent on time."""
    return {"a": -(y["a"] ** 2) * jnp.cos(t), "b": y["a"] * y["b"] * jnp.sin(t)}


def test_order_five_is_what_equal_steps_show_also_between_them():
    start = {"a": jnp.array(1.0), "b": jnp.ones(1)}
    times = np.array([0.37, 1.11, 2.0])

    @jax.jit
    def solved(step):
        run = diffrax.diffeqsolve(
            diffrax.ODETerm(clocked),
            Rodas5P(),
            0.0,
            2.0,
            step,
            start,
            max_steps=4096,
            saveat=diffrax.SaveAt(ts=times),
        )
        return jnp.column_stack([run.ys["a"], run.ys["b"]])

    assert solved(2 / 1024)[:, 0] == pytest.approx(1 / (1 + np.sin(times)), abs=1e-12)
    errors = [np.abs(solved(2 / n) - solved(2 / 1024)).max(axis=1) for n in (16, 32, 64)]
    orders = np.log2(errors[0] / errors[2]) / 2
    assert abs(orders[-1] - 5) < ORDER
    # Local errors of the dense output are of fifth order too.
    assert (orders > 5 - 2 * ORDER).all()


def test_jit_vmap_grad_and_the_way_back_in_time():
    @jax.jit
    @jax.vmap
    @jax.value_and_grad
    def decayed(rate):
        run = diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, y, rate: -rate * (y - jnp.cos(t))),
            Rodas5P(),
            1.0,
            0.0,
            None,
            jnp.array([2.0]),
            rate,
            stepsize_controller=diffrax.PIDController(1e-10, 1e-12),
        )
        return run.ys[-1, 0]

    def exact(rate):
        # The periodic solution, and what is left of the start's distance from it.
        periodic = [rate * (rate * np.cos(t) + np.sin(t)) / (rate**2 + 1) for t in (0, 1)]
        return periodic[0] + (2 - periodic[1]) * np.exp(rate)

    rates = np.array([0.5, 3.0])
    value, slope = decayed(rates)
    h = 1e-4
    quotient = (exact(rates + h) - exact(rates - h)) / (2 * h)
    assert value == pytest.approx(exact(rates), rel=1e-8)
    assert slope == pytest.approx(quotient, rel=1e-6)
    assert slope != pytest.approx(1.001 * quotient, rel=1e-6)


def test_a_stiff_problem_ends_where_radau_ends():
    def van_der_pol(t, y, mu):
        return jnp.stack([y[1], mu * ((1 - y[0] ** 2) * y[1]) - y[0]])

    mu, end = 100.0, 80.0
    run = diffrax.diffeqsolve(
        diffrax.ODETerm(van_der_pol),
        Rodas5P(),
        0.0,
        end,
        1e-6,
        jnp.array([2.0, 0.0]),
        mu,
        stepsize_controller=diffrax.PIDController(1e-11, 1e-13),
        max_steps=20_000,
    )
    truth = scipy.integrate.solve_ivp(
        lambda t, y: [y[1], mu * ((1 - y[0] ** 2) * y[1]) - y[0]],
        (0, end),
        [2.0, 0.0],
        "Radau",
        rtol=1e-12,
        atol=1e-14,
        jac=lambda t, y: [[0, 1], [-2 * mu * y[0] * y[1] - 1, mu * (1 - y[0] ** 2)]],
    )
    assert run.ys[-1] == pytest.approx(truth.y[:, -1], rel=STIFF)
    assert run.ys[-1] != pytest.approx(truth.y[:, -2], rel=STIFF)
    # An explicit method would need some thousand steps per unit of time.
    assert run.stats["num_steps"] < 5000


def test_no_jump_of_a_second_derivative_is_hidden_in_a_step():
    # A step of y' = (t - s)_+^2 / 2 across each s: what it is off by, what it states, and the
    # last stage alone, which states nothing for some s.
    @jax.jit
    @jax.vmap
    def stepped(s):
        term = diffrax.ODETerm(lambda t, y, s: jnp.maximum(t - s, 0.0) ** 2 / 2 + 0 * y)
        y, error, *_ = Rodas5P().step(term, 0.0, 1.0, jnp.zeros(1), s, None, False)
        return y[0], error[0]

    jumps = np.linspace(0.0025, 0.9975, 399)
    stages = np.zeros((tableau.STAGES, len(jumps)))
    for k, node in enumerate(tableau.NODES):
        slopes = np.maximum(node - jumps, 0) ** 2 / 2
        stages[k] = tableau.GAMMA * (slopes + tableau.C[k, :k] @ stages[:k])
    y, error = stepped(jumps)
    off = np.abs(y - (1 - jumps) ** 3 / 6)
    assert np.max(off / error) < MOST < 30 < np.max(off / np.abs(stages[-1]))


def test_a_step_factors_one_matrix():
    term = diffrax.ODETerm(lambda t, y, args: -y)

    def step(y):
        return Rodas5P().step(term, 0.0, 0.1, y, None, None, False)[:2]

    code = str(jax.make_jaxpr(step)(jnp.ones(3)))
    assert code.count(" lu ") == 1
    assert code.count(" scan[") >= 1, "the stages, which use it again"


def test_a_field_that_is_not_a_number_is_refused():
    run = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, y, args: jnp.nan * y),
        Rodas5P(),
        0.0,
        1.0,
        0.1,
        jnp.ones(1),
        stepsize_controller=diffrax.PIDController(1e-6, 1e-8),
        max_steps=16,
        throw=False,
    )
    assert run.result != diffrax.RESULTS.successful
    assert run.stats["num_accepted_steps"] == 0
