"""A certificate's file with something changed."""

import functools
import json

import pytest

import flows
from flows.certificates.verifier import verify as checker


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


@functools.cache
def _of_pieces(path):
    """What the check of its pieces finds, of a file that is accepted."""
    found, check = [], checker.check
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checker, "check", lambda *given: found.append(check(*given)) or found[-1])
        assert flows.verify(path).accepted
    return found[0]
