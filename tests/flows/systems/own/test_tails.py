"""Exponential tails of valleys: known to the smallest energies; and runs into a singular point."""

import numpy as np
import pytest
import scipy.linalg
import sympy as sp
from flint import arb
from mpmath import mp

import flows
from flows.core.balls import precision
from flows.core.errors import InputError
from flows.systems.own import increment
from flows.systems.own.sharp_axes import sharp_axes

# At rtol = 1e-10 the time at which a state is reached is known to it.
LATE = 1e-10
U, V, A = sp.symbols("u v a")
VALLEY = flows.OwnSystem("valley", [U, V], (U * V - 1) ** 2 / 2)


def arrival(loss, start):
    """Time at which `(u v - 1)^2/2` is reached: `u^2 - v^2` is conserved, and `r = u v - 1` is
    left, with `r' = -r sqrt(c^2 + 4 (1 + r)^2)`."""
    with mp.workdps(30):
        u, v = map(mp.mpf, start)
        c, first = u**2 - v**2, u * v - 1
        last = mp.log(mp.sqrt(2 * mp.mpf(loss)))
        sign = mp.sign(first)

        def slowness(w):
            return 1 / mp.sqrt(c**2 + 4 * (1 + sign * mp.exp(w)) ** 2)

        middle = [w for w in (-20, -5, -1) if last < w < mp.log(abs(first))]
        return float(mp.quad(slowness, [last, *middle, mp.log(abs(first))]))


@pytest.mark.parametrize("start", [(0.5, 1.7), (0.3, -0.2)])
def test_a_generic_start_is_known_to_the_smallest_energy(start):
    times = [1.0, 5.0, 10.0, 20.0, 40.0, 80.0]
    run = flows.integrate(VALLEY, start, 80.0, times)
    assert run.completed and not run.message.startswith("NaN")
    losses = run["loss"][1:]
    rate = run["gradient_norm"][1:] ** 2 / losses
    stated = run.errors("loss")[1:]
    assert losses[-1] < 1e-130 and (stated < 1e-6).all()
    assert np.array_equal(run["excess"][1:], losses) and run.excess.limit < 1e-250
    late = np.array([arrival(x, start) for x in losses]) - run.t[1:]
    assert (abs(late) < LATE * run.t[1:]).all()
    assert (abs(late * rate) < stated).all()
    # Control: a loss that is a thousandth larger is reached at another time.
    other = np.array([arrival(1.001 * x, start) for x in losses]) - run.t[1:]
    assert (abs(other * rate) > stated).all()


def test_on_a_linear_tail_compiled_steps_are_those_of_balls_and_a_wrong_curvature_is_seen(
    monkeypatch,
):
    start, times, called = (0.5, 1.7), [5.0, 25.0], []
    fast = flows.integrate(VALLEY, start, 25.0, times)["loss"][1:]
    taken, made = increment.Increment._linear, increment.linear_field
    monkeypatch.setattr(increment.Increment, "_linear", lambda *given: None)
    slow = flows.integrate(VALLEY, start, 25.0, times)["loss"][1:]
    assert fast == pytest.approx(slow, rel=1e-8, abs=0) and not np.array_equal(fast, slow)

    def steeper(slopes, matrix, *rest):
        called.append(1)
        return made(slopes, 1.001 * matrix, *rest)

    monkeypatch.setattr(increment.Increment, "_linear", taken)
    monkeypatch.setattr(increment, "linear_field", steeper)
    wrong = flows.integrate(VALLEY, start, 25.0, times)["loss"][1:]
    late = np.array([arrival(x, start) for x in wrong]) / times - 1
    assert len(called) > 5 and abs(late[-1]) > 1e3 * LATE


def test_what_is_not_known_of_a_tail_is_no_warning():
    """Radii of a gradient are infinite there before there are enough bits."""
    w = sp.MatrixSymbol("W", 3, 2)
    gap = w.T * w - sp.diag(1, 0)
    system = flows.OwnSystem("factorization", [w], sp.trace(gap.T * gap) / 4)
    start = 0.5 * np.random.default_rng(0).normal(size=(8, 6))[4]
    assert flows.integrate(system, start, 100.0, [100.0], rtol=1e-11).completed


def test_axes_of_many_bits_diagonalise_a_hessian_and_those_in_doubles_do_not():
    generator = np.random.default_rng(0)
    basis = np.linalg.qr(generator.normal(size=(4, 4)))[0]
    # Two eigenvalues are one, and another is next to zero.
    matrix = basis * [3.0, 3.0, 1e-18, 1.0] @ basis.T
    matrix = (matrix + matrix.T) / 2
    axes = scipy.linalg.eigh(matrix)[1]
    with precision(600):
        found = sharp_axes([[arb(x) for x in row] for row in matrix.tolist()], axes, 600)
        square = found.axes.transpose() * found.axes
        inside = found.axes.transpose() * found.matrix * found.axes
    # Those of the double eigenvalue, the last two, may be any basis.
    pairs = [(i, k) for i, k in np.ndindex(4, 4) if i != k]
    assert max(abs(float(square[i, k])) for i, k in pairs) < 2.0**-300
    assert max(abs(float(inside[i, k])) for i, k in pairs if i + k != 5) < 2.0**-300
    rough = axes.T @ matrix @ axes
    assert np.abs(rough - np.diag(np.diag(rough))).max() > 1e-17


def test_a_loss_that_is_not_real_at_the_start_is_refused_by_its_name():
    for loss in (sp.log(A), A**2 + sp.log(A)):
        with pytest.raises(InputError, match="loss of ln is not a real number at the start"):
            flows.integrate(flows.OwnSystem("ln", [A], loss), [-1.0], 1.0)
    assert flows.integrate(flows.OwnSystem("ln", [A], sp.log(A) ** 2), [2.0], 1.0).completed


def test_a_run_into_a_singular_point_says_so():
    # a^(3/2) = 2^(3/2) - 3 t/4 along sqrt(a), which ends at t = 3.77.
    run = flows.integrate(flows.OwnSystem("root", [A], sp.sqrt(A)), [2.0], 10.0)
    assert run.status == "field_failed" and "the loss is singular" in run.message
    assert run.state[:, 0] ** 1.5 == pytest.approx(2**1.5 - 0.75 * run.t, abs=1e-8)
    assert run.t[-1] < 2**1.5 / 0.75 < 1.3 * run.t[-1]


def test_an_attention_in_a_valley_of_minima_is_known_as_long_as_doubles_hold_its_loss():
    """Along the valley the gradient is its own square, far below the rounding of its entries."""
    z, v = sp.MatrixSymbol("z", 3, 1), sp.Symbol("v")
    gap = v * sp.exp(z[0]) / sum(sp.exp(z[i]) for i in range(3)) - 1
    system = flows.OwnSystem("attention", [z, v], gap**2 / 2)
    run = flows.integrate(system, [0.01, -0.01, 0.06, 0.01], 500.0, np.linspace(60, 500, 12))
    place = dict(zip([*z, v], run.state[-1], strict=True))
    slope = [float(sp.diff(gap, y).subs(place)) for y in place]
    rate = 2 * np.dot(slope, slope)  # the gap is below 1e-14 from the first output on
    t, loss = run.t[1:], run["loss"][1:]
    off = np.abs(np.log(loss / loss[0]) + rate * (t - t[0]))
    stated = run.errors("loss")[1:]
    assert loss[-1] < 1e-250
    assert (stated < 1e-6).all() and (off <= 2 * stated).all()
    assert (np.abs(np.log(loss / loss[0]) + (1 + 1e-5) * rate * (t - t[0])) > 2 * stated)[1:].all()
