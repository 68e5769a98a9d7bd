"""Polynomial losses of one's own: what the checker reads, and what it refuses."""

import copy
import json

import numpy as np
import pytest
import sympy as sp
from flint import arb
from mpmath import mp
from oracles.certificates import ball, put, scaled
from oracles.certified.polynomials import FIELDS, PROBLEMS, STARTS, certificate, system

import flows
from flows.certificates.verifier.loss import entries
from flows.certificates.verifier.polynomial import Polynomial, terms
from flows.certificates.verifier.reading import Refused
from flows.core.balls import precision

# Of fields with 60 digits, and of their central differences with a step of 1e-20.
DIGITS, SAME, STEP, NEARLY = 60, 1e-40, mp.mpf("1e-20"), 1e-30


def equations(name):
    return Polynomial(system(name).certified[1], STARTS[name])


@pytest.mark.parametrize("name", PROBLEMS)
def test_field_and_hessian_are_those_of_the_loss_typed_by_hand(name):
    problem, x = equations(name), [mp.mpf(c) for c in STARTS[name].tolist()]
    with precision(200), mp.workdps(DIGITS):
        found, hessian = problem.field(problem.start, ()), problem.hessian(problem.start)
        oracle = FIELDS[name](x)
        assert all(abs(c - ball(f)) < SAME for c, f in zip(found, oracle, strict=True))
        for k in range(len(x)):
            after, before = (
                FIELDS[name]([c + s * STEP if i == k else c for i, c in enumerate(x)])
                for s in (1, -1)
            )
            for row, a, b in zip(hessian, after, before, strict=True):
                assert abs(row[k] + ball((a - b) / (2 * STEP))) < NEARLY


def test_the_hessians_of_a_box_contain_those_of_its_corners():
    problem, generator = equations("matrix"), np.random.default_rng(0)
    box = problem.hessian(np.array([arb(x, 1e-3) for x in STARTS["matrix"].tolist()]))
    for _ in range(3):
        moved = STARTS["matrix"] + generator.choice([-1e-3, 1e-3], size=4)
        point = problem.hessian(np.array([arb(x) for x in moved.tolist()]))
        assert np.vectorize(lambda c, x: c.contains(x.mid()))(box, point).all()


@pytest.mark.parametrize("name", PROBLEMS)
def test_what_was_made_is_accepted_and_says_loss_and_start(name, tmp_path):
    made, path = certificate(name, 11), tmp_path / "c.json"
    made.save(path)
    found = flows.verify(path, made.system, made.start, made.t_end)
    assert (found.refused, found.error, found.system) == ("", made.error, "polynomial")
    assert found.about["name"] == name
    assert found.start.tolist() == STARTS[name].tolist()
    again = flows.load_certificate(path)
    assert (again.pieces, again.system.certified) == (made.pieces, made.system.certified)
    other = STARTS[name].copy()
    other[0] = np.nextafter(other[0], 2.0)
    assert flows.verify(path, start=other).refused == "it is about another start"
    for another in (flows.MatrixFactorization(d=1), system("sextic")):
        assert flows.verify(path, another).refused == "it is about another system"


def test_the_loss_is_printed_from_its_terms():
    assert equations("scalars").about["loss"] == "1/2 u^2 v^2 - u v + 1/2"
    assert equations("matrix").about["loss"].startswith("1/4 X[0,0]^4 + ")
    nothing = Polynomial({"name": "flat", "blocks": [["u", []]], "terms": []}, np.ones(1))
    assert nothing.about["loss"] == "0"


def test_decimals_are_the_fractions_that_they_are_written_as():
    u = sp.Symbol("u")
    made = flows.OwnSystem("decimal", [u], 0.1 * u**2).certified
    assert made == ("polynomial", {"name": "decimal", "blocks": [["u", []]], "terms": [TENTH]})


TENTH = [1, 10, [[0, 2]]]
# Of a start in the last bit, and of a tube that is narrower than the maker's room of 2^-10.
LAST_BIT, NARROWER = 1 + 2.0**-52, 0.999
TERMS = ("parameters", "terms")
CORRUPTIONS = {
    "another coefficient": (put(*TERMS, 1, to=[-1001, 1000, [[0, 1], [1, 1]]]), "piece 0: "),
    "another sign": (put(*TERMS, 1, 0, to=1), "piece 0: "),
    "another power": (put(*TERMS, 0, 2, 0, 1, to=3), "piece 0: "),
    "another entry": (put(*TERMS, 0, 2, to=[[0, 2]]), "piece 0: "),
    "a term too few": (lambda data: data["parameters"]["terms"].pop(0), "piece 0: "),
    "a fraction not in lowest terms": (put(*TERMS, 0, to=[2, 4, [[0, 2]]]), "lowest terms"),
    "a fraction that is negative below": (put(*TERMS, 0, to=[1, -2, [[0, 2]]]), "lowest terms"),
    "a fraction of nothing": (put(*TERMS, 0, to=[1, 0, [[0, 2]]]), "lowest terms"),
    "an entry that is counted from the end": (
        put(*TERMS, 1, 2, to=[[-1, 1], [1, 1]]),
        "powers of a monomial",
    ),
    "a zero": (put(*TERMS, 0, 0, to=0), "lowest terms"),
    "a monomial that occurs twice": (
        lambda data: data["parameters"]["terms"].append([1, 2, [[0, 1], [1, 1]]]),
        "a monomial occurs twice",
    ),
    "entries in another order": (put(*TERMS, 1, 2, to=[[1, 1], [0, 1]]), "powers of a monomial"),
    "a power of zero": (put(*TERMS, 1, 2, to=[[0, 1], [1, 0]]), "powers of a monomial"),
    "a negative power": (put(*TERMS, 1, 2, to=[[0, 1], [1, -1]]), "powers of a monomial"),
    "an unknown entry": (put(*TERMS, 1, 2, to=[[0, 1], [2, 1]]), "powers of a monomial"),
    "a coefficient in words": (put(*TERMS, 1, 0, to="one"), "made of integers"),
    "a coefficient that is a double": (put(*TERMS, 1, 0, to="0x1p0"), "made of integers"),
    "a coefficient that is a decimal": (put(*TERMS, 1, 0, to=0.5), "is not exact"),
    "a truth value": (put(*TERMS, 1, 0, to=True), "is not a number"),
    "code for a loss": (put(*TERMS, to="(u*v-1)**2/2"), "too many terms"),
    "code for a name": (put("parameters", "name", to="u+v"), "not a plain word"),
    "two blocks of one name": (put("parameters", "blocks", 1, 0, to="u"), "have one name"),
    "a block too many": (lambda data: data["parameters"]["blocks"].append(["w", []]), "do not fit"),
    "a shape of nothing": (put("parameters", "blocks", 0, 1, to=[0]), "a shape is wrong"),
    "a parameter too many": (put("parameters", "formula", to="u v"), "its parameters are not"),
    "another start": (put("start", 0, to=scaled(LAST_BIT)), "piece 0: the flow may"),
    "a matrix for a start": (put("start", to=lambda x: [x]), "do not fit"),
    "a smaller defect": (put("pieces", 1, "defect", to=scaled(1e-3)), "piece 1: the defect"),
    "a narrower tube": (put("pieces", 1, "tube", to=scaled(NARROWER)), "piece 1: the flow may"),
    "a smaller error": (put("pieces", 1, "error", to=scaled(NARROWER)), "piece 1: the error"),
    "contraction where errors grow": (
        put("pieces", 1, "growth", to=lambda g: ["-0x1p4" for _ in g]),
        "piece 1: errors",
    ),
    "a branch where there is none": (put("pieces", 1, "signs", to=[1]), "piece 1: wrong signs"),
    "an ellipse that is too large": (put("pieces", 1, "rho", to="0x1p99"), "piece 1: the defect"),
    "a piece too few": (lambda data: data["pieces"].pop(1), "piece 1: the"),
    "a later end": (put("t_end", to=scaled(1.01)), "do not reach the end"),
}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corrupted_certificate_is_refused_with_the_reason(tmp_path, name):
    change, reason = CORRUPTIONS[name]
    data = copy.deepcopy(certificate("scalars", 11).to_json())
    change(data)
    (tmp_path / "c.json").write_text(json.dumps(data))
    found = flows.verify(tmp_path / "c.json")
    assert not found.accepted
    assert reason in found.refused


def test_a_second_loss_in_the_file_is_refused(tmp_path):
    text = json.dumps(certificate("scalars", 11).to_json())
    (tmp_path / "c.json").write_text(text.replace('"terms":', '"terms": [], "terms":', 1))
    assert flows.verify(tmp_path / "c.json").refused == "the key 'terms' occurs twice"


def test_a_tube_that_is_narrower_than_the_room_it_has_is_still_one(tmp_path):
    # The control of the refusal above: half of the room is left.
    data = copy.deepcopy(certificate("scalars", 11).to_json())
    put("pieces", 1, "tube", to=scaled(1 - 2.0**-11))(data)
    (tmp_path / "c.json").write_text(json.dumps(data))
    assert flows.verify(tmp_path / "c.json").accepted


@pytest.mark.parametrize("blocks", [[["u", [2, 2, 2]]], [["u", [5000]]], [["u", 3]], [[3, []]]])
def test_blocks_that_are_none_are_refused(blocks):
    with pytest.raises(Refused):
        entries(blocks)


def test_too_many_entries_and_too_high_powers_are_refused():
    with pytest.raises(Refused, match="too many entries"):
        entries([["u", [64, 64]], ["v", []]])
    assert len(entries([["u", [64, 64]]])) == 4096
    with pytest.raises(Refused, match="powers of a monomial"):
        terms([[1, 1, [[0, 65]]]], 1)
    assert terms([[1, 1, [[0, 64]]]], 1)[0].powers == ((0, 64),)
