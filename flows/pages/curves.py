"""What is shown of a run: panels of curves over one time, as plain data for any way of drawing.

The static figures, the report's pages and the inspector all show these panels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from flows.core.arrays import Array
from flows.core.errors import unknown
from flows.pages.formulas import brief, line
from flows.runs.check import check
from flows.runs.comparison import selected
from flows.runs.quantities import Run
from flows.runs.rates import FLOOR, local_exponent
from flows.runs.verdict import Outcome
from potentials.claim import Claim, Comparison, LowerBound, UpperBound
from potentials.notation import Parameter, is_time, symbol
from potentials.potential import Potential

__all__ = [
    "LOWEST_EXPONENT",
    "Panel",
    "Series",
    "claim_about",
    "claim_panels",
    "exponent_panel",
    "exponential_until",
    "loss_panel",
    "potential_panels",
    "rate_panel",
    "solved",
]

# Below this local exponent at its end a loss falls faster than every power.
LOWEST_EXPONENT = -5.0
SPREAD = 30.0  # values that differ by more than this factor are drawn on a logarithmic axis
RELATIONS = {"<=": "≤", ">=": "≥", "==": "="}


@dataclass(frozen=True)
class Series:
    """One curve over the output times.

    Parameters
    ----------
    label : str
        What it is.
    values : ndarray, shape (T,)
        NaN where it is not drawn.
    """

    label: str
    values: Array


@dataclass(frozen=True)
class Panel:
    """Curves over the same time and on the same axis.

    Parameters
    ----------
    title : str
        What is shown.
    label : str
        Of the vertical axis.
    series : tuple of Series
        The curves.
    logarithmic : bool
        Whether the vertical axis is.
    levels : tuple of float
        Heights of lines to compare with.
    note : str
        Said where there is nothing to draw.
    """

    title: str
    label: str
    series: tuple[Series, ...]
    logarithmic: bool = False
    levels: tuple[float, ...] = ()
    note: str = ""


def loss_panel(run: Run) -> Panel:
    """Loss with the bounds that claims put on it, at the constants of this run.

    Parameters
    ----------
    run : Run
        The trajectory.

    Returns
    -------
    Panel
        A bound is drawn where its claim speaks, unless the claim is about other starts and fails on
        this one; its constant is the stated one, or the tightest one along the run where the source
        leaves it unspecified.
    """
    quantities = run.quantities
    t, loss = quantities["t"], quantities[run.leading]
    sinks = run.leading != "loss" and bool((loss < 0).any())
    seen = (t > 0) & ((loss > FLOOR) | (sinks & np.isfinite(loss)))
    series = [Series(run.leading, np.where(seen, loss, np.nan))]
    for claim, comparison, constant in _bounds(run):
        (bound,) = quantities.at((solved(comparison, constant),), "state")
        drawn = seen & selected(quantities, comparison) & np.isfinite(bound) & (bound > FLOOR)
        if drawn.any():
            kind = "measured" if comparison.asymptotic else "stated"
            side = "upper" if isinstance(claim, UpperBound) else "lower"
            label = f"{side} bound ({brief(claim.source.locator)}), {kind} constant {constant:.3g}"
            # Two curves of one name could not be distinguished.
            label = f"{label}: {claim.id}" if label in {s.label for s in series} else label
            series.append(Series(label, np.where(drawn, bound, np.nan)))
    title = run.leading.replace("_", " ").capitalize()
    return Panel(title, run.leading, tuple(series), logarithmic=not sinks)


def exponent_panel(run: Run) -> Panel:
    """Local exponent `t L'/L` of the loss, from the state, with the claimed exponents as levels.

    Parameters
    ----------
    run : Run
        The trajectory.

    Returns
    -------
    Panel
        Levels are the powers of `t` of the upper and lower bounds that speak of this run.
    """
    quantities = run.quantities
    seen = (quantities["t"] > 0) & (quantities[run.leading] > FLOOR)
    exponent = np.where(seen, local_exponent(run, run.leading), np.nan)
    powers = {
        -float(c.exponent)
        for c in run.statements.claims
        if isinstance(c, UpperBound | LowerBound)
        and c.exponent
        and c.asymptotic
        and _speaks(run, c)
    }
    plain = run.leading != "loss"
    text = f"t {run.leading}'/{run.leading}" if plain else "t L'/L"
    title = f"Local exponent of {run.leading if plain else 'the loss'}"
    return Panel(title, text, (Series(text, exponent),), levels=tuple(sorted(powers)))


def exponential_until(run: Run) -> float | None:
    """Time up to which a loss that falls faster than every power is known; None for another one.

    A plain field has none: what it leads by may rise again.
    """
    if run.leading != "loss":
        return None
    (curve,) = exponent_panel(run).series
    known = np.flatnonzero(np.isfinite(curve.values))
    if not len(known) or curve.values[known[-1]] >= LOWEST_EXPONENT:
        return None
    return float(run.t[known[-1]])


def rate_panel(run: Run) -> Panel:
    """Rate `d log L/dt` of the loss, from the state, for one that falls exponentially.

    Parameters
    ----------
    run : Run
        The trajectory.
    """
    (curve,) = exponent_panel(run).series
    with np.errstate(all="ignore"):
        rate = curve.values / np.asarray(run.t)
    return Panel("Rate of the loss", "d log L/dt", (Series("d log L/dt", rate),))


def potential_panels(run: Run, name: str) -> tuple[Panel, Panel]:
    """Potential and its derivative along the flow, both from the state.

    Parameters
    ----------
    run : Run
        The trajectory.
    name : str
        A potential of the system.

    Returns
    -------
    tuple of Panel
        A curve for each neuron where the potential has a value for each.

    Raises
    ------
    InputError
        For an unknown potential.
    """
    known = {p.name: p for p in run.statements.potentials}
    if name not in known:
        raise unknown("potential", name, known)
    quantities = run.quantities
    value, rate = quantities[name], quantities[f"{name}_dot"]
    sign = line(known[name].latex_symbol)
    return (
        _curves(quantities["t"], value, known[name].words or name, sign),
        _curves(quantities["t"], rate, "Its derivative along the flow", f"d/dt {sign}"),
    )


def claim_panels(run: Run, claim: Claim) -> tuple[Panel, Panel]:
    """Both sides of the comparisons of a claim, and how far they are apart.

    Parameters
    ----------
    run : Run
        The trajectory.
    claim : Claim
        About the run's system.

    Returns
    -------
    tuple of Panel
        Sides at the stated or the measured constant, and the relative slack, which must not be
        negative (of an equality: the relative difference). Of several neurons or pairs, the one
        with the least slack.
    """
    quantities = run.quantities
    t = quantities["t"]
    sides, slacks = [], []
    several = len(claim.comparisons) > 1
    for number, comparison in enumerate(claim.comparisons, 1):
        constant = _constant(run, claim, comparison)
        if constant is None:
            continue
        lhs, rhs = quantities.at((comparison.lhs, constant * comparison.rhs), comparison.over)
        chosen = selected(quantities, comparison) & np.isfinite(lhs) & np.isfinite(rhs)
        with np.errstate(all="ignore"):
            gap = (rhs - lhs) / np.maximum(np.abs(lhs), np.abs(rhs))
        gap = np.where(chosen, gap if comparison.relation == "<=" else -gap, np.nan)
        lhs, rhs, gap = (x.reshape(len(t), -1) for x in (lhs, rhs, gap))
        rows = np.flatnonzero(np.isfinite(gap).any(axis=1) & (t > 0))
        if not len(rows):
            continue
        worst = (rows, np.nanargmin(gap[rows], axis=1))
        mark = f" ({number})" if several else ""
        kind = "measured" if comparison.asymptotic else "stated"
        ends = (
            f"left side {RELATIONS[comparison.relation]}{mark}",
            f"right side{mark}, {kind} constant {constant:.3g}",
        )
        for side, end in zip((lhs, rhs), ends, strict=True):
            sides.append(Series(end, _scattered(len(t), rows, side[worst])))
        slacks.append(Series(f"slack{mark}", _scattered(len(t), rows, gap[worst])))
    note = "" if sides else "This claim speaks of no time of this run."
    values = np.array([s.values for s in sides]).ravel()
    values = values[np.isfinite(values) & (values != 0)]  # what fell below doubles spoils no axis
    logarithmic = bool(len(values) and values.min() > 0 and values.max() > SPREAD * values.min())
    return (
        Panel("Both sides of the claim", "both sides", tuple(sides), logarithmic, note=note),
        Panel("Relative slack", "relative slack", tuple(slacks), levels=(0.0,), note=note),
    )


def claim_about(run: Run, name: str) -> Claim | None:
    """First claim with a left side that is made of this potential alone, with such sides only."""
    (potential,) = (p for p in run.statements.potentials if p.name == name)
    own = _own(potential)
    for claim in run.statements.claims:
        about = tuple(c for c in claim.comparisons if _moving(c.lhs) <= own)
        if about:
            return replace(claim, conclusions=about, sign=1)
    return None


def _moving(side: sp.Expr) -> set[sp.Symbol]:
    """Symbols that are neither parameters nor times."""
    return {x for x in side.free_symbols if not isinstance(x, Parameter) and not is_time(x.name)}


def _bounds(run: Run) -> Iterator[tuple[Claim, Comparison, float]]:
    """Comparisons of upper and lower bounds that can be solved for the loss, with constants."""
    for claim in run.statements.claims:
        about = [
            c
            for c in claim.comparisons
            if "loss" in {x.name for x in c.lhs.free_symbols} and c.over == "state"
        ]
        if not isinstance(claim, UpperBound | LowerBound) or not about:
            continue
        if not _speaks(run, claim):
            continue
        for comparison in about:
            constant = _constant(run, claim, comparison)
            if constant is not None:
                yield claim, comparison, constant


def _speaks(run: Run, claim: Claim) -> bool:
    """Whether a bound speaks of this run: one of other starts that fails would contradict it."""
    return check(run, claim)[0].verdict is not Outcome.HYPOTHESIS_NOT_MET


def _constant(run: Run, claim: Claim, comparison: Comparison) -> float | None:
    """Constant that is stated, or the tightest one of the run."""
    if comparison.constant is not None:
        return float(comparison.constant)
    (verdict,) = check(run, replace(claim, conclusions=(comparison,), sign=1))
    return verdict.constant


def solved(comparison: Comparison, constant: float) -> sp.Expr:
    """Loss at which both sides of a comparison `a L^p + b >= C rhs` are equal."""
    loss = symbol("loss")
    rest, term = comparison.lhs.as_independent(loss, as_Add=True)
    factor, power = term.as_independent(loss, as_Add=False)
    _, exponent = power.as_base_exp()
    return ((constant * comparison.rhs - rest) / factor) ** (1 / exponent)


def _own(potential: Potential) -> set[sp.Symbol]:
    """Symbols of a potential and its rate; of an indexed one, of what it is made of too."""
    inner = potential.terms if potential.indexed else ()
    names = {potential.name, *(s.name for x in inner for s in x.expression.free_symbols)}
    return {symbol(f"{name}{suffix}") for name in names for suffix in ("", "_dot")}


def _curves(t: Array, values: Array, title: str, label: str) -> Panel:
    """Curves of (T,) or (T, n) values, on a logarithmic axis where they spread over decades."""
    columns = values.reshape(len(t), -1)
    known = np.isfinite(columns) & (np.abs(columns) > FLOOR) & (t > 0)[:, None]
    if not known.any():
        return Panel(title, label, (), note="Zero or undefined in this run.")
    sizes = np.abs(columns[known])
    logarithmic = bool(sizes.max() > SPREAD * sizes.min())
    shown = known if logarithmic else np.isfinite(columns) & (t > 0)[:, None]
    drawn = np.where(shown, columns, np.nan)
    several = label if "_i" in label else f"{label} _i"
    each = [several.replace("_i", f"_{k + 1}").replace(" _", " ") for k in range(columns.shape[1])]
    names = [label] if values.ndim == 1 else each
    series = tuple(Series(one, column) for one, column in zip(names, drawn.T, strict=True))
    return Panel(title, label, series, logarithmic)


def _scattered(length: int, rows: NDArray[np.intp], values: Array) -> Array:
    """Values at rows, NaN elsewhere."""
    found = np.full(length, np.nan)
    found[rows] = values
    return found
