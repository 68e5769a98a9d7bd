r"""Check a potential, its rate and their proof by squares, with whole numbers and fractions alone.

Everything that is claimed is computed here from the statement: the flow `-\nabla L`, or that of
functions of its variables; `\dot V`; the relation of the rate. The file adds squares, multipliers
and cofactors. With `s \ge 0` and whole `m, k`,

.. math:: m (-\dot V) - (m + k) s^k V + k d s^{m+k} \ge 0 \;\forall s
          \;\Rightarrow\; \dot V \le -d^{-k/m} V^{1+k/m}
          \;\Rightarrow\; V(t) \le d \Big(\frac m{k t}\Big)^{m/k},

if `V \ge 0`: put `s = (V/d)^{1/m}`. A polynomial is a dictionary from exponents to fractions.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from flows.certificates.verifier.reading import require

__all__ = ["FORMAT", "Fall", "fall"]

FORMAT = "popflow potential 1"
# Of a file that would take hours to check: variables, degree, terms, rows of a matrix, digits.
VARIABLES, DEGREE, TERMS, ROWS, DIGITS = 40, 60, 20_000, 400, 2000

EXACT = re.compile(r"-?[0-9]+(/[1-9][0-9]*)?")

Polynomial = dict[tuple[int, ...], Fraction]


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
    """

    statement: str
    hypotheses: tuple[str, ...]
    V: str
    constant: Fraction


def fall(data: Any) -> Fall:
    """Check a file's data; refused where anything is not as it says."""
    names = _names(data["variables"])
    size = len(names) + 1  # the last variable, not negative, is that of the rate
    loss, V, target = (_free(_read(data[key], size)) for key in ("loss", "V", "target"))
    field = [_scaled(_derivative(loss, i), -1) for i in range(size - 1)]
    matrices: list[Any] = []
    if "origin" in data:
        field, matrices = _coordinates(data["origin"], loss, size)
    one = _constant(1, size)
    above, zero, conditions, assumed = [one], [], [], []
    for part in data["region"]:
        p, equal = _free(_read(part["p"], size)), _whole(part["equal"], 1) == 1
        text = f"{_text(p, names)} {'=' if equal else '>='} 0"
        kept = part["kept"]
        if kept == "level":
            level = _add(_constant(_number(part["level"]), size), _scaled(loss, -1))
            text = f"L <= {_number(part['level'])}"
            require(not equal and p == level, "a condition is no level of the loss")
        elif kept == "cofactor":
            rate = _read(part["cofactor"], size)
            require(_along(p, field) == _times(p, rate), "a condition is not invariant")
        elif kept in ("identity", "squares"):
            equal_fits = "origin" in data and equal == (kept == "identity")
            require(equal_fits, "a condition is none of these functions")
            image, inner = _images(data["origin"], size)
            if equal:
                require(not _composed(p, image, inner), "functions do not fulfil an equation")
                zero.append(p)
                continue
            unit = [_constant(1, inner)]
            _squares(_composed(p, image, inner), part["proof"], unit, [], inner, [])
        else:
            require(kept == "assumed", "why a condition stays true is unknown")
            assumed.append(text)
        if kept != "assumed":
            conditions.append(text)
        (zero if equal else above).append(p)
    constant, claims = _number(data["constant"]), data["claims"]
    require(constant > 0, "the constant is not positive")
    rate = data["rate"]
    falls = _scaled(_along(V, field), -1)
    if target != V:
        _squares(_add(V, _scaled(target, -1)), claims["above"], above, zero, size, matrices)
    if "bounded" in claims:
        least = _constant(_number(data["least"]), size)
        higher = _add(loss, _scaled(least, -1))
        _squares(higher, claims["bounded"], above, zero, size, matrices)
    if rate == "exp":
        decay, over = _add(falls, _scaled(V, -constant)), above
    else:
        require(isinstance(rate, list) and len(rate) == 2, "the rate is none")
        m, k = (_whole(x, DEGREE) for x in rate)
        require(m > 0 and k > 0, "the rate is none")
        s = {(0,) * (size - 1) + (1,): Fraction(1)}
        decay = _add(
            _scaled(falls, m),
            _scaled(_times(V, _power(s, k, size)), -(m + k)),
            _scaled(_power(s, m + k, size), k * constant),
        )
        over = [*above, *(_times(g, s) for g in above)]
        _squares(target, claims["positive"], above, zero, size, matrices)
    if "factor" in data:
        factor = _free(_read(data["factor"], size))
        even = all(c > 0 and not any(k % 2 for k in e) for e, c in factor.items())
        require(even and (0,) * size in factor, "a factor is not positive")
        decay = _times(decay, factor)
    _squares(decay, claims["decay"], over, zero, size, matrices)
    law = _law(rate, constant)
    flow = f"for the gradient flow of L = {_text(loss, names)}"
    if "origin" in data:
        flow += f", in which {_definitions(data['origin'], names, size)}"
    where = f" where {' and '.join(conditions)}" if conditions else ""
    more = "" if target == V else f", which is at least {_text(target, names)}"
    # A loss that is bounded below has a flow for all times: its length grows like the root of t.
    needed = [*assumed, *([] if "bounded" in claims else ["the flow exists"])]
    held = f", as long as {' and '.join(needed)}" if needed else ""
    statement = f"{flow}, and V = {_text(V, names)}{more}: {law}, for every start{where}{held}"
    return Fall(statement, tuple(assumed), _text(V, names), constant)


def _definitions(origin: Any, names: Sequence[str], size: int) -> str:
    """What the functions are, for a person."""
    image, _ = _images(origin, size)
    inner = _names(origin["variables"])
    parts = (f"{name} = {_text(p, inner)}" for name, p in zip(names, image, strict=True))
    return ", ".join(parts)


def _law(rate: Any, d: Fraction) -> str:
    """The rate in words: of `V`, with its constant, exactly."""
    if rate == "exp":
        return f"dV/dt <= -{d} V, so V(t) <= V(0) exp(-{d} t)"
    m, k = rate
    power = Fraction(m, k)
    if m % k == 0:
        return f"V(t) <= {d * power ** int(power)} t^-{power}"
    return f"V(t) <= {d} ({power}/t)^({power})"


def _coordinates(origin: Any, loss: Polynomial, size: int) -> tuple[list[Polynomial], list[Any]]:
    """The flow of functions of the variables of a gradient flow; matrices that are `X X^T`."""
    image, inner = _images(origin, size)
    whole = _free(_read(origin["loss"], inner))
    outer = [_scaled(_derivative(whole, i), -1) for i in range(inner - 1)]
    field = [_free(_read(p, size)) for p in origin["field"]]
    require(len(field) == size - 1, "functions and their rates do not fit")
    require(_composed(loss, image, inner) == whole, "the loss is another one in these functions")
    for p, rate in zip(image, field, strict=True):
        require(_along(p, outer) == _composed(rate, image, inner), "a function has another rate")
    matrices = []
    for part in origin["matrices"]:
        matrix, factor = _matrix(part["matrix"], size), _matrix(part["factor"], inner)
        require(0 < len(matrix) == len(factor) <= ROWS, "a matrix and its factor do not fit")
        for row, left in zip(matrix, factor, strict=True):
            require(len(row) == len(matrix), "a matrix is not square")
            for entry, right in zip(row, factor, strict=True):
                pairs = zip(left, right, strict=True)
                product = _add(*(_times(a, b) for a, b in pairs))
                require(_composed(entry, image, inner) == product, "a matrix is not X X^T")
        matrices.append(matrix)
    return field, matrices


def _images(origin: Any, size: int) -> tuple[list[Polynomial], int]:
    inner = len(_names(origin["variables"])) + 1
    image = [_free(_read(p, inner)) for p in origin["map"]]
    require(len(image) == size - 1, "functions and variables do not fit")
    return image, inner


def _squares(
    goal: Polynomial,
    proof: Any,
    above: Sequence[Any],
    zero: Sequence[Any],
    size: int,
    matrices: Any,
) -> None:
    """Refuse unless `goal = sum g m'Qm + sum h lambda`, with multipliers of the region alone."""
    total: Polynomial = {}
    for block in proof["blocks"]:
        gram = [[_number(x) for x in row] for row in block["gram"]]
        require(_definite(gram), "a matrix of squares is not positive")
        require(len(gram) == len(block["basis"]), "squares and their basis do not fit")
        if _whole(block["matrix"], 1):
            g = _matrix(block["multiplier"], size)
            require(g in matrices, "a matrix is not among those of the statement")
            basis = [[_read(p, size) for p in m] for m in block["basis"]]
            require(all(len(m) == len(g) for m in basis), "vectors and matrix do not fit")
        else:
            one = _read(block["multiplier"], size)
            require(one in above, "a multiplier is not among the conditions")
            g, basis = [[one]], [[_read(p, size)] for p in block["basis"]]
        for m, row in zip(basis, gram, strict=True):
            for a, left in enumerate(m):
                if left:
                    parts = (
                        _times(
                            g[a][b],
                            _add(*(_scaled(n[b], q) for n, q in zip(basis, row, strict=True))),
                        )
                        for b in range(len(g))
                    )
                    total = _add(total, _times(left, _add(*parts)))
    for pair in proof["multipliers"]:
        h = _read(pair["zero"], size)
        require(h in zero, "a multiplier is not among the equations")
        total = _add(total, _times(h, _read(pair["times"], size)))
    require(total == goal, "squares do not sum up to the claim")


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


def _names(given: Any) -> list[str]:
    require(isinstance(given, list) and 0 < len(given) <= VARIABLES, "its variables are none")
    require(all(isinstance(x, str) and 0 < len(x) <= 60 for x in given), "a variable has no name")
    require(len({*given}) == len(given), "two variables have one name")
    return [str(x) for x in given]


def _number(text: Any) -> Fraction:
    fits = isinstance(text, str) and len(text) <= DIGITS and EXACT.fullmatch(text)
    require(fits, "a number is not exact")
    return Fraction(text)


def _whole(value: Any, most: int) -> int:
    require(type(value) is int and 0 <= value <= most, "a whole number is out of range")
    return int(value)


def _read(rows: Any, size: int) -> Polynomial:
    require(isinstance(rows, list) and len(rows) <= TERMS, "a polynomial has too many terms")
    found: Polynomial = {}
    for value, powers in rows:
        require(isinstance(powers, list) and len(powers) == size, "exponents and variables differ")
        key = tuple(_whole(k, DEGREE) for k in powers)
        require(key not in found, "a term occurs twice")
        found[key] = _number(value)
    return _clean(found)


def _matrix(rows: Any, size: int) -> list[list[Polynomial]]:
    return [[_read(p, size) for p in row] for row in rows]


def _free(p: Polynomial) -> Polynomial:
    require(all(e[-1] == 0 for e in p), "a statement has the variable of rates")
    return p


def _clean(p: Polynomial) -> Polynomial:
    return {e: c for e, c in p.items() if c}


def _constant(number: Any, size: int) -> Polynomial:
    return _clean({(0,) * size: Fraction(number)})


def _add(*parts: Polynomial) -> Polynomial:
    total: Polynomial = {}
    for p in parts:
        for e, c in p.items():
            total[e] = total.get(e, Fraction(0)) + c
    return _clean(total)


def _scaled(p: Polynomial, number: Any) -> Polynomial:
    return _clean({e: c * number for e, c in p.items()})


def _times(p: Polynomial, q: Polynomial) -> Polynomial:
    total: Polynomial = {}
    for e, c in p.items():
        for f, d in q.items():
            key = tuple(a + b for a, b in zip(e, f, strict=True))
            total[key] = total.get(key, Fraction(0)) + c * d
    require(len(total) <= TERMS, "a product has too many terms")
    return _clean(total)


def _power(p: Polynomial, k: int, size: int) -> Polynomial:
    return functools.reduce(_times, [p] * k, _constant(1, size))


def _derivative(p: Polynomial, i: int) -> Polynomial:
    lower = {e: (*e[:i], e[i] - 1, *e[i + 1 :]) for e in p if e[i]}
    return _clean({lower[e]: p[e] * e[i] for e in lower})


def _along(p: Polynomial, field: Sequence[Polynomial]) -> Polynomial:
    return _add(*(_times(_derivative(p, i), rate) for i, rate in enumerate(field)))


def _composed(p: Polynomial, image: Sequence[Polynomial], size: int) -> Polynomial:
    """A polynomial of functions."""
    parts: list[Polynomial] = []
    for e, c in p.items():
        term = _constant(c, size)
        for q, k in zip(image, e[:-1], strict=True):
            term = _times(term, _power(q, k, size))
        parts.append(term)
    return _add(*parts)


def _text(p: Polynomial, names: Sequence[str]) -> str:
    """A polynomial for a person."""
    parts: list[str] = []
    for e, c in sorted(p.items(), reverse=True):
        powers = zip([*names, "s"], e, strict=True)
        factors = [name if k == 1 else f"{name}**{k}" for name, k in powers if k]
        size = [] if abs(c) == 1 and factors else [str(abs(c))]
        sign = ("-" if c < 0 else "") if not parts else (" - " if c < 0 else " + ")
        parts.append(sign + "*".join([*size, *factors]))
    return "".join(parts) or "0"
