import copy
import functools
import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from flint import arb, arb_mat
from mpmath import mp
from oracles.certificates import ball, put, scaled

import flows
from flows.certificates.boxes import Scene
from flows.certificates.certificate import STATED, load_certificate
from flows.certificates.chebyshev import precision
from flows.certificates.decide import Proof
from flows.certificates.features.series import Series, doubled, times
from flows.certificates.features.spectrum import least_rate, singular_values
from flows.certificates.verdicts import verdicts
from flows.certificates.verifier import matrix_factorization as checker
from flows.cli.main import main
from flows.runs.check import Quantities
from flows.solvers.reference import solve_reference
from potentials.matrix_factorization import CLAIMS

# Two layers, four complex ones, and a target that is neither diagonal nor Hermitian.
PROBLEMS = {
    "real": flows.MatrixFactorization(
        d=2, depth=2, regularization=1.0, target=[[1.0, 0.5], [-0.25, 2.0]]
    ),
    "complex": flows.MatrixFactorization(
        d=1, field="complex", regularization=3.0, target=[[0.5 + 1.5j]]
    ),
}
SCALE, SEED = 0.7, 3
SETTINGS = (8, 10, 12, 14)  # digits asked for, coarse ones included
TIMES = np.geomspace(1e-3, 5.0, 130)
# The oracle has 40 digits and keeps 22 of them, a hundred times what any certificate here claims.
DIGITS, KEPT, BETTER = 40, 1e-22, 100
# Digits asked for are not promised: so many may be missing.
MISSING = 3
# Of a Hessian in doubles, and of two ways of 60 digits.
ROUNDED, SAME = 1e-12, 1e-50
# Of quantities along a run, relative to their size and of layers in doubles, beside the balls.
RUN, LAYERS = 1e-8, 1e-11


def textbook_field(system):
    """Minus the gradient of section 2 of the paper, by mpmath's own matrices."""
    d, a, is_complex = system.d, mp.mpf(system.regularization), system.field == "complex"
    target = mp.matrix(np.array(system.target).tolist())

    def field(x):
        entries = [mp.mpc(*x[k : k + 2]) for k in range(0, len(x), 2)] if is_complex else x
        w = [
            mp.matrix([entries[k + d * i : k + d * (i + 1)] for i in range(d)])
            for k in range(0, len(entries), d * d)
        ]
        whole = functools.reduce(lambda below, layer: layer * below, w, mp.eye(d))
        delta = [mp.zeros(d), *(v * v.H - u.H * u for v, u in pairwise(w)), mp.zeros(d)]
        rates = []
        for j, layer in enumerate(w):
            above = functools.reduce(lambda m, v: v * m, w[j + 1 :], mp.eye(d))
            below = functools.reduce(lambda m, v: v * m, w[:j], mp.eye(d))
            rates.append(
                above.H * (target - whole) * below.H - a * (delta[j + 1] * layer - layer * delta[j])
            )
        flat = [m[i, k] for m in rates for i in range(d) for k in range(d)]
        return [part for c in flat for part in (c.real, c.imag)] if is_complex else flat

    return field


def flat(state):
    """Real numbers of a state of balls."""
    entries = [c for layer in state for row in layer for c in row]
    if isinstance(entries[0], arb):
        return entries
    return [part for c in entries for part in (c.real, c.imag)]


@functools.cache
def start(name):
    return PROBLEMS[name].initial(SCALE, SEED)


@functools.cache
def reference(name):
    system = PROBLEMS[name]

    def jacobian(x):  # it steers Newton's method and decides no digit
        return -system.hessian(
            np.array([float(c) for c in x]).view(start(name).dtype).reshape(start(name).shape)
        )

    found = solve_reference(
        textbook_field(system),
        jacobian,
        start(name).ravel().view(float),
        TIMES,
        DIGITS,
        tolerance=KEPT,
    )
    assert found.status == "completed"
    return found.states


@functools.cache
def certificate(name, digits):
    return flows.certify(PROBLEMS[name], start(name), float(TIMES[-1]), digits=digits)


@pytest.mark.parametrize("name", PROBLEMS)
def test_enclosures_contain_independent_trajectories_at_every_time_and_setting(name):
    misses = combinations = 0
    for digits in SETTINGS:
        found = certificate(name, digits)
        assert BETTER * KEPT < found.error < 10.0 ** (MISSING - digits)
        with precision(400):
            for t, x in zip(TIMES, reference(name), strict=True):
                state, true = flat(found.state(float(t))), [ball(c) for c in x]
                misses += not all(a.contains(b) for a, b in zip(state, true, strict=True))
                combinations += 1
                # The control: nothing is contained that is ten times the bound away.
                assert not any(
                    a.contains(b + 10 * found.error) for a, b in zip(state, true, strict=True)
                )
    assert misses == 0
    assert combinations * len(PROBLEMS) >= 1000


@pytest.mark.parametrize("name", PROBLEMS)
def test_field_hessian_and_loss_are_those_of_the_system(name):
    system, w = PROBLEMS[name], start(name)
    with precision(250), mp.workdps(60):
        flow = system.ball_flow(w)
        problem = checker.Layers(stated(system), w)
        true = [ball(c) for c in textbook_field(system)([mp.mpf(c) for c in w.ravel().view(float)])]
        for found in (flow.field(flow.start), problem.field(problem.start, ())):
            assert all(abs(a - b) < SAME for a, b in zip(found, true, strict=True))
        assert abs(flow.loss(flow.start) - system.loss(w)) < ROUNDED
        whole = np.array(flow.hessian(flow.start).tolist())
        again = problem.hessian(problem.start)
        assert all(abs(a - b) < SAME for a, b in zip(whole.ravel(), again.ravel(), strict=True))
        assert np.abs(whole.astype(float) - system.hessian(w)).max() < ROUNDED
        assert np.abs(flow.steering(flow.start) - system.hessian(w)).max() < ROUNDED


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_box_of_hessians_contains_those_of_its_states(name):
    system, w, width = PROBLEMS[name], start(name), 1e-3
    generator = np.random.default_rng(0)
    with precision(200):
        flow, problem = system.ball_flow(w), checker.Layers(stated(system), w)
        sides = [x + arb(0, width) for x in flow.start]
        boxes = np.array(flow.hessian(sides).tolist()), problem.hessian(np.array(sides))
        inside = np.vectorize(lambda c, x: c.contains(x) or abs(c - x) < ROUNDED)
        for _ in range(20):
            step = generator.uniform(-1, 1, w.ravel().view(float).size)
            true = system.hessian(w + width * step.view(w.dtype).reshape(w.shape))
            assert all(inside(box, true).all() for box in boxes)
        far = system.hessian(w + 0.1)
        assert not any(inside(box, far).all() for box in boxes)


def stated(system):
    return {key: system.parameters[key] for key in STATED[system.name]}


@pytest.mark.parametrize("name", PROBLEMS)
def test_what_was_made_is_accepted_and_read_back(name, tmp_path):
    made, path = certificate(name, 10), tmp_path / "c.json"
    made.save(path)
    found = flows.verify(path, made.system, made.start, made.t_end)
    assert (found.refused, found.error) == ("", made.error)
    again = load_certificate(path)
    assert (again.pieces, again.system) == (made.pieces, made.system)
    assert (again.start == made.start).all()
    other = made.start.copy()
    other[0, 0, 0] = np.nextafter(other[0, 0, 0].real, 2.0)
    assert "another start" in flows.verify(path, made.system, other).refused
    assert "another system" in flows.verify(path, flows.MatrixFactorization(d=2)).refused


CORRUPTIONS = {
    "another strength": (put("parameters", "regularization", to=scaled(1.01)), "piece 0: "),
    "a negative strength": (put("parameters", "regularization", to="-0x1p0"), "do not fit"),
    "another target": (put("parameters", "target", "imag", 0, 0, to=scaled(1.01)), "piece 0: "),
    "a target of real numbers": (put("parameters", "target", to=[["0x1p0"]]), "do not fit"),
    "another field": (put("parameters", "field", to="real"), "do not fit"),
    "another depth": (put("parameters", "depth", to=3), "do not fit"),
    "another start": (put("start", "imag", 1, 0, 0, to=scaled(1.001)), "piece 0: the flow may"),
    "a start of real numbers": (put("start", to=lambda x: x["real"]), "do not fit"),
    "a smaller defect": (put("pieces", 1, "defect", to=scaled(1e-3)), "piece 1: the defect"),
    "contraction where errors grow": (
        put("pieces", 1, "growth", to=lambda g: ["-0x1p4" for _ in g]),
        "piece 1: errors",
    ),
    "growth that may be anything": (
        put("pieces", 1, "growth", to=lambda g: ["0x1p9" for _ in g]),
        "piece 1: the flow may",
    ),
    "a branch where there is none": (put("pieces", 1, "signs", to=[1]), "piece 1: wrong signs"),
    "a tube of any width": (put("pieces", 1, "tube", to="0x1p9"), "piece 1: errors"),
    "an ellipse that is too large": (put("pieces", 1, "rho", to="0x1p99"), "piece 1: the defect"),
    "a piece too few": (lambda data: data["pieces"].pop(1), "piece 1: the"),
}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corrupted_certificate_is_refused_with_the_reason(tmp_path, name):
    change, reason = CORRUPTIONS[name]
    data = copy.deepcopy(certificate("complex", 8).to_json())
    change(data)
    (tmp_path / "c.json").write_text(json.dumps(data))
    found = flows.verify(tmp_path / "c.json")
    assert not found.accepted
    assert reason in found.refused


# Along a trajectory -------------------------------------------------------------------------


@functools.cache
def balanced():
    system = flows.MatrixFactorization(d=2, regularization=20.0)
    layers = system.initial(0.5, 1, balanced=True)
    assert np.prod(np.linalg.det(layers)) > 0
    return flows.certify(system, layers, 2.0, digits=10)


@functools.cache
def conserved():
    system = flows.MatrixFactorization(d=2, regularization=0.0)
    return flows.certify(system, system.initial(0.5, 0), 2.0, digits=10)


@functools.cache
def decaying():
    system = flows.MatrixFactorization(d=2, field="complex", depth=2, regularization=2.0)
    return flows.certify(system, system.initial(0.7, 1), 3.0, digits=12)


NAMES = (
    "loss",
    "loss_dot",
    "gradient_norm",
    "residual",
    "residual_dot",
    "layer_defect",
    "layer_defect_dot",
    "imbalance",
    "imbalance_dot",
    "layer_square",
    "layer_square_dot",
    "fit_speed",
    "balance_speed",
    "singular_value",
    "layer_value",
    "determinant",
    "orientation",
    "skew",
    "skew_dot",
    "even",
    "even_dot",
    "main",
    "loss_fit",
    "loss_fit_dot",
    "loss_balance",
    "loss_balance_dot",
    "skew_error",
    "skew_error_dot",
    "main_term",
    "main_term_dot",
    "layer_min",
    "layer_max",
    "value_max",
    "value_min",
    "defect",
    "defect_dot",
)


@pytest.mark.parametrize("made", [conserved, decaying])
def test_quantities_on_a_box_contain_those_of_a_run(made):
    made = made()
    times_ = np.geomspace(1e-2, made.t_end, 30)
    run = flows.integrate(
        made.system, made.start, t_end=made.t_end, t_eval=times_.tolist(), rtol=1e-11
    )
    quantities = Quantities(run)
    with precision(made.precision):
        scene = Scene(made)
        for row in (3, 20, 29):
            index = made.locate(float(run.t[row]))
            span = made.span(index)
            s = float(((arb(float(run.t[row])).log1p() - span.centre) / span.half).mid())
            for width in (1e-3, 0.1):
                box = scene.box(index, max(s - width, -1.0), min(s + width, 1.0))
                for name in NAMES:
                    balls = box[name] if isinstance(box[name], list) else [box[name]]
                    true = np.atleast_1d(quantities[name][row])
                    assert len(balls) == len(true)
                    slack = RUN * np.abs(true).max() + LAYERS
                    assert all(
                        abs(b.mid() - x) <= b.rad() + slack
                        for b, x in zip(balls, true, strict=True)
                    ), name
            assert not box["loss"].contains(2 * quantities["loss"][row])


CLAIM = {c.id: c for c in CLAIMS}


@pytest.mark.parametrize(
    ("made", "claim"),
    [
        (balanced, "skew_monotone"),
        (balanced, "main_term_grows"),
        (conserved, "balance_conserved"),
        (decaying, "balance_decays"),
    ],
)
def test_true_claims_are_proved_and_their_converses_refuted(made, claim):
    (found,) = verdicts(made(), claim)
    assert found.verdict is Proof.PROVED
    (reversed_,) = verdicts(made(), replace(CLAIM[claim], sign=-1))
    assert reversed_.verdict is Proof.REFUTED


def test_hypotheses_of_balanced_layers_are_proved():
    (found,) = verdicts(balanced(), "main_term_grows")
    assert {proof for _, proof in found.hypotheses} == {Proof.PROVED}
    (found,) = verdicts(conserved(), "skew_monotone")
    assert Proof.REFUTED in {proof for text, proof in found.hypotheses if "balanced" in text}


def test_what_is_not_enclosed_is_undecided():
    made = certificate("real", 8)  # its target is not diagonal
    (found,) = verdicts(made, "skew_monotone")
    assert found.verdict is Proof.UNDECIDED


def test_a_product_of_polynomials_is_that_of_their_values():
    generator = np.random.default_rng(0)
    rows = [
        [[[int(c) for c in generator.integers(-99, 99, 6)] for _ in range(2)] for _ in range(2)]
        for _ in range(3)
    ]
    rows[0][0][0][-1] = rows[0][0][1][-1] = 0  # the highest terms of a row of the product vanish
    bits, s = 5, 0.3
    values = [
        np.array([[np.polynomial.chebyshev.chebval(s, row) for row in line] for line in m])
        / 2**bits
        for m in rows
    ]
    a, b, c = ([[doubled(row) for row in line] for line in m] for m in rows)
    with precision(100):
        series = Series.of(times(a, times(b, c)), 3, 5, bits, arb_mat([[1, 0], [0, 1]]))
        found = series.on(arb(s), arb(0), arb(0)).tolist()
        true = values[0] @ values[1] @ values[2] + np.eye(2)
        off = [
            abs(x - y) for p, q in zip(found, true, strict=True) for x, y in zip(p, q, strict=True)
        ]
        assert all(c < ROUNDED * np.abs(true).max() for c in off)
        wide = series.on(arb(s), arb(0.125), arb(0)).tolist()
        for t in np.linspace(s - 0.125, s + 0.125, 9):
            inner = series.on(arb(float(t)), arb(0), arb(0)).tolist()
            assert all(
                x.contains(y)
                for p, q in zip(wide, inner, strict=True)
                for x, y in zip(p, q, strict=True)
            )


@pytest.mark.parametrize("values", [(3.0, 1.0, 0.25), (2.0, 2.0, 2.0), (1.0, 0.5, 0.0)])
def test_singular_values_and_the_rate_of_the_least_are_enclosed(values):
    generator = np.random.default_rng(1)
    u, v = (np.linalg.qr(generator.normal(size=(3, 3)))[0] for _ in range(2))
    matrix, step = u @ np.diag(values) @ v.T, generator.normal(size=(3, 3))
    with precision(150):
        exact = arb_mat(matrix.tolist())
        found = singular_values(exact)
        assert all(
            abs(a - b) < ROUNDED and a.rad() < ROUNDED for a, b in zip(found, values, strict=True)
        )
        box = [[c + arb(0, 0.01) for c in row] for row in matrix.tolist()]
        wide = singular_values(arb_mat(box))
        moved = np.linalg.svd(matrix + 0.01 * np.sign(step), compute_uv=False)
        assert all(a.contains(b) for a, b in zip(wide, moved, strict=True))
        square = exact.transpose() * exact
        slope = arb_mat((step.T @ matrix + matrix.T @ step).tolist())
        rate = least_rate(square, slope)
        h = 1e-7
        least = [np.linalg.svd(matrix + k * h * step, compute_uv=False)[-1] ** 2 for k in (0, 1)]
        assert (
            rate.contains((least[1] - least[0]) / h) or abs(rate - (least[1] - least[0]) / h) < 1e-5
        )
        if values[1] > values[2]:
            assert rate.rad() < ROUNDED


END = "8"  # where the loss has lost six digits


def test_the_command_certifies_verifies_and_shows_proofs_beside_verdicts(tmp_path, capfd):
    path = str(tmp_path / "c.json")
    about = ["--d", "1", "--field", "complex", "--scale", "1", "--seed", "1"]
    claim = ["--claim", "global_convergence"]
    assert (
        main(
            [
                "certify",
                "matrix_factorization",
                *about,
                "--t-end",
                END,
                "--digits",
                "8",
                "--out",
                path,
                *claim,
            ]
        )
        == 0
    )
    assert main(["verify", path, *about, *claim]) == 0
    assert main(["verify", path, *about[:-1], "2"]) == 1
    assert "another start" in capfd.readouterr().out
    checked = ["check", "matrix_factorization", *about, "--t-end", END, *claim]
    assert main([*checked, "--certificate", path, "--json"]) == 0
    data = json.loads(capfd.readouterr().out)
    assert data["certificate"]["verdicts"][0]["verdict"] == "PROVED"
    assert data["verdicts"][0]["verdict"] in ("HOLDS", "HOLDS_BEYOND")
    assert main([*checked, "--certificate", path]) == 0
    text = capfd.readouterr().out
    assert f"certified to t = {END}" in text
    assert main(["check", "relu_neuron", "--t-end", "1", "--certificate", path]) == 2
    assert "another system" in capfd.readouterr().err


def test_odd_depths_are_certified_without_what_they_do_not_have():
    system = flows.MatrixFactorization(d=1, depth=3, regularization=1.0)
    made = flows.certify(system, system.initial(1.0, 2), 1.0, digits=8)
    found = {v.claim: v for v in verdicts(made)}
    assert found["balance_decays"].verdict is Proof.PROVED
    assert found["skew_monotone"].verdict is Proof.UNDECIDED  # R has no such form
    assert found["skew_monotone"].message == "open at t = 0"


def test_layers_at_an_equilibrium_stay_there():
    system = flows.MatrixFactorization(d=1, depth=2, regularization=1.0)
    made = flows.certify(system, [[[0.0]], [[0.0]]], 100.0, digits=8)
    with precision(100):
        assert all(c.contains(0) for c in flat(made.state(100.0)))
        assert made.loss(100.0).contains(0.5)


@functools.cache
def scalars(*layers, end):
    """Four layers of one number each."""
    system = flows.MatrixFactorization(d=1, regularization=20.0)
    return flows.certify(system, np.array(layers)[:, None, None], end, digits=12)


@pytest.mark.parametrize(
    ("claim", "start", "end"),
    [
        ("local_rate", (0.5, 0.75, 0.5, 0.5), 4.0),
        ("global_convergence", (0.5, 0.75, 0.5, 0.5), 6.0),
        ("real_failure", (-0.5, 0.5, 0.5, 0.5), 10.0),
    ],
)
def test_what_is_claimed_of_limits_is_proved_and_its_converse_refuted(claim, start, end):
    made = scalars(*start, end=end)
    (found,) = verdicts(made, claim)
    assert found.verdict is Proof.PROVED
    (broken,) = verdicts(made, replace(CLAIM[claim], sign=-1))
    assert broken.verdict is Proof.REFUTED


def test_singular_values_closer_than_doubles_tell_apart_are_sorted_exactly():
    with precision(200):
        tiny = arb(2) ** -80
        low, high = (
            singular_values(arb_mat([[1 + a, 0], [0, 1 + b]]))
            for a, b in ((tiny, arb(0)), (arb(0), tiny))
        )
        for found in (low, high):
            assert found[0].contains(1 + tiny)
            assert found[1].contains(1)
            assert not found[1].contains(1 + tiny)
