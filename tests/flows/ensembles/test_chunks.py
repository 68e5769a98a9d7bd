"""How many members a chunk has, where nobody says it."""

import itertools
import math

import pytest

from flows.ensembles.integrate import Flow
from flows.runs.request import Request
from flows.solvers.near_flow import LANES


def test_chunks_are_larger_where_there_are_many_members():
    flow = Flow(Request(1.0, None, "auto", 1e-6, None, 100), together=True)
    sizes = [flow.chunk_size(size, 2) for size in (6, 1000, 8191, 8192, 100_000)]
    assert sizes == [3, 125, 128, 512, 511]


def idle(size, workers, step):
    """Members that all workers together could have besides, where each has as many chunks."""
    chunks = workers * math.ceil(size / (workers * step))
    return chunks * step - size, chunks


@pytest.mark.parametrize(
    ("way", "group"), [({"together": True}, 1), ({"along_axes": True}, LANES), ({}, 1)]
)
def test_chunks_are_even_so_that_no_worker_waits_for_the_others(way, group):
    """Not those of 128, 128, 128 and 16 members, as a control."""
    flow = Flow(Request(1.0, None, "auto", 1e-6, None, 100), **way)
    for size, workers in itertools.product((1, 17, 130, 400, 3001, 10_000), (1, 2, 5)):
        step = flow.chunk_size(size, workers)
        more, chunks = idle(size, workers, step)
        assert step % group == 0 and 0 <= more < group * chunks
    more, chunks = idle(400, 2, 128)
    assert more > 16 * chunks
