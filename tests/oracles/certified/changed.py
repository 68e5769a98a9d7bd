"""A certificate's file with something changed."""

import functools
import json

import pytest

import flows
from flows.certificates.verifier import verify as checker


def refusal(path, folder, change):
    """Why the checker refuses a copy of a file on whose data `change` was called, or nothing."""
    data, before = (json.loads(path.read_text()) for _ in range(2))
    change(data)
    copy = folder / "changed.json"
    copy.write_text(json.dumps(data))
    with pytest.MonkeyPatch.context() as patch:
        if before | {"infinity": data.get("infinity")} == data:  # its pieces were checked before
            found = _of_pieces(path)
            patch.setattr(checker, "check", lambda *given: found)
        return flows.verify(copy).refused


@functools.cache
def _of_pieces(path):
    """What the check of its pieces finds, of a file that is accepted."""
    found, check = [], checker.check
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checker, "check", lambda *given: found.append(check(*given)) or found[-1])
        assert flows.verify(path).accepted
    return found[0]
