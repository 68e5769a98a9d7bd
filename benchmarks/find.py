"""Potentials of losses of papers: what is proved, the best constant, the law of a run, seconds.

Run: python benchmarks/find.py [--only WORDS]. Seconds are those of a processor; each proof is
written to a file and checked by the verifier. About two minutes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import sympy as sp

import flows
from symbolic import Expectation


class Problem(NamedTuple):
    """A loss with options of the search.

    Parameters
    ----------
    about : str
        In words.
    blocks : tuple
        What moves.
    loss : Expr
        The loss.
    options : dict
        Of `flows.find_potential`.
    sharp : str
        The best constant on this set, by hand: the least of `-V'/V` or of `V t^q`.
    near : bool
        Whether the options are those of `flows.find_potential_near`.
    """

    about: str
    blocks: tuple[Any, ...]
    loss: Any
    options: dict[str, Any]
    sharp: str
    near: bool = False


#: A law is read off a run to the first time, or the second one where that ends in few steps.
LATE = (1e6, 1e2)
#: Starts in the sets, whose runs have late-time laws.
STARTS: dict[str, tuple[float, ...]] = {
    "a quartic well": (1, 0.5),
    "x^6 in the plane": (1, 0.5),
    "two layers of one number": (0.7, 1.2),
    "the same, from two levels": (0.3, 0.5),
    "the same, by its balance": (1.5, 0.5),
    "three layers of one number": (0.8, 0.9, 1.1),
    "two layers, target 0": (1, 1),
    "a double well": (0.8, 0.3),
    "phase retrieval in the plane": (0.8, 0.3),
    "two complex layers of one number": (0.9, 0.8, 0.1, 0.2),
    "a circle, degree eight": (0.8, 0.2),
    "a tensor of order three": (0.9, 0.2),
    "a matrix of rank one, 2 x 1": (0.9, 0.2),
    "the same over-parameterised, 2 x 2": (0.9, 0.1, 0.1, 0.3),
    "two mirrored ReLU neurons": (0.5, 0.1),
    "three layers, two of them tied": (0.9, 0.8),
    "four layers, balanced": (0.9, 0.9, 0.9, 0.9),
    "two layers of width two": (0.6, 0.7, 0.5, 0.7),
    "phase retrieval, three products": (0.9, 1.1),
    "the first direction, Oja": (1.2, 0.2),
    "one number attends, a b c": (0.8, 0.9, 0.8),
    "a tensor of two components": (0.95, 0.05),
    "a diagonal network of one number": (0.9, 0.2),
    "two layers, pulled together": (0.8, 0.9),
    "Rosenbrock's valley": (1.2, 1.4),
    "a root of the unit, 2 x 2, in a ball": (1.05, 0.02, -0.03, 0.96),
    "two layers of matrices, 2 x 2, in a ball": (1.0, 0.05, -0.02, 0.96, 1.02, 0.0, 0.03, 1.01),
}


def problems() -> Iterator[Problem]:
    """Losses of papers and of textbooks."""
    a, b, c = sp.symbols("a b c")
    half, eighth = sp.Rational(1, 2), {"level": "1/8", "rate": "exp"}
    yield Problem("a quartic well", (a, b), (a**2 + b**2) ** 2 / 4, {"rate": 2}, "1/16")
    yield Problem("x^6 in the plane", (a, b), (a**2 + b**2) ** 3 / 6, {"rate": "3/2"}, "1/48")
    product = (a * b - 1) ** 2 / 2
    yield Problem("two layers of one number", (a, b), product, eighth, "2")
    chained = {"level": ["2/5", "1/200"], "rate": "exp"}
    yield Problem("the same, from two levels", (a, b), product, chained, "18/5")
    kept = {"keep": [sp.Eq(a**2 - b**2, 2)], "rate": "exp"}
    yield Problem("the same, by its balance", (a, b), product, kept, "4")
    deep = (a * b * c - 1) ** 2 / 2
    yield Problem("three layers of one number", (a, b, c), deep, eighth, "3*2**(-1/3)")
    balanced = {"keep": [sp.Eq(a**2, b**2)], "rate": 2}
    yield Problem("two layers, target 0", (a, b), (a * b) ** 2 / 2, balanced, "1/8")
    well = (a**2 - 1) ** 2 / 4 + b**2 / 2
    yield Problem("a double well", (a, b), well, eighth, "4 - 2*sqrt(2)")
    phase = 3 * (a**2 + b**2) ** 2 / 4 + sp.Rational(3, 4) - (a**2 + b**2) / 2 - a**2
    squares = {"level": "1/4", "rate": "exp", "coordinates": [a**2, b**2]}
    yield Problem("phase retrieval in the plane", (a, b), phase, squares, "5/2")
    d = sp.Symbol("d")
    both = (a * b - c * d - 1) ** 2 / 2 + (a * d + b * c) ** 2 / 2
    yield Problem("two complex layers of one number", (a, b, c, d), both, eighth, "2")
    circle = {"level": "1/64", "rate": 2}
    yield Problem("a circle, degree eight", (a, b), (a**2 + b**2 - 1) ** 4 / 4, circle, "1/64")
    tensor = ((a**2 + b**2) ** 3 - 2 * a**3 + 1) * half
    yield Problem("a tensor of order three", (a, b), tensor, {"level": "1/4", "rate": "exp"}, "")
    thin, square = sp.MatrixSymbol("X", 2, 1), sp.MatrixSymbol("X", 2, 2)
    gram = {"coordinates": [thin * thin.T], **eighth}
    yield Problem("a matrix of rank one, 2 x 1", (thin,), misfit(thin), gram, "1")
    wide = {"coordinates": [square * square.T], "level": "1/50", "rate": 2}
    yield Problem("the same over-parameterised, 2 x 2", (square,), misfit(square), wide, "1/16")
    row = {**wide, "rate": 1, "template": [sp.Symbol("G[1,1]")]}
    yield Problem("its superfluous row, squared", (square,), misfit(square), row, "1/2")
    three = sp.MatrixSymbol("X", 3, 2)
    blind = {
        "free": True,
        "coordinates": [three * three.T],
        "level": "1/50",
        "rate": 1,
        "template": 1,
    }
    yield Problem("its superfluous rows, 3 x 2, unasked", (three,), misfit(three), blind, "1/2")
    yield from of_papers(*sp.symbols("a b c d"))
    h, z = sp.symbols("h z", real=True)
    place = {"at": {h: half, z: 0}, "level": "1/2000", "keep": [z >= 0]}
    above = {**place, "rate": 3, "template": [z**3, (h - half) ** 2]}
    yield Problem("two mirrored ReLU neurons", (h, z), mirrored(h, z), above, "pi**2/12", True)
    below = {**place, "rate": 1, "template": [z], "lower": True}
    yield Problem("their z, from below", (h, z), mirrored(h, z), below, "pi/2", True)


def of_papers(a: sp.Symbol, b: sp.Symbol, c: sp.Symbol, d: sp.Symbol) -> Iterator[Problem]:
    """Further losses that papers study."""
    exp, eighth = {"rate": "exp"}, {"level": "1/8", "rate": "exp"}
    tied = (a**2 * b - 1) ** 2 / 2
    yield Problem("three layers, two of them tied", (a, b), tied, eighth, "3*2**(1/3)")
    same = {"keep": [sp.Eq(a**2, b**2), sp.Eq(b**2, c**2), sp.Eq(c**2, d**2)], **eighth}
    four = (a * b * c * d - 1) ** 2 / 2
    yield Problem("four layers, balanced", (a, b, c, d), four, same, "2*sqrt(2)")
    broad = (a * b + c * d - 1) ** 2 / 2
    yield Problem("two layers of width two", (a, b, c, d), broad, eighth, "2")
    phase = ((a**2 - 1) ** 2 + (b**2 - 1) ** 2 + ((a + b) ** 2 - 4) ** 2) / 4
    yield Problem("phase retrieval, three products", (a, b), phase, eighth, "")
    oja = (a**2 + b**2) ** 2 / 4 - a**2 - b**2 / 2
    first = {"level": "-9/10", **exp}
    yield Problem("the first direction, Oja", (a, b), oja, first, "")
    attends = (a * b * c - 1) ** 2 / 2 + (a * b * c) ** 2 / 4
    lower = {"level": "1/4", **exp}
    yield Problem("one number attends, a b c", (a, b, c), attends, lower, "3**(2/3)")
    tensor = ((a**3 + b**3 - 1) ** 2 + (a**2 * b + a * b**2) ** 2) / 2
    close = {"level": "1/50", **exp}
    yield Problem("a tensor of two components", (a, b), tensor, close, "")
    diagonal = (a**2 - b**2 - 1) ** 2 / 2
    yield Problem("a diagonal network of one number", (a, b), diagonal, eighth, "4")
    wide, pulled = {"level": "1/2", **exp}, (a * b - 1) ** 2 + (a - b) ** 2 / 10
    yield Problem("two layers, pulled together", (a, b), pulled, wide, "")
    valley = (1 - a) ** 2 + 100 * (b - a**2) ** 2
    yield Problem("Rosenbrock's valley", (a, b), valley, wide, "")
    W, V = sp.MatrixSymbol("W", 2, 2), sp.MatrixSymbol("V", 2, 2)
    unit, half = sp.eye(2), sp.Rational(1, 2)
    off = [sum(x**2 for x in sp.Matrix(M) - unit) for M in (W, V)]
    ball = {"keep": [off[0] <= half], **exp}
    root = sum(x**2 for x in sp.Matrix(W) ** 2 - unit) / 4
    yield Problem("a root of the unit, 2 x 2, in a ball", (W,), root, ball, "6 - 4*sqrt(2)")
    both = {"keep": [off[0] + off[1] <= half], **exp}
    layers = sum(x**2 for x in sp.Matrix(V) * sp.Matrix(W) - unit) / 2
    yield Problem("two layers of matrices, 2 x 2, in a ball", (W, V), layers, both, "1")


def misfit(X: Any) -> sp.Expr:
    """`|X X^T - e_1 e_1^T|^2/4`."""
    off = X * X.T - sp.diag(1, *[0] * (X.rows - 1))
    return sp.trace(off * off.T) / 4


def mirrored(h: sp.Symbol, z: sp.Symbol) -> sp.Expr:
    """Half the loss of the neurons `(h, +-z)` of the teacher `(1, 0)`."""
    x, y = sp.symbols("x y", real=True)
    both = sp.Max(0, h * x + z * y) + sp.Max(0, h * x - z * y)
    return Expectation((both - sp.Max(0, x)) ** 2, (x, y)) / 4


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="Problems whose description has these words.")
    only = parser.parse_args().only
    print("| loss | proved | by hand | possible | law of a run | degree | find, s | verify, s |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for problem in problems():
            if only in problem.about:
                print(row_of(problem, Path(folder) / "potential.json"), flush=True)


def row_of(problem: Problem, path: Path) -> str:
    """A row of the table."""
    system = flows.OwnSystem("own", problem.blocks, problem.loss)
    begun = time.process_time()
    find = flows.find_potential_near if problem.near else flows.find_potential
    found = find(system, **problem.options)
    sought = time.process_time() - begun
    if not found.proved:
        return f"| {problem.about} | {found.verdict} | {problem.sharp} | | | | {sought:.2f} | |"
    found.save(path, force=True)
    begun = time.process_time()
    assert flows.verify(path).accepted
    checked = time.process_time() - begun
    law = f"exp(-{found.constant} t)"
    if found.exponent is not None:
        sign = " at least" if found.lower else ""
        law = f"{found.constant} t^(-{found.exponent}){sign}"
    degree = "balls" if problem.near else str(found.degree)
    fast = law_of(system, STARTS.get(problem.about))
    told = [problem.about, law, problem.sharp, f"{found.possible:.6g}", fast, degree]
    return f"| {' | '.join(told)} | {sought:.2f} | {checked:.2f} |"


def law_of(system: flows.OwnSystem, start: tuple[float, ...] | None) -> str:
    """How the loss of a run falls in the end."""
    if start is None:  # its potential is not the loss
        return ""
    for late in LATE:
        law = flows.late_time_law(flows.integrate(system, np.array(start), late))
        if law.chosen is not None:
            break
    else:
        return ""
    one = law.laws[law.chosen]
    if one.kind == "exponential":
        return f"exp(-{one.rate:.6g} t)"
    return f"{one.constant:.6g} t^(-{one.exponent})"


if __name__ == "__main__":
    main()
