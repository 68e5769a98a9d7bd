import copy
import json
import math

import numpy as np
import pytest
from flint import ctx
from oracles.certificates import put, scaled

import flows

CROSSING = (2, 2, 3, 2.0)  # n, d, seed, end: two pairs of the plane align on the way


@pytest.fixture(scope="module")
def made():
    n, d, seed, end = CROSSING
    system = flows.ReLUNeuron(n=n, d=d)
    return flows.certify(system, system.initial(0.1, seed), end, digits=8)


@pytest.fixture(scope="module")
def outside_the_plane():
    system = flows.ReLUNeuron(n=2, d=3, teacher=[1.0, 2.0, -0.5])
    return flows.certify(system, system.initial(0.3, 1), 0.25, digits=8)


def written(path, data):
    path.write_text(json.dumps(data))
    return path


def test_what_was_made_is_accepted_with_its_bounds(made, outside_the_plane, tmp_path):
    before = ctx.prec
    for certificate in (made, outside_the_plane):
        certificate.save(tmp_path / "c.json", force=True)
        found = flows.verify(
            tmp_path / "c.json", certificate.system, certificate.start, certificate.t_end
        )
        assert found.accepted
        assert found.refused == ""
        assert found.error == certificate.error < 1e-6
        assert found.final_error == certificate.final_error
        assert found.pieces == len(certificate.pieces)
    assert ctx.prec == before
    assert len({piece.signs for piece in made.pieces}) == 3


def _coefficients(shift):
    """Add to the constant of a component, in units of the last bit."""

    def change(data):
        row = data["pieces"][3]["coefficients"][1]
        row[0] = f"{int(row[0], 16) + shift(data):x}"

    return change


def _ten_errors(data):
    return int(10 * float.fromhex(data["pieces"][3]["tube"]) * 2.0 ** data["bits"])


CORRUPTIONS = {
    "a coefficient that is off by ten times the bound": (
        _coefficients(_ten_errors),
        "piece 3: the",
    ),
    "a coefficient far off": (_coefficients(lambda data: 1 << data["bits"]), "piece 3: the"),
    "a smaller defect": (put("pieces", 2, "defect", to=scaled(1e-3)), "piece 2: the defect"),
    "slower growth": (
        put("pieces", 2, "growth", to=lambda g: [scaled(0.5)(x) for x in g]),
        "piece 2: errors",
    ),
    "contraction where errors grow": (
        put("pieces", 2, "growth", to=lambda g: ["-0x1p4" for _ in g]),
        "piece 2: errors",
    ),
    "a narrower tube": (put("pieces", 2, "tube", to=scaled(0.1)), "piece 2: the flow may leave"),
    "a wide tube": (put("pieces", 2, "tube", to="0x1p0"), "piece 2: a neuron may be at zero"),
    "a smaller error": (put("pieces", 2, "error", to=scaled(0.5)), "piece 2: the error"),
    "an ellipse that is too large": (
        put("pieces", 2, "rho", to=scaled(1e6)),
        "piece 2: an angle is not determined",
    ),
    "an ellipse that is none": (put("pieces", 2, "rho", to="0x1p0"), "piece 2: an ellipse"),
    "another branch": (put("pieces", 2, "signs", 0, to=lambda s: -s), "piece 2: "),
    "no branch": (put("pieces", 2, "signs", to=[]), "piece 2: wrong signs"),
    "a sign that is none": (put("pieces", 2, "signs", 0, to=0), "piece 2: wrong signs"),
    "a piece that ends elsewhere": (
        put("pieces", 2, "end", to=lambda e: f"{int(e, 16) * 101 // 100:x}"),
        "piece 2: the defect",
    ),
    "a piece that goes back": (put("pieces", 2, "end", to="1"), "piece 2: it has a wrong shape"),
    "a piece too few": (lambda data: data["pieces"].pop(2), "piece 2: the"),
    "an end that is not reached": (lambda data: data["pieces"].pop(), "do not reach the end"),
    "no pieces": (put("pieces", to=[]), "do not reach the end"),
    "a later end": (put("t_end", to=scaled(1.01)), "do not reach the end"),
    "another start": (
        put("start", 0, 0, to=scaled(1 + 1e-6)),
        "piece 0: the flow may leave the tube",
    ),
    "another teacher": (put("parameters", "teacher", 0, to=scaled(1 + 1e-3)), "piece 0: "),
    "a teacher that is zero": (put("parameters", "teacher", to=["0x0p0", "0x0p0"]), "do not fit"),
    "another size": (put("parameters", "n", to=3), "do not fit"),
    "a component too few": (
        lambda data: data["pieces"][0]["coefficients"].pop(),
        "piece 0: it has a wrong shape",
    ),
    "a defect that is no number": (
        put("pieces", 0, "defect", to="nan"),
        "is not a double in hexadecimal",
    ),
    "a tube that is infinite": (
        put("pieces", 0, "tube", to="inf"),
        "is not a double in hexadecimal",
    ),
    "growth that is no number": (
        put("pieces", 0, "growth", 0, to="nan"),
        "is not a double in hexadecimal",
    ),
    "no growth": (put("pieces", 0, "growth", to=[]), "an ellipse or growth is missing"),
    "a precision too high": (put("precision", to=10**9), "precision is not between"),
    "too low a precision": (put("precision", to=8), "precision is not between"),
    "another system": (
        put("system", to="score_matching"),
        "its system is not one of average, gmm_em, ",
    ),
    "another format": (put("format", to="popflow certificate 0"), "its format is unknown"),
    "a missing part": (lambda data: data.pop("start"), "missing or malformed"),
    "text for a number": (put("t_end", to="soon"), "'soon' is not a double"),
    "a list for an object": (put("pieces", 0, to=[]), "missing or malformed"),
}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corrupted_certificate_is_refused_with_the_reason(made, tmp_path, name):
    change, reason = CORRUPTIONS[name]
    data = copy.deepcopy(made.to_json())
    change(data)
    found = flows.verify(written(tmp_path / "c.json", data))
    assert not found.accepted
    assert reason in found.refused
    assert found.error == math.inf


def test_a_certificate_of_another_problem_is_refused(made, tmp_path):
    made.save(path := tmp_path / "c.json")
    other = flows.ReLUNeuron(n=2, d=2, teacher=[1.0, 2.0**-50])
    nearly = made.start.copy()
    nearly[0, 0] = np.nextafter(nearly[0, 0], 1.0)
    for asked, reason in (
        ({"system": other}, "another system"),
        ({"system": flows.GMMEM(n=2, d=2)}, "another system"),
        ({"start": nearly}, "another start"),
        ({"t_end": 2.0 + 1e-9}, "another end, t = 2"),
    ):
        assert reason in flows.verify(path, **asked).refused
