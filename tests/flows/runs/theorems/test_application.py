"""Each theorem on a run that meets its hypotheses: they hold there, and so does the conclusion."""

import functools
import math
from fractions import Fraction

import numpy as np
import pytest

import flows
import symbolic
from flows.runs.theorems.application import ROUNDING, applications, reading_of
from flows.runs.theorems.readings import Path, gaussian, polar
from symbolic.theorem.evaluate import holds, margin, solved
from symbolic.theorem.formulas import Forall, Rel, ge
from symbolic.theorem.terms import Poly
from symbolic.theorem.terms import atoms as atoms_of

SLIGHT = 1001 / 1000
# What an equality off by a thousandth must miss, of its largest terms, which may be ten.
MISSED = 3e-5


def noise(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


ANGLE = 0.4
STARTS = {
    "any": (flows.ReLUNeuron(n=3, d=5), np.eye(5)[0] / 3 + 0.1 * noise(4, 3, 5), 1e3),
    "late": (flows.ReLUNeuron(n=2, d=2), np.array([[0.5, 2e-5], [0.5, -1e-5]]), 1e3),
    "cone": (
        flows.ReLUNeuron(n=3, d=5),
        np.eye(5)[0] / 3 + 0.2 * np.eye(5)[1] + 0.02 * noise(5, 3, 5),
        1.0,
    ),
    "mirror": (
        flows.ReLUNeuron(n=2, d=2),
        np.array([[0.5, math.tan(ANGLE) / 2], [0.5, -math.tan(ANGLE) / 2]]),
        1e3,
    ),
    "parallel": (flows.ReLUNeuron(n=3, d=2), np.array([[0.9, 0], [0.6, 0], [0.5, 0]]), 2.0),
    "equal": (flows.ReLUNeuron(n=2, d=3), np.array([[0.3, 0.2, 0.1]] * 2), 3.0),
    "mixture": (flows.GMMEM(n=3, d=1), np.array([[0.7], [-0.4], [0.3]]), 1e3),
    "score": (flows.ScoreMatching(n=3, d=1), np.array([[0.2], [-0.1], [0.1]]), 1e3),
    "chain": (
        flows.MatrixFactorization(d=2, regularization=0.0),
        np.eye(2) + 1e-3 * noise(1, 4, 2, 2),
        3.0,
    ),
    "penalty": (
        flows.MatrixFactorization(d=2, regularization=5.0),
        0.6 * np.eye(2) + 0.2 * noise(1, 4, 2, 2),
        2.0,
    ),
}


def balanced(seed):
    """Four layers `Q_j S Q_(j-1)^T` with one S: all defects vanish."""
    turns = [np.linalg.qr(noise(seed + j, 2, 2))[0] for j in range(5)]
    size = np.diag([0.9, 0.6])
    return np.array([turns[j + 1] @ size @ turns[j].T for j in range(4)])


BALANCED_START = balanced(20)
STARTS["balanced"] = (flows.MatrixFactorization(d=2, regularization=0.0), BALANCED_START, 3.0)
WITNESS = {
    "skew_falls": "balanced",
    **dict.fromkeys(("distance_vs_reach", "angle_vs_reach", "distance_decay"), "any"),
    **dict.fromkeys(("distance_vs_loss", "loss_lower"), "any"),
    **dict.fromkeys(("neurons_stay", "gradient_lower", "loss_lower_from_start"), "late"),
    **dict.fromkeys(("separation", "persistence"), "cone"),
    **dict.fromkeys(("mirror_lower", "mirror_upper"), "mirror"),
    **{"parallel": "parallel", "equal": "equal"},
    **dict.fromkeys(("squared_norms", "squared_norms_fall", "fisher_lower"), "mixture"),
    **{"norms_upper": "mixture"},
    **dict.fromkeys(("means_by_loss", "means_stay", "means_small"), "score"),
    **dict.fromkeys(("balance_conserved", "layers_stay", "local_rate"), "chain"),
    "balance_decays": "penalty",
}
CASES = [(system, s.name) for system in symbolic.THEOREMS for s in symbolic.theorems(system)]


@functools.cache
def run(name):
    system, start, end = STARTS[name]
    return flows.integrate(system, start, t_end=end, t_eval=(end / 1e3, end / 10))


def witness(system, name):
    if name == "loss_upper":
        return run("late" if system == "relu_neuron" else "mixture")
    return run(WITNESS[name])


@pytest.mark.parametrize(("system", "name"), CASES)
def test_a_theorem_speaks_of_a_run_and_is_right_there(system, name):
    (found,) = applications(witness(system, name), name)
    assert found.applies and found.holds, found
    # In the plane, on a line and without expectations nothing is left unread.
    assert all(m is not None for _, m in found.hypotheses)


def test_a_theorem_about_expectations_is_read_without_them_in_five_dimensions():
    (found,) = applications(run("any"), "loss_upper")
    assert not found.applies and found.hypotheses[-1][0].startswith("at time T: L <=")


@pytest.mark.parametrize(
    ("start", "name"), [("any", "parallel"), ("any", "equal"), ("cone", "mirror_lower")]
)
def test_a_theorem_about_other_runs_does_not_speak_of_this_one(start, name):
    (found,) = applications(run(start), name)
    assert not found.applies and found.conclusion is None


# --- each axiom at states of order one ----------------------------------------------------------
PLACES = {
    "relu_neuron": (flows.ReLUNeuron(n=3, d=2), np.array([[0.5, 0.4], [-0.2, 0.6], [0.3, -0.5]])),
    "gmm_em": (flows.GMMEM(n=3, d=2), 0.6 * noise(2, 3, 2)),
    "score_matching": (flows.ScoreMatching(n=3, d=2), 0.6 * noise(2, 3, 2)),
    "matrix_factorization": (
        flows.MatrixFactorization(d=2, regularization=0.0),
        0.6 * np.eye(2) + 0.2 * noise(1, 4, 2, 2),
    ),
}
# These are about states of a form that those have not.
OF_A_FORM = {
    "axiom flow of the angle where h = 1/2": "mirror",
    "axiom loss where h = 1/2": "mirror",
    "axiom flow of w_i = h_i v": "parallel",
    "axiom loss of these": "parallel",
    "axiom the angle of equal neurons": "equal",
    "axiom -dL/dt >= n": "equal",
    "axiom skew error": "balanced",
}


def axioms(system):
    seen = {}
    for s in symbolic.theorems(system):
        for f, label in s.labels.items():
            if f in s.theorem.hyps and label.startswith("axiom"):
                seen.setdefault(label, (s.name, f))
    return seen


AXIOMS = [(system, label) for system in PLACES for label in axioms(system)]
UNEQUAL = [
    (system, label)
    for system, label in AXIOMS
    if axioms(system)[label][1].body.op != "=" and "angle of equal" not in label
]


@functools.cache
def place(system, penalty=0.0):
    flow, state = PLACES[system] if system in PLACES else STARTS[system][:2]
    if penalty:
        flow = flows.MatrixFactorization(d=2, regularization=penalty)
    reading = reading_of(Path(flow, {0.0: state}))
    # The rates of sums of squares come from the gradient: here from differences of the loss.
    model = reading.model
    rates = {k: f for k, f in model.rates.items() if k not in ("L", "lam", "ell", "R")}
    return reading, type(model)(**{**vars(model), "rates": rates})


@pytest.mark.parametrize(("system", "label"), AXIOMS)
def test_an_axiom_holds_and_not_with_a_constant_off_by_a_thousandth(system, label):
    name, f = axioms(system)[label]
    form = next((x for k, x in OF_A_FORM.items() if label.startswith(k)), system)
    reading, model = place(form, 5.0 if "L_reg" in label else 0.0)
    known = {**reading.constants(name, 0.0, 0.0), "t": 0.0, "T": 0.0, "M": 1.0, "k": 0.0}
    env = solved((), model, known)
    assert holds(f, model, env, ROUNDING)
    if f.body.op == "=":
        (atoms, c), *rest = f.body.poly.terms
        off = Forall(f.bound, f.guards, Rel(Poly(((atoms, c * 1001 / 1000), *rest)), "="))
        assert margin(off, model, env) < -MISSED


# Where an axiom that is an inequality is tight: states by time, the vectors y, which terms are
# moved and by which factor, a thousandth but for the last.
SHRUNK, GROWN = 999 / 1000, 1001 / 1000
# Four numbers 2 delta that all move by delta/2: |W'|^2 = 8 (3/2)^6 delta^6 L, the axiom has 8.
SPARE = 1.5**6


def speaks_of(*names):
    return lambda atom: atom[0] in names or atom[1] in names


TIGHT = {
    # One Gaussian: KL is half the square of its mean.
    "axiom convexity of KL": (
        *(flows.GMMEM(n=2, d=1), {0.0: [[0.7], [0.7]]}, ()),
        *(speaks_of("L"), GROWN),
    ),
    # A long neuron that points away from the teacher.
    "axiom floor": (
        *(flows.ReLUNeuron(n=1, d=2), {0.0: [[-1e3, 1e-3]]}, ()),
        *(speaks_of("L"), SHRUNK),
    ),
    # A thin wedge, and y in the middle of it.
    "axiom wedge: E <y, x>^2": (
        *(flows.ReLUNeuron(n=1, d=2), {0.0: [[math.cos(0.05), -math.sin(0.05)]]}),
        *((np.array([math.sin(0.025), math.cos(0.025)]),), speaks_of("u"), GROWN),
    ),
    # At angle zero L' = -n L.
    "axiom -dL/dt >= n": (
        *(flows.ReLUNeuron(n=2, d=3), {0.0: [[0.3, 0.0, 0.0]] * 2}, ()),
        *(speaks_of("d"), SHRUNK),
    ),
    "axiom: where |W - W(T)| <= delta": (
        flows.MatrixFactorization(d=1, regularization=0.0),
        {0.0: [[[1.0]]] * 4, 1.0: [[[0.75]]] * 4},
        *((), speaks_of("ell"), SPARE * GROWN),
    ),
}


def moved(f, picked, factor):
    terms = f.body.poly.terms
    inside = (any(picked(a) for a in atoms_of(Poly(((m, c),)))) for m, c in terms)
    scaled = (
        (m, c * Fraction(factor)) if x else (m, c) for (m, c), x in zip(terms, inside, strict=True)
    )
    return Forall(f.bound, f.guards, Rel(Poly(tuple(scaled)), f.body.op))


def tight(label):
    form = next(k for k in TIGHT if label.startswith(k))
    flow, states, directions, picked, factor = TIGHT[form]
    states = {t: np.array(x) for t, x in states.items()}
    reading = reading_of(Path(flow, states))
    model = reading.model
    if directions:
        model = type(model)(**{**vars(model), "directions": directions})
    return reading, model, max(states), picked, factor


@pytest.mark.parametrize(("system", "label"), UNEQUAL)
def test_an_inequality_is_refuted_with_a_constant_off_by_a_thousandth_where_it_is_tight(
    system, label
):
    name, f = axioms(system)[label]
    reading, model, time, picked, factor = tight(label)
    known = {**reading.constants(name, 0.0, time), "t": time, "T": 0.0}
    off = moved(f, picked, factor)
    assert off != f and holds(f, model, known, ROUNDING)
    assert not holds(off, model, known, ROUNDING)
    if factor > GROWN:  # and nearly as much is allowed
        assert holds(moved(f, picked, SPARE * SHRUNK), model, known, ROUNDING)


def test_that_the_angle_falls_is_refuted_as_soon_as_it_is_asked_to_fall_by_a_thousandth():
    _, f = axioms("relu_neuron")["axiom the angle of equal neurons falls"]
    flow = flows.ReLUNeuron(n=2, d=2)
    model = reading_of(Path(flow, {0.0: np.array([[0.3, 1e-5]] * 2)})).model
    faster = Forall(f.bound, f.guards, ge(f.body.poly - Fraction(1, 1000)))
    assert holds(f, model, {"t": 0.0, "T": 0.0}, ROUNDING)
    assert not holds(faster, model, {"t": 0.0, "T": 0.0}, ROUNDING)


def test_an_expectation_of_a_kinked_square_is_exact_in_the_plane():
    a, b = np.array([0.3, 0.8]), np.array([1.0, -0.1])
    x, weights = polar([a, b])
    found = float(weights @ (np.maximum(x @ a, 0) * np.maximum(x @ b, 0)))
    theta = math.acos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    kernel = math.sin(theta) + (math.pi - theta) * math.cos(theta)
    exact = np.linalg.norm(a) * np.linalg.norm(b) * kernel / (2 * math.pi)
    assert found == pytest.approx(exact, rel=1e-12)


def test_gaussian_nodes_have_the_moments_of_a_gaussian():
    x, weights = gaussian(2)
    assert weights.sum() == pytest.approx(1, rel=1e-12)
    assert weights @ (x[:, 0] ** 2 * x[:, 1] ** 4) == pytest.approx(3, rel=1e-10)
    assert gaussian(3) is None


def test_of_complex_chains_and_systems_without_theorems_nothing_is_said():
    system = flows.MatrixFactorization(d=2, field="complex")
    assert applications(flows.integrate(system, system.initial(0.5), t_end=0.1)) == []


def test_of_means_with_noise_the_theorems_do_not_speak():
    system = flows.ScoreMatching(n=2, d=3, noise_time=1.0)
    reading = reading_of(Path(system, {0.0: system.initial(0.1)}))
    with pytest.raises(KeyError):
        reading.constants("means_by_loss", 0.0, 0.0)


def test_the_local_rate_is_not_read_off_a_chain_with_a_penalty():
    (found,) = applications(run("penalty"), "local_rate")
    assert not found.applies
