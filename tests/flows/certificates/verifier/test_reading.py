import json
from pathlib import Path

import numpy as np
import pytest
from oracles.certificates import put
from oracles.certified import layers, means, neurons

import flows
from flows.certificates.verifier.reading import Refused, exact, integer, number, numbers, parsed

# A file of an earlier version, in which a neuron moves from (1/2, -3/4).
OLD = Path(__file__).parent / "version_1.json"


def refused(read, *arguments):
    with pytest.raises(Refused) as caught:
        read(*arguments)
    return str(caught.value)


@pytest.mark.parametrize(
    "value", [0.0, 1.0, -0.1, 5e-324, 2.0**-1030 * 1.5, 1.7976931348623157e308, -(2.0**53) - 2]
)
def test_a_double_is_read_back_to_the_last_bit(value):
    assert number(value.hex()) == value


@pytest.mark.parametrize("text", ["0x1p0", "0x10p-4", "0x0.8p+1", "0x1.00p+0"])
def test_other_ways_to_state_a_double_are_exact_too(text):
    assert number(text) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0.1", "'0.1' is not a double in hexadecimal"),
        ("1", "'1' is not a double in hexadecimal"),
        ("nan", "'nan' is not a double in hexadecimal"),
        ("-inf", "'-inf' is not a double in hexadecimal"),
        ("0x1", "'0x1' is not a double in hexadecimal"),
        (" 0x1p0", "' 0x1p0' is not a double in hexadecimal"),
        ("0x1p0\n", "is not a double in hexadecimal"),
        (1, "1 is not a double in hexadecimal"),
        (None, "None is not a double in hexadecimal"),
        ("0x1.00000000000008p+0", "'0x1.00000000000008p+0' has more digits than a double"),
        ("0x20000000000001p+0", "has more digits than a double"),
        ("-0x1.8p-1074", "has more digits than a double"),
        ("0x1p-1075", "has more digits than a double"),
        ("0x1p+1024", "'0x1p+1024' is too large for a double"),
    ],
)
def test_what_is_no_double_is_refused_and_nothing_is_rounded(text, reason):
    assert reason in refused(number, text)


def test_integers_have_hexadecimal_digits_and_nothing_else():
    assert integer("-1f") == -31
    assert integer("0") == 0
    for text in ("1.5", "1_0", " 1", "+1", "0x1", "", "--1", 1, 1.0, None):
        assert "is not an integer in hexadecimal" in refused(integer, text)


def test_words_and_integers_stay_and_other_values_are_refused():
    given = {"n": 2**70, "field": "real", "target": [["-0x1.8p+1"]]}
    assert exact(given) == {"n": 2**70, "field": "real", "target": [[-3.0]]}
    for value in (True, None, 0.5):
        assert "is not a number" in refused(exact, {"n": [value]})


def test_arrays_hold_doubles_alone():
    assert (numbers([[1.0, 2.0]]) == np.array([[1.0, 2.0]])).all()
    made = numbers({"real": [1.0, 2.0], "imag": [0.5, -0.5]})
    assert made.tolist() == [1 + 0.5j, 2 - 0.5j]
    assert numbers(0.25).shape == ()
    for value in ([1], [2**53 + 1], ["0.1"], [True], [[1.0], [1.0, 2.0]]):
        assert "is not a double in hexadecimal" in refused(numbers, value)
    assert "do not fit" in refused(numbers, {"real": [1.0, 2.0], "imag": 0.5})
    assert "other parts" in refused(numbers, {"real": [1.0], "imag": [1.0], "more": [1.0]})
    assert "other parts" in refused(numbers, {"real": [1.0]})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 1, "b": {"c": 1, "c": 1}}', "the key 'c' occurs twice"),
        ('{"a": 1, "\\u0061": 2}', "the key 'a' occurs twice"),
        ("[0.1]", "the number 0.1 is not exact"),
        ("[1.0]", "the number 1.0 is not exact"),
        ("[1e3]", "the number 1e3 is not exact"),
        ("[NaN]", "the number NaN is not exact"),
        ("[-Infinity]", "the number -Infinity is not exact"),
    ],
)
def test_json_with_two_meanings_or_with_decimals_is_refused(text, reason):
    assert reason in refused(parsed, text)


def test_json_of_integers_and_words_is_read():
    assert parsed('{"a": {"b": [1, "x"]}, "b": -3}') == {"a": {"b": [1, "x"]}, "b": -3}


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


@pytest.mark.parametrize("name", INEXACT)
def test_a_certificate_with_an_inexact_or_double_statement_is_refused(name, tmp_path):
    kind, problem, change, reason = INEXACT[name]
    text = json.dumps(kind.certificate(problem, 8).to_json(), separators=(",", ":"))
    (tmp_path / "c.json").write_text(text)
    assert flows.verify(tmp_path / "c.json").accepted
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
