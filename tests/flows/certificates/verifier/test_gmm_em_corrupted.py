import copy
import json
import math

import numpy as np
import pytest
from oracles.certificates import put, scaled
from oracles.certified.means import PROBLEMS, certificate

import flows


@pytest.mark.parametrize("name", PROBLEMS)
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
    "no weights": (
        lambda data: data["parameters"].pop("weights"),
        "its parameters are not n, d, weights",
    ),
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
