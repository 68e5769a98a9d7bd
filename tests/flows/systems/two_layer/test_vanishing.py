"""Students of a kinked activation that reach zero: when, and what follows."""

import re

import numpy as np
import pytest
from mpmath import mp
from oracles import two_layer as oracle
from scipy.integrate import solve_ivp

import flows
from flows.systems.two_layer.vanishing import vanishing

# Between the length at which another solver is stopped and zero the slope changes by about as much.
STOPPED, ARRIVES = 1e-6, 1e-6
OVERSHOT = [[3.0, 0.1], [0.1, 3.0], [0.01, 0.02]]


def arrival(system, start, student):
    """When a student is at zero by another solver: its length is linear at the end."""
    w, (n, d) = np.array(start), np.shape(start)

    def field(_, y):
        u = [*y.reshape(n, d).tolist(), *system.teachers]
        mu = [*system.output_weights, *(-b for b in system.teacher_weights)]
        with mp.workdps(20):
            rows = oracle.gradient(system.activation, [[mp.mpf(x) for x in v] for v in u], mu, n)[0]
        return -np.array([[float(x) for x in row] for row in rows]).ravel()

    def short(_, y):
        return np.linalg.norm(y.reshape(n, d)[student]) - STOPPED

    short.terminal = True
    found = solve_ivp(field, (0, 10.0), w.ravel(), "DOP853", events=short, rtol=1e-9, atol=1e-12)
    (t,), y = found.t_events[0], found.y[:, -1]
    w, slope = (x.reshape(n, d)[student] for x in (y, field(t, y)))
    return t - np.linalg.norm(w) ** 2 / (w @ slope)


def test_a_student_reaches_zero_in_finite_time_which_ends_the_run_under_a_name_of_its_own():
    system = flows.TwoLayer(3, 2)
    run = flows.integrate(system, OVERSHOT, t_end=1e3)
    assert run.status == "kink_reached" and not run.completed
    assert run.message.startswith("student 3 is zero at t = ")
    (event,) = run.events
    assert event.kind == "vanishing"
    assert abs(event.time / arrival(system, OVERSHOT, 2) - 1) < ARRIVES
    assert "rises from there in every direction" in run.message
    assert run.t[-1] < event.time and np.isfinite(run["loss"]).all()
    # An ensemble says the same of this start, and follows the other one to the end.
    other = [[1.0, 0.1], [0.1, 0.9], [0.5, 0.5]]
    together = flows.integrate_ensemble(system, [OVERSHOT, other], t_end=10.0)
    assert together.status.tolist() == ["kink_reached", "completed"]
    assert not any(v.verdict == "VIOLATED" for v in flows.check(run))


def test_zero_is_where_it_stays_if_the_loss_rises_in_every_direction():
    # Without it the others go on; put back beside zero, it is at zero again.
    system, run = flows.TwoLayer(3, 2), flows.integrate(flows.TwoLayer(3, 2), OVERSHOT, t_end=1e3)
    w = run.state[-1]
    for turn in np.linspace(0, 2 * np.pi, 5):
        w[2] = 1e-6 * np.array([np.cos(turn), np.sin(turn)])
        again = flows.integrate(system, w, t_end=1e3)
        assert again.status == "kink_reached" and again.events[0].time < 1e-3


def test_where_the_loss_falls_in_other_directions_the_flow_is_not_unique():
    # Students on both sides, one teacher missing below: above there is a minimum of the slope.
    system = flows.TwoLayer(3, [[0.0, -1.4], [0.1, 0.0]])
    start = np.array([[2.0, 0.0], [-2.0, 0.0], [0.001, 0.01]])
    run = flows.integrate(system, start, t_end=1.0)
    assert run.status == "kink_reached" and "is not determined by the gradient" in run.message
    assert abs(run.events[0].time / arrival(system, start, 2) - 1) < ARRIVES
    # From zero it leaves downwards.
    start[2] = [0.0, -1e-6]
    assert flows.integrate(system, start, t_end=0.1).completed


def test_a_student_that_falls_exponentially_does_not_reach_zero():
    # Beside one teacher the slope in the opposite direction is none.
    system = flows.TwoLayer(2, [[1.0, 0.0]], teacher_weights=[1.1])
    run = flows.integrate(system, [[2.0, 0.1], [0.01, 0.02]], t_end=40.0)
    assert run.completed and run["norms"][-1, 1] < 1e-8
    y = np.array([1.1, 0.0, -1e-12, 1e-13])
    still = system.gradient(y.reshape(2, 2)).ravel()
    assert vanishing(system.network(), y, still, 1e-9) is None


def test_a_tiny_share_grows_where_the_slope_leads_away_from_zero():
    # Late in a run the slope is small in all directions, and the descent on the sphere takes long.
    system = flows.TwoLayer(4, 2)
    start = [[1e-12, 2e-14], [0.999, 0.01], [0.02, 0.5], [-0.01, 0.5]]
    run = flows.integrate(system, start, t_end=1.0)
    assert run.completed and (np.diff(run["norms"][:, 0]) > 0).all()


def test_students_that_are_one_vanish_together_and_are_named():
    start = np.zeros((4, 5))
    start[:, :3] = [*([*w, 0.0] for w in OVERSHOT[:2]), [0.01, 0.02, 0.01], [0.01, 0.02, 0.01]]
    run = flows.integrate(flows.TwoLayer(4, 2, d=5), start, t_end=1e3)
    assert re.match("students 3 and 4 are zero at t = 0.05", run.message)


@pytest.mark.parametrize("given", [{"train_outputs": True}, {"activation": "leaky:0.1"}])
def test_trained_outputs_and_leaky_students_vanish_too(given):
    system = flows.TwoLayer(3, 2, **given)
    start = np.column_stack([OVERSHOT, np.ones(3)]) if system.train_outputs else OVERSHOT
    run = flows.integrate(system, start, t_end=1e3)
    assert run.status == "kink_reached" and run.message.startswith("student 3 is zero")
