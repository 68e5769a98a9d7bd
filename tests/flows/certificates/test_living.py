"""What is measured of all neurons where some are at zero."""

from flint import arb

from flows.certificates.living import Living


def test_a_neuron_at_zero_has_its_place_and_pairs_beside_it_have_the_length_of_the_other():
    living = Living.all(4).without(1)
    assert living == Living(4, (0, 2, 3))
    assert living.without(1) == Living(4, (0, 3))  # the second one of those that are left
    sizes = living.neurons([arb(5), arb(7), arb(9)])
    assert sizes == [5, 0, 7, 9]
    # Pairs 01, 02, 03, 12, 13, 23; known are 02, 03 and 23.
    known = [arb(20), arb(30), arb(23)]
    assert living.pairs(known, sizes) == [5, 20, 30, 7, 9, 23]
    assert living.pairs(known) == [0, 20, 30, 0, 0, 23]
    assert Living(3, (1,)).pairs([], [arb(0), arb(4), arb(0)]) == [4, 0, 4]
