"""Events of a run."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

from flows.core.piece import Event, Events


def test_events_are_found_once_and_where_they_are_asked_for() -> None:
    asked = []

    def find() -> Iterator[Event]:
        asked.append(1)
        yield Event(1.0, "collapse", "first")
        yield Event(2.0, "escape", "second")

    events = Events(find)
    assert not asked
    assert [e.kind for e in events] == ["collapse", "escape"] and len(events) == 2
    assert events[-1].time == 2.0 and events[:1] == (events[0],)
    assert asked == [1]
    # A copy has those that are found, and no way to find others.
    copy = pickle.loads(pickle.dumps(Events(lambda: tuple(events))))
    assert copy == tuple(events) and repr(events) == repr(copy)
