"""What a class has to define, because of what else it says of itself, is named."""

import pytest

from flows.core.balls import BallFlow
from flows.core.piece import Piece


class Flow(BallFlow):
    """A flow without what is optional."""

    field = hessian = loss = restore = None


class Straight(Piece):
    """A piece that does not say what follows its stop."""

    decode = None


@pytest.mark.parametrize(
    ("method", "arguments", "because"), [("clearance", ([],), "by_boundary is true")]
)
def test_a_flow_of_balls_that_lacks_what_it_promises_says_so_in_one_line(
    method, arguments, because
):
    with pytest.raises(NotImplementedError) as problem:
        getattr(Flow(), method)(*arguments)
    expected = f"Flow: expected a method {method}, since {because}; define it"
    assert str(problem.value) == expected


def test_a_piece_that_ends_early_has_to_say_what_follows():
    with pytest.raises(NotImplementedError, match="Straight: expected a method restart, since its"):
        Straight().restart(None)
