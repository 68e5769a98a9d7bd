"""A found potential in words and in LaTeX: statement, squares, conclusion."""

from __future__ import annotations

from typing import Any

import sympy as sp

from potentials.search.exact import Proved, factorised
from potentials.search.length import ball_of
from potentials.search.polynomials import Flow, Polynomial, rational
from potentials.search.rates import Found
from potentials.search.regions import Condition
from potentials.search.typeset import Term, bracketed, display, inline, name_of, number, terms

__all__ = ["LATER", "hypotheses", "law", "starts", "statement", "theorem"]

#: The time since a potential was small enough.
LATER = "(t - T)"
# What matrices of levels are called.
LEVEL = r"\Lambda"


def hypotheses(found: Found) -> tuple[str, ...]:
    """Conditions that are assumed to stay true."""
    return tuple(_condition(found, c) for c in found.where.conditions if c.reason == "assumed")


def statement(found: Found) -> str:
    """What is proved, in one sentence."""
    flow = found.flow
    least = "" if found.target == found.V else f", which is at least {flow.written(found.target)}"
    return f"V = {flow.written(found.V)}{least}: {law(found)} {starts(found)}"


def starts(found: Found) -> str:
    """Of which starts a law is true, and as long as what."""
    by_definition = ("identity", "squares")
    kept = [c for c in found.where.conditions if c.reason not in ("assumed", *by_definition)]
    where = " and ".join(_condition(found, c) for c in kept)
    named = {one.claim.name for one in found.proof.claims}
    exists = () if "bounded" in named else ("the flow exists",)
    assumed = " and ".join((*hypotheses(found), *exists))
    return (
        "for every start"
        + (f" with {where}" if where else "")
        + (f", as long as {assumed}" if assumed else "")
    )


def law(found: Found, time: str = "t", begin: str = "V(0)") -> str:
    """The rate in words, from time zero on or from a later one, with what `V` is then."""
    d = rational(found.constant)
    if found.rate == "exp":
        return f"V(t) {'>=' if found.lower else '<='} {begin} exp(-{d} {time})"
    m, k = found.rate.m, found.rate.k
    q = sp.Rational(m, k)
    if found.lower:
        C = d ** -sp.Rational(1, k) * q**q
        return f"V(t) >= {C} (t + ({C}/V(0))^({1 / q}))^(-{q})"
    return f"V(t) <= {d * q**q} {time}^{f'-{q}' if q.is_Integer else f'(-{q})'}"


def _condition(found: Found, c: Condition) -> str:
    if c.level is not None:
        return f"L <= {rational(c.level)}"
    if c.reason == "length":
        off, radius = _around(found, c)
        named = ", ".join(map(str, off))
        return f"|{named if len(off) == 1 else f'({named})'}| + {_path(found)} < {radius}"
    return f"{found.flow.written(c.p)} {'=' if c.equal else '>='} 0"


def _around(found: Found, c: Condition) -> tuple[list[sp.Expr], sp.Expr]:
    """Displacements from the centre of a ball, and its radius."""
    ball, x = ball_of(c.p), found.flow.symbols
    assert ball is not None
    off = [x[i] - rational(centre) for i, centre in ball.centre.items()]
    return off, sp.sqrt(rational(ball.square))


def _path(found: Found, tex: bool = False) -> str:
    """The longest path of a start, by its `V`."""
    d = rational(found.constant)
    m, k = (1, 0) if found.rate == "exp" else (found.rate.m, found.rate.k)
    times, base = sp.Rational(2 * m, m - k), 1 / d if found.rate == "exp" else d**k
    power = f"^{{{m - k}}}" if m - k > 1 else ""
    if tex:
        return rf"{sp.latex(times)} \bigl({sp.latex(base)} V{power}\bigr)^{{1/{2 * m}}}"
    return f"{times} ({base} V{power.translate({123: None, 125: None})})^(1/{2 * m})"


def theorem(found: Found) -> str:
    """Theorem and proof for a LaTeX document with amsmath and amsthm."""
    flow, rate = found.flow, found.rate
    origin = flow if flow.origin is None else flow.origin
    lines = [r"\begin{theorem}", r"Along the flow $\dot x = -\nabla L$ of"]
    lines += _equation("L =", terms(origin, origin.loss))
    if flow.origin is not None:
        lines.append("consider the functions")
        lines += display(
            [
                [Term(f"{name_of(x)} =", 6.0), *terms(flow.origin, p)]
                for x, p in zip(flow.symbols, flow.images, strict=True)
            ],
            signs=("",),
        )
    alone = flow.loss == found.V and flow.origin is None
    lines += ["let $V = L$."] if alone else ["let", *_equation("V =", terms(flow, found.V))]
    if found.target != found.V:
        lines += ["Then", *_equation(r"V \ge", terms(flow, found.target)), "and"]
    sign = r"\ge" if found.lower else r"\le"
    bound = rf"\dot V {sign} {sp.latex(-rational(found.constant) * sp.Symbol('V'))}"
    where = [_start_tex(found, c) for c in found.where.conditions]
    on = rf" on the set where {', '.join(where)}" if where else ""
    lines += [rf"\[ {bound if rate == 'exp' else _bound(found)} \]"]
    lines += [rf"along the flow of every start{on}.", r"\end{theorem}"]
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
    if found.jacobian is not None:
        return (
            r"With $v_i = w_i r_i$ the first inequality is $-\dot V = |\nabla V|^2 \ge c V$, and"
            " Gronwall's inequality gives the rate."
        )
    if found.rate == "exp":
        return r"So this is not negative, and Gronwall's inequality gives the rate."
    if found.lower:
        return "This is not negative; take the root, and integrate."
    m, k, d = found.rate.m, found.rate.k, rational(found.constant)
    V = sp.Symbol("V", positive=True)
    of, slope = sp.latex(sp.root(V / d, m)), sp.latex(d ** sp.Rational(-k, m))
    power = sp.latex(1 + sp.Rational(k, m))
    falls = rf"-\dot V \ge {slope}\, V^{{{power}}}"
    return rf"With $s = {of}$ the first inequality is ${falls}$; integrate."


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
        elif c.reason == "length":
            lines.append(
                rf"{said} stays true: as long as it does, $|\nabla L|^2 = -\dot V$ says that the"
                rf" path is no longer than ${_path(found, True)}$, with $V$ at the start."
            )
        else:
            lines.append(rf"{said} is true as the functions are defined.")
    for one in flow.factored:
        rows = r" \\ ".join(" & ".join(inline(terms(flow, p)) for p in row) for row in one.matrix)
        G = _letter(flow, one.matrix)
        lines.append(
            rf"\[ {G} = \begin{{pmatrix}} {rows} \end{{pmatrix}} = X X^T \]"
            rf"is positive semidefinite; write ${G}[v] = v^T {G} v$."
        )
    return [*lines, *_jacobian(found)]


def _letter(flow: Flow, matrix: Any) -> str:
    """What a matrix of coordinates is called, or one of a level, which begins with a number."""
    if matrix[0][0].is_constant():
        return LEVEL
    return name_of(flow.written(matrix[0][0])).partition("_")[0]


def _equation(name: str, found: list[Term]) -> list[str]:
    """A name and what it is, on its lines."""
    return display([[Term(name, 4.0), *found]])


def _jacobian(found: Found) -> list[str]:
    """What is squared, and matrices of levels."""
    by, flow = found.jacobian, found.flow
    if by is None:
        return []
    both = zip("rw", zip(*((p, flow.constant(w)) for w, p in by.squares), strict=True), strict=True)
    rows = [
        [Term(f"{name}_{{{i + 1}}} =", 4.0), *terms(flow, p)]
        for name, several in both
        for i, p in enumerate(several)
    ]
    lines = [r"$V = \sum_i w_i r_i^2$ with", *display(rows, signs=("",))]
    for c in found.where.conditions:
        if c.level is not None:
            first = inline(terms(flow, by.matrix(c.level)[0][0]))
            lines.append(
                rf"Where {_condition_tex(flow, c)}, \[ {LEVEL} = \begin{{pmatrix}} {first} & r^T"
                r" \\ r & \operatorname{diag}(1/w) \end{pmatrix} \]"
                rf"is positive semidefinite; write ${LEVEL}[u] = u^T {LEVEL} u$."
            )
    return lines


def _squares(found: Found, one: Proved) -> list[str]:
    """A claim as a sum of squares."""
    by = found.jacobian
    flow = by.wider if by is not None and one.claim.name == "decay" else found.flow
    goal = one.claim.expression.at(found.proof.unknowns) + flow.constant(0)
    rows = [terms(flow, goal)]
    for block, gram in zip(one.claim.blocks, one.grams, strict=True):
        both = factorised(gram)
        assert both is not None
        lower, diagonal = both
        for j, weight in enumerate(diagonal):
            before = [] if weight == 1 else [number(weight)]
            if isinstance(block.multiplier, tuple):
                vector = [
                    sum((lower[i][j] * m[a] for i, m in enumerate(block.basis)), flow.constant(0))
                    for a in range(len(block.multiplier))
                ]
                rows.append([*before, *_quadratic(flow, block.multiplier, vector)])
                continue
            entries = (lower[i][j] * m for i, m in enumerate(block.basis))
            square = terms(flow, sum(entries, start=flow.constant(0)))
            factor = _factor(found, flow, block.multiplier)
            rows.append([*before, *factor, *bracketed(square, after="^2")])
    for h, p in one.multipliers:
        if p != 0:
            rows.append([*bracketed(terms(flow, h)), *bracketed(terms(flow, p))])
    if len(rows) == 1:
        rows.append([Term("0", 1.0)])
    return [_said(found, one.claim.name), *display(rows)]


def _factor(found: Found, flow: Flow, g: Polynomial) -> list[Term]:
    """A multiplier: as a level of the loss where it is one, times `s` where it has it."""
    s = flow.s
    if g == 1:
        return []
    if g == s:
        return [Term("s", 1.0)]
    for c in found.where.conditions:
        p = c.p if flow is found.flow or found.jacobian is None else found.jacobian.lifted(c.p)
        if c.level is not None and g in (p, p * s):
            level = rf"\bigl({inline([number(c.level)])} - L\bigr)"
            return [Term(level if g == p else f"s {level}", 8.0)]
    return bracketed(terms(flow, g))


def _quadratic(flow: Flow, matrix: Any, vector: list[Polynomial]) -> list[Term]:
    """`G[v]`, entry by entry of `v`."""
    found = [Term(rf"{_letter(flow, matrix)}\Bigl[", 4.0)]
    for k, entry in enumerate(vector):
        *rest, last = terms(flow, entry)
        end = r"\Bigr]" if k == len(vector) - 1 else r",\;"
        found += [*rest, Term(f"{last.text}{end}", last.width + 1)]
    return found


def _said(found: Found, name: str) -> str:
    """What a sum of squares is of."""
    if name == "decay":
        by = "" if found.factor is None else rf", times ${_tex(found.flow, found.factor)}$,"
        if found.rate == "exp":
            c = sp.latex(rational(found.constant))
            if found.jacobian is not None:
                left = r"4 |J^T v|^2 - c \sum_i v_i^2/w_i"
                return rf"With $c = {c}$, the Jacobian $J$ of $r$ and any $v$, ${left}$ is"
            left = r"\dot V + c V" if found.lower else r"-\dot V - c V"
            return rf"With $c = {c}$, ${left}${by} is"
        m, k, d = found.rate.m, found.rate.k, sp.latex(rational(found.constant))
        if found.lower:
            return rf"${d}\, V^{{{m + k}}} - (-\dot V)^{{{m}}}${by} is"
        V, S = sp.Symbol("V"), sp.Symbol("s")
        more = sp.latex(-(m + k) * S**k * V)
        whole = sp.latex(k * rational(found.constant) * S ** (m + k))
        left = rf"-{m if m > 1 else ''} \dot V {more} + {whole}"
        return rf"For $s \ge 0$, ${left}${by} is"
    if name == "above":
        return "The potential less its lower bound is"
    if name == "bounded":
        return "The flow exists for all times, since the loss above its least value is"
    return "The lower bound is"


def _condition_tex(flow: Flow, c: Condition) -> str:
    if c.level is not None:
        return rf"$L \le {sp.latex(rational(c.level))}$"
    return rf"${_tex(flow, c.p)} {'=' if c.equal else chr(92) + 'ge'} 0$"


def _start_tex(found: Found, c: Condition) -> str:
    """What a start has to fulfil."""
    if c.reason != "length":
        return _condition_tex(found.flow, c)
    off, radius = _around(found, c)
    entries = ", ".join(inline(terms(found.flow, found.flow.read(x))) for x in off)
    return rf"$|({entries})| + {_path(found, True)} < {sp.latex(radius)}$"


def _tex(flow: Flow, p: Polynomial) -> str:
    return inline(terms(flow, p))
