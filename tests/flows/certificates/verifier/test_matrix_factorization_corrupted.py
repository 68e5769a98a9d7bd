import copy
import json

import numpy as np
import pytest
from oracles.certificates import put, scaled
from oracles.certified.layers import PROBLEMS, certificate

import flows


@pytest.mark.parametrize("name", PROBLEMS)
def test_what_was_made_is_accepted_and_read_back(name, tmp_path):
    made, path = certificate(name, 10), tmp_path / "c.json"
    made.save(path)
    found = flows.verify(path, made.system, made.start, made.t_end)
    assert (found.refused, found.error) == ("", made.error)
    again = flows.load_certificate(path)
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
