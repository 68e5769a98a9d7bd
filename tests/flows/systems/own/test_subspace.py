"""Starts whose entries are alike, and which the flow keeps so, beside saddles too."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import solve_ivp

import flows
from flows.systems.own import subspace
from flows.systems.own.subspace import Alike, alike_at
from potentials import symbol
from symbolic import D

P, Q, R = sp.symbols("p q r")
# Of the stated error a hundredth is what steps leave; the oracle's own error is far below.
# Eigenvalues in doubles of a Hessian with the condition 1e5.
RATE = 1e-7
# Distance of other limits from zero at least.
FAR = 0.1
ORACLE = {"rtol": 1e-13, "atol": 1e-15, "method": "DOP853"}


def wells(x: sp.Expr, y: sp.Expr) -> sp.Expr:
    """Four minima, with saddles between two of them on the axes."""
    return (x**2 - 1) ** 2 / 4 + (y**2 - 1) ** 2 / 4


TURNED = flows.OwnSystem("turned", [P, Q], wells((P + Q) / 2, (P - Q) / 2))


def triple(y):
    """Gradient of `(y0 y1 y2 - 1)^2/2`."""
    product = y[0] * y[1] * y[2]
    return [(product - 1) * product / x for x in y]


@pytest.mark.parametrize(
    ("gradient", "start", "of", "sign"),
    [
        (triple, [2.0, 2.0, 1.0], (0, 0, 1), (1, 1, 1)),
        (triple, [2.0, -2.0, 1.0], (0, 0, 1), (1, -1, 1)),
        (triple, [2.0, 2.0, -2.0], (0, 0, 0), (1, 1, -1)),
        (lambda y: [y[1], y[0]], [1.0, -1.0], (0, 0), (1, -1)),
        # A saddle between two sides, and one whose side is pushed.
        (lambda y: [y[0], y[1] ** 3 - y[1]], [1.0, 0.0], (0, -1), (1, 0)),
        (lambda y: [y[0], y[1] ** 3 - y[1] + y[0]], [1.0, 0.0], None, None),
        # At a maximum along one entry, which another one pushes, or does not.
        (lambda y: [y[0], (y[1] - 3) ** 3 - y[1] + 3], [1.0, 3.0], (0, -1), (1, 0)),
        (lambda y: [y[0], (y[1] - 3) * y[0]], [3.0, 3.0], (0, -1), (1, 0)),
        (lambda y: [y[0], y[1] - 3 + y[0] - 1], [1.0, 3.0], None, None),
        # Next to a maximum, by less than what is known of another slope to 60 digits.
        (lambda y: [y[0], y[1] ** 3 - y[1]], [1.0, 1e-100], None, None),
        # Equal at the start alone, and led apart by one part in 1e50.
        (lambda y: [y[0], y[1] * (1 + tiny(y))], [1.0, 1.0], None, None),
        (lambda y: [y[0], y[1]], [1.0, 2.0], None, None),
    ],
)
def test_the_largest_subspace_that_holds_a_start_and_is_kept_is_found(gradient, start, of, sign):
    found = alike_at(gradient, np.array(start))
    held = None if of is None else tuple(x * (s == 0) for x, s in zip(start, sign, strict=True))
    assert found == (None if of is None else Alike(of, sign, held))


def tiny(y):
    """One part in 1e50, as a ball."""
    return type(y[0])(10) ** -50


@pytest.mark.parametrize("arithmetic", ["auto", "doubles"])
def test_a_start_between_two_valleys_stays_between_them(arithmetic):
    """The other coordinate is a saddle's: rounding would leave it near t = 35."""
    system = flows.OwnSystem(
        "turned", [P, Q], TURNED.expression, {"apart": (P - Q) ** 2}, arithmetic=arithmetic
    )
    run = flows.integrate(system, (1.3, 1.3), 1e6)
    assert run.completed and (run.state[:, 0] == run.state[:, 1]).all()
    line = solve_ivp(
        lambda t, x: -(x**3 - x) / 2, (0, 30), [1.3], t_eval=run.t[run.t < 30], **ORACLE
    )
    x = line.y[0]
    assert run.state[: len(x), 0] == pytest.approx(x, rel=1e-9)
    off = np.abs(run["loss"][: len(x)] - (x**2 - 1) ** 2 / 4 - 0.25)
    assert (off <= run.errors("loss")[: len(x)]).all()
    assert run["loss"][-1] == 0.25 and (run["apart"] == 0).all()


def test_a_start_beside_the_symmetric_one_leaves():
    run = flows.integrate(TURNED, (1.3, 1.3 * (1 + 1e-6)), 1e6)
    assert run.completed and not (run["loss"][-1] > 1e-20)
    assert run.state[-1] == pytest.approx([0.0, 2.0], abs=1e-12)


def test_a_kink_that_a_root_hides_ends_the_symmetry(monkeypatch):
    """Beyond `p + q = 2` the entries are pushed apart: the run is led anew, with all of them."""
    far = P + Q - 2
    root = sp.sqrt(sp.expand(far**2))
    loss = -(P + Q) + (root + far) ** 3 * P / 4 + (P**2 + Q**2) / 20
    run = flows.integrate(flows.OwnSystem("hidden", [P, Q], loss), (0.5, 0.5), 8.0)

    def velocity(t, y):
        u = max(y[0] + y[1] - 2, 0.0)
        push = 6 * u**2 * y[0]
        return [1 - push - 2 * u**3 - y[0] / 10, 1 - push - y[1] / 10]

    line = solve_ivp(velocity, (0, 8.0), [0.5, 0.5], t_eval=run.t, max_step=0.01, **ORACLE)
    assert run.completed and run.state == pytest.approx(line.y.T, rel=1e-7)
    assert abs(run.state[-1, 0] - run.state[-1, 1]) > 0.5
    # The control looks at the start alone.
    monkeypatch.setattr(subspace, "_is_kept", lambda *given: True)
    blind = flows.integrate(run.system, (0.5, 0.5), 8.0)
    assert blind.completed and blind.state[-1, 0] == blind.state[-1, 1]


def test_a_run_begins_with_all_digits_of_its_start():
    inside = TURNED.subspace(np.array([0.3, 0.3]))
    _, state = inside.alone.reduce(inside.start)
    exact = sp.sqrt(2) * sp.Rational(0.3)
    assert abs(sp.N(sum(map(sp.Rational, state.digits[0].tolist())) - exact, 60)) < 1e-45
    rounded = inside.system.reduce(inside.start)[1]
    assert abs(sp.N(sum(map(sp.Rational, rounded.digits[0].tolist())) - exact, 60)) > 1e-20


def test_the_loss_above_its_limit_is_that_in_the_subspace(tmp_path):
    run = flows.integrate(TURNED, (1.3, 1.3), 40.0, [10.0, 40.0])
    x = solve_ivp(lambda t, x: -(x**3 - x) / 2, (0, 10.0), [1.3], **ORACLE).y[0, -1:]
    above, early = run.excess, 1
    assert above.limit == 0.25
    assert above.value[early] == pytest.approx((x[0] ** 2 - 1) ** 2 / 4, rel=1e-8)
    # `x - 1` falls like exp(-t), and its square tells 1e-35 beside 1/4.
    assert above.value[-1] == pytest.approx(above.value[early] * np.exp(-60), rel=1e-3)
    run.save(tmp_path / "run.npz")
    again = flows.load(tmp_path / "run.npz", system=TURNED)
    assert again.excess.value == pytest.approx(above.value, rel=1e-12)
    assert again.errors("loss") == pytest.approx(run.errors("loss"), rel=1e-6)


def test_members_of_one_subspace_are_followed_as_alone():
    starts = np.random.default_rng(0).normal(size=(12, 2))
    starts[[2, 5, 9], 1] = starts[[2, 5, 9], 0]
    starts[[3, 7], 1] = -starts[[3, 7], 0]
    many = flows.integrate_ensemble(TURNED, starts, 1e4)
    assert (many.status == "completed").all()
    for k in (2, 3, 9):
        alone = flows.integrate(TURNED, starts[k], 1e4)
        assert many["loss"][k] == pytest.approx(alone["loss"], rel=2e-8)
        assert many["loss"][k, -1] == 0.25


def test_the_classic_fit_of_six_exponentials_goes_to_the_saddle_between_its_minima():
    """Biggs EXP6 from its standard start keeps x1 = x5 and x3 = x6: Moré, Garbow, Hillstrom, 18."""
    x = sp.symbols("x1:7")
    loss = 0
    for i in range(1, 14):
        t = sp.Rational(i, 10)
        data = sp.exp(-t) - 5 * sp.exp(-10 * t) + 3 * sp.exp(-4 * t)
        fit = x[2] * sp.exp(-t * x[0]) - x[3] * sp.exp(-t * x[1]) + x[5] * sp.exp(-t * x[4])
        loss += (fit - data) ** 2 / 2
    run = flows.integrate(flows.OwnSystem("biggs", list(x), loss), (1, 2, 1, 1, 1, 1), 1e9)
    assert run.completed
    assert (run.state[:, 0] == run.state[:, 4]).all() and (run.state[:, 2] == run.state[:, 5]).all()
    assert run["loss"][-1] == pytest.approx(5.655649925e-3 / 2, rel=1e-9)
    # In the subspace the saddle is a minimum, with a law.
    basis = np.zeros((6, 4))
    basis[[0, 4, 2, 5], [0, 0, 1, 1]], basis[1, 2], basis[3, 3] = np.sqrt(0.5), 1, 1
    hessian = run.system.hessian(run.state[-1])
    assert np.linalg.eigvalsh(hessian)[0] < -1e-3
    rate = 2 * np.linalg.eigvalsh(basis.T @ hessian @ basis)[0]
    law = flows.late_time_law(run)
    assert law.laws[0].rate == pytest.approx(rate, rel=RATE) and "x1 = x5, x3 = x6" in law.notes[-1]
    assert law.laws[0].rate != pytest.approx(1.001 * rate, rel=RATE)


def test_late_states_of_a_subspace_keep_digits_that_lie_far_apart():
    """A coordinate is `2 - 1e-139`, of three doubles with nothing in between."""
    a, b, c, d = sp.symbols("a b c d")
    system = flows.OwnSystem("product", [a, b, c, d], (a * b * c * d - 1) ** 2 / 2)
    run = flows.integrate(system, [0.9] * 4, 1e6)
    known = np.isfinite(run["loss"])
    assert run["loss"][known][-1] < 1e-200
    distance = [abs(sum(map(sp.Rational, digits), -1)) for digits in run.states.digits[:, 0]]
    # Near the minimum the product is one less four times the distance.
    late = known & (run.t > 10)
    found = np.array([float(8 * x**2) for x, k in zip(distance, late, strict=True) if k])
    assert found == pytest.approx(run["loss"][late], rel=1e-6)
    # After it has fallen below all doubles nothing is left of it: it was 4e-134 from there on.
    after = np.flatnonzero(known)[-1] + 1
    assert np.isnan(run.excess.value[after:]).all()
    assert flows.late_time_law(run).laws[0].rate == 8


@pytest.mark.parametrize(
    ("loss", "start", "law", "said"),
    [
        # p = q = z/sqrt(2) has the loss 5 z^4/16, so z^-2 ~ 5 t/2 and t^2 L -> 1/20.
        ((P**4 + 3 * P**2 * Q**2 + Q**4) / 4, [1.0, 1.0], ("power", 1 / 20), "p = q"),
        # Here p = -q = z/sqrt(2) has the loss z^2/2.
        ((P + Q) ** 4 - P * Q, [1.0, -1.0], ("exponential", 2), "p = -q"),
        (P**2 / 2 - Q**2 / 2 + Q**4 / 4, [1.0, 0.0], ("exponential", 2), "q = 0"),
    ],
)
def test_a_run_that_a_symmetry_keeps_beside_a_saddle_has_the_law_of_its_subspace(
    loss, start, law, said
):
    system = flows.OwnSystem("kept", [P, Q], loss)
    run = flows.integrate(system, start, 1e9)
    found = flows.late_time_law(run)
    (one,) = found.laws
    kind, number = law
    assert one.kind == kind and said in found.notes[-1]
    assert (one.constant if kind == "power" else one.rate) == pytest.approx(number, rel=1e-12)
    assert found.at == pytest.approx([0, 0], abs=1e-300) and found.parameters == system.parameters
    assert {v.verdict for v in flows.check(run, found.claims())} == {"HOLDS"}
    # Controls: a constant, or a rate, that is a thousandth larger.
    t, loss_symbol = symbol("t"), symbol("loss")
    off = loss_symbol >= 1.001 * number * t**-2
    if kind == "exponential":
        off = D(loss_symbol) <= -1.001 * number * loss_symbol
    assert flows.check(run, flows.theorem("off", off, since=1e3 * (kind == "power")))[
        0
    ].verdict == ("VIOLATED")
    # Beside the subspace the run leaves for another limit, or another attractor of the form.
    beside = flows.late_time_law(flows.integrate(system, np.add(start, [0, 1e-9]), 1e6))
    assert not any(said in note for note in beside.notes)
    if kind == "exponential":
        assert np.abs(beside.at).max() > FAR
    elif beside.chosen is not None:
        assert beside.laws[beside.chosen].constant != pytest.approx(number, rel=1e-3)
