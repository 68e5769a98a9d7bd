"""A certificate's file with something changed."""

import json

import numpy as np
import pytest
from flint import arb, ctx

import flows
from flows.certificates.verifier import funnel, means, segment, tail
from oracles.certificates import put, scaled

# Functions whose values are kept: copies of a file ask them the same again and again.
KEPT = [
    (segment, "passed"),
    (funnel, "layer_of"),
    (funnel, "of_neurons"),
    (tail, "of_neurons"),
    (means, "loss"),
]


def changed(path, folder, change):
    """A copy of a file on whose data `change` was called, and what the checker says of it."""
    data = json.loads(path.read_text())
    change(data)
    copy = folder / "changed.json"
    copy.write_text(json.dumps(data))
    with pytest.MonkeyPatch.context() as patch:
        for place, name in KEPT:
            patch.setattr(place, name, kept(getattr(place, name)))
        return copy, flows.verify(copy)


def kept(function):
    """A function without effects that remembers what it returned to the same, to the last bit."""

    def asked(*given):
        key = function, ctx.prec, exactly(given)
        if key not in KNOWN:
            KNOWN[key] = function(*given)
        return KNOWN[key]

    return asked


KNOWN = {}


def exactly(x):
    """Something that two values share only if they are the same, balls of all numbers included."""
    if isinstance(x, arb):
        return (x.mid().man_exp(), x.rad().man_exp()) if x.is_finite() else str(x)
    if isinstance(x, dict):
        return tuple((key, exactly(value)) for key, value in x.items())
    if isinstance(x, tuple | list):
        return (type(x), *map(exactly, x))
    if isinstance(x, np.ndarray):
        return (x.dtype.str, x.shape, *map(exactly, x.ravel().tolist()))
    if hasattr(x, "__dict__"):
        return (type(x), exactly(vars(x)))
    return type(x), repr(x)


def refusal(path, folder, change):
    """Why the checker refuses such a copy, or nothing."""
    return changed(path, folder, change)[1].refused


def of_other_bounds(path, folder, part):
    """Why bounds of all times are refused that are tighter by a part, and that are as much wider.

    Two lists, of the lower and the upper one.
    """
    found = []
    for way in (1, -1):
        factors = (1 + part) ** way, (1 + part) ** -way
        edits = (put("infinity", "all_times", k, to=scaled(x)) for k, x in enumerate(factors))
        found.append([refusal(path, folder, edit) for edit in edits])
    return found
