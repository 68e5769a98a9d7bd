"""Plain fields against integrations that share no code, at random starts and every output time."""

import os

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import solve_ivp

import flows

X, Y, Z, T = sp.symbols("x y z t")
SEEDS = int(os.environ.get("POPFLOW_FUZZ", "1"))
FIRST = int(os.environ.get("POPFLOW_FUZZ_FROM", "0"))
# What the other integration may be off by, relative to the largest entry: its own tolerance, and
# how much of it a chaotic flow makes.
OFF, CHAOTIC = 1e-11, 1e-9
# An error of zero is that of a number that is known.
LEAST = 1e-300
# A run with this tolerance has lost so many digits that the errors of a fine one do not cover it.
COARSE = 1e-4


def signed(generator, size):
    return generator.normal(size=size)


# Blocks, field, start, end, and the other method: log-time where the time is long.
CASES = {
    "van der Pol": ((X, Y), (Y, 3 * (1 - X**2) * Y - X), lambda g: signed(g, 2), 60.0, "DOP853"),
    "Lorenz": (
        (X, Y, Z),
        (10 * (Y - X), X * (28 - Z) - Y, X * Y - 8 * Z / 3),
        lambda g: 5 * signed(g, 3),
        12.0,
        "chaotic",
    ),
    "Lotka and Volterra": (
        (X, Y),
        (X * (1 - Y), Y * (X - 1)),
        lambda g: np.exp(signed(g, 2)),
        100.0,
        "DOP853",
    ),
    "a pendulum": ((X, Y), (Y, -sp.sin(X)), lambda g: 2 * signed(g, 2), 50.0, "DOP853"),
    "a push": ((X, Y), (Y, -X - Y / 10 + sp.cos(T)), lambda g: signed(g, 2), 80.0, "DOP853"),
    "a cube": ((X, Y), (-(X**3), -Y + X**2), lambda g: signed(g, 2), 1e5, "late"),
    "a slow clock": ((X,), (-(X**2) / (1 + T),), lambda g: np.abs(signed(g, 1)), 1e8, "late"),
    "a saddle": ((X, Y), (X - X**3, -Y), lambda g: [1e-9 * g.normal(), 1.0], 60.0, "DOP853"),
    "a stiff reaction": (
        (X, Y, Z),
        (-X / 25 + 10**4 * Y * Z, X / 25 - 10**4 * Y * Z - 3 * 10**7 * Y**2, 3 * 10**7 * Y**2),
        lambda g: [1.0, 0.0, 0.0],
        1e5,
        "stiff",
    ),
    "momentum": ((X, Y), (Y, -3 * Y / (1 + T) - X**3), lambda g: signed(g, 2), 200.0, "DOP853"),
}


def potentials(blocks):
    return {"size": sum(b**2 for b in blocks) / 2, "wave": blocks[0] * blocks[-1] + sp.cos(T)}


def reference(blocks, field, start, times, kind):
    """States by SciPy, of the field as SymPy prints it."""
    function = sp.lambdify((T, *blocks), field)
    if kind in ("late", "stiff"):

        def moved(tau, y):
            return np.exp(tau) * np.array(function(np.expm1(tau), *y))

        taus, method = np.log1p(times), "Radau"
        tight = {"rtol": 1e-13 if kind == "late" else 3e-13, "atol": 1e-20}
        return solve_ivp(moved, (0, taus[-1]), start, method=method, t_eval=taus, **tight).y.T
    tight = {"rtol": 2.3e-14, "atol": 1e-20}
    return solve_ivp(
        lambda t, y: function(t, *y), (0, times[-1]), start, "DOP853", times, **tight
    ).y.T


def outside(run, blocks, states, kind):
    """Largest distance to other states and potentials, in units of what is stated."""
    size = np.abs(states).max(axis=1, keepdims=True)
    off = (CHAOTIC if kind == "chaotic" else OFF) * size
    found = [(np.abs(run.state - states) - off) / np.maximum(run.states.error, LEAST)]
    for name, expression in potentials(blocks).items():
        values = sp.lambdify((T, *blocks), expression)(run.t, *states.T)
        away = np.abs(run[name] - values) - off[:, 0] * (1 + size[:, 0])
        ratio = away / np.maximum(run.absolute_errors(name), LEAST)
        found.append(ratio[~np.isnan(run[name])])
    return max(float(np.max(each)) for each in found)


@pytest.mark.parametrize("name", CASES)
def test_states_and_potentials_are_within_their_errors_at_every_output(name):
    blocks, field, draw, end, kind = CASES[name]
    system = flows.ODE("case", blocks, field, potentials(blocks))
    for seed in range(FIRST, FIRST + SEEDS):
        generator = np.random.default_rng(seed)
        start = np.array(draw(generator))
        rtol = float(generator.choice([1e-10, 1e-8]))
        run = flows.integrate(system, start, end, rtol=rtol)
        assert run.completed
        states = reference(blocks, field, start, run.t, kind)
        assert outside(run, blocks, states, kind) <= 1, (name, seed)


def test_errors_of_a_fine_run_do_not_cover_a_coarse_one():
    blocks, field, _, end, kind = CASES["van der Pol"]
    system, start = flows.ODE("case", blocks, field, potentials(blocks)), np.array([2.0, 0.0])
    fine = flows.integrate(system, start, end)
    coarse = flows.integrate(system, start, end, rtol=COARSE)
    assert outside(fine, blocks, coarse.state, kind) > 100
    assert fine.errors("size").max() < 1e-5


def test_a_run_that_goes_either_way_is_not_known_from_there_on():
    # From a start so near to the separatrix a pendulum turns over, or does not: errors decide.
    system = flows.ODE("pendulum", [X, Y], [Y, -sp.sin(X)], {"energy": Y**2 / 2 - sp.cos(X)})
    run = flows.integrate(system, [0.0, 2.0], 60.0, rtol=1e-8)
    assert np.isinf(run.states.error[-1]).all() and np.isfinite(run.states.error[0]).all()
    assert run.completed and "on the state is not known" in run.message
    # Its energy is kept, whichever way it goes.
    assert run["energy"][-1] == pytest.approx(1, abs=1e-5) and run.errors("energy")[-1] < 1e-4


def test_what_stays_zero_is_followed_for_ever():
    system = flows.ODE("saddle", [X, Y], [X - X**3, Y - Y * X**2], {"size": X**2})
    run = flows.integrate(system, [1e-3, 0.0], 50.0)
    assert run.state[-1] == pytest.approx([1, 0], abs=1e-8) and run.states.error[-1, 1] == 0


def test_times_of_output_do_not_change_errors_much():
    blocks, field, *_ = CASES["a push"]
    system = flows.ODE("case", blocks, field, potentials(blocks))
    many, one = (flows.integrate(system, [1.0, 0.0], 80.0, times) for times in (None, [80.0]))
    assert one.t.tolist() == [0, 80] and one["size"][-1] == pytest.approx(
        many["size"][-1], rel=1e-8
    )
    ratio = one.absolute_errors("size")[-1] / many.absolute_errors("size")[-1]
    assert 0.1 < ratio < 10


def test_many_digits_agree_with_doubles():
    system = flows.ODE("cube", [X], [-(X**3)], {"square": X**2})
    run = flows.integrate(system, [1.0], 1e3, [1e3], method="reference")
    assert run["square"][-1] == pytest.approx(1 / 2001, rel=1e-15)
    assert flows.integrate(system, [1.0], 1e3)["square"][-1] == pytest.approx(1 / 2001, rel=1e-8)


def test_late_times_are_known_to_their_last_bits():
    # Steps end at logarithms of time: at 1e8 they are off by 1e-8, and so is what turns with time.
    system = flows.ODE("clock", [X], [-(X**2) / (1 + T)], {"turn": sp.cos(T), "size": X})
    run = flows.integrate(system, [1.2], 1e8)
    off = np.abs(run["turn"] - np.cos(run.t))
    assert (off <= run.absolute_errors("turn")).all() and off.max() > 1e-9
    exact = 1.2 / (1 + 1.2 * np.log1p(run.t))
    assert (np.abs(run["size"] - exact) <= run.states.error[:, 0] + OFF * exact).all()
