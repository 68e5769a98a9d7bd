"""A model: options, methods by the names of their blocks, and the system that it makes."""

import copy

import numpy as np
import pytest
import sympy as sp

import flows
from flows.core.errors import InputError
from flows.systems.own.recorded import RecordedSystem
from potentials import Identity, Inequality, symbol
from symbolic import D


class Layers(flows.Model):
    "Two layers, of which the target is learnt."

    d: int = flows.option(2, "width")
    target: float = flows.option(1.0, "what each entry has to be")
    law: str = flows.option("wide", "law of starts", choices=("wide", "narrow"))

    def blocks(self):
        return {"W": (self.d, self.d), "a": (self.d,), "b": ()}

    def loss(self, b, W, a):
        gap = W - sp.Rational(self.target) * sp.eye(self.d)
        return sp.trace(gap.T * gap) / 2 + (a.T * a)[0, 0] / 2 + b**2 / 2

    def potentials(self, b, W, a):
        return {"size": (a.T * a)[0, 0]}

    def initial(self, rng, scale):
        wide = {"wide": 1, "narrow": 0}[self.law]
        return {"W": np.eye(self.d), "a": scale * rng.normal(size=self.d), "b": wide}

    def claims(self, size, loss):
        yield flows.theorem("halves", sp.Eq(D(size), -2 * size))
        yield flows.theorem("below", loss <= 2 * symbol("loss_0"), when=[size >= 0])


def test_a_model_is_the_system_that_one_writes_without_it():
    W, a = sp.MatrixSymbol("W", 2, 2), sp.MatrixSymbol("a", 2, 1)
    b = sp.Symbol("b", real=True)
    gap = W - 3 * sp.eye(2)
    loss = sp.trace(gap.T * gap) / 2 + (a.T * a)[0, 0] / 2 + b**2 / 2
    inline = flows.OwnSystem("Layers", [W, a, b], loss, {"size": (a.T * a)[0, 0]})
    model, y = Layers(target=3.0), np.arange(7.0)
    assert isinstance(model, flows.OwnSystem) and model.name == "Layers"
    assert model.loss(y) == inline.loss(y)
    assert np.array_equal(model.gradient(y), inline.gradient(y))
    assert model.parameters["fingerprint"] == inline.parameters["fingerprint"]
    assert {k: model.parameters[k] for k in ("d", "target", "law")} == {
        "d": 2,
        "target": 3.0,
        "law": "wide",
    }
    assert Layers() == Layers(d=2) != Layers(d=3)


def test_a_start_law_is_that_of_the_model():
    start = Layers(law="narrow").unpack(Layers(law="narrow").initial(0.5, 7))
    assert start["b"] == 0 and np.array_equal(start["W"], np.eye(2))
    assert np.array_equal(start["a"], 0.5 * np.random.default_rng(7).normal(size=2))
    assert Layers().unpack(Layers().initial())["b"] == 1


def test_options_say_their_kind_default_and_choices():
    d, target, law = Layers.options()
    assert (d.kind, d.default, d.text) == ("integer", 2, "width [default: 2].")
    assert (target.kind, law.kind, law.choices) == ("number", "choice", ("wide", "narrow"))


def test_claims_of_a_model_are_checked_and_false_ones_are_seen():
    system = Layers()
    run = flows.integrate(system, system.initial(1.0), 5.0)
    assert {v.claim: str(v.verdict) for v in flows.check(run)} == {
        "halves": "HOLDS",
        "below": "HOLDS",
    }
    wrong = flows.theorem("wrong", sp.Eq(D(symbol("size")), -2.002 * symbol("size")))
    assert str(flows.check(run, wrong)[0].verdict) == "VIOLATED"


def test_a_theorem_has_a_constant_and_an_exponent_that_can_be_broken():
    loss, t = symbol("loss"), symbol("t")
    upper = flows.theorem("upper", loss <= 3 * t**-2, when=[loss < 1], since=2)
    (one,) = upper.conclusions
    assert isinstance(upper, Inequality) and (one.constant, upper.exponent) == (3, 2)
    assert one.where == (t - 2,) and upper.hypotheses[0].relation == "<"
    zero = flows.theorem("zero", sp.Eq(D(loss), 0))
    assert isinstance(zero, Identity) and zero.conclusions[0].lhs == symbol("loss_dot")
    assert (zero.statement, upper.statement) == ("D(loss) = 0", "loss <= 3/t**2")
    for wrong in (loss, "loss <= 1", sp.Ne(loss, t)):
        with pytest.raises(InputError, match="expected a relation"):
            flows.theorem("wrong", wrong)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"width": 3}, "unknown option 'width'; known: d, target, law"),
        ({"d": 2.0}, "expected d to be a integer, got 2.0"),
        ({"d": True}, "expected d to be a integer, got True"),
        ({"law": "none"}, "expected law to be one of wide, narrow"),
        ({"d": 0}, "expected the shape of block W"),
    ],
)
def test_a_wrong_option_is_one_line(options, said):
    with pytest.raises(InputError, match=said) as told:
        Layers(**options)
    assert "\n" not in str(told.value)


def test_a_copy_of_a_model_is_the_model():
    assert copy.deepcopy(Layers(d=3)) == Layers(d=3)
    assert np.array_equal(copy.deepcopy(Layers(d=3)).initial(), Layers(d=3).initial())


def test_a_sweep_varies_the_options_of_a_model():
    found = flows.sweep(Layers, {"d": [1, 2]}, size=2, t_end=1.0, workers=1)
    assert (found["status"] == "completed").all() and found.sizes["d"] == 2


def test_a_saved_run_of_a_model_says_what_its_file_has(tmp_path):
    system = Layers()
    found = flows.load(flows.integrate(system, system.initial(), 1.0).save(tmp_path / "run.nc"))
    assert isinstance(found.system, RecordedSystem)
    assert found.system == system and system == found.system
    assert found.system != Layers(target=2.0) and found.system != Layers(d=1)
    assert found["W"].shape[1:] == (2, 2) and "a_row" in found.to_xarray()["a"].dims
    line = repr(found.system)
    assert line.startswith("Layers(d=2, target=1.0, law='wide'), as a file has it")
    assert "\n" not in line
    with pytest.raises(InputError, match="start law of Layers is in no file"):
        found.system.initial()
    assert flows.check(flows.load(tmp_path / "run.nc", system=system))
