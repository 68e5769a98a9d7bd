"""The checker of funnels refuses radii that are a little too small, and no others."""

from dataclasses import replace
from itertools import pairwise

import pytest
from flint import arb

from flows.certificates.tail.funnel import Funnel
from flows.certificates.verifier import funnel as checker
from flows.certificates.verifier import late_states
from flows.certificates.verifier.curve import UNIT
from flows.certificates.verifier.ellipsoid import off_at_end
from flows.certificates.verifier.reading import Refused
from flows.core.balls import precision

BITS = 80
# Radii that are by so much smaller than needed are refused, and larger ones are accepted.
OFF = 0.04


def needed(funnel, b):
    """Radii that would serve, on the layers of these."""
    edges = [arb(funnel.reach) * k / funnel.parts for k in range(funnel.parts + 1)]
    box = [b + UNIT * funnel.drift, UNIT * funnel.across]
    found = [
        checker.layer_of(low, high, box, arb(funnel.along), arb(funnel.sharp))
        for low, high in pairwise(edges)
    ]
    slides = [abs(x.slide) * (x.high**2 - x.low**2) / 2 for x in found]
    stiff = [1 - x.high * x.pace.upper() for x in found]
    pushed = [x.high * x.push / k for x, k in zip(found, stiff, strict=True)]
    lifted = [x.high**2 * x.lift / k for x, k in zip(found, stiff, strict=True)]
    return {
        "drift": float(sum(slides, arb(0)).upper()),
        "across": max(float(x.upper()) for x in pushed),
        "along": max(float(x.upper()) for x in lifted),
    }


@pytest.mark.parametrize(
    ("key", "reason"),
    [("across", r"\|x\| may leave"), ("along", r"\|u\| may leave"), ("drift", "b may move")],
)
def test_a_funnel_is_as_narrow_as_it_may_be(key, reason):
    with precision(BITS):
        b, funnel = arb(0.1, 0.01), Funnel(0.1, 0.0045, 0.00055, 0.0014, 6, 0.2)
        funnel = replace(funnel, **{key: needed(funnel, b)[key]})
        least = getattr(replace(funnel, **{key: needed(funnel, b)[key]}), key)
        checker.held(replace(funnel, **{key: (1 + OFF) * least}).to_json(), b, 1)
        with pytest.raises(Refused, match=reason):
            checker.held(replace(funnel, **{key: (1 - OFF) * least}).to_json(), b, 1)


STATED = Funnel(0.1, 0.2, 0.2, 0.02, 2, 0.5).to_json()


def layered(monkeypatch, **known):
    """Layers on which all is known: by default nothing is pushed, and Q is a third."""
    found = {"pace": arb(1) / 3, "slide": arb(0), "push": arb(0), "lift": arb(0)} | known
    monkeypatch.setattr(
        checker, "layer_of", lambda low, high, *_: checker.Layer(low, high, energy=arb(1), **found)
    )


@pytest.mark.parametrize(("pace", "slow"), [(3.3, True), (3.4, False)])
def test_zeta_does_not_fall_too_fast(monkeypatch, pace, slow):
    layered(monkeypatch, pace=arb(pace))
    with precision(BITS):
        if slow:
            found = checker.held(STATED, arb(0), 1)
            assert found.push == found.lift == 0
        else:
            with pytest.raises(Refused, match="zeta may fall too fast"):
                checker.held(STATED, arb(0), 1)


@pytest.mark.parametrize(
    ("pushed", "reason"),
    [
        ({"push": arb(1.5)}, r"\|x\| may leave"),
        ({"lift": arb(15)}, r"\|u\| may leave"),
        ({"slide": arb(-4.1)}, "b may move further"),
    ],
)
def test_where_zeta_may_fall_fastest_both_sums_have_the_least_room(monkeypatch, pushed, reason):
    # zeta Q is 0.3 at most: 1.4 and 14 are too much, and 1.8 and 18 where it is 0.1.
    with precision(BITS):
        layered(monkeypatch, pace=arb(2, 1), **{key: x * 0.9 for key, x in pushed.items()})
        checker.held(STATED, arb(0), 1)
        layered(monkeypatch, pace=arb(2, 1), **pushed)
        with pytest.raises(Refused, match=reason):
            checker.held(STATED, arb(0), 1)


def test_what_drives_both_sums_is_enlarged_by_how_fast_zeta_falls(monkeypatch):
    layered(monkeypatch, pace=arb(2), push=arb(0.3), lift=arb(0.4))  # zeta Q is a fifth at most
    with precision(BITS):
        found = checker.held(STATED, arb(0), 1)
        assert float(found.push) == pytest.approx(0.3 / 0.6)
        assert float(found.lift) == pytest.approx(0.4 / 0.4)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"zeta": 0.102}, "zeta begins beyond its reach"),
        ({"sum": 0.0202}, r"\|x\| begins beyond its bound"),
        ({"excess": 0.0202}, r"\|u\| begins beyond its bound"),
        ({"excess": -0.0202}, r"\|u\| begins beyond its bound"),
        ({"zeta": arb(0.09, 0.009), "sum": 0.017}, r"\|x\| begins beyond its bound"),
        ({"zeta": arb(0.09, 0.009), "sum": 0.0, "excess": 0.017}, r"\|u\| begins beyond its bound"),
        ({"zeta": arb(0.05, 0.05)}, "two neurons may be equal"),
    ],
)
def test_states_begin_in_the_funnel(monkeypatch, changed, reason):
    layered(monkeypatch)
    begin = {"zeta": 0.0999, "sum": 0.0198, "excess": 0.0198, "b": 0.0}
    with precision(BITS):
        least = checker.Begin(**{key: arb(x) for key, x in begin.items()})
        checker.funnel(STATED, least, 1, arb(1))
        more = checker.Begin(**{key: arb(x) for key, x in (begin | changed).items()})
        with pytest.raises(Refused, match=reason):
            checker.funnel(STATED, more, 1, arb(1))


def test_the_energy_has_both_residuals_and_a_floor(monkeypatch):
    layered(monkeypatch, pace=arb(1), push=arb(0.3), lift=arb(0.4))
    monkeypatch.setattr(checker, "PART", arb(1))  # no less than all of them
    with precision(BITS):
        # It enters at 0.05 with |z_1 + z_2| = 0.01 and |h_1 + h_2 - 1| = 0.01, on the last layer.
        begin = checker.Begin(arb(0.05), arb(0.01), arb(-0.01), arb(0))
        _, _, bounds = checker.funnel(STATED, begin, 1, arb(1))
        across = 0.01 / 0.05**1.5 + 0.05**0.5 * 0.3 / 0.8
        along = 0.01 / 0.05**1.5 + 0.05**1.5 * 0.4 / 0.7
        assert float(bounds.mid()) == pytest.approx(1 + (across**2 + along**2) / 4)


@pytest.mark.parametrize("first", [0, 1, 2])
def test_a_set_of_states_has_the_constants_of_its_formulas(monkeypatch, first):
    known = [(0.5, 0.5), (2.5, 1.0), (1.5, 0.25)]
    layers = [
        checker.Layer(arb(0), arb(0.1), arb(pace), arb(0), arb(0), arb(0), arb(energy))
        for pace, energy in known[first:] + known[:first]
    ]
    found = checker.Held(layers, arb(0.3), arb(0.4))
    monkeypatch.setattr(late_states, "held", lambda *_: found)
    stated = STATED | {"low": (0.1).hex(), "high": (0.3).hex()}
    with precision(BITS):
        box = late_states._box(stated, 1)
    slow, fast = 1 / 2.5, 1 / 0.5
    assert box.lower == pytest.approx(slow**3 * 0.5 / 6)
    assert box.upper == pytest.approx(fast**3)
    sums = (0.2 + 0.1 * 0.3) ** 2 + (0.2 + 0.01 * 0.4) ** 2
    assert box.more == pytest.approx(fast**3 * sums / 4)
    limit = [6.579736267392905 * 4 * ((1 - b * b) / 4) ** 2 for b in (0.32, 0.08)]
    assert box.limit[0] <= limit[0]
    assert box.limit[1] >= limit[1]
    assert box.limit[1] - box.limit[0] < 1.5 * (limit[1] - limit[0])


@pytest.mark.parametrize("empty", [{"along": 0.0}, {"across": 0.0}, {"low": 0.3}])
def test_an_empty_set_of_states_is_refused(empty):
    stated = STATED | {"low": (0.1).hex(), "high": (0.3).hex()}
    with precision(BITS), pytest.raises(Refused, match="it is empty"):
        late_states._box(stated | {key: x.hex() for key, x in empty.items()}, 1)


def test_two_neurons_are_apart_and_together_by_so_much_more_than_each(monkeypatch):
    class Seen(Exception):
        pass

    def seen(piece, forms, bits):
        raise Seen(piece["error"])

    with precision(BITS):
        ends = [[arb(0.5), arb(0.05)], [arb(0.5), arb(-0.05)]]
        pieces = [{"end": "0", "error": error.hex()} for error in (1e-3, 1e-2)]
        known = checker.begin(ends, lambda forms: off_at_end(pieces[-1], forms, BITS), arb(1))
        # Where each is off by 1/sqrt(2), both together by one, in opposite or in one direction.
        for ball, middle in ((known.zeta, 0.1), (known.excess, 0.0), (known.b, 0.0)):
            assert ball.contains(middle + 1.414e-2 * UNIT)
            assert not ball.contains(middle + 1.415e-2 * UNIT)
        assert 1.414e-2 < known.sum < 1.415e-2
        monkeypatch.setattr(checker, "off_at_end", seen)
        with pytest.raises(Seen, match=(1e-2).hex().replace("+", r"\+")):
            checker.funnelled({}, arb(1), pieces, [ends], BITS)
