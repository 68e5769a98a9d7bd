import numpy as np
import pytest
from flint import arb

from flows.certificates.verifier.reading import (
    Refused,
    bounds,
    exact,
    integer,
    largest,
    number,
    numbers,
    parsed,
)


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


@pytest.mark.parametrize("bad", ["nan", "inf"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_bound_that_is_not_finite_is_refused_wherever_it_stands(bad, place):
    values = [arb(1, 1), arb(-2), arb(3)]
    low, high = map(float, bounds(values))
    assert 3 <= high < 3.0000001 and -2.0000001 < low <= -2
    values[place] = arb(bad)  # Python's max passes over it, unless it comes first
    for bound in (largest, bounds):
        with pytest.raises(Refused, match="a bound is not finite"):
            bound(values)
