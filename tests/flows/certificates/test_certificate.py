import math
import re
from dataclasses import replace

import pytest
from oracles.certified import layers, means, neurons

import flows
from flows.certificates.certificate import certifiable


def test_times_outside_the_certificate_are_refused():
    made = neurons.certificate("plane", 8)
    for t in (-1.0, 21.0, math.nan):
        with pytest.raises(flows.InputError, match="time: expected a number in"):
            made.loss(t)


def test_a_certificate_prints_five_lines_whose_bounds_are_rounded_up():
    made = neurons.certificate("plane", 8)
    lines = repr(made).splitlines()
    assert len(lines) == 5 and lines[0].startswith("certificate of a trajectory of relu_neuron")
    shown = [float(x) for x in re.findall(r"within (\S+)", repr(made))]
    for bound, text in zip((made.error, made.final_error), shown, strict=True):
        assert bound <= text <= 1.1 * bound
    assert "<table>" in made._repr_html_()


def test_loss_and_exponent_of_the_tail_are_those_of_two_equal_weights():
    # mu_1 = -mu_2 = a in the end, with L = a^4/4 + O(a^6) and a^2 = 1/t + O(log(t)/t^2).
    t = 1e6
    made = flows.certify(flows.GMMEM(n=2, d=1), [[0.5], [-0.25]], t, digits=16)
    assert 4 * made.loss(t) * t * t - 1 < 1e-3
    assert abs(made.local_exponent(t) - 2) < 1e-3
    assert made.loss(t).rad() < 1e-20 * made.loss(t)


def test_a_certificate_is_verified_itself_as_its_file_is(tmp_path):
    made = neurons.certificate("plane", 8)
    made.save(tmp_path / "c.json")
    found, of_file = flows.verify(made), flows.verify(tmp_path / "c.json")
    assert found.accepted and found[:4] == of_file[:4] and (found.start == of_file.start).all()
    broken = replace(made, start=1.001 * made.start)
    assert not flows.verify(broken).accepted


@pytest.mark.parametrize(
    ("kind", "name"), [(neurons, "plane"), (neurons, "span"), (means, "three"), (layers, "complex")]
)
def test_a_file_gives_the_certificate_back(kind, name, tmp_path):
    made = kind.certificate(name, 8)
    made.save(tmp_path / "c.json")
    again = flows.load_certificate(tmp_path / "c.json")
    assert again.pieces == made.pieces
    assert (again.start == made.start).all()
    assert again.system == made.system
    assert again.loss(1.0).overlaps(made.loss(1.0))
    assert not again.loss(1.0).overlaps(2 * made.loss(1.0))
    with pytest.raises(flows.InputError, match="exists"):
        made.save(tmp_path / "c.json")


def test_systems_with_certificates_say_what_fixes_them():
    assert set(certifiable()) == {"relu_neuron", "matrix_factorization", "gmm_em"}
    for kind, name in ((neurons, "span"), (means, "two"), (layers, "real")):
        system = kind.certificate(name, 8).system
        parameters = {key: system.parameters[key] for key in system.stated}
        assert type(system).from_parameters(parameters) == system
    assert flows.ScoreMatching.stated == ()
