r"""Check a potential near a minimum, and its rate, with balls; the loss need be no polynomial.

Of a loss `L` and a box around a point `p`, let `T = L - L(p)` and `V = a T` plus a polynomial.
Models of :mod:`~flows.certificates.verifier.models` say that on the part of the box where
`T \le \ell`

.. math:: \dot V \le -d^{-k/m} V^{1 + k/m} \quad\text{and}\quad T \le b V, \qquad\text{or}\qquad
          \dot V \ge -e^{1/m} V^{1 + k/m} \quad\text{and}\quad T \ge b V^r .

Each inequality is that a function `F` is not negative, which vanishes at `p`. In each of the charts
of :mod:`~flows.certificates.verifier.charts`, `F` is divided by a power of `y` exactly, and balls
tell that its quotient is positive. The flow does not leave the set: `T > \ell` on faces of the box,
but for faces `x_i = 0` through `p` on which `\partial_i L = 0` exactly. Where `T > \ell` outside
the box (:mod:`~flows.certificates.verifier.outside`), all starts with `T \le \ell` are in it.

Variables may be turned: `u = B (x - p)` with rows of `B` that are orthogonal. Then `\dot u_j` is
`-|B_j|^2 \partial_j L`.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from flint import arb, fmpq

from flows.certificates.verifier.charts import MOST_WEIGHT, Box, Chart, Quotient, Region
from flows.certificates.verifier.exact import Exact, fraction, read, whole
from flows.certificates.verifier.formula import formula
from flows.certificates.verifier.laws import law_of
from flows.certificates.verifier.models import ORDER, Models
from flows.certificates.verifier.outside import Exterior
from flows.certificates.verifier.potential import Fall, names_of
from flows.certificates.verifier.program import Slopes, run
from flows.certificates.verifier.reading import require
from flows.certificates.verifier.steps import read as read_steps
from flows.certificates.verifier.taylor import raised

__all__ = ["FORMAT", "Stated", "near", "polynomial", "stated"]

FORMAT = "popflow potential near a minimum 1"
# A file that would take hours to check is refused.
MOST_POWER = 12
# Functions of two numbers.
WORDS = {
    "angle": "angle(s, c) is that of the point (c, s)",
    "bent": "bent(s, c) = s - c*arctan(s/c), or s - c*(pi + arctan(s/c)) for c < 0",
}


class Stated(NamedTuple):
    """What a file says of a loss around a point, checked: the flow does not leave the region.

    Parameters
    ----------
    names : list of str
        Of the variables.
    off : list of str
        Of the displacements.
    point, radii : list of Fraction
        The box.
    loss : Slopes
        The loss and its slopes.
    least : polynomial
        The loss at the point, in `pi`.
    region : Region
        Where theorems are about.
    rates : list of fmpq
        How fast displacements follow slopes.
    formula : str
        The loss in words.
    outside : Exterior, optional
        Of a file that says that the loss is above the level outside the box, too.
    """

    names: list[str]
    off: list[str]
    point: list[Fraction]
    radii: list[Fraction]
    loss: Slopes
    least: Any
    region: Region
    rates: list[Any]
    formula: str
    outside: Exterior | None

    def falls(self, slopes: Sequence[Any]) -> Any:
        """How fast a function with these slopes falls."""
        models = self.region.models
        rows = zip(slopes, self.loss.slopes, self.rates, strict=True)
        return sum((models.times(a, b) * c for a, b, c in rows), start=models.constant(0))


def stated(data: Any) -> Stated:
    """The loss and the region of a file; refused where the flow might leave it."""
    names = names_of(data["variables"])
    require("pi" not in names, "a variable is named pi")
    n = len(names)
    point, radii = ([fraction(x) for x in data[key]] for key in ("point", "radii"))
    sides, level = [whole(x, 1) for x in data["sides"]], fraction(data["level"])
    require(len(point) == len(radii) == len(sides) == n, "box and variables differ")
    require(min(radii) > 0 and level > 0, "the box is empty")
    box = [
        arb(rational(r)).union(0).nonnegative_part()
        if side
        else arb(rational(r)).union(-arb(rational(r)))
        for r, side in zip(radii, sides, strict=True)
    ]
    off, rates = [_off(x, p) for x, p in zip(names, point, strict=True)], [fmpq(1)] * n
    inverse = [[Fraction(int(i == j)) for j in range(n)] for i in range(n)]
    if "axes" in data:
        require(not any(sides), "turned variables have no sides")
        off, rates, inverse = _turned(data["axes"], names, point)
    lines, turned = read_steps(data["loss"], n), [[rational(c) for c in row] for row in inverse]
    order = whole(data["order"], ORDER)
    models = Models(point, box, lines, order, turned if "axes" in data else None)
    loss = run(models, lines)
    least = models.at_point(loss.value)
    for i, side in enumerate(sides):
        stays = not side or all(e[i] for e, _ in loss.slopes[i].terms())
        require(stays, f"the flow may leave {off[i]} >= 0")
    T = loss.value - least
    region = Region(models, [rational(r) for r in radii], sides, T, rational(level))
    outside = None
    if "everywhere" in data:
        outside = Exterior(lines, point, radii, inverse, sides, level)
    else:
        region.faces(off)
    text, kinds = formula(lines, names), {line[0] for line in lines}
    text += "".join(f", where {words}" for kind, words in WORDS.items() if kind in kinds)
    return Stated(names, off, point, radii, loss, least, region, rates, text, outside)


def _turned(
    given: Any, names: Sequence[str], point: Sequence[Fraction]
) -> tuple[list[str], list[Any], list[list[Fraction]]]:
    """Combinations of displacements in words, the squares of their lengths, and their inverse."""
    rows, n = [[fraction(c) for c in row] for row in given], len(names)
    require([len(row) for row in rows] == [n] * n, "axes and variables differ")
    products = [[sum(map(operator.mul, a, b)) for b in rows] for a in rows]
    signs = [[(p > 0) - (p < 0) for p in row] for row in products]
    require(signs == [[int(i == j) for j in range(n)] for i in range(n)], "axes are not orthogonal")
    sizes, texts = [Fraction(products[i][i]) for i in range(n)], list[str]()
    for row in rows:
        terms = {tuple(int(i == j) for j in range(n)): c for i, c in enumerate(row) if c}
        begin = -sum(map(operator.mul, row, point))
        texts.append(Exact(terms | ({(0,) * n: begin} if begin else {}), n).text(names))
    inverse = [[rows[j][i] / sizes[j] for j in range(n)] for i in range(n)]
    return texts, [rational(size) for size in sizes], inverse


def near(data: Any) -> Fall:
    """Check a file's data; refused where anything is not as it says."""
    here = stated(data)
    names, off, point, radii, loss, least, region, *_ = here
    models, T, sides, n = region.models, region.T, region.sides, len(names)
    d, bound, level = (fraction(data[key]) for key in ("constant", "bound", "level"))
    require(min(d, bound) > 0, "a constant is not positive")
    share, more = fraction(data["V"]["loss"]), read(data["V"]["terms"], n)
    V = T * rational(share) + polynomial(models, more)
    slopes = [
        g * rational(share) + polynomial(models, more.derivative(i))
        for i, g in enumerate(loss.slopes)
    ]
    falls = here.falls(slopes)
    same = share * bound == 1 and not more.terms  # T = b V
    lower, rate = "lower" in data, data["rate"]
    m, k = (1, 0) if rate == "exp" else (whole(x, MOST_POWER) for x in rate)
    require(m > 0 and (k > 0 or rate == "exp"), "the rate is none")
    if lower:
        power = whole(data["power"], MOST_POWER)
        region.not_negative(V, data["weights"]["above"], "a positive potential")
        goal = models.power(V, m + k) * rational(d) - models.power(falls, m)
        region.not_negative(goal, data["weights"]["decay"], "the rate")
        if not (power == 1 and same):
            rest = T - models.power(V, power) * rational(bound)
            region.not_negative(rest, data["weights"]["below"], "a loss above the potential")
    else:
        if k == 0:
            region.not_negative(falls - V * rational(d), data["weights"]["decay"], "the rate")
        else:
            region.everywhere(
                data["weights"]["decay"],
                lambda chart: _Falls(region, chart, V, falls, (m, k), d),
                "the rate",
            )
        if not same:
            above = V * rational(bound) - T
            region.not_negative(above, data["weights"]["above"], "a potential above the loss")
    value = f"{least}" if str(least).isdecimal() else f"({least})"
    above_least = "L" if least == 0 else f"(L - {value})"
    potential = _potential(off, share, more, above_least)
    law = law_of(rate, d, lower)
    share_of = "" if bound == 1 else f"{bound} "
    raised_to = f"^{data['power']}" if lower and data["power"] > 1 else ""
    other = f"{'>=' if lower else '<='} {share_of}V{raised_to}"
    if here.outside is not None:
        weights = [whole(a, MOST_WEIGHT) for a in data["everywhere"]]
        require(len(weights) == n and min(weights) > 0, "weights and variables differ")
        here.outside.above(weights)
        inside = [f"{x} >= {p}" for x, p, side in zip(names, point, sides, strict=True) if side]
    else:
        inside = [
            f"{p} <= {x} <= {p + r}" if side else f"|{d}| <= {r}"
            for x, d, p, r, side in zip(names, off, point, radii, sides, strict=True)
        ]
    last = f"{above_least} <= {level}"
    set_of = f"{', '.join(inside)} and {last}" if inside else last
    statement = (
        f"for the gradient flow of L = {here.formula}, and V = {potential}: {law},"
        f" and {above_least} {other}, for every start with {set_of}"
    )
    return Fall(statement, (), potential, d)


class _Falls:
    r"""`d^k u^m - v^{m+k}`, where it matters, in a chart: of `v = V` and `u = -\dot V`."""

    def __init__(
        self, region: Region, chart: Chart, V: Any, falls: Any, rate: tuple[int, int], d: Fraction
    ) -> None:
        self.v, self.u = Quotient(region, chart, V), Quotient(region, chart, falls)
        (self.m, self.k), self.main = rate, chart.main
        self.d = raised(arb(rational(d)), self.k)
        self.left = self.v.order * (self.m + self.k) - self.u.order * self.m
        require(self.left >= 0, "the potential does not vanish as fast as its rate asks for")

    def __call__(self, box: Box) -> arb:
        """Over a box of the chart."""
        u, v = self.u(box), self.v(box)
        if not u > 0:
            return u
        y = box.powers(self.main, self.left)[self.left]
        return raised(u, self.m) * self.d - y * raised(v, self.m + self.k)


def rational(x: Fraction) -> fmpq:
    """A fraction of python-flint."""
    return fmpq(x.numerator, x.denominator)


def polynomial(models: Models, p: Any) -> Any:
    """In displacements."""
    rest = (0,) * (models.ring.nvars() - models.size)
    return models.ring.from_dict({(*e, *rest): rational(c) for e, c in p.terms.items()})


def _potential(off: Sequence[str], share: Fraction, more: Any, least: str) -> str:
    """The potential, for a person."""
    centred = [f"({x})" if " " in x else x for x in off]
    parts = [] if share == 0 else [least if share == 1 else f"{share}*{least}"]
    if more.terms:
        parts.append(more.text(centred))
    return " + ".join(parts).replace("+ -", "- ")


def _off(name: str, at: Fraction) -> str:
    """A displacement, for a person."""
    return name if at == 0 else f"{name} {'-' if at > 0 else '+'} {abs(at)}"
