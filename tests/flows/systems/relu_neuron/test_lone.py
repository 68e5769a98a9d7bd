"""One neuron beside the teacher, the others far or short: digits far below those of the neuron."""

import math

import numpy as np
import pytest
from flint import arb
from mpmath import mp
from oracles import relu_neuron as oracle

import flows
from flows.arithmetic import lists
from flows.core.balls import precision
from flows.core.chart import Chart, Clock, wrapped_once
from flows.systems.relu_neuron import lone, lone_charts, lone_definition, watch
from flows.systems.relu_neuron.definition import BESIDE, LONE, sizes
from flows.systems.relu_neuron.state import SoundState

MU = (2.0, 1.0, 3.0)
DIGITS = 200
ROUNDED = 1e-14  # a hundred roundings
TILTED = 1e-11  # pulls of neurons at the angle 1e-3 to each other cancel to that part of them
MANY = 1e-150  # of two hundred digits, less those that cancel
QUOTIENT = 1e-6  # of a difference quotient, relative to the largest entry


def vectors(size, cone, near, p=2):
    """Distance from the teacher, in digits, two other neurons, and residual, all of this size."""
    rng = np.random.default_rng(0)
    others = size * np.column_stack([rng.uniform(0.5, 1, 2), cone * rng.normal(size=(2, p))])
    others[:, 0] *= 1.0 if near else -1.0
    tilt = np.array([cone**2 if near else 1.0] + [cone**2 if near else cone] * p)
    rest = size * rng.normal(size=1 + p) * tilt
    with mp.workdps(DIGITS):
        pulled = [mp.fdot(MU[1:], map(mp.mpf, column)) for column in others.T.tolist()]
        d = [mp.mpf(float(x)) - (y if near else 0) for x, y in zip(rest, pulled, strict=True)]
        r = rest if near else np.array([float(x + y) for x, y in zip(d, pulled, strict=True)])
    return d, others, r


def state_of(d, others, r):
    first = (np.eye(1, len(r))[0] + np.array(d, dtype=float)) / MU[0]
    rows = np.vstack([first, others])
    return SoundState(rows[:, 0], rows[:, 1:], r)


def with_digits(d, others):
    """Rows of all neurons, and the teacher, in many digits."""
    first = [(x + (k == 0)) / 2 for k, x in enumerate(d)]
    rows = [first, *([mp.mpf(float(x)) for x in row] for row in others)]
    return rows, [mp.one, *[mp.zero] * (len(d) - 1)]


def exact_gradient(d, others):
    with mp.workdps(DIGITS):
        found = oracle.gradient(*with_digits(d, others), DIGITS, MU)
        return np.array([[float(x) for x in row] for row in found])


CASES = [(s, c, near) for s in (1e-4, 1e-20, 1e-60) for c in (0.5, 1e-3) for near in (False, True)]


@pytest.mark.parametrize(("size", "cone", "near"), CASES)
def test_loss_and_gradient_keep_their_digits_however_small_they_are(size, cone, near):
    d, others, r = vectors(size, cone, near)
    state = state_of(d, others, r)
    with mp.workdps(DIGITS):
        rows, teacher = with_digits(d, others)
        users = [rows[0]] * 2 + [rows[1]] + [rows[2]] * 3
        # A deviation of the loss from its digits, not of the loss from a rounded loss.
        loss = oracle.loss(users, teacher, DIGITS)
        assert abs(float(lone.energy(np.array(MU), state) / loss - 1)) < ROUNDED
        assert abs(float(lone.energy(np.array(MU), state) / (loss * (1 + 1e-3)) - 1)) > 1e-4
    found, true = lone.gradient(np.array(MU), state), exact_gradient(d, others)
    assert np.abs(found - true).max() < (TILTED if near else ROUNDED) * np.abs(true).max()


def chart_of(x0, kind):
    clock = Clock(0.0, np.zeros(x0.size), 1.0, True)
    shape = np.array([3, x0.size // 3 - 1, kind])
    field = wrapped_once(lone_definition.make_raw)
    return Chart(clock, x0.ravel(), np.ones(x0.size), field, np.array([*MU, -1.0]), shape)


def raw_of(d, others, r, kind):
    """Raw state, and what its blocks move by."""
    slope = -exact_gradient(d, others)
    if kind == LONE:
        return np.vstack([np.array(d, dtype=float), others]), np.vstack(
            [MU[0] * slope[0], slope[1:]]
        )
    moved = np.array(MU) @ slope
    x0 = np.vstack([r, others - r / sum(MU)])
    return x0, np.vstack([moved, slope[1:] - moved / sum(MU)])


def difference(chart, step):
    """Jacobian of the field as a difference quotient."""
    rows = [
        (chart.rhs(0.0, chart.x0 + step * e) - chart.rhs(0.0, chart.x0 - step * e)) / (2 * step)
        for e in np.eye(chart.x0.size)
    ]
    return np.transpose(rows)


@pytest.mark.parametrize("kind", [LONE, BESIDE])
@pytest.mark.parametrize("size", [1e-4, 1e-40])
def test_compiled_field_is_the_exact_gradient_and_its_jacobian_the_difference(kind, size):
    x0, slope = raw_of(*vectors(size, 0.3, kind == BESIDE), kind)
    chart = chart_of(x0, kind)
    found = chart.rhs(0.0, chart.x0).reshape(x0.shape)
    scale = np.abs(slope).max(axis=1, keepdims=True)
    assert (np.abs(found - slope) < TILTED * scale).all()
    jacobian = chart.jacobian(0.0, chart.x0)
    wrong = np.abs(jacobian - difference(chart, 1e-6 * size)).max()
    assert wrong < QUOTIENT * np.abs(jacobian).max()


@pytest.mark.parametrize("kind", [LONE, BESIDE])
@pytest.mark.parametrize("apart", [1e-8, 1e-12, 1e-15, 0.0])
def test_jacobian_is_the_difference_of_neurons_that_hardly_differ(kind, apart):
    (x0, _), size = raw_of(*vectors(1e-20, 0.3, kind == BESIDE), kind), 1e-20
    # At a distance of many steps; the same but for rounding, the Jacobian has no jump there.
    x0[2] = x0[1] * np.array([1.0, 1.0 + 1e-2, 1.0 - 1e-2])
    known = difference(chart_of(x0, kind), 1e-6 * size)
    x0[2] = x0[1] * np.array([1.0, 1.0 + apart, 1.0 - apart])
    found = chart_of(x0, kind).jacobian(0.0, x0.ravel())
    # Two neurons turn with their difference: the Jacobian moves by as much as that.
    assert np.abs(found - known).max() < 0.1 * np.abs(known).max()


@pytest.mark.parametrize("angle", [1e-3, 1e-60, 1e-90, 1e-120])
def test_jacobian_of_a_neuron_next_to_the_axis_is_that_of_its_homogeneous_field(angle):
    # Of degree one but for squares of lengths, far below the angle: what the Jacobian makes of a
    # state is its velocity.
    x0 = 1e-145 * np.array([[0.6, -0.2], [-0.7, 0.5 * angle]])
    shape, weights = np.array([2, 1, LONE]), np.array([1.0, 1.0, -1.0])
    field, clock = wrapped_once(lone_definition.make_raw), Clock(0.0, np.zeros(4), 1.0, True)
    chart = Chart(clock, x0.ravel(), np.ones(4), field, weights, shape)
    jacobian, slope = chart.jacobian(0.0, x0.ravel()), chart.rhs(0.0, x0.ravel())
    assert jacobian @ x0.ravel() == pytest.approx(slope, rel=TILTED, abs=0)
    # What a transverse part does to its own velocity is a rate, so near to the axis; no small one.
    assert jacobian[3, 3] == pytest.approx(slope[3] / x0[1, 1], rel=10 * angle + TILTED)
    assert abs(jacobian[3, 3]) > 0.1


@pytest.mark.parametrize("kind", [LONE, BESIDE])
def test_field_in_jax_is_the_compiled_one(kind):
    jax = pytest.importorskip("jax")
    from flows.systems.relu_neuron.differentiable import raw_field

    x0, _ = raw_of(*vectors(1e-20, 0.3, kind == BESIDE), kind)
    chart = chart_of(x0, kind)
    with jax.enable_x64(True):
        field, arguments = raw_field(chart)
        found = np.asarray(field(jax.numpy.asarray(chart.x0), arguments))
    compiled = chart.rhs(0.0, chart.x0)
    assert np.abs(found - compiled).max() < TILTED * np.abs(compiled).max()


@pytest.mark.parametrize("kind", [LONE, BESIDE])
def test_the_definition_has_as_many_digits_as_its_numbers(kind):
    x0, _ = raw_of(*vectors(1e-4, 0.3, kind == BESIDE), kind)
    with mp.workdps(DIGITS), precision(4 * DIGITS):
        x, mass = [[mp.mpf(v) for v in row] for row in x0.tolist()], mp.mpf(sum(MU))
        d, *others = x
        if kind == BESIDE:
            others = [[v + r / mass for v, r in zip(row, d, strict=True)] for row in others]
            columns = zip(*others, strict=True)
            d = [r - mp.fdot(MU[1:], c) for r, c in zip(d, columns, strict=True)]
        first = [(v + (k == 0)) / MU[0] for k, v in enumerate(d)]
        slope = oracle.gradient([first, *others], [1.0, 0.0, 0.0], DIGITS, MU)
        moved = [mp.fdot(MU, column) for column in zip(*slope, strict=True)]
        true = [moved] + [
            [v - m / mass for v, m in zip(row, moved, strict=True)] for row in slope[1:]
        ]
        if kind == LONE:
            true = [[MU[0] * v for v in slope[0]], *slope[1:]]
        field = lists.field_of(lone_definition.define, sizes, lists.balls())
        found = field([arb(v) for v in x0.ravel()], [*MU, -1.0], [3, 2, kind])
        pairs = list(zip(found, [v for row in true for v in row], strict=True))
        worst = max(abs(-mp.mpf(v._mpf_) / w - 1) for v, w in pairs)
        assert worst < MANY


# Almost opposite, all decays like exp(-t/2): L = (d^2 + w^2) exp(-t)/4 up to the angle.
OPPOSITE, ANGLE = [[0.9, 1e-9], [-0.1, 1e-9]], 1e-8


def decaying(t):
    return 0.005 * math.exp(-t)


def test_a_loss_that_falls_exponentially_is_right_down_to_the_smallest_double():
    run = flows.integrate(flows.ReLUNeuron(2, 2), OPPOSITE, 1e6, [50.0, 300.0, 600.0, 1e6])
    found, errors = run["loss"][1:4], run.errors("loss")[1:]
    true = [decaying(t) for t in run.t[1:4]]
    assert run.status == "completed" and run.stats["steps"] < 1000
    assert (np.abs(found / true - 1) < ANGLE).all() and (errors[:3] < 1e-7).all()
    # Below all doubles it is not zero.
    assert run["loss"][4] == 0.0 and errors[3] == math.inf


def test_fifty_digits_tell_how_little_they_know_of_a_loss_far_below_them():
    times = [20.0, 230.0]
    run = flows.integrate(
        flows.ReLUNeuron(2, 2), OPPOSITE, times[-1], times, method="reference", max_steps=400
    )
    true = np.array([decaying(t) for t in times])
    wrong, stated = np.abs(1 - true / run["loss"][1:]), run.errors("loss")[1:]
    assert (wrong < stated + ANGLE).all()
    assert stated[0] < 1e-7 and stated[1] > 1.0


# Its neuron on the far side comes nearer to the axis for ever, and never gets to its other side,
# which it would leave: from t = 100 on both parts decay like exp(-t/2), to this.
NEXT_TO_THE_AXIS, RELATIVE = (2, 2, 0.1, 29), 1e-3


def falls(rtol, method):
    """Loss at t = 600 beside that at t = 200 and the decay between them."""
    n, d, scale, index = NEXT_TO_THE_AXIS
    system = flows.ReLUNeuron(n, d)
    start = flows.Law(index + 1, scale).start(system, index)
    run = flows.integrate(system, start, 1e6, [200.0, 600.0, 1e6], rtol=rtol, method=method)
    assert run.status == "completed"
    return run["loss"][2] / run["loss"][1] * math.exp(400.0)


@pytest.mark.parametrize("method", ["Rodas5P", "LSODA", "CVODE", "Radau"])
@pytest.mark.parametrize("rtol", [1e-6, 1e-9])
def test_a_far_neuron_stays_on_its_side_of_the_axis(rtol, method):
    assert abs(falls(rtol, method) - 1) < RELATIVE


def test_followed_as_far_as_its_length_alone_asks_it_leaves_the_axis(monkeypatch):
    monkeypatch.setattr(lone_charts, "SIDE", 1.0)
    monkeypatch.setattr(lone_charts, "FASTEST", 1.0)
    assert not abs(falls(1e-6, "Rodas5P") - 1) < RELATIVE


# Its neuron on the far side comes nearer to the axis for ever, by a rate that it has once its angle
# is larger than the lone neuron's. At t = 60, by 70 digits: parts of the far neuron, and the loss.
SETTLES, AT, PARTS = (2, 2, 0.1, 4012), 60.0, (-3.164445685197178e-14, 2.079262533674999e-20)
LOSS_THERE = 2.90047119803811e-27
# Steps at rtol 1e-6 to t = 1e3, where its loss is below all doubles: they are 103.
FEW_STEPS, MANY_STEPS = 200, 1000


def settling(rtol, **options):
    """Run of that member."""
    n, d, scale, index = SETTLES
    system = flows.ReLUNeuron(n, d)
    start = flows.Law(index + 1, scale).start(system, index)
    return flows.integrate(system, start, 1e3, [AT, 1e3], rtol=rtol, **options)


@pytest.mark.parametrize("method", ["Rodas5P", "auto", "CVODE"])
def test_a_far_neuron_falls_to_the_axis_as_many_digits_say(method):
    run = settling(1e-8, method=method)
    assert run.completed and run["loss"][2] == 0.0
    assert abs(run["loss"][1] - LOSS_THERE) < run.absolute_errors("loss")[1] < 1e-3 * LOSS_THERE
    far = run.state_at(1)[0]
    assert np.abs(far / PARTS - 1).max() < 1e-5


def test_a_transverse_part_is_scaled_by_the_rate_that_it_will_have(monkeypatch):
    assert settling(1e-6, method="Rodas5P").stats["steps"] < FEW_STEPS
    monkeypatch.setattr(lone_charts, "SHRUNK", 1.0)
    monkeypatch.setattr(lone_charts, "NARROWED", 1.0)  # the rate of the first moment
    assert settling(1e-6, method="Rodas5P").stats["pieces"] > 3  # anew where the part has drifted
    monkeypatch.setattr(watch, "DRIFTED", 1e300)
    slow = settling(1e-6, method="Rodas5P")
    # It is 1e70 times the others at the end, which the factors of a step have to stand.
    assert slow.completed and FEW_STEPS < slow.stats["steps"] < MANY_STEPS


@pytest.mark.parametrize("start", [[[-0.2, 1e-9], [-0.1, 0.0]], [[-0.2, 1e-9, 0], [-0.1, 0, 1e-9]]])
@pytest.mark.parametrize("rtol", [1e-6, 1e-10])
def test_neurons_almost_opposite_to_the_teacher_do_not_crawl(start, rtol):
    system = flows.ReLUNeuron(2, len(start[0]))
    run = flows.integrate(system, start, 1e6, rtol=rtol)
    assert run.status == "completed" and run.stats["steps"] < 4000


def test_a_neuron_that_turns_round_where_it_is_short_goes_on_as_its_law_says():
    system = flows.ReLUNeuron(2, 2)
    start = flows.Law(60, 1.0, seed=5).start(system, 25)
    runs = [flows.integrate(system, start, 1e9, rtol=1e-8, method=m) for m in ("auto", "Radau")]
    assert [run.status for run in runs] == ["completed"] * 2
    one, other = (run["loss"] for run in runs)
    # Errors grow while it turns round.
    assert one[-1] < 1e-40 and (runs[0].errors("loss") < 1e-4).all()
    assert np.abs(one / other - 1).max() < 1e-6
    # L ~ t^-3 once more, 1e-18 below the length that it has left.
    exponent = flows.local_exponent(runs[0], "loss")[-1]
    assert abs(exponent + 3) < 1e-3 and abs(exponent + 2.9) > 1e-3
