"""Random leading forms on the circle, integrated by hand: a run is told no law but its own.

Some have inflections, which attract from one side only (`oracles.circle_forms`); to half of them a
form of higher degree is added, which turns directions on their way. `make fuzz` takes more of them.
"""

import functools
import math
import os
import re

import numpy as np
import pytest
import sympy as sp
from oracles.circle_forms import CircleForm, flowed, random_form

import flows

# Random runs; `make fuzz` asks for 500.
RUNS = int(os.environ.get("POPFLOW_FUZZ", "6"))
# Always: constants that differ by less than a millionth, and inflections that few directions reach.
HARD = (88, 132, 182, 309)
A, B = sp.symbols("a b")
END = 1e8
# Constants are closed forms, or roots of polynomials to many digits.
EXACT = 1e-9
# By `since` a run is as near to its law as its claims say; a constant that is off by more is not.
CLAIMED, OFF = 1e-4, 1e-3
# By how much a form of two degrees more turns a direction at the end, relative to the square of the
# distance there.
TURNS = 3.0


def expression(coefficients):
    """Polynomial of a form."""
    p = len(coefficients) - 1
    return sum(sp.Rational(c) * A ** (p - k) * B**k for k, c in enumerate(coefficients))


@functools.cache
def told(seed):
    """A form, the state at the end by hand, and what is said of the run and of the minimiser."""
    rng = np.random.default_rng(seed)
    form = random_form(rng)
    higher = (0,)
    if rng.random() < 0.5:
        square = random_form(rng).coefficients[: form.degree + 3]
        higher = (*square, *[0] * (form.degree + 3 - len(square)))
    angle, radius = rng.uniform(0, 2 * math.pi), rng.uniform(0.3, 0.8)
    start = [radius * math.cos(angle), radius * math.sin(angle)]
    system = flows.OwnSystem("form", [A, B], expression(form.coefficients) + expression(higher))
    run = flows.integrate(system, start, END)
    return form, flowed(form, higher, start, END), any(higher), flows.late_time_law(run)


def false_words(form, state, turned, law):
    """Everything that is said of the run and is not true."""
    wrong = []
    constants = {form.constant(x) for x in form.attracting}
    for one in law.laws:
        if not any(abs(one.constant / c - 1) < EXACT for c in constants):
            wrong.append(f"{one} is no law of the form: {constants}")
    for c in constants:
        if not any(abs(one.constant / c - 1) < EXACT for one in law.laws):
            wrong.append(f"the law {c} is missing")
    if law.chosen is None:
        return wrong
    angle, distance = math.atan2(state[1], state[0]), math.hypot(*state)
    true = form.constant(form.goes(angle))
    said = law.laws[law.chosen].constant
    known = form.margin(angle) > (TURNS * distance**2 if turned else 0.0)
    if known and abs(said / true - 1) > EXACT:
        wrong.append(f"the run goes to {true}, not to {said}")
    p = form.degree
    scaled = END ** (p / (p - 2)) * form.value(angle) * distance**p
    if law.since <= END and abs(scaled / said - 1) > CLAIMED:
        wrong.append(f"t^{p / (p - 2):g} L is {scaled}, not {said}, from {law.since} on")
    return wrong


@pytest.mark.parametrize("seed", sorted({*range(RUNS), *HARD}))
def test_a_run_is_told_the_law_to_which_its_direction_goes(seed):
    found = told(seed)
    assert false_words(*found) == [], (found[0].angles, found[3].notes)
    # Control: where a constant is off by a thousandth, all of its words are false.
    form, state, turned, law = found
    p = form.degree
    size = (1 + OFF) ** (-(p - 2) / 2)
    off = CircleForm(p, tuple(float(c) * size for c in form.coefficients), form.turn, form.angles)
    assert len(false_words(off, state, turned, law)) >= 2 * len(law.laws)


def test_the_fuzz_is_about_something():
    found = [told(seed) for seed in range(6)]
    assert sum(law.chosen is not None for *_, law in found) > 3
    assert any(one.log_decay for *_, law in found for one in law.laws)


INFLECTION = (A**2 + B**2) ** 2 - A**3 * B / 4
#: Starts, and what is said of their runs: the constant, and words of the last note.
FOLLOWED = {
    "to an inflection, from its side": (INFLECTION, [-0.3, 1.0], 1 / 64, r"\(log t\)\^-3"),
    "away from an inflection": (INFLECTION, [0.2, 1.0], 1 / (64 - 3 * 3**0.5), "beside a saddle"),
    # The flow keeps both axes: on them the loss is z^4, so that z^-2 ~ 8 t.
    "at an inflection": (INFLECTION, [0.0, 1.0], 1 / 64, "flow keeps: a = 0"),
    "on the axis of a saddle": (A**4 + B**4, [0.5, 0.0], 1 / 64, "flow keeps: b = 0"),
    "at a saddle, where one law is the only one": (
        (A + 2 * B) ** 4 + (2 * A - B) ** 4,
        [0.25, 0.5],
        None,
        "to its digits .* at a saddle",
    ),
}


@pytest.mark.parametrize(("loss", "start", "constant", "words"), FOLLOWED.values(), ids=FOLLOWED)
def test_a_law_is_chosen_by_the_side_on_which_the_run_is(loss, start, constant, words):
    run = flows.integrate(flows.OwnSystem("own", [A, B], loss), start, END)
    law = flows.late_time_law(run)
    assert re.search(words, law.notes[-1])
    if constant is None:
        assert law.chosen is None and law.arrives == math.inf
        with pytest.raises(flows.InputError, match="none that this run follows"):
            law.claims()
        return
    assert law.laws[law.chosen].constant == pytest.approx(constant, rel=EXACT)
    if law.laws[law.chosen].log_decay is not None:
        with pytest.raises(flows.InputError, match=words):
            law.claims()
        assert math.isnan(flows.tail_constant(run, law=law.laws[law.chosen]).value)
