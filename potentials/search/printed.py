"""A found potential in words and in LaTeX: statement, squares, conclusion."""

from __future__ import annotations

from typing import Any

import sympy as sp

from potentials.search.exact import Proved, factorised
from potentials.search.polynomials import Flow, Polynomial, rational
from potentials.search.rates import Found
from potentials.search.regions import Condition

__all__ = ["hypotheses", "statement", "theorem"]

S = sp.Symbol("s", nonnegative=True)


def hypotheses(found: Found) -> tuple[str, ...]:
    """Conditions that are assumed to stay true."""
    return tuple(_condition(found, c) for c in found.where.conditions if c.reason == "assumed")


def statement(found: Found) -> str:
    """What is proved, in one sentence."""
    flow = found.flow
    kept = [c for c in found.where.conditions if c.reason not in ("assumed", "identity")]
    where = " and ".join(_condition(found, c) for c in kept)
    named = {one.claim.name for one in found.proof.claims}
    exists = () if "bounded" in named else ("the flow exists",)
    assumed = " and ".join((*hypotheses(found), *exists))
    least = "" if found.target == found.V else f", which is at least {flow.written(found.target)}"
    return (
        f"V = {flow.written(found.V)}{least}: {_law(found)} for every start"
        + (f" with {where}" if where else "")
        + (f", as long as {assumed}" if assumed else "")
    )


def _law(found: Found) -> str:
    d = rational(found.constant)
    if found.rate == "exp":
        return f"V(t) {'>=' if found.lower else '<='} V(0) exp(-{d} t)"
    m, k = found.rate.m, found.rate.k
    q = sp.Rational(m, k)
    if found.lower:
        C = d ** -sp.Rational(1, k) * q**q
        return f"V(t) >= {C} (t + ({C}/V(0))^({1 / q}))^(-{q})"
    return f"V(t) <= {d * q**q} t^{f'-{q}' if q.is_Integer else f'(-{q})'}"


def _condition(found: Found, c: Condition) -> str:
    if c.level is not None:
        return f"L <= {rational(c.level)}"
    return f"{found.flow.written(c.p)} {'=' if c.equal else '>='} 0"


def theorem(found: Found) -> str:
    """Theorem and proof for a LaTeX document with amsmath and amsthm."""
    flow, rate = found.flow, found.rate
    d = rational(found.constant)
    lines = [r"\begin{theorem}", rf"Let $L = {_tex(flow, flow.loss)}$ and $\dot x = -\nabla L$."]
    if flow.origin is not None:
        images = zip(flow.symbols, flow.images, strict=True)
        defined = ", ".join(f"${sp.latex(x)} = {_tex(flow.origin, p)}$" for x, p in images)
        lines.append(rf"In the functions {defined} the flow is closed.")
    lines.append(rf"Let $V = {_tex(flow, found.V)}$.")
    if found.target != found.V:
        lines.append(rf"Then $V \ge {_tex(flow, found.target)}$ and")
    sign = r"\ge" if found.lower else r"\le"
    bound = rf"\dot V {sign} -{sp.latex(d)}\, V" if rate == "exp" else _bound(found)
    where = [_condition_tex(flow, c) for c in found.where.conditions]
    on = rf" on the set where {', '.join(where)}" if where else ""
    lines += [rf"\[ {bound} \]", rf"along the flow of every start{on}.", r"\end{theorem}"]
    lines += [r"\begin{proof}", *_reasons(found)]
    for one in found.proof.claims:
        lines += _squares(found, one)
    lines += [_conclusion(found), r"\end{proof}"]
    return "\n".join(lines)


def _bound(found: Found) -> str:
    assert found.rate != "exp"
    d, q = rational(found.constant), sp.Rational(found.rate.m, found.rate.k)
    if found.lower:
        c = d ** sp.Rational(1, found.rate.m)
        return rf"\dot V \ge -{sp.latex(c)}\, V^{{{sp.latex(1 + 1 / q)}}}"
    return (
        rf"\dot V \le -{sp.latex(d ** (-1 / q))}\, V^{{{sp.latex(1 + 1 / q)}}},"
        rf" \qquad V(t) \le {sp.latex(d * q**q)}\, t^{{-{sp.latex(q)}}}"
    )


def _conclusion(found: Found) -> str:
    """How the rate follows from the squares."""
    if found.rate == "exp":
        return r"So this is not negative, and Gronwall's inequality gives the rate."
    if found.lower:
        return "This is not negative; take the root, and integrate."
    m, k, d = found.rate.m, found.rate.k, rational(found.constant)
    return (
        rf"With $s = (V/{sp.latex(d)})^{{1/{m}}}$ the first inequality reads"
        rf" ${m} (-\dot V) \ge {m} \cdot {sp.latex(d ** sp.Rational(-k, m))}\,"
        rf" V^{{1 + {k}/{m}}}$; integrate."
    )


def _reasons(found: Found) -> list[str]:
    """Why conditions stay true."""
    flow, lines = found.flow, []
    for c in found.where.conditions:
        said = _condition_tex(flow, c)
        if c.reason == "level":
            lines.append(rf"{said} stays true, as $L$ does not grow along its gradient flow.")
        elif c.cofactor is not None:
            p, rate = _tex(flow, c.p), _tex(flow, c.cofactor)
            lines.append(rf"{said} stays true: for $p = {p}$, $\dot p = ({rate})\, p$.")
        elif c.reason == "assumed":
            lines.append(rf"{said} is assumed to stay true.")
        else:
            lines.append(rf"{said} is true as the functions are defined.")
    for one in flow.factored:
        matrix = sp.Matrix([[flow.written(p) for p in row] for row in one.matrix])
        lines.append(rf"${sp.latex(matrix)} = X X^T$ is positive semidefinite.")
    return lines


def _squares(found: Found, one: Proved) -> list[str]:
    """A claim as a sum of squares."""
    flow = found.flow
    goal = one.claim.expression.at(found.proof.unknowns) + flow.constant(0)
    begin = rf"&{_tex(flow, goal)} \\"
    parts = []
    for block, gram in zip(one.claim.blocks, one.grams, strict=True):
        both = factorised(gram)
        assert both is not None
        lower, diagonal = both
        for j, weight in enumerate(diagonal):
            if isinstance(block.multiplier, tuple):
                size = len(block.multiplier)
                vector = [
                    sum(
                        (lower[i][j] * m[a] for i, m in enumerate(block.basis)),
                        start=flow.constant(0),
                    )
                    for a in range(size)
                ]
                matrix = sp.Matrix([[flow.written(p) for p in row] for row in block.multiplier])
                column = sp.Matrix([flow.written(p, S) for p in vector])
                form = " ".join(map(sp.latex, (column.T, matrix, column)))
                parts.append(rf"{sp.latex(rational(weight))}\, {form}")
                continue
            entries = (lower[i][j] * m for i, m in enumerate(block.basis))
            square = sum(entries, start=flow.constant(0))
            g = block.multiplier
            factor = "" if g == 1 else rf"\left({_tex(flow, g)}\right)"
            parts.append(
                rf"{sp.latex(rational(weight))}\, {factor}\left({_tex(flow, square)}\right)^2"
            )
    for h, p in one.multipliers:
        if p != 0:
            parts.append(rf"\left({_tex(flow, h)}\right)\left({_tex(flow, p)}\right)")
    rows = [rf"&\quad {'=' if k == 0 else '+'} {part} \\" for k, part in enumerate(parts)]
    return [
        _said(found, one.claim.name),
        r"\begin{align*}",
        begin,
        *(rows or [r"&\quad = 0"]),
        r"\end{align*}",
    ]


def _said(found: Found, name: str) -> str:
    """What a sum of squares is of."""
    if name == "decay":
        by = "" if found.factor is None else rf", times ${_tex(found.flow, found.factor)}$,"
        if found.rate == "exp":
            c = sp.latex(rational(found.constant))
            left = r"\dot V + c V" if found.lower else r"-\dot V - c V"
            return rf"With $c = {c}$, ${left}${by} is"
        m, k, d = found.rate.m, found.rate.k, sp.latex(rational(found.constant))
        if found.lower:
            return rf"${d}\, V^{{{m + k}}} - (-\dot V)^{{{m}}}${by} is"
        return (
            rf"For $s \ge 0$, ${m} (-\dot V) - {m + k} s^{{{k}}} V + {k} \cdot {d}\,"
            rf" s^{{{m + k}}}${by} is"
        )
    if name == "above":
        return "The potential less its lower bound is"
    if name == "bounded":
        return "The flow exists for all times, since the loss above its least value is"
    return "The lower bound is"


def _condition_tex(flow: Flow, c: Condition) -> str:
    if c.level is not None:
        return rf"$L \le {sp.latex(rational(c.level))}$"
    return rf"${_tex(flow, c.p)} {'=' if c.equal else chr(92) + 'ge'} 0$"


def _tex(flow: Flow, p: Polynomial) -> str:
    found: Any = sp.latex(flow.written(p, S))
    return str(found)
