"""What every system has to do: the checks of ``popflow doctor``, one function each.

A check looks at one system with a random start and one run of it. It lists the parts that work,
are wrong or are missing, with the line that would mend each.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import sympy as sp

from flows.core.arrays import Array
from flows.core.card import end_line
from flows.core.errors import InputError
from flows.core.system import System
from flows.runs.check import check
from flows.runs.integrate import integrate
from flows.runs.load import load
from flows.runs.trajectory import Trajectory
from flows.runs.verdict import Outcome
from flows.systems.field.flow import FieldFlow
from flows.systems.own.system import OwnSystem
from potentials import Claim
from potentials.theorem import OWN

__all__ = ["CHECKS", "Finding", "Patient", "examined"]

# The run that is looked at ends here, that of a field, which may turn for ever, and a short one.
T_END, FIELD_END, SOON = 1e4, 100.0, 1.0
# Step of differences beside the largest entry, and what they have to agree to: of smooth losses the
# error is about 1e-12, and rounding leaves 1e-13 of the loss beside its gradient.
STEP, AGREEMENT = 1e-3, 1e-6
# A constant is broken by this part of it, and an exponent by a tenth.
A_LITTLE, TENTH = sp.Rational(1, 1000), sp.Rational(1, 10)
# Numbers of a state up to which Hessian and derivation are looked at.
FEW = 40


@dataclass(frozen=True)
class Finding:
    """What a check says.

    Parameters
    ----------
    outcome : {"works", "WRONG", "missing"}
        WRONG is an error of the definition; what is missing only buys less.
    what, text : str
        What was looked at, and what was found or is to be done.
    """

    outcome: Literal["works", "WRONG", "missing"]
    what: str
    text: str


@dataclass(frozen=True, eq=False)
class Patient:
    """A system with a start, and the run from there."""

    system: System
    start: Array

    @functools.cached_property
    def run(self) -> Trajectory:
        """Run to `T_END`, of a plain field to `FIELD_END`."""
        end = T_END if "loss" in self.system.measures else FIELD_END
        return integrate(self.system, self.start, end, max_seconds=60.0)


Check = Callable[[Patient], Iterator[Finding]]


def examined(system: System, start: Array, checks: Sequence[Check] | None = None) -> list[Finding]:
    """Findings of all checks of a system; one that fails says so in one line."""
    patient, found = Patient(system, start), []
    for one in CHECKS if checks is None else checks:
        what = one.__name__.strip("_").replace("_", " ")
        try:
            found += list(one(patient))
        except (InputError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
            line = " ".join(str(error).split())
            found.append(Finding("WRONG", what, f"{type(error).__name__}: {line}"))
    return found


def differences(function: Callable[[Array], Any], at: Array) -> Array:
    r"""Differences of fourth order of a function by each entry of its argument, which comes first.

    .. math:: f'(y) \approx \frac{8 (f(y + h) - f(y - h)) - (f(y + 2h) - f(y - 2h))}{12 h}
    """
    rows, h = [], STEP * (float(abs(at).max()) or 1.0)
    for k in range(at.size):
        unit = np.zeros(at.size)
        unit[k] = h
        two, one, minus, back = (
            np.asarray(function((at.ravel() + s * unit).reshape(at.shape))) for s in (2, 1, -1, -2)
        )
        rows.append((8 * (one - minus) - (two - back)) / (12 * h))
    return np.array(rows)


def _agree(one: Array, other: Array) -> float:
    """Difference of two arrays beside the larger one, or beside 1e-8 where both are smaller."""
    size = max(float(abs(one).max()), float(abs(other).max()), 1e-8)
    return float(abs(one - other).max()) / size


def _compared(what: str, stated: Array, seen: Array) -> Finding:
    off = _agree(np.ravel(stated), np.ravel(seen))
    if off <= AGREEMENT:
        return Finding("works", what, f"differences agree to {off:.0e}")
    return Finding("WRONG", what, f"off by {off:.1e} from differences; mend the loss or its rate")


def gradient(patient: Patient) -> Iterator[Finding]:
    """Gradient and Hessian, or a field's Jacobian, against differences, away from small starts."""
    system, y = patient.system, np.asarray(patient.start)
    if np.iscomplexobj(y):
        return
    if isinstance(system, FieldFlow) and "loss" not in system.measures:
        seen = differences(system.velocity, y).T
        yield _compared("Jacobian", system.jacobian(y), seen)
        return
    yield _compared("gradient", system.gradient(y), differences(system.loss, y))
    if y.size <= FEW:
        try:
            hessian = system.hessian(y)
        except InputError as error:
            yield Finding("missing", "Hessian", str(error))
            return
        yield _compared("Hessian", hessian, differences(lambda x: np.ravel(system.gradient(x)), y))


def defined(patient: Patient) -> Iterator[Finding]:
    """Loss and gradient of a system that evaluates them itself, against its formula."""
    system, y = patient.system, np.asarray(patient.start)
    if isinstance(system, FieldFlow | OwnSystem) or np.iscomplexobj(y) or y.size > FEW:
        return
    general, flat = system.general, system.flat(y)
    off = max(
        _agree(np.array([system.loss(y)]), np.array([general.loss(flat)])),
        _agree(system.flat(system.gradient(y)), general.gradient(flat)),
    )
    good = off <= AGREEMENT
    text = f"loss and gradient agree with the formula to {off:.0e}"
    text = text if good else f"loss or gradient is off by {off:.1e} from the formula; mend one"
    yield Finding("works" if good else "WRONG", "formula", text)


def starts(patient: Patient) -> Iterator[Finding]:
    """Random starts: the seed gives the same one again, another seed another one."""
    system = patient.system
    first, again, other = (system.initial(scale=0.1, seed=seed) for seed in (0, 0, 1))
    if not np.array_equal(first, again):
        yield Finding("WRONG", "random start", "draws anew at each call; take numbers from rng")
    elif np.array_equal(first, other):
        yield Finding("missing", "random start", "is the same for each seed; draw it from rng")
    else:
        yield Finding("works", "random start", f"of {first.size} numbers, by its seed")
    if getattr(system, "start", "a law") is None:
        remedy = "write def initial(self, rng, scale) for the paper's law; now entries are Gaussian"
        yield Finding("missing", "start law", remedy)


def round_trip(patient: Patient) -> Iterator[Finding]:
    """A start in sound coordinates and back."""
    system, start = patient.system, patient.start
    frame, state = system.reduce(system.check_start(start))
    off = _agree(np.ravel(start), np.ravel(system.restore(frame, state)))
    good = off <= AGREEMENT
    text = "a start comes back as it was" if good else f"a start comes back off by {off:.1e}"
    yield Finding("works" if good else "WRONG", "round trip", text)


def falling(patient: Patient) -> Iterator[Finding]:
    """The run completes, and its loss does not rise."""
    run = patient.run
    name = run.leading
    loss = run[name]
    rises = (np.diff(loss) > AGREEMENT * np.abs(loss[:-1])) & (name == "loss")
    if not run.completed:
        yield Finding("WRONG", "run", f"{run.status}: {run.message}")
    elif rises.any():
        yield Finding("WRONG", "run", f"its loss rises at t = {run.t[1:][rises][0]:.3g}")
    else:
        why = "" if np.isfinite(loss[-1]) else f"; {run.message}"
        line = (
            f"to t = {run.t[-1]:g}, {name} {loss[0]:.3g} at the start, {end_line(run, name)}{why}"
        )
        yield Finding("works", "run", line)


def saved(patient: Patient) -> Iterator[Finding]:
    """A file of a run gives its numbers and its system again."""
    short = integrate(patient.system, patient.start, SOON)
    with tempfile.TemporaryDirectory() as folder:
        found = load(short.save(Path(folder) / "run.nc"))
        same = np.array_equal(found.state, short.state)
        name = short.leading
        same &= np.array_equal(found[name], short[name], equal_nan=True)
        if not same or found.system != patient.system:
            yield Finding("WRONG", "save and load", "a run comes back as another one")
        else:
            yield Finding("works", "save and load", "a run comes back, and its system")


def observed(patient: Patient) -> Iterator[Finding]:
    """Potentials beside the loss, or the line that gives some."""
    names = [p.name for p in patient.run.statements.potentials]
    if not names:
        remedy = 'def potentials(self, y): return {"size": ...}, and runs and claims know it'
        yield Finding("missing", "potentials", remedy)
        return
    yield Finding("works", "potentials", ", ".join(names))


def claimed(patient: Patient) -> Iterator[Finding]:
    """Each claim on the run, how sharp it is, and whether a false one is seen."""
    claims = patient.run.statements.claims
    if not claims:
        remedy = 'def claims(self, loss, t): yield theorem("upper", loss <= t**-1), and check says'
        yield Finding("missing", "claims", f"{remedy} whether it holds")
    for claim in claims:
        if claim.source == OWN:
            remedy = (
                f'theorem("{claim.id}", .., Source(authors, year, arxiv, place, kind)) cites it'
            )
            yield Finding("missing", f"source of {claim.id}", remedy)
        yield _one_claim(patient.run, claim)


def _one_claim(run: Trajectory, claim: Claim) -> Finding:
    (found,) = check(run, claim)
    what = f"claim {claim.id}"
    if found.verdict is Outcome.VIOLATED:
        return Finding("WRONG", what, f"VIOLATED: {found.message}")
    if found.verdict in (Outcome.HYPOTHESIS_NOT_MET, Outcome.HOLDS_BEYOND):
        return Finding("missing", what, f"{found.verdict} at this start; choose another")
    if found.verdict is Outcome.INCONCLUSIVE:
        return Finding("missing", what, f"INCONCLUSIVE: {found.message}")
    tried = list(false_ones(run, claim))
    seen = [change for change, broken in tried if _refuted(run, broken)]
    if seen:
        return Finding("works", what, f"HOLDS; seen to be false: {', '.join(seen)}")
    if not tried:
        return Finding("works", what, "HOLDS; it has no constant and no exponent to be broken")
    held = ", ".join(change for change, _ in tried)
    return Finding("missing", what, f"HOLDS, and so does {held}: state where it is sharp")


def _refuted(run: Trajectory, claim: Claim) -> bool:
    return check(run, claim)[0].verdict is Outcome.VIOLATED


def false_ones(run: Trajectory, claim: Claim) -> Iterator[tuple[str, Claim]]:
    """A claim broken a little: each constant beyond the tightest of the run, and the exponent."""
    for place, one in enumerate(claim.conclusions):
        alone = replace(claim, conclusions=(one,), hypotheses=())
        if one.relation == "==":
            rhs, change = one.rhs * (1 + A_LITTLE), "a right side that differs by 0.001"
            yield change, replace(alone, conclusions=(replace(one, rhs=rhs),))
        elif one.constant is not None and (tight := check(run, alone)[0].constant):
            sign = (-1 if one.relation == "<=" else 1) * np.sign(tight)
            constant = sp.Float(tight * (1 + sign * float(A_LITTLE)))
            change = f"conclusion {place + 1} with the constant {float(constant):.6g}"
            change = change if len(claim.conclusions) > 1 else f"the constant {float(constant):.6g}"
            yield change, replace(alone, conclusions=(replace(one, constant=constant),))
    if claim.exponent is not None:
        for change in (TENTH, -TENTH):
            exponent = claim.exponent + change
            broken = replace(claim, exponent=exponent, hypotheses=())
            yield f"the exponent {float(exponent):g}", broken


def derived(patient: Patient) -> Iterator[Finding]:
    """The derivation, if it states one: no step refuted, and headings that differ."""
    if not hasattr(patient.system, "derive") or patient.start.size > FEW:
        return
    document = patient.system.derive().verify()
    names = [d.name for d in document.derivations]
    evidence = [str(step.evidence) for step in document.steps]
    counts = ", ".join(f"{evidence.count(x)} {x}" for x in dict.fromkeys(evidence))
    if "REFUTED" in evidence or len(set(names)) < len(names):
        yield Finding("WRONG", "derivation", f"{counts}; headings {', '.join(names)}")
    else:
        yield Finding("works", "derivation", f"steps: {counts}")


def certificates(patient: Patient) -> Iterator[Finding]:
    """Whether its flow can be certified, and what would have to be so."""
    found = patient.system.certified
    if isinstance(found, str):
        yield Finding("missing", "certificates", found)
    else:
        yield Finding("works", "certificates", "popflow certify proves where its flow goes")


#: All checks, in their order.
CHECKS: tuple[Check, ...] = (
    gradient,
    defined,
    starts,
    round_trip,
    falling,
    saved,
    observed,
    claimed,
    derived,
    certificates,
)
