"""A certificate's file with something changed."""

import functools
import json

import pytest

import flows
from flows.certificates.verifier import verify as checker
from oracles.certificates import put, scaled


def changed(path, folder, change):
    """A copy of a file on whose data `change` was called, and what the checker says of it."""
    data, before = (json.loads(path.read_text()) for _ in range(2))
    change(data)
    copy = folder / "changed.json"
    copy.write_text(json.dumps(data))
    with pytest.MonkeyPatch.context() as patch:
        # Its pieces were checked before.
        if "pieces" in before and before | {"infinity": data.get("infinity")} == data:
            found = _of_pieces(path)
            patch.setattr(checker, "check", lambda *given: found)
        return copy, flows.verify(copy)


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


@functools.cache
def _of_pieces(path):
    """What the check of its pieces finds, of a file that is accepted."""
    found, check = [], checker.check
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checker, "check", lambda *given: found.append(check(*given)) or found[-1])
        assert flows.verify(path).accepted
    return found[0]
