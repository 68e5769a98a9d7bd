"""Random losses of sums, products, quotients and roots."""

import sympy as sp

Y = sp.symbols("y:4", real=True)


def sum_of_products(generator):
    """A random sum of products, quotients and roots."""
    length, total = 1 + sum(x**2 for x in Y), sp.Integer(0)
    for _ in range(6):
        factors = [Y[generator.integers(len(Y))] ** int(generator.integers(0, 4)) for _ in range(3)]
        term = sp.Rational(int(generator.integers(1, 9)), int(generator.integers(1, 9)))
        term *= sp.Mul(*factors)
        kind = generator.integers(4)
        total += [term, term / length, term * sp.sqrt(length), sp.pi * (term - Y[0]) ** 2][kind]
    return total
