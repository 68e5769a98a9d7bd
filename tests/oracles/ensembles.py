"""Ensembles that are the same."""


def same_bits(one, other):
    """Whether two ensembles are equal bit for bit."""
    return one.names == other.names and all(
        one[name].tolist() == other[name].tolist()
        if one[name].dtype == object
        else one[name].tobytes() == other[name].tobytes()
        for name in one.names
    )
