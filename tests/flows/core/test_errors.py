"""What a class has to define, because of what else it says of itself, is named."""

import pytest

from flows.core.piece import Piece


class Straight(Piece):
    """A piece that does not say what follows its stop."""

    decode = None


def test_a_piece_that_ends_early_has_to_say_what_follows():
    with pytest.raises(NotImplementedError, match="Straight: expected a method restart, since its"):
        Straight().restart(None)
