"""A definition: points on a line that pull at each other, far ones with a constant force."""


def sizes(shape):
    """Unknowns, rows of slopes, numbers to work in."""
    return shape[0], shape[0], 1


def define(m):
    """``x_i' = sum_j w_j (x_j - x_i) / sqrt(1 + (x_j - x_i)^2)``."""
    get, take, put, const, zero, root = m.get, m.take, m.put, m.const, m.zero, m.root

    @m.each
    def at_rest(i, out):
        put(out, i, zero())

    @m.pairs
    def pull(i, j, x, weights, out):
        apart = get(x, j) - get(x, i)
        strength = apart / root(apart * apart + 1.0)
        take(out, i, -const(weights, j) * strength)
        take(out, j, const(weights, i) * strength)

    @m.function
    def field(x, weights, shape, out, work):
        at_rest(shape[0], out)
        pull(shape[0], x, weights, out)

    return field
