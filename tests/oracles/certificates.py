"""Shared by tests of certificates: exact numbers, and corruptions of a file's data."""

from flint import arb


def ball(x):
    """Number of mpmath as a ball that is exact."""
    sign, man, exponent, _ = x._mpf_
    return arb(((-1) ** sign * int(man), int(exponent)))


def put(*path, to):
    """Change of a file's data: another value at a place, or a function of the one that is there."""

    def change(data):
        *rest, last = path
        for key in rest:
            data = data[key]
        data[last] = to(data[last]) if callable(to) else to

    return change


def scaled(factor):
    """Function that multiplies the hexadecimal text of a double."""
    return lambda text: (float.fromhex(text) * factor).hex()
