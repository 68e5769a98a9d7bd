r"""Check a potential, its rate and their proof by squares, with whole numbers and fractions alone.

Everything that is claimed is computed here from the statement: the flow `-\nabla L`, or that of
functions of its variables; `\dot V`; the relation of the rate. The file adds squares, multipliers
and cofactors. With `s \ge 0` and whole `m, k`,

.. math:: m (-\dot V) - (m + k) s^k V + k d s^{m+k} \ge 0 \;\forall s
          \;\Rightarrow\; \dot V \le -d^{-k/m} V^{1+k/m}
          \;\Rightarrow\; V(t) \le d \Big(\frac m{k t}\Big)^{m/k},

if `V \ge 0`: put `s = (V/d)^{1/m}`. A bound from below is `d V^{m+k} - (-\dot V)^m \ge 0`.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from flows.certificates.verifier.exact import (
    DEGREE,
    Exact,
    constant,
    fraction,
    read,
    read_matrix,
    total,
    whole,
)
from flows.certificates.verifier.jacobian import jacobian
from flows.certificates.verifier.laws import law_of, short_path, starts
from flows.certificates.verifier.reading import require

__all__ = ["FORMAT", "VARIABLES", "Fall", "fall", "names_of"]

FORMAT = "popflow potential 1"
# A file that would take hours to check is refused: variables, rows of a matrix.
VARIABLES, ROWS = 40, 400


class Fall(NamedTuple):
    r"""A potential that was verified.

    Parameters
    ----------
    statement : str
        What is true of every start.
    hypotheses : tuple of str
        Conditions that are assumed to stay true.
    V : str
        The potential.
    constant : Fraction
        `d`, or `c` of `\\dot V \\le -c V`.
    kept : tuple of str
        Conditions on starts that the flow keeps.
    flow : str
        What flows, and the potential.
    """

    statement: str
    hypotheses: tuple[str, ...]
    V: str
    constant: Fraction
    kept: tuple[str, ...] = ()
    flow: str = ""


class _Where(NamedTuple):
    """Polynomials that are not negative or zero on a set, positive matrices, and texts of these."""

    above: list[Exact]
    zero: list[Exact]
    matrices: list[Any]
    kept: list[str]
    assumed: list[str]
    levels: list[Fraction]


def fall(data: Any) -> Fall:
    """Check a file's data; refused where anything is not as it says."""
    names = names_of(data["variables"])
    size = len(names) + 1  # the last variable, not negative, is that of the rate
    loss, V, target = (read(data[key], size).stated() for key in ("loss", "V", "target"))
    field = [-loss.derivative(i) for i in range(size - 1)]
    matrices: list[Any] = []
    if "origin" in data:
        field, matrices = _coordinates(data["origin"], loss, size)
    claims, d = data["claims"], fraction(data["constant"])
    require(d > 0, "the constant is not positive")
    where = _where(data, names, loss, field, matrices)
    if target != V:
        _squares(V - target, claims["above"], where, size)
    if "bounded" in claims:
        _squares(loss - constant(fraction(data["least"]), size), claims["bounded"], where, size)
    lower = "lower" in data
    if any(part["kept"] == "length" for part in data["region"]):
        of_loss = "bounded" in claims and loss - constant(fraction(data["least"]), size) == V
        plain = not (lower or where.assumed or "origin" in data)
        require(of_loss and plain, "nothing tells how long the path is")
    decay, over = _decay(data["rate"], d, V, -V.along(field), where, lower)
    if data["rate"] != "exp":
        _squares(target, claims["positive"], where, size)
    if "factor" in data:
        factor = read(data["factor"], size).stated()
        even = all(c > 0 and not any(k % 2 for k in e) for e, c in factor.terms.items())
        require(even and (0,) * size in factor.terms, "a factor is not positive")
        decay = decay * factor
    if "squares" in data:
        plain = data["rate"] == "exp" and not lower and not {"origin", "factor"} & {*data}
        require(plain, "squares are of an exponential rate of the entries")
        decay, over = jacobian(data["squares"], d, V, loss, where)
    _squares(decay, claims["decay"], over, decay.size)
    # A loss that is bounded below has a flow for all times: its length grows like the root of t.
    needed = [*where.assumed, *([] if "bounded" in claims else ["the flow exists"])]
    flow = f"for the gradient flow of L = {loss.text(names)}"
    if "origin" in data:
        image, inner = _images(data["origin"], size), names_of(data["origin"]["variables"])
        said = (f"{name} = {p.text(inner)}" for name, p in zip(names, image[0], strict=True))
        flow += f", in which {', '.join(said)}"
    more = "" if target == V else f", which is at least {target.text(names)}"
    flow += f", and V = {V.text(names)}{more}"
    statement = f"{flow}: {law_of(data['rate'], d, lower)}, {starts(where.kept, needed)}"
    return Fall(statement, tuple(where.assumed), V.text(names), d, tuple(where.kept), flow)


def _where(
    data: Any, names: Sequence[str], loss: Exact, field: Sequence[Exact], matrices: list[Any]
) -> _Where:
    """Conditions on starts, each with a reason why it stays true, or assumed."""
    size = loss.size
    found = _Where([constant(1, size)], [], matrices, [], [], [])
    for part in data["region"]:
        p, equal, kept = read(part["p"], size).stated(), whole(part["equal"], 1) == 1, part["kept"]
        text = f"{p.text(names)} {'=' if equal else '>='} 0"
        if kept == "level":
            level = fraction(part["level"])
            fits = not equal and p == constant(level, size) - loss
            require(fits, "a condition is no level of the loss")
            found.levels.append(level)
            text = f"L <= {level}"
        elif kept == "cofactor":
            stays = p.along(field) == p * read(part["cofactor"], size)
            require(stays, "a condition is not invariant")
        elif kept in ("identity", "squares"):
            fits = "origin" in data and equal == (kept == "identity")
            require(fits, "a condition is none of these functions")
            image, inner = _images(data["origin"], size)
            value, text = p.of(image, inner), ""
            if equal:
                require(not value.terms, "functions do not fulfil an equation")
            else:
                everywhere = _Where([constant(1, inner)], [], [], [], [], [])
                _squares(value, part["proof"], everywhere, inner)
        elif kept == "length":
            text = short_path(p, equal, names, data["rate"], fraction(data["constant"]))
        else:
            require(kept == "assumed", "why a condition stays true is unknown")
        if text:
            (found.assumed if kept == "assumed" else found.kept).append(text)
        (found.zero if equal else found.above).append(p)
    return found


def _decay(
    rate: Any, d: Fraction, V: Exact, falls: Exact, where: _Where, lower: bool
) -> tuple[Exact, _Where]:
    """What is not to be negative for a rate, and where."""
    if rate == "exp":
        return V * d - falls if lower else falls - V * d, where
    require(isinstance(rate, list) and len(rate) == 2, "the rate is none")
    m, k = (whole(x, DEGREE) for x in rate)
    require(m > 0 and k > 0, "the rate is none")
    if lower:
        return V ** (m + k) * d - falls**m, where
    s = Exact({(0,) * (V.size - 1) + (1,): Fraction(1)}, V.size)
    decay = falls * m - V * s**k * (m + k) + s ** (m + k) * (k * d)
    return decay, where._replace(above=[*where.above, *(g * s for g in where.above)])


def _coordinates(origin: Any, loss: Exact, size: int) -> tuple[list[Exact], list[Any]]:
    """The flow of functions of the variables of a gradient flow; matrices that are `X X^T`."""
    image, inner = _images(origin, size)
    outer_loss = read(origin["loss"], inner).stated()
    outer = [-outer_loss.derivative(i) for i in range(inner - 1)]
    field = [read(p, size).stated() for p in origin["field"]]
    require(len(field) == size - 1, "functions and their rates do not fit")
    require(loss.of(image, inner) == outer_loss, "the loss is another one in these functions")
    for p, rate in zip(image, field, strict=True):
        require(p.along(outer) == rate.of(image, inner), "a function has another rate")
    matrices = []
    for part in origin["matrices"]:
        matrix, factor = read_matrix(part["matrix"], size), read_matrix(part["factor"], inner)
        require(0 < len(matrix) == len(factor) <= ROWS, "a matrix and its factor do not fit")
        for row, left in zip(matrix, factor, strict=True):
            require(len(row) == len(matrix), "a matrix is not square")
            for entry, right in zip(row, factor, strict=True):
                product = total((a * b for a, b in zip(left, right, strict=True)), inner)
                require(entry.of(image, inner) == product, "a matrix is not X X^T")
        matrices.append(matrix)
    return field, matrices


def _images(origin: Any, size: int) -> tuple[list[Exact], int]:
    """Functions that are the variables, and the number of their own variables."""
    inner = len(names_of(origin["variables"])) + 1
    image = [read(p, inner).stated() for p in origin["map"]]
    require(len(image) == size - 1, "functions and variables do not fit")
    return image, inner


def _squares(goal: Exact, proof: Any, where: _Where, size: int) -> None:
    """Refuse unless `goal = sum g m'Qm + sum h lambda`, with multipliers of the set alone."""
    parts = []
    for block in proof["blocks"]:
        gram = [[fraction(x) for x in row] for row in block["gram"]]
        require(_definite(gram), "a matrix of squares is not positive")
        require(len(gram) == len(block["basis"]), "squares and their basis do not fit")
        if whole(block["matrix"], 1):
            g = read_matrix(block["multiplier"], size)
            require(g in where.matrices, "a matrix does not belong to the statement")
            basis = read_matrix(block["basis"], size)
            require(all(len(m) == len(g) for m in basis), "vectors and matrix do not fit")
        else:
            one = read(block["multiplier"], size)
            require(one in where.above, "a multiplier is not among the conditions")
            g, basis = [[one]], [[read(p, size)] for p in block["basis"]]
        for m, row in zip(basis, gram, strict=True):
            # The vector that Q makes of the basis, then G of it, then its product with m.
            made = [
                total((n[b] * q for n, q in zip(basis, row, strict=True)), size)
                for b in range(len(g))
            ]
            for left, line in zip(m, g, strict=True):
                if left.terms:
                    along = (a * b for a, b in zip(line, made, strict=True) if a.terms)
                    parts.append(left * total(along, size))
    for pair in proof["multipliers"]:
        h = read(pair["zero"], size)
        require(h in where.zero, "a multiplier is not among the equations")
        parts.append(h * read(pair["times"], size))
    require(total(parts, size) == goal, "squares do not sum up to the claim")


def _definite(rows: list[list[Fraction]]) -> bool:
    """Whether a symmetric matrix has no negative eigenvalue: a zero pivot needs a zero row."""
    n = len(rows)
    require(n <= ROWS and all(len(row) == n for row in rows), "a matrix of squares is not square")
    if any(rows[i][j] != rows[j][i] for i in range(n) for j in range(i)):
        return False
    left = [list(row) for row in rows]
    for k in range(n):
        pivot = left[k][k]
        if pivot < 0 or (pivot == 0 and any(left[k][k:])):
            return False
        for i in range(k + 1, n):
            if left[i][k]:
                factor = left[i][k] / pivot
                for j in range(k + 1, n):
                    left[i][j] -= factor * left[k][j]
    return True


def names_of(given: Any) -> list[str]:
    """Names of variables."""
    require(isinstance(given, list) and 0 < len(given) <= VARIABLES, "its variables are none")
    require(all(isinstance(x, str) and 0 < len(x) <= 60 for x in given), "a variable has no name")
    require(len({*given}) == len(given), "two variables have one name")
    return [str(x) for x in given]
