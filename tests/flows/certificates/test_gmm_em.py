import copy
import functools
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from flint import acb, arb, fmpq
from mpmath import mp
from oracles.certificates import ball, put, scaled

import flows
from flows.certificates import proof
from flows.certificates.boxes import Scene
from flows.certificates.chebyshev import precision
from flows.certificates.decide import Proof
from flows.certificates.verdicts import verdicts
from flows.certificates.verifier import gmm_em as checker
from flows.certificates.verifier.verify import Refused
from flows.cli.main import main
from flows.core.balls import Singular
from flows.runs.check import Quantities
from flows.solvers.reference import solve_reference
from flows.systems.gmm_em import field_balls as balls
from potentials.gmm_em import CLAIMS

# Means and weights of the containment test.
STARTS = {
    "two": ([0.75, -0.5], None),
    "three": ([-0.75, 0.25, 1.0], [0.25, 0.375, 0.375]),
    "merging": ([0.5, 0.5, -0.25], None),
}
SETTINGS = (8, 11, 14, 17)  # digits asked for, coarse ones included
TIMES = np.geomspace(1e-3, 300.0, 90)
# The oracle keeps so many digits, a hundred times what any certificate here claims.
DIGITS, KEPT, BETTER = 40, 1e-24, 100
# Digits asked for are not promised: so many may be missing.
MISSING = 3
# Of a Hessian in doubles, and of balls of 250 bits.
ROUNDED, SAME = 1e-9, 1e-40
BITS = 250


def number(x):
    """Middle of a ball as a number of mpmath."""
    man, exponent = x.mid().man_exp()
    return mp.mpf((int(man), int(exponent)))


@functools.cache
def legendre(panels, count, reach):
    """Composite Gauss-Legendre rule for ``N(0, 1)``: no trapezoids."""
    roots = [arb.legendre_p_root(count, k, weight=True) for k in range(count)]
    half = arb(reach) / panels
    rule = []
    for panel in range(panels):
        for x, w in roots:
            at = (2 * panel + 1 - panels + x) * half
            rule.append((at, w * half * (-at * at / 2).exp() / (2 * arb.pi()).sqrt()))
    return rule


def textbook_field(weights):
    """Minus the gradient by its definition ``E psi_i (mu_i - x)``, typed here and nowhere else."""

    def field(x):
        with precision(160):
            mu, total = [ball(c) for c in x], [arb(0)] * len(x)
            for at, weight in legendre(14, 30, 12):
                p = [
                    w * (-((at - m) * (at - m)) / 2).exp() for w, m in zip(weights, mu, strict=True)
                ]
                share = weight / sum(p, arb(0))
                total = [t + share * q * (at - m) for t, q, m in zip(total, p, mu, strict=True)]
            return [number(t) for t in total]

    return field


def textbook_jacobian(weights):
    """Jacobian in doubles: it steers Newton's method and decides no digit."""
    at = np.linspace(-9, 9, 600)
    share = np.exp(-(at**2) / 2)
    share /= share.sum()

    def jacobian(x):
        y = at[:, None] - np.array(x, dtype=float)
        psi = np.array(weights) * np.exp(-(y**2) / 2)
        psi /= psi.sum(axis=1, keepdims=True)
        first = psi * y
        return np.diag(share @ (psi * (y**2 - 1))) - first.T @ (share[:, None] * first)

    return jacobian


@functools.cache
def problem(name):
    means, weights = STARTS[name]
    return flows.GMMEM(n=len(means), d=1, weights=weights), np.array(means)[:, None]


@functools.cache
def reference(name):
    """States at TIMES by a solver, a field and a quadrature that certificates do not use."""
    system, start = problem(name)
    weights = list(system.weights)
    found = solve_reference(
        textbook_field(weights),
        textbook_jacobian(weights),
        start.ravel(),
        TIMES,
        DIGITS,
        tolerance=KEPT,
    )
    assert found.status == "completed"
    return found.states


@functools.cache
def certificate(name, digits):
    system, start = problem(name)
    return flows.certify(system, start, float(TIMES[-1]), digits=digits)


@pytest.mark.parametrize("name", STARTS)
def test_enclosures_contain_independent_trajectories_at_every_time_and_setting(name):
    misses = combinations = 0
    for digits in SETTINGS:
        found = certificate(name, digits)
        assert BETTER * KEPT < found.error < 10.0 ** (MISSING - digits)
        with precision(400):
            for t, x in zip(TIMES, reference(name), strict=True):
                state = [c for (c,) in found.state(float(t))]
                true = [ball(c) for c in x]
                away = [c + 10 * found.error for c in true]
                misses += not all(a.contains(b) for a, b in zip(state, true, strict=True))
                combinations += 1
                # The control: nothing is contained that is ten times the bound away.
                assert not any(a.contains(b) for a, b in zip(state, away, strict=True))
    assert misses == 0
    assert combinations * len(STARTS) >= 1000


def test_the_stated_defect_holds_between_the_nodes():
    system, _ = problem("three")
    made = certificate("three", 11)
    field = textbook_field(system.weights)
    with precision(300), mp.workdps(60):
        for index in range(0, len(made.pieces), 5):
            piece, span = made.pieces[index], made.span(index)
            worst = arb(0)
            for s in np.random.default_rng(index).uniform(-1, 1, size=5):
                u = arb(s).acos()  # T_k(cos u) = cos(k u)
                values, rates = (
                    [
                        sum((arb((c, -made.bits)) * of(k) for k, c in enumerate(row)), arb(0))
                        for row in piece.rows
                    ]
                    for of in (
                        lambda k, u=u: (k * u).cos(),
                        lambda k, u=u: k * (k * u).sin() / u.sin(),
                    )
                )
                speed = (span.centre + span.half * arb(s)).exp()
                f = field([number(c) for c in values])
                worst = worst.max(
                    proof.norm(
                        [v / span.half - speed * ball(g) for v, g in zip(rates, f, strict=True)]
                    )
                )
            assert worst <= piece.defect
            assert worst > piece.defect * 1e-12  # nor is the bound empty


@functools.cache
def integrated(name):
    """Loss, gradient and Hessian at a start by adaptive quadrature of their definitions."""
    system, start = problem(name)
    with mp.workdps(45):
        mu, total = [mp.mpf(c) for c in start.ravel()], mp.fsum(system.weights)

        def shares(x):
            p = [
                w / total * mp.exp(m * x - m * m / 2)
                for w, m in zip(system.weights, mu, strict=True)
            ]
            return [c / mp.fsum(p) for c in p], mp.fsum(p)

        def average(f):
            return mp.quad(lambda x: mp.npdf(x) * f(x), list(range(-15, 16, 3)))

        def entry(i, j):
            def f(x):
                psi, (a, b) = shares(x)[0], (x - mu[i], x - mu[j])
                return psi[i] * psi[j] * a * b - (i == j) * psi[i] * (a * a - 1)

            return f

        every = range(len(mu))
        return (
            average(lambda x: -mp.log(shares(x)[1])),
            [average(lambda x, i=i: shares(x)[0][i] * (mu[i] - x)) for i in every],
            [[average(entry(i, j)) for j in every] for i in every],
        )


@pytest.mark.parametrize("name", ["two", "three"])
def test_field_hessian_and_loss_are_those_of_the_system_to_forty_digits(name):
    system, start = problem(name)
    loss, gradient, hessian = integrated(name)
    with precision(BITS):
        flow = system.ball_flow(start)
        found = flow.hessian(flow.start).tolist()
        assert abs(flow.loss(flow.start) - ball(loss)) < SAME
        assert all(
            abs(a + ball(b)) < SAME for a, b in zip(flow.field(flow.start), gradient, strict=True)
        )
        assert all(
            abs(a - ball(b)) < SAME
            for r, t in zip(found, hessian, strict=True)
            for a, b in zip(r, t, strict=True)
        )
        # What certificates work with may not be wider than what they compare.
        assert all(c.rad() < SAME for c in flow.field(flow.start))
        check = checker.Means(system.parameters, start)
        assert all(
            a.overlaps(b) and b.rad() < SAME
            for a, b in zip(flow.field(flow.start), check.field(check.start, ()), strict=True)
        )
        assert all(
            a.overlaps(b) and b.rad() < SAME
            for r, t in zip(found, check.hessian(check.start), strict=True)
            for a, b in zip(r, t, strict=True)
        )
        doubles = np.array([[float(c) for c in row] for row in found])
        assert np.allclose(doubles, system.hessian(start), atol=ROUNDED)
        assert np.allclose(flow.steering(flow.start), doubles, atol=1e-15)
        assert np.allclose(
            [-float(c) for c in flow.field(flow.start)],
            system.gradient(start).ravel(),
            atol=ROUNDED,
        )
        assert float(flow.loss(flow.start)) == pytest.approx(system.loss(start), rel=ROUNDED)


@pytest.mark.parametrize("width", [1e-8, 1e-3, 0.05])
@pytest.mark.parametrize("name", STARTS)
def test_a_box_contains_what_its_states_have(name, width):
    system, start = problem(name)
    generator = np.random.default_rng(4)
    with precision(120):
        flow, check = system.ball_flow(start), checker.Means(system.parameters, start)
        box = [c + arb(0, width) for c in flow.start]
        slopes, loss = flow.field(box), flow.loss(box)
        wholes = [np.array(flow.hessian(box).tolist()), check.hessian(np.array(box))]
        corners = [np.sign(generator.uniform(-1, 1, size=len(box))) for _ in range(8)]
        inner = [generator.uniform(-1, 1, size=len(box)) for _ in range(8)]
        for side in corners + inner:
            x = [
                arb(c) + arb(float(s)) * (1 - 1e-9) * width
                for c, s in zip(start.ravel(), side, strict=True)
            ]
            # They are balls as well, of the rule's error.
            true = np.array(flow.hessian(x).tolist())
            assert all(
                a.contains(b.mid())
                for whole in wholes
                for a, b in zip(whole.ravel(), true.ravel(), strict=True)
            )
            assert all(a.contains(b.mid()) for a, b in zip(slopes, flow.field(x), strict=True))
            assert loss.contains(flow.loss(x).mid())
        far = np.array(flow.hessian([c + 10 * width for c in flow.start]).tolist())
        for whole in wholes:
            assert not all(a.contains(b) for a, b in zip(whole.ravel(), far.ravel(), strict=True))
            # By the mean value theorem a box is as wide as it has to be, up to a factor.
            assert max(float(c.rad()) for c in whole.ravel()) < 20 * width


@pytest.mark.parametrize("reach", [1 / 32, 0.25, 1.0, 3.9])
def test_rules_are_as_wrong_as_they_say_at_most(reach):
    # With few bits the error of the rule is seen, and is all there is.
    means = [-reach, reach, reach / 3]
    system = flows.GMMEM(n=3, d=1, weights=[0.4, 0.35, 0.25])
    start = np.array(means)[:, None]
    with precision(300):
        fine = system.ball_flow(start)
        true = [*fine.field(fine.start), fine.loss(fine.start), *fine.hessian(fine.start).entries()]
    largest = 0.0
    for bits in (64, 72, 96, 128):
        with precision(bits):
            flow = system.ball_flow(start)
            found = [
                *flow.field(flow.start),
                flow.loss(flow.start),
                *flow.hessian(flow.start).entries(),
            ]
            error = balls.rule_for(flow.start).error
            assert error < 2.0 ** (balls.SPARE + 8 - bits)
            check = checker.Means(system.parameters, start)
            other = [*check.field(check.start, ()), *check.hessian(check.start).ravel()]
        with precision(300):
            assert all(a.contains(b.mid()) for a, b in zip(found, true, strict=True))
            assert all(
                a.contains(b.mid()) for a, b in zip(other, [*true[:3], *true[4:]], strict=True)
            )
            off = max(float(abs(a.mid() - b)) for a, b in zip(found, true, strict=True))
            largest = max(largest, off / float(error))
    assert largest > 1e-5  # nor is the bound empty


def test_a_rule_without_its_strip_or_its_end_has_no_bound():
    def bound(step, end, strip):
        return balls.error(arb(1), arb(1), arb(step), arb(end), arb(strip))

    assert bound(0.1, 10.0, 1.0) < min(bound(0.2, 10.0, 1.0), bound(0.1, 8.0, 1.0))
    for arguments in ((0.1, 10.0, 1.6), (0.1, 0.5, 1.0)):
        with pytest.raises(Singular):
            bound(*arguments)


def test_the_sum_that_is_continued_is_near_the_field_of_all_real_states_of_its_box():
    system, start = problem("three")
    generator = np.random.default_rng(1)
    for side in (1e-3, 0.05):
        with precision(96):
            flow = system.ball_flow(start)
            box = [acb(c + arb(0, side), arb(0, side)) for c in flow.start]
            found, off = balls.rule_for(box), flow.deviation(box)
            whole = flow.field(box)
            for _ in range(5):
                x = [
                    arb(c + side * u)
                    for c, u in zip(start.ravel(), generator.uniform(-1, 1, 3), strict=True)
                ]
                psi = flow.posteriors(x, found)
                total = [-balls.dot(row, x) for row in balls.averaged(psi, psi, found).tolist()]
                assert all(a.contains(b) for a, b in zip(whole, total, strict=True))
            with precision(300):
                true = [c.mid() for c in flow.field(x)]
                assert proof.norm([a.mid() - b for a, b in zip(total, true, strict=True)]) <= off


def test_boxes_in_which_posteriors_may_have_poles_are_refused():
    system = flows.GMMEM(n=2, d=1)
    with precision(100):
        flow = system.ball_flow(np.array([[0.5], [-0.5]]))
        check = checker.Means(system.parameters, np.array([[0.5], [-0.5]]))
        # Of the means i a and -i a both terms of Z cancel where x = pi/(2 a).
        wide = [acb(c + arb(0, 2), arb(0, 2)) for c in (0.5, -0.5)]
        for field, points, refusal in (
            (flow.field, balls.rule_for([acb(0)] * 2).points, Singular),
            (
                lambda box: check.field(np.array(box), ()),
                checker.sum_of([acb(0)] * 2).points,
                Refused,
            ),
        ):
            a = [arb.pi() / 2 / points[k] + arb(0, 1e-9) for k in (-1, -9)]
            near = [[acb(arb(0, 1e-9), c), acb(arb(0, 1e-9), -c)] for c in a]
            for box in (*near, wide):
                with pytest.raises(refusal, match="bounded"):
                    field(box)
        for box in ([acb(c + arb(0, s), arb(0, s)) for c in (0.5, -0.5)] for s in (1e-9, 0.02)):
            assert all(c.is_finite() for c in flow.field(box))


def test_weights_are_the_doubles_of_the_system_over_their_exact_sum():
    weights = [0.1, 0.2, 0.7 - 2.0**-52]
    system = flows.GMMEM(n=3, d=1, weights=weights)
    with precision(100):
        flow = system.ball_flow(np.zeros((3, 1)))
    assert sum(flow.weights, fmpq(0)) == 1
    assert [w / flow.weights[0] for w in flow.weights] == [
        fmpq(*w.as_integer_ratio()) / fmpq(*system.weights[0].as_integer_ratio())
        for w in system.weights
    ]


def test_weights_of_a_file_stay_as_they_are():
    generator = np.random.default_rng(0)
    for _ in range(200):
        weights = generator.dirichlet(np.ones(int(generator.integers(2, 8)))) + 1e-3
        system = flows.GMMEM(n=len(weights), d=1, weights=weights / weights.sum())
        assert flows.GMMEM.from_parameters(system.parameters) == system


def test_means_in_the_plane_are_one_clear_line():
    system = flows.GMMEM(n=2, d=2)
    with pytest.raises(flows.InputError, match=r"on a line only, got d = 2; give d = 1$"):
        flows.certify(system, system.initial(), 1.0)


def test_means_that_stay_at_the_target_are_certified():
    made = flows.certify(flows.GMMEM(n=2, d=1), [[0.0], [0.0]], 10.0, digits=8)
    assert all(c.contains(0) for row in made.state(10.0) for c in row)
    assert made.error < 1e-8


def test_loss_and_exponent_of_the_tail_are_those_of_two_equal_weights():
    # mu_1 = -mu_2 = a in the end, with L = a^4/4 + O(a^6) and a^2 = 1/t + O(log(t)/t^2).
    t = 1e6
    made = flows.certify(flows.GMMEM(n=2, d=1), [[0.5], [-0.25]], t, digits=16)
    assert 4 * made.loss(t) * t * t - 1 < 1e-3
    assert abs(made.local_exponent(t) - 2) < 1e-3
    assert made.loss(t).rad() < 1e-20 * made.loss(t)


@pytest.mark.parametrize("name", STARTS)
def test_what_was_made_is_accepted_with_its_bounds(name, tmp_path):
    made = certificate(name, 8)
    made.save(tmp_path / "c.json")
    found = flows.verify(tmp_path / "c.json", made.system, made.start, made.t_end)
    assert found.refused == ""
    assert (found.error, found.final_error) == (made.error, made.final_error)
    again = flows.load_certificate(tmp_path / "c.json")
    assert again.pieces == made.pieces
    assert again.system == made.system
    other = flows.GMMEM(
        n=made.system.n,
        d=1,
        weights=np.arange(1, made.system.n + 1) / sum(range(1, made.system.n + 1)),
    )
    assert "another system" in flows.verify(tmp_path / "c.json", other).refused


def _shifted(amount):
    """Add to the constant of a component."""

    def change(data):
        row = data["pieces"][3]["coefficients"][1]
        row[0] = f"{int(row[0], 16) + int(amount(data) * 2.0 ** data['bits']):x}"

    return change


CORRUPTIONS = {
    "a mean that is off by ten times the bound": (
        _shifted(lambda data: 10 * float.fromhex(data["pieces"][3]["tube"])),
        "piece 3: the",
    ),
    "a mean far off": (_shifted(lambda data: 1.0), "piece 3: posteriors may be unbounded"),
    "a mean beyond all sums": (_shifted(lambda data: 1e8), "piece 3: a mean is too far away"),
    "means very far apart": (_shifted(lambda data: 1e5), "piece 3: its means are too far apart"),
    "a smaller defect": (put("pieces", 2, "defect", to=scaled(1e-3)), "piece 2: the defect"),
    "faster contraction": (
        put("pieces", 2, "growth", to=lambda g: ["-0x1p0" for _ in g]),
        "piece 2: errors",
    ),
    "a narrower tube": (put("pieces", 2, "tube", to=scaled(0.1)), "piece 2: the flow may leave"),
    "a wide tube": (put("pieces", 2, "tube", to="0x1p-2"), "piece 2: errors may grow"),
    "a smaller error": (put("pieces", 2, "error", to=scaled(0.5)), "piece 2: the error"),
    "an ellipse that is too large": (
        put("pieces", 2, "rho", to=scaled(1e3)),
        "piece 2: posteriors may be unbounded",
    ),
    "a branch where there is none": (put("pieces", 2, "signs", to=[1]), "piece 2: wrong signs"),
    "a piece too few": (lambda data: data["pieces"].pop(2), "piece 2: the"),
    "an end that is not reached": (lambda data: data["pieces"].pop(), "do not reach the end"),
    "another start": (
        put("start", 0, 0, to=scaled(1 + 1e-6)),
        "piece 0: the flow may leave the tube",
    ),
    "another weight": (put("parameters", "weights", 0, to=scaled(1 + 1e-6)), "piece 0: "),
    "a weight that is zero": (put("parameters", "weights", 0, to="0x0p0"), "do not fit"),
    "a weight too few": (lambda data: data["parameters"]["weights"].pop(), "do not fit"),
    "another dimension": (put("parameters", "d", to=2), "do not fit"),
    "means in a row": (
        lambda data: data.update(start=[[x for (x,) in data["start"]]]),
        "do not fit",
    ),
    "no weights": (lambda data: data["parameters"].pop("weights"), "missing or malformed"),
}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corrupted_certificate_is_refused_with_the_reason(name, tmp_path):
    change, reason = CORRUPTIONS[name]
    data = copy.deepcopy(certificate("three", 8).to_json())
    change(data)
    (tmp_path / "c.json").write_text(json.dumps(data))
    found = flows.verify(tmp_path / "c.json")
    assert not found.accepted
    assert reason in found.refused
    assert found.error == math.inf


# Along a trajectory -------------------------------------------------------------------------

NAMES = (
    "loss",
    "loss_dot",
    "gradient_norm",
    "norm",
    "norm_dot",
    "fisher",
    "spread",
    "mean_norm",
    "squared_norm_sum",
    "squared_norm_sum_dot",
    "max_norm",
    "norm_sum",
)
# Of quantities along a run, relative to the largest, beside the width of the balls.
RUN = 1e-8
CLAIM = {c.id: c for c in CLAIMS}


def test_quantities_on_a_box_contain_those_of_a_run():
    made = certificate("three", 14)
    times = np.geomspace(1e-2, made.t_end, 30)
    run = flows.integrate(
        made.system, made.start, t_end=made.t_end, t_eval=times.tolist(), rtol=1e-11
    )
    quantities = Quantities(run)
    with precision(made.precision):
        scene = Scene(made)
        for row in (3, 20, 29):
            index = made.locate(float(run.t[row]))
            span = made.span(index)
            s = float(((arb(float(run.t[row])).log1p() - span.centre) / span.half).mid())
            box = scene.box(index, max(s - 1e-3, -1.0), min(s + 1e-3, 1.0))
            for name in NAMES:
                found = box[name] if isinstance(box[name], list) else [box[name]]
                true = np.atleast_1d(quantities[name][row])
                assert len(found) == len(true)
                slack = RUN * np.abs(true).max()
                assert all(
                    abs(b.mid() - x) <= b.rad() + slack for b, x in zip(found, true, strict=True)
                ), name
                assert not all(
                    b.contains(1.1 * x + 1e-9) for b, x in zip(found, true, strict=True)
                ), name


@pytest.mark.parametrize("claim", ["norms_shrink", "loss_quadratic"])
def test_true_claims_are_proved_and_their_converses_refuted(claim):
    made = certificate("two", 14)
    (found,) = verdicts(made, claim)
    assert found.verdict is Proof.PROVED
    (broken,) = verdicts(made, replace(CLAIM[claim], sign=-1))
    assert broken.verdict is Proof.REFUTED


@pytest.mark.parametrize("claim", ["gradient_lower", "fisher_lower"])
def test_open_constants_are_enclosed_where_a_dense_run_finds_them(claim):
    made = certificate("two", 14)
    (found,) = verdicts(made, claim)
    assert found.verdict is Proof.ENCLOSED
    low, high = (float(x) for x in found.constant.strip("[]").split(","))
    times = np.geomspace(0.1, made.t_end, 2000).tolist()
    run = flows.integrate(made.system, made.start, t_end=made.t_end, t_eval=times)
    (sampled,) = flows.check(run, claim)
    assert low <= sampled.constant <= 1.001 * high  # the extremum is near an output time
    assert high < 1.05 * low


def test_the_command_certifies_means_on_a_line_and_no_others(tmp_path, capfd):
    (tmp_path / "start.json").write_text("[[0.75], [-0.5]]")
    initial = ["--initial", str(tmp_path / "start.json")]
    path, claim = str(tmp_path / "c.json"), ["--claim", "norms_shrink"]
    assert (
        main(
            ["certify", "gmm_em", *initial, "--t-end", "10", "--digits", "8", "--out", path, *claim]
        )
        == 0
    )
    assert main(["verify", path, *initial, *claim, "--json"]) == 0
    text = capfd.readouterr().out
    assert json.loads(text[text.index("{") :])["verdicts"][0]["verdict"] == "PROVED"
    assert main(["certify", "gmm_em", "--n", "2", "--d", "2", "--t-end", "1"]) == 2
    assert "on a line only, got d = 2" in capfd.readouterr().err
