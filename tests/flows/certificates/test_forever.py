"""Proofs to t = infinity: what they state, what they never state, and how they fail."""

import math
import os

import numpy as np
import pytest
from flint import arb
from oracles.certified.changed import of_other_bounds

import flows
from flows.certificates import forever
from flows.certificates.certificate import load_certificate
from flows.certificates.certify import Uncertified
from flows.certificates.forever import horizons
from flows.certificates.tail.jet import ASINC, ENERGY, SINC, variables
from flows.certificates.tail.late_flow import LateFlow, Point, helmert
from flows.certificates.tail.tail import Limits
from flows.core.balls import Singular, precision

# lim t^3 L and lim h of n = d = 2, seed 0, of a prototype that shares no code.
LIMIT = "1.63582401713993790103705 +/- 6.8e-24"
PARTS = ("0.473670512094428985500324 +/- 1e-24", "0.526329487905571014499676 +/- 1e-24")
# How much the limit of parts that nearly agree differs: to second order.
MIRRORED = 1e-4
# The checker bounds the loss on one box from 6e4 on: its upper bound is 1.4 % above the largest.
WIDE = 1.02
# Three kinds of them, ten thousand in all; `make fuzz` plants more.
PLANTED = int(os.environ.get("POPFLOW_PLANTED", "3400"))


@pytest.fixture(scope="module")
def made():
    system = flows.ReLUNeuron(n=2, d=2)
    return flows.certify(system, system.initial(0.1, 0), math.inf, digits=12)


def test_the_limits_are_those_of_a_prototype(made):
    with precision(200):
        assert made.infinity.constant.overlaps(arb(LIMIT))
        assert made.infinity.constant.rad() < 1e-10
        assert all(
            x.overlaps(arb(part)) for x, part in zip(made.infinity.parts, PARTS, strict=True)
        )


def test_more_digits_make_the_radii_fall(made):
    sharper = flows.certify(made.system, made.start, math.inf, digits=15)
    with precision(200):
        assert sharper.infinity.constant.rad() < 1e-2 * made.infinity.constant.rad()
        assert made.infinity.constant.contains(sharper.infinity.constant)
        assert sharper.infinity.constant.overlaps(arb(LIMIT))


def test_a_finite_certificate_to_later_times_stays_within_the_bounds(made):
    later = flows.certify(made.system, made.start, 1e3 * made.t_end, digits=20)
    lowest, highest = made.infinity.all_times
    with precision(200):
        for t in np.geomspace(1e-2, later.t_end, 40):
            assert arb(lowest) <= (1 + arb(t)) ** 3 * later.loss(t) <= arb(highest)


def test_planted_statements_that_are_false_are_never_proved(made):
    random = np.random.default_rng(0)
    infinity = made.infinity
    times = np.geomspace(1e-2, 1e6, 3000).tolist()
    run = flows.integrate(made.system, made.start, t_end=1e6, t_eval=times, rtol=1e-12)
    scaled = (1 + run.t) ** 3 * run["loss"]
    for tighter in 1 - 10.0 ** random.uniform(-6, 0, PLANTED):
        assert not infinity.proves("<=", tighter * scaled.max())
        assert not infinity.proves(">=", scaled.min() / tighter)
    with precision(200):
        true, radius = arb(LIMIT).mid(), infinity.limit.radius
        for shift in random.uniform(10, 1e6, PLANTED) * random.choice([-1, 1], PLANTED):
            shifted = true + arb(shift) * radius
            assert not infinity.proves_limit(shifted + arb(0, radius))
        assert infinity.proves_limit(true + arb(0, 10 * radius))
    assert infinity.proves("<=", WIDE * scaled.max())
    assert infinity.proves(">=", 0.997 * scaled.min())
    with pytest.raises(flows.InputError, match="expected <= or >="):
        infinity.proves("==", 1.0)


def test_the_enclosed_constant_contains_the_one_that_the_law_derives(made):
    with precision(200):
        h = [float(x.mid()) for x in made.infinity.parts]
        limit, radius = float(made.infinity.constant.mid()), 1e-9
    law = flows.late_time_law(made.system, at=np.array([[h[0], 0.0], [1 - h[0], 0.0]]))
    chosen = law.laws[law.chosen or 0]
    assert abs(chosen.constant - limit) < radius
    assert float(chosen.exponent) == 3


def test_it_is_the_same_after_it_was_saved(made, tmp_path):
    made.save(tmp_path / "c.json")
    again = load_certificate(tmp_path / "c.json")
    assert again.infinity.to_json() == made.infinity.to_json()
    assert again.infinity.constant.overlaps(made.infinity.constant)


def test_a_longer_teacher_scales_the_limit(made):
    # w -> 2 w takes solutions to solutions, and the loss to four times the loss.
    system = flows.ReLUNeuron(n=2, d=2, teacher=[2.0, 0.0])
    twice = flows.certify(system, 2 * made.start, math.inf, digits=12)
    with precision(200):
        assert twice.infinity.constant.overlaps(4 * made.infinity.constant)
        assert twice.infinity.parts[0].overlaps(2 * made.infinity.parts[0])


@pytest.mark.parametrize("across", [0.05, 0.06])
def test_neurons_that_are_mirrored_or_nearly_so_are_proved(across):
    # Their parts along the teacher are equal in the end, and gradients by them vanish.
    system = flows.ReLUNeuron(n=2, d=2)
    proved = flows.certify(system, [[0.1, 0.05], [0.1, -across]], math.inf, digits=10).infinity
    with precision(200):
        mirrored = arb.pi() ** 2 / 6
        assert proved.constant.overlaps(mirrored) == (across == 0.05)
        assert abs(proved.constant - mirrored) < MIRRORED


def test_the_checker_accepts_carries_of_any_length(monkeypatch):
    lengths = []

    def refused(certificate):
        lengths.append(len(certificate.infinity.steps))
        made, why = checked(certificate)
        return made, why or "longer"

    checked = forever.checked
    monkeypatch.setattr(forever, "checked", refused)
    monkeypatch.setattr(forever, "LAST", 1e4)
    with pytest.raises(Uncertified, match=r"refuses this proof, longer$"):
        mirrored = [[0.1, 0.05], [0.1, -0.05]]
        flows.certify(flows.ReLUNeuron(n=2, d=2), mirrored, math.inf, digits=10)
    assert lengths[-1] > 100


def test_neurons_that_are_equal_are_undecided_with_the_reason():
    system = flows.ReLUNeuron(n=2, d=2)
    with pytest.raises(Uncertified, match="two neurons are equal"):
        flows.certify(system, [[0.1, 0.2], [0.1, 0.2]], math.inf)


def test_what_the_checker_refuses_is_undecided_with_its_numbers(monkeypatch, made):
    monkeypatch.setattr(forever, "LAST", 1e5)
    monkeypatch.setattr(forever, "ROOM", 1e-6)
    monkeypatch.setattr(forever, "MOST", 0.0)
    reason = r"checker refuses .* the limit of t\^3 L .*: \[1\.63.* against \[?1\.63"
    with pytest.raises(Uncertified, match=reason):
        flows.certify(made.system, made.start, math.inf, digits=8)


@pytest.mark.parametrize(("rate", "begin", "push"), [(0.3, 1e-6, 1.0), (0.9, 1.0, 1e-3), (2, 0, 1)])
def test_the_error_of_a_shape_is_bounded_at_all_later_times(rate, begin, push):
    # e' = -rate e + push s by log-time, from s = 0.1: the worst that the inequality allows.
    first, steps = 0.1, 20_000
    limits = Limits(*[arb(0)] * 4, *(arb(x) for x in (rate, begin, push)), arb(0), arb(0))
    s = first * np.exp(-np.linspace(0, 40, steps))
    x = s / first
    error = begin * x**rate + push * first * (x**rate - x) / (1 - rate)
    later = np.maximum.accumulate(error[::-1])[::-1]
    for k in range(0, steps, 997):
        bound = float(limits.error(arb(s[k]), arb(first)))
        assert later[k] <= bound * (1 + 1e-9)
    assert bound < 1e-2 * max(begin, push * first / rate)


def test_a_system_without_a_tail_is_one_clear_line():
    system = flows.ScoreMatching(n=2, d=2)
    with pytest.raises(flows.InputError, match="score_matching has no certificates") as refused:
        flows.certify(system, system.initial(), math.inf)
    assert "\n" not in str(refused.value)


def test_horizons_grow_to_the_last_one():
    assert horizons(30) == [1e12]
    assert horizons(10) == pytest.approx([1e4, 1e7, 1e10, 1e12])


@pytest.mark.parametrize(
    ("series", "closed"),
    [
        (ASINC, lambda x: x.asin() / x),
        (SINC, lambda x: (x.sin() / x - 1) / x**2),
        (ENERGY, lambda x: (x.sin() - x * x.cos()) / x**3),
    ],
)
def test_series_are_the_closed_forms_and_refuse_wide_arguments(series, closed):
    with precision(200):
        for q in (1e-6, 0.01, 0.2, 0.45):
            value, slope = series(arb(q))
            assert value.overlaps(closed(arb(q).sqrt()))
            assert value.rad() < 1e-7
            step = arb(2) ** -40
            change = (closed((q + step).sqrt()) - closed((q - step).sqrt())) / (2 * step)
            assert abs(change - slope) < 1e-6 * abs(slope) + 1e-15
        with pytest.raises(Singular):
            series(arb(0.6))


def _raw_field(w):
    """Minus the gradient, typed from its definition."""
    teacher = [arb(1)] + [arb(0)] * (len(w[0]) - 1)
    rows, rates = [*w, teacher], []
    norms = [sum((x * x for x in row), arb(0)).sqrt() for row in rows]
    residual = [
        sum(column, arb(0)) - v for column, v in zip(zip(*w, strict=True), teacher, strict=True)
    ]
    for i, a in enumerate(w):
        rate = [-x / 2 for x in residual]
        for j, b in enumerate(rows):
            if i != j:
                angle = (
                    sum((x * y for x, y in zip(a, b, strict=True)), arb(0)) / norms[i] / norms[j]
                ).acos()
                mu = 1 if j < len(w) else -1
                for k in range(len(a)):
                    turn = norms[j] * angle.sin() * a[k] / norms[i] - angle * b[k]
                    rate[k] -= mu * turn / (2 * arb.pi())
        rates.append(rate)
    return rates


@pytest.mark.parametrize(("n", "p"), [(2, 1), (3, 1), (3, 2), (4, 3)])
def test_the_late_flow_is_the_flow(n, p):
    random = np.random.default_rng(n + p)
    with precision(300):
        flow, s = LateFlow(n, p), arb(2) ** -8
        c, g = ([arb(x) for x in 0.1 * random.normal(size=k)] for k in (flow.size, n - 1))
        rho, sigma = [arb(x) for x in random.normal(size=p)], arb(0.5)
        a, r0 = [s * x / n for x in rho], s * s * sigma
        found = flow.rates(Point(c, a, g, r0, s * s))
        basis = helmert(n)
        y = [
            [sum((basis[k][i] * c[k * p + j] for k in range(n - 1)), a[j]) for j in range(p)]
            for i in range(n)
        ]
        h = [sum((basis[k][i] * g[k] for k in range(n - 1)), (1 + r0) / n) for i in range(n)]
        field = _raw_field([[h[i], *(s * x for x in y[i])] for i in range(n)])
        moves = flow.project([row[1:] for row in field])
        for jet, start, move in zip(found.shape, c, moves, strict=True):
            assert abs(jet.value - (start + move / (s * s))) < 1e-30
        for jet, move in zip(found.drift, flow.project([[row[0]] for row in field]), strict=True):
            assert abs(jet.value - move / s**3) < 1e-30


def test_slopes_of_the_late_flow_are_its_differences():
    flow, step = LateFlow(3, 2), arb(2) ** -60
    random = np.random.default_rng(1)
    with precision(300):
        flat = [
            arb(x) for x in [*0.3 * random.normal(size=flow.size), 0.1, -0.1, 0.05, 0.1, 0.01, 0.01]
        ]

        def at(x):
            return flow.rates(Point(x[:4], x[4:6], x[6:8], x[8], x[9]))

        found = at(flat)
        for k in range(len(flat)):
            up, down = ([*flat[:k], flat[k] + sign * step, *flat[k + 1 :]] for sign in (1, -1))
            for jet, above, below in zip(found.shape, at(up).shape, at(down).shape, strict=True):
                change = (above.value - below.value) / (2 * step)
                assert abs(change - jet.slope[0, k]) < 1e-25


def test_jets_refuse_what_may_vanish():
    with precision(64):
        x, y = variables([arb(0, 1), arb(2)])
        with pytest.raises(Singular):
            y / x
        with pytest.raises(Singular):
            x.sqrt()


def test_bounds_of_all_times_that_are_tighter_than_what_is_proved_are_refused(made, tmp_path):
    made.save(tmp_path / "c.json")
    tighter, wider = of_other_bounds(tmp_path / "c.json", tmp_path, 1e-6)
    assert all("it states" in why for why in tighter) and not any(wider)
