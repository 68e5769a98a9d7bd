"""Losses of one's own of any function: what the checker reads, encloses, and refuses."""

import copy
import functools
import json
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from flint import acb, arb
from mpmath import mp
from oracles.certificates import ball, put, scaled
from oracles.certified.functions import DIGITS, LOSSES, STARTS, gradient, system, value

import flows
from flows.certificates.certify import Uncertified
from flows.certificates.verifier.curve import UNIT, norm
from flows.certificates.verifier.functions import OF_ONE, OF_TWO, angle, power
from flows.certificates.verifier.loss import Loss
from flows.certificates.verifier.reading import Refused
from flows.certificates.verifier.segment import Segment
from flows.certificates.verifier.steps import read
from flows.core.balls import precision

# Differences of a definition with 80 digits are right to the square of their step.
SAME, NEARLY = 1e-36, 1e-17
U, V = sp.symbols("u v")


def equations(name):
    return Loss(system(name).certified[1], STARTS[name])


@pytest.mark.parametrize("name", LOSSES)
def test_loss_gradient_and_hessian_are_those_of_differences_of_the_definition(name):
    problem, x = equations(name), [mp.mpf(c) for c in STARTS[name].tolist()]
    with precision(260), mp.workdps(DIGITS):
        assert abs(problem.loss(problem.start) - ball(value(name, x))) < SAME
        found = problem.field(problem.start, ())
        assert all(abs(c + ball(g)) < SAME for c, g in zip(found, gradient(name, x), strict=True))
        hessian, far = problem.hessian(problem.start), mp.mpf("1e-9")
        for k in range(len(x)):
            after, before = (
                gradient(name, [c + s * far if i == k else c for i, c in enumerate(x)])
                for s in (1, -1)
            )
            for row, a, b in zip(hessian, after, before, strict=True):
                assert abs(row[k] - ball((a - b) / (2 * far))) < NEARLY * 1e3


@pytest.mark.parametrize("name", LOSSES)
def test_what_is_said_of_a_box_contains_what_is_so_at_its_points(name):
    problem, generator = equations(name), np.random.default_rng(0)
    boxed = np.array([arb(x, 1e-3) for x in STARTS[name].tolist()])
    wide = np.array([acb(c, arb(0, 1e-3)) for c in boxed])
    signs = [1 if a > 0 else -1 for a in problem.areas(problem.start)]
    loss, field, hessian = problem.loss(boxed), problem.field(boxed, ()), problem.hessian(boxed)
    analytic = problem.field(wide, signs)
    for _ in range(3):
        point = STARTS[name] + generator.uniform(-1e-3, 1e-3, len(boxed))
        x = np.array([arb(c) for c in point.tolist()])
        assert loss.contains(problem.loss(x).mid())
        assert all(a.contains(b.mid()) for a, b in zip(field, problem.field(x, ()), strict=True))
        assert all(a.contains(b.mid()) for a, b in zip(analytic, problem.field(x, ()), strict=True))
        pairs = zip(hessian.ravel(), problem.hessian(x).ravel(), strict=True)
        assert all(a.contains(b.mid()) for a, b in pairs)
    # The control: nothing is contained that is as far as boxes are wide.
    assert not loss.contains(problem.loss(x).mid() + 2 * loss.rad() + 1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_a_certificate_is_accepted_and_contains_a_run(name, tmp_path):
    made = flows.certify(system(name), STARTS[name], 2.0, digits=8)
    made.save(tmp_path / "c.json")
    found = flows.verify(tmp_path / "c.json", system(name), STARTS[name], 2.0)
    assert (found.refused, found.error, found.system) == ("", made.error, "loss")
    assert found.error < 1e-7
    run = flows.integrate(system(name), STARTS[name], 2.0, [1.0, 2.0], rtol=1e-12)
    for t, x, loss in zip(run.t[1:], run.state[1:], run["loss"][1:], strict=True):
        # Runs are right to 1e-9 here, losses to this part of them, and certificates by more.
        near = [a.overlaps(arb(b, 1e-9)) for a, b in zip(made.state(t), x.ravel(), strict=True)]
        assert all(near) and made.loss(t).overlaps(arb(loss, 1e-6 * loss))
        assert not made.loss(t).overlaps(arb(loss * (1 + 1e-3), 1e-6 * loss))
    again = flows.load_certificate(tmp_path / "c.json")
    assert again.to_json() == made.to_json()


def test_the_loss_is_printed_and_what_is_long_and_is_taken_twice_once():
    text = "(u**2 + 1)**(-2/3) + (u**2 + v**2 + 1)**(1/2) + u*v*(1/3)"
    assert equations("root").about["loss"] == text
    steps = [["variable", 0], ["exp", 0], *(["plus", k, k] for k in range(1, 60)), ["log", 60]]
    said = Loss({"name": "deep", "blocks": [["u", []]], "steps": steps}, np.ones(1)).about["loss"]
    assert said.startswith("log(s") and " with s" in said and len(said) < 5000


def test_numbers_in_a_loss_are_the_fractions_that_they_are_written_as():
    (steps,) = [system("tanh").certified[1]["steps"]]
    assert ["number", "-1/2"] in steps


KINKED = {"name": "kinked", "blocks": [["u", []], ["v", []]]}
SIDE = [["variable", 0], ["variable", 1], ["side", 0]]


def test_where_the_gradient_jumps_no_flow_passes():
    corner = Loss({**KINKED, "steps": [*SIDE]}, np.array([0.5, 1.0]))
    cube = Loss({**KINKED, "steps": [*SIDE, ["power", 2, "3"]]}, np.array([0.5, 1.0]))
    at_kink, beside = (np.array([arb(x, 0.1), arb(1)]) for x in (0.0, 0.5))
    for problem in (corner, cube):
        assert problem.hessian(beside)[0, 1] == 0
    with pytest.raises(Refused, match="the gradient may jump at a kink"):
        corner.hessian(at_kink)
    # |u|^3 has 6 |u|, and the ball holds both sides.
    assert cube.hessian(at_kink)[0, 0].contains(0.6)


@pytest.mark.parametrize("off", [1e-3, 1e-6])
def test_beyond_a_kink_the_branch_is_off_by_no_more_than_what_is_said(off):
    problem = equations("relu")
    with precision(200):
        x = np.array([arb(c) for c in (0.4, -off, 0.2, 0.3)])
        true = [1 if a > 0 else -1 for a in problem.areas(x)]
        # One area is the second number of the first neuron.
        (k,) = (k for k, a in enumerate(problem.areas(x)) if abs(a) < 2 * off)
        branch = problem.field(x, [-s if i == k else s for i, s in enumerate(true)])
        gaps = [a - b for a, b in zip(branch, problem.field(x, ()), strict=True)]
        gap = sum(g * g for g in gaps).nonnegative_part().sqrt()
        said = problem.beyond(np.array([c + arb(0, off) for c in x]), k, arb(off))
        # Both are of second order, and what is said is no thousand times as much.
        assert off**2 / 100 < gap <= said < 100 * off**2


def test_two_kinks_that_are_passed_at_once_are_passed_one_after_the_other():
    """`|u|^3 exp(-8 |v|^3)`: where the first is passed, the second is still on its branch."""
    steps = [["variable", 0], ["variable", 1], ["side", 0], ["side", 1]]
    steps += [["power", 2, "3"], ["power", 3, "3"], ["number", "-8"], ["times", 6, 5]]
    steps += [["exp", 7], ["times", 4, 8]]
    problem = Loss({**KINKED, "steps": steps}, np.array([0.5, 1.0]))
    p = np.array([[arb("-0.3"), arb(0)], [arb("-0.4"), arb(0)]])
    segment, x = Segment(p, arb(0), arb(1e-9), (1, 1)), p[:, 0]
    gap = norm(problem.field(x, (1, 1)) - problem.field(x, ()))
    assert 0.5 < gap <= problem.branching(segment, 1)
    # The slope by the first side on the branch of the second, where `exp(-8 v^3)` is large, counts.
    across = problem.by.across[0]
    (slope, *_), (known, *_) = (across.run(x, [(arb(0.3) * UNIT, UNIT), s]) for s in (UNIT, None))
    (branch, *_) = across.run(x, [(arb(0.3), arb(1)), arb(1)])
    assert slope.contains(branch) and not known.contains(branch)


def test_powers_of_what_contains_zero_are_as_narrow_as_they_are():
    around = arb(1, 2)
    for n, least, most in ((2, 0, 9), (3, -1, 27), (4, 0, 81), (5, -1, 243)):
        found = power(around, Fraction(n))
        assert abs(found.lower() - least) < 1e-6 * most and abs(found.upper() - most) < 1e-6 * most
    box = acb(arb(0, 1), arb(0, 1))
    assert power(box, Fraction(3)).contains(acb(1, 1) ** 3)
    assert not power(box, Fraction(3)).contains(acb(9, 0))


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        ("log", arb(2, 1), arb(1, 1)),
        ("asin", arb(0, 0.9), arb(0.2, 0.9)),
        ("acos", acb(arb(0.5, 1e-3), arb(2, 1e-3)), acb(arb(0, 2), arb(0, 1))),
        ("atan", acb(arb(0, 2), arb(0, 0.9)), acb(arb(0, 2), arb(0, 1.1))),
        ("log", acb(arb(2, 1), arb(0, 9)), acb(arb(0, 1), arb(2, 1))),
    ],
)
def test_functions_are_refused_where_they_may_not_be_smooth(name, inside, outside):
    assert OF_ONE[name](inside).is_finite()
    with pytest.raises(Refused, match="may not be smooth"):
        OF_ONE[name](outside)


def test_roots_need_what_is_positive_and_even_powers_of_balls_are_not_negative():
    with pytest.raises(Refused, match="may not be smooth"):
        power(arb(0, 1), Fraction(1, 2))
    assert power(arb(0, 2), Fraction(2)).lower() > -1e-6
    assert not power(arb(0, 1), Fraction(-1)).is_finite()


def test_an_angle_goes_on_across_the_axis_and_is_refused_on_the_ray_behind_it():
    for sine, cosine in ((1e-9, -1.0), (-1e-9, -1.0)):  # one angle, a little more than half a turn
        assert abs(angle(arb(sine), arb(cosine)) - arb.pi() - sine * cosine) < 1e-14
    assert OF_TWO["bent"](arb(0), arb(2)) == 0 == OF_TWO["flat"](arb(0), arb(2))
    with pytest.raises(Refused, match="may not be smooth"):
        angle(arb(-1), arb(0, 0.1))


@functools.cache
def tanh():
    return flows.certify(system("tanh"), STARTS["tanh"], 0.5, digits=8).to_json()


STEPS = ("parameters", "steps")
# Of a tube that is narrower than the maker's room of 2^-10, as of polynomials.
CORRUPTIONS = {
    "a coefficient": (put(*STEPS, 4, 1, to="-501/1000"), "piece 0: "),
    "another function": (put(*STEPS, 3, 0, to="sinh"), "piece "),
    "another variable": (put(*STEPS, 1, 1, to=0), "piece 0: "),
    "a step that is not made yet": (put(*STEPS, 3, 1, to=9), "out of range"),
    "a function that there is not": (put(*STEPS, 3, 0, to="gamma"), "no known kind"),
    "a sign that no file holds": (put(*STEPS, 3, 0, to="sign"), "no known kind"),
    "a number that is a decimal": (put(*STEPS, 4, 1, to="0.5"), "not exact"),
    "a third variable": (put(*STEPS, 1, 1, to=2), "out of range"),
    "no steps": (put(*STEPS, to=[]), "no steps"),
    "a branch where there is none": (put("pieces", 1, "signs", to=[1]), "piece 1: wrong signs"),
    "a smaller defect": (put("pieces", 1, "defect", to=scaled(1e-3)), "piece 1: the defect"),
    "a narrower tube": (put("pieces", 1, "tube", to=scaled(0.999)), "piece 1: the flow may"),
    "a coefficient of a piece": (
        put("pieces", 1, "coefficients", 0, 0, to=lambda c: f"{int(c, 16) + 2**60:x}"),
        "piece 1: ",
    ),
}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corrupted_certificate_is_refused_with_the_reason(tmp_path, name):
    change, reason = CORRUPTIONS[name]
    data = copy.deepcopy(tanh())
    change(data)
    (tmp_path / "c.json").write_text(json.dumps(data))
    assert reason in flows.verify(tmp_path / "c.json").refused


def test_a_ball_of_starts_is_enclosed_and_one_of_less_is_not_what_was_proved(tmp_path):
    made = flows.certify(system("erf"), STARTS["erf"], 1.0, digits=8, radius=1e-3)
    data = made.to_json()
    (tmp_path / "c.json").write_text(json.dumps(data))
    assert flows.verify(tmp_path / "c.json").radius == 1e-3
    (tmp_path / "c.json").write_text(json.dumps(data | {"radius": (2e-3).hex()}))
    assert "piece 0: the flow may" in flows.verify(tmp_path / "c.json").refused


def test_a_flow_comes_to_rest_for_ever_where_the_loss_is_convex(tmp_path):
    made = flows.certify(system("log"), STARTS["log"], np.inf, digits=8)
    made.save(tmp_path / "c.json")
    assert flows.verify(tmp_path / "c.json").endless.rate == made.infinity.rate > 0.1


def test_what_has_no_steps_is_refused_in_one_line():
    one = flows.OwnSystem("one", [U], sp.Piecewise((U**2, U > 0), (0, True)))
    with pytest.raises(flows.InputError, match=r"one: expected a loss of exp, .* got Piecewise"):
        flows.certify(one, [1.0], 1.0)
    with pytest.raises(Refused, match="takes other numbers"):
        read([["variable", 0], ["exp", 0, 0]], 1)
    with pytest.raises(Uncertified, match="UNDECIDED beyond"):
        flows.certify(flows.OwnSystem("fall", [U, V], sp.log(U) + V), [0.5, 0.0], 1.0, digits=8)
