import math

import pytest
from rich import progress
from rich.console import Console

from flows.core.errors import InputError
from flows.core.progress import member_bar, time_bar


@pytest.fixture
def bars(monkeypatch):
    """The bars that are shown."""
    made = []

    class Kept(progress.Progress):
        def __init__(self, *columns, **options):
            super().__init__(*columns, **options)
            made.append(self)

    monkeypatch.setattr(progress, "Progress", Kept)
    return made


def drawn(bar):
    """Text of a bar."""
    console = Console(width=120)
    with console.capture() as capture:
        console.print(bar)
    return capture.get()


def test_no_bar_is_no_bar(bars):
    with time_bar(False, 1e9) as show, member_bar(False, 0, 10) as advance:
        assert show is None
        advance(3)
    assert bars == []


def test_a_caller_that_wants_the_time_gets_it_itself(bars):
    times = []
    with time_bar(times.append, 1e9) as show:
        show(0.5)
    assert times == [0.5]
    assert bars == []


def test_a_caller_that_wants_the_members_gets_them_itself(bars):
    counts = []
    with member_bar(counts.append, 4, 10) as advance:
        advance(3)
    assert counts == [4, 3]
    with pytest.raises(InputError, match="progress must be"), member_bar(7, 4, 10):
        pass
    assert bars == []


def test_the_bar_of_a_run_moves_in_decades_and_is_full_at_the_end(bars):
    with time_bar(True, 1e8 - 1) as show:
        (bar,) = bars
        assert bar.console.stderr
        show(1e4 - 1)
        assert bar.tasks[0].percentage == pytest.approx(50)
        assert "t = 1.00e+04" in drawn(bar)
        show(1e8 - 1)
        assert bar.tasks[0].completed == bar.tasks[0].total == math.log1p(1e8 - 1)


def test_the_bar_of_an_ensemble_counts_members_from_those_that_are_there(bars):
    with member_bar(True, 4, 10) as advance:
        (bar,) = bars
        assert bar.console.stderr
        advance(3)
        assert (bar.tasks[0].completed, bar.tasks[0].total) == (7, 10)
        assert "7/10" in drawn(bar)
        assert "8/10" not in drawn(bar)
