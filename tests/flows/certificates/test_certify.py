import functools
import itertools
import math

import numpy as np
import pytest
from flint import arb, ctx
from mpmath import mp
from oracles.certificates import ball

import flows
from flows.certificates import proof
from flows.certificates.certify import Uncertified
from flows.certificates.chebyshev import precision
from flows.certificates.decide import Proof, compared
from flows.solvers.reference import solve_reference
from flows.systems.relu_neuron import exact
from flows.systems.relu_neuron.field_balls import Singular, SpanFlow

# Starts of the containment test; the second one crosses kinks of the plane.
STARTS = {"span": (2, 3, 0), "plane": (2, 2, 3)}
SETTINGS = (8, 10, 12, 14)  # digits asked for, coarse ones included
TIMES = np.geomspace(1e-3, 20.0, 130)
# The oracle has 36 digits and keeps 20 of them, a hundred times what any certificate here claims.
DIGITS, KEPT, BETTER = 36, 1e-20, 100
# Digits asked for are not promised: so many may be missing.
MISSING = 3
# Of a Hessian in doubles, and of the 60 digits of the exact field.
ROUNDED, SAME = 1e-12, 1e-40
# Sizes and number of planted false inequalities.
MARGIN, PLANTED = 1e-20, 10_000


def textbook_field(teacher, plane):
    """Minus the gradient of equation 4, in raw coordinates, typed here and nowhere else."""

    def angle(a, b, side):
        dot = mp.fdot(a, b)
        if plane:
            area = side * (a[0] * b[1] - a[1] * b[0])
        else:
            area = mp.sqrt(mp.fdot(a, a) * mp.fdot(b, b) - dot * dot)
        theta = mp.atan2(area, dot)
        return area, theta + 2 * mp.pi if area < 0 and dot < 0 else theta

    def field(x, sides=None):
        d = len(teacher)
        with mp.extraprec(60):
            rows = [*(x[k : k + d] for k in range(0, len(x), d)), [mp.mpf(c) for c in teacher]]
            n = len(rows) - 1
            r = [mp.fsum(column[:-1]) - column[-1] for column in zip(*rows, strict=True)]
            rates = [[-c / 2 for c in r] for _ in range(n)]
            every = itertools.combinations(range(n + 1), 2)
            for k, (i, j) in enumerate(every):
                area, theta = angle(rows[i], rows[j], sides[k] if sides else 1)
                for a, b in ((i, j), (j, i)):
                    if a < n:
                        mu = -1 if b == n else 1
                        share = area / mp.fdot(rows[a], rows[a])
                        for c in range(d):
                            turned = share * rows[a][c] - theta * rows[b][c]
                            rates[a][c] -= mu * turned / (2 * mp.pi)
            return [+c for row in rates for c in row]

    def switches(x):
        d = len(teacher)
        rows = [*(x[k : k + d] for k in range(0, len(x), d)), [mp.mpf(c) for c in teacher]]
        return [a[0] * b[1] - a[1] * b[0] for a, b in itertools.combinations(rows, 2)]

    return field, switches if plane else None


@functools.cache
def problem(name):
    n, d, seed = STARTS[name]
    teacher = np.random.default_rng(100 + seed).normal(size=d)
    system = flows.ReLUNeuron(n=n, d=d, teacher=teacher)
    return system, system.initial(0.1, seed)


@functools.cache
def reference(name):
    """States at TIMES by a solver and a field that share nothing with certificates."""
    system, start = problem(name)
    field, switches = textbook_field(system.teacher, system.d == 2)
    # The Jacobian steers Newton's method and decides no digit.
    _, jacobian = exact.flow([1.0] * system.n, system.teacher, DIGITS)
    found = solve_reference(
        field, jacobian, start.ravel(), TIMES, DIGITS, tolerance=KEPT, switches=switches
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
                state = [c for row in found.state(float(t)) for c in row]
                true = [ball(c) for c in x]
                away = [c + 10 * found.error for c in true]
                misses += not all(a.contains(b) for a, b in zip(state, true, strict=True))
                combinations += 1
                # The control: nothing is contained that is ten times the bound away.
                assert not any(a.contains(b) for a, b in zip(state, away, strict=True))
    assert misses == 0
    assert combinations * len(STARTS) >= 1000


def test_the_kinks_of_the_plane_are_crossed():
    assert len({piece.signs for piece in certificate("plane", 8).pieces}) >= 2
    assert {piece.signs for piece in certificate("span", 8).pieces} == {()}


def test_planted_false_inequalities_with_margin_1e_20_are_never_proved():
    # Losses, lengths and residuals of the oracle, against enclosures fine and coarse.
    generator = np.random.default_rng(0)
    system, _ = problem("span")
    pairs = []
    for t, x in list(zip(TIMES, reference("span"), strict=True))[::3]:
        rows = [x[k : k + system.d] for k in range(0, len(x), system.d)]
        with mp.workdps(DIGITS):
            true = [
                exact.loss(rows, system.teacher, DIGITS),
                *(mp.norm(row) for row in rows),
                mp.norm([mp.fsum(c) for c in zip(*rows, strict=True)]),
            ]
        for digits in (8, 14, 30):
            made = certificate("span", digits)
            with precision(400):
                state = made.state(float(t))
                total = [sum(c[1:], c[0]) for c in zip(*state, strict=True)]
                enclosed = [
                    made.loss(float(t)),
                    *(proof.norm(row) for row in state),
                    proof.norm(total),
                ]
                pairs += [(ball(a), b, digits) for a, b in zip(true, enclosed, strict=True)]
    outcomes = []
    with precision(400):
        for index in generator.integers(len(pairs), size=PLANTED):
            value, enclosed, digits = pairs[index]
            relation = "<=" if generator.random() < 0.5 else ">="
            margin = MARGIN * 10 ** generator.uniform(0, 4) * (1 if relation == "<=" else -1)
            outcomes.append(
                (
                    digits,
                    compared(enclosed, relation, value * (1 - arb(margin))),
                    compared(enclosed, relation, value * (1 + arb(margin))),
                )
            )
    assert not any(false is Proof.PROVED for _, false, _ in outcomes)
    # The control: the finest enclosure refutes them, and proves what is true by that margin.
    assert all(
        false is Proof.REFUTED and true is Proof.PROVED
        for digits, false, true in outcomes
        if digits == 30
    )
    assert all(false is Proof.UNDECIDED for digits, false, _ in outcomes if digits == 8)


@pytest.mark.parametrize("name", STARTS)
def test_the_stated_defect_holds_between_the_nodes(name):
    system, _ = problem(name)
    made = certificate(name, 12)
    field, _ = textbook_field(system.teacher, system.d == 2)
    flow = made.flow()
    with precision(300), mp.workdps(60):
        for index in range(0, len(made.pieces), 7):
            piece, span = made.pieces[index], made.span(index)
            worst = arb(0)
            for s in np.random.default_rng(index).uniform(-1, 1, size=5):
                values, rates = _evaluated(made, index, s)
                x = [
                    mp.mpf(str(c.mid().str(70, radius=False)))
                    for row in flow.restore(values)
                    for c in row
                ]
                sides = _sides(system, x)
                speed = (span.centre + span.half * arb(s)).exp()
                velocity = [c for row in flow.restore(rates) for c in row]
                gap = [
                    v / span.half - speed * ball(f)
                    for v, f in zip(velocity, field(x, sides), strict=True)
                ]
                worst = worst.max(proof.norm(gap))
            assert worst <= piece.defect
            assert worst > piece.defect * 1e-12  # nor is the bound empty


def _sides(system, x):
    if system.d > 2:
        return None
    rows = [*(x[k : k + 2] for k in range(0, len(x), 2)), [mp.mpf(c) for c in system.teacher]]
    return [1 if a[0] * b[1] >= a[1] * b[0] else -1 for a, b in itertools.combinations(rows, 2)]


def _evaluated(made, index, s):
    """Polynomial and derivative by their definition, ``T_k(cos u) = cos(k u)``."""
    u = arb(s).acos()
    rows = made.pieces[index].rows
    values = [
        sum((arb((c, -made.bits)) * (k * u).cos() for k, c in enumerate(row)), arb(0))
        for row in rows
    ]
    rates = [
        sum((arb((c, -made.bits)) * k * (k * u).sin() / u.sin() for k, c in enumerate(row)), arb(0))
        for row in rows
    ]
    return values, rates


@pytest.mark.parametrize(("n", "d"), [(1, 3), (2, 2), (3, 5)])
def test_field_and_loss_in_the_span_are_those_of_the_user(n, d):
    generator = np.random.default_rng(n)
    w, v = generator.normal(size=(n, d)), generator.normal(size=d)
    with precision(200):
        flow = SpanFlow.of(w.tolist(), v.tolist())
        signs = [1 if a > 0 else -1 for a in flow.areas(flow.start)]
        found = [c for row in flow.restore(flow.field(flow.start, signs)) for c in row]
        true = [c for row in exact.gradient(w.tolist(), v.tolist(), 60) for c in row]
        assert all(abs(a + ball(b)) < SAME for a, b in zip(found, true, strict=True))
        assert abs(flow.loss(flow.start) - ball(exact.loss(w.tolist(), v.tolist(), 60))) < SAME
        assert all(
            abs(a - c) < SAME
            for a, c in zip(
                [c for row in flow.restore(flow.start) for c in row],
                map(arb, w.ravel()),
                strict=True,
            )
        )
        if signs:  # the other branch is another field
            other = flow.restore(flow.field(flow.start, [-s for s in signs]))
            moved = [c for row in other for c in row]
            assert max(abs(c - a) for c, a in zip(moved, found, strict=True)) > 0.1


@pytest.mark.parametrize("aligned", [False, True])
def test_a_box_of_hessians_contains_those_of_its_states(aligned):
    generator = np.random.default_rng(4)
    # In the plane the frame of a teacher along e_1 and a first neuron above it is the user's own.
    v, w = np.array([1.0, 0.0]), np.array([[0.4, 0.3], [0.7, 0.2]])
    if aligned:
        w[1] = 2 * w[0]
    width = 1e-3
    with precision(200):
        flow = SpanFlow.of(w.tolist(), v.tolist())
        box = flow.hessian([x + arb(0, width) for x in flow.start]).tolist()
        for _ in range(20):
            moved = w + width * generator.uniform(-1, 1, size=w.shape)
            true = np.array(exact.hessian(moved.tolist(), v.tolist(), 30), dtype=float)
            assert all(
                c.contains(x) or abs(c - x) < ROUNDED
                for row, line in zip(box, true, strict=True)
                for c, x in zip(row, line, strict=True)
            )
        far = np.array(exact.hessian((w + 0.1).tolist(), v.tolist(), 30), dtype=float)
        assert not all(
            c.contains(x)
            for row, line in zip(box, far, strict=True)
            for c, x in zip(row, line, strict=True)
        )


def test_positive_pivots_are_found_of_positive_matrices_only():
    positive = [[arb(2), arb(1)], [arb(1), arb(2)]]
    assert proof.is_positive(positive)
    assert not proof.is_positive([[arb(1), arb(2)], [arb(2), arb(1)]])
    assert not proof.is_positive([[arb(2, 3), arb(1)], [arb(1), arb(2)]])  # not all of the box
    assert not proof.is_positive([[arb.nan(), arb(0)], [arb(0), arb(1)]])


@pytest.mark.parametrize("turn", [0.0, math.pi])
def test_a_branch_is_off_by_at_most_its_bound(turn):
    v = [1.0, 0.0]
    with precision(200):
        for angle in (1e-3, 1e-2, 0.3):
            w = [[0.7, 0.5], [0.4 * math.cos(turn + angle), 0.4 * math.sin(turn + angle)]]
            flow = SpanFlow.of(w, v)
            right = [1 if a > 0 else -1 for a in flow.areas(flow.start)]
            pair = flow.pairs().index((1, 2))
            wrong = [-s if k == pair else s for k, s in enumerate(right)]
            fields = (flow.field(flow.start, signs) for signs in (right, wrong))
            off = proof.norm([a - b for a, b in zip(*fields, strict=True)])
            bound = flow.beyond(flow.start, pair, abs(flow.areas(flow.start)[pair]))
            assert off <= bound
            assert off > bound / 1000  # of the same order in the angle


def test_a_collapse_is_undecided_and_the_precision_is_put_back():
    system = flows.ReLUNeuron(n=1, d=1)
    before = ctx.prec
    with pytest.raises(Uncertified, match=r"UNDECIDED beyond t = \d.*a neuron may be at zero"):
        flows.certify(system, [[-0.125]], 100.0, digits=8)
    assert ctx.prec == before
    certificate("plane", 8)
    assert ctx.prec == before


def test_an_ellipse_on_which_the_field_is_not_analytic_is_not_used():
    made = certificate("plane", 8)
    piece = made.pieces[5]
    with precision(made.precision):
        span = made.span(5)
        wide = proof.Span(span.centre, 100 * span.half)
        args = (made.flow(), piece.rows, wide, piece.signs, made.bits)
        assert proof.remainder(*args[:2], span, *args[3:], piece.rho) <= piece.defect
        with pytest.raises(Singular):
            proof.remainder(*args, 1e6)


def test_a_start_may_have_any_dimension_and_few_directions():
    # Rank one: teacher and neurons on one line, where all angles are zero.
    line = flows.certify(
        flows.ReLUNeuron(n=2, d=3, teacher=[1.0, 2.0, 2.0]),
        [[0.125, 0.25, 0.25], [0.25, 0.5, 0.5]],
        1.0,
        digits=8,
    )
    with precision(100):
        rest = (3 - 1.125) * arb(-1).exp()  # of the distance |v| - |w_1| - |w_2|
        assert abs(line.loss(1.0) - rest * rest / 4) < 1e-6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"system": flows.ScoreMatching(n=2, d=2)}, "score_matching has no certificates"),
        ({"start": [[0.1, 0.2]]}, "shape"),
        ({"start": [[0.1, math.nan], [0.0, 1.0]]}, "finite"),
        ({"t_end": 0.0}, "t_end: expected a time"),
        ({"t_end": math.nan}, "t_end: expected a time"),
        ({"t_end": math.inf}, "t_end: expected a time"),
        ({"digits": 7}, "digits: expected an integer from 8 to 60, got 7"),
        ({"digits": 10.0}, "digits: expected an integer"),
    ],
)
def test_bad_input_is_one_clear_line(arguments, message):
    given = {
        "system": flows.ReLUNeuron(n=2, d=2),
        "start": [[0.1, 0.2], [0.3, -0.1]],
        "t_end": 1.0,
        **arguments,
    }
    with pytest.raises(flows.InputError, match=message):
        flows.certify(**given)


def test_times_outside_the_certificate_are_refused():
    made = certificate("plane", 8)
    for t in (-1.0, 21.0, math.nan):
        with pytest.raises(flows.InputError, match="time: expected a number in"):
            made.loss(t)
