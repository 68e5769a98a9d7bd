"""A certificate's file with something changed."""

import json

import flows


def refusal(path, folder, change):
    """Why the checker refuses a copy of a file on whose data `change` was called, or nothing."""
    data = json.loads(path.read_text())
    change(data)
    copy = folder / "changed.json"
    copy.write_text(json.dumps(data))
    return flows.verify(copy).refused
