import functools
import json
from pathlib import Path

import pytest
from oracles.certificates import put
from oracles.certified import layers, means, neurons

import flows

# A file of an earlier version, in which a neuron moves from (1/2, -3/4).
OLD = Path(__file__).parent / "version_1.json"


def replaced(old, new):
    """Change of a file's text at the one place where it has these words."""

    def change(text):
        assert text.count(old) == 1, old
        return text.replace(old, new)

    return change


def a_decimal(*path):
    """Change of a file's text: a number as the decimal that Python prints for it."""

    def change(text):
        data = json.loads(text)
        put(*path, to=lambda x: float.fromhex(x))(data)
        return json.dumps(data)

    return change


def as_word(*path):
    """The same with the decimal in quotes."""

    def change(text):
        data = json.loads(text)
        put(*path, to=lambda x: repr(float.fromhex(x)))(data)
        return json.dumps(data)

    return change


INEXACT = {
    "a start of decimals": (neurons, "span", a_decimal("start", 0, 0), "is not exact"),
    "a start of decimals in quotes": (neurons, "span", as_word("start", 0, 0), "hexadecimal"),
    "a teacher of decimals in quotes": (
        neurons,
        "span",
        as_word("parameters", "teacher", 0),
        "hexadecimal",
    ),
    "a weight that is a decimal": (means, "three", a_decimal("parameters", "weights", 0), "exact"),
    "a weight in quotes": (means, "three", as_word("parameters", "weights", 0), "hexadecimal"),
    "a target of decimals": (
        layers,
        "complex",
        a_decimal("parameters", "target", "imag", 0, 0),
        "exact",
    ),
    "a strength that is a decimal": (
        layers,
        "complex",
        a_decimal("parameters", "regularization"),
        "exact",
    ),
    "an end in quotes": (means, "three", as_word("t_end"), "hexadecimal"),
    "a tube that is a decimal": (means, "three", a_decimal("pieces", 0, "tube"), "exact"),
    "a defect in quotes": (means, "three", as_word("pieces", 0, "defect"), "hexadecimal"),
    "a start of integers": (
        means,
        "three",
        lambda text: json.dumps(json.loads(text) | {"start": [[-1], [0], [1]]}),
        "-1 is not a double in hexadecimal",
    ),
    "an imaginary part for all": (
        layers,
        "complex",
        lambda text: json.dumps(
            (data := json.loads(text)) | {"start": data["start"] | {"imag": "0x0p0"}}
        ),
        "real and imaginary parts do not fit",
    ),
    "a second start, the last": (
        means,
        "three",
        replaced('"t_end":', '"start":[["0x1p0"],["0x0p0"],["0x0p0"]],"t_end":'),
        "the key 'start' occurs twice",
    ),
    "a second start, the first": (
        means,
        "three",
        replaced('"start":', '"start":[["0x1p0"],["0x0p0"],["0x0p0"]],"start":'),
        "the key 'start' occurs twice",
    ),
    "a second size, equal to the first": (
        neurons,
        "span",
        replaced('"n":2', '"n":2,"n":2'),
        "the key 'n' occurs twice",
    ),
    "an end that is not finite": (
        means,
        "three",
        lambda text: json.dumps(json.loads(text) | {"t_end": float("inf")}),
        "the number Infinity is not exact",
    ),
    "a start that is not a number": (
        means,
        "three",
        lambda text: json.dumps(json.loads(text) | {"start": [[float("nan")]]}),
        "the number NaN is not exact",
    ),
    "a parameter that nothing reads": (
        means,
        "three",
        replaced('"n":3', '"n":3,"variance":2'),
        "its parameters are not n, d, weights",
    ),
    "a parameter too few": (neurons, "span", replaced('"n":2,', ""), "its parameters are not n, d"),
    "a sign that is a truth": (
        neurons,
        "plane",
        lambda text: text.replace('"signs":[1,', '"signs":[true,'),
        "True is not a number",
    ),
}


@pytest.fixture(scope="module")
def accepted(tmp_path_factory):
    """Text of a certificate's file, which is accepted as it was written."""
    path = tmp_path_factory.mktemp("accepted") / "c.json"

    @functools.cache
    def text(kind, problem):
        found = json.dumps(kind.certificate(problem, 8).to_json(), separators=(",", ":"))
        path.write_text(found)
        assert flows.verify(path).accepted
        return found

    return text


@pytest.mark.parametrize("name", INEXACT)
def test_a_certificate_with_an_inexact_or_double_statement_is_refused(name, accepted, tmp_path):
    kind, problem, change, reason = INEXACT[name]
    text = accepted(kind, problem)
    changed = change(text)
    assert changed != text
    (tmp_path / "c.json").write_text(changed)
    found = flows.verify(tmp_path / "c.json")
    assert reason in found.refused
    assert (found.system, found.parameters, found.start, found.t_end) == ("", None, None, 0.0)


@pytest.mark.parametrize(
    ("kind", "name"), [(neurons, "span"), (means, "three"), (layers, "complex"), (layers, "real")]
)
def test_an_accepted_certificate_says_which_start_and_system_were_verified(kind, name, tmp_path):
    made = kind.certificate(name, 8)
    made.save(tmp_path / "c.json")
    found = flows.verify(tmp_path / "c.json")
    assert found.accepted
    assert found.system == made.system.name
    assert type(made.system).from_parameters(found.parameters) == made.system
    assert found.start.dtype == made.start.dtype
    assert found.start.tobytes() == made.start.tobytes()
    assert found.t_end == made.t_end


def test_a_file_of_an_earlier_version_is_accepted_still():
    found = flows.verify(OLD, flows.ReLUNeuron(n=1, d=2, teacher=[1.0, 0.25]))
    assert found.refused == ""
    assert found.start.tolist() == [[0.5, -0.75]]
    assert found.t_end == 0.5
