"""What every system has to do: the checks of ``popflow doctor``, one function each.

A check looks at one system with a random start and one run of it. It lists the parts that work,
are wrong or are missing, with the line that would mend each. `popflow.conformance` makes a test of
each.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import sympy as sp

from flows.certificates.verifier.verify import verify
from flows.cli.patient import SOON, Finding, Patient
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

__all__ = ["CHECKS", "Check", "examined", "looked_at"]

# Step of differences beside the largest entry, and what they have to agree to: of smooth losses the
# error is about 1e-12, and rounding leaves 1e-13 of the loss beside its gradient.
STEP, AGREEMENT = 1e-3, 1e-6
# A constant is broken by this part of it, and an exponent by a tenth.
A_LITTLE, TENTH = sp.Rational(1, 1000), sp.Rational(1, 10)
# Numbers of a state up to which Hessian and derivation are looked at.
FEW = 40
# Numbers up to which a short run is compared with many digits where it has no certificate.
FEW_DIGITS = 16


Check = Callable[[Patient], Iterator[Finding]]


def examined(system: System, start: Array, checks: Sequence[Check] | None = None) -> list[Finding]:
    """Findings of all checks of a system; one that fails says so in one line."""
    return looked_at(Patient(system, start), CHECKS if checks is None else checks)


def looked_at(patient: Patient, checks: Sequence[Check]) -> list[Finding]:
    """Findings of these checks, each fault with its place."""
    found: list[Finding] = []
    for one in checks:
        what = one.__name__.strip("_").replace("_", " ")
        try:
            found += list(one(patient))
        except (InputError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
            line = " ".join(str(error).split())
            found.append(Finding("WRONG", what, f"{type(error).__name__}: {line}"))
    return [patient.placed(one) for one in found]


def differences(function: Callable[[Array], Any], at: Array) -> Array:
    r"""Differences of fourth order of a function by each number of its argument, which comes first.

    .. math:: f'(y) \approx \frac{8 (f(y + h) - f(y - h)) - (f(y + 2h) - f(y - 2h))}{12 h}
    """
    rows, flat, h = [], numbers_of(at), STEP * (float(abs(at).max()) or 1.0)
    for k in range(flat.size):
        unit = np.zeros(flat.size)
        unit[k] = h
        two, one, minus, back = (
            numbers_of(function((flat + s * unit).view(at.dtype).reshape(at.shape)))
            for s in (2, 1, -1, -2)
        )
        rows.append((8 * (one - minus) - (two - back)) / (12 * h))
    return np.array(rows)


def numbers_of(values: Any) -> Array:
    """All real numbers of an array; a complex entry is two."""
    found: Array = np.ravel(values).view(float) if np.iscomplexobj(values) else np.ravel(values)
    return found


def _agree(one: Array, other: Array) -> float:
    """Difference of two arrays beside the larger one, or beside 1e-8 where both are smaller."""
    size = max(float(abs(one).max()), float(abs(other).max()), 1e-8)
    return float(abs(one - other).max()) / size


def _compared(what: str, stated: Array, seen: Array) -> Finding:
    off = _agree(numbers_of(stated), numbers_of(seen))
    if off <= AGREEMENT:
        return Finding("works", what, f"differences agree to {off:.0e}")
    return Finding("WRONG", what, f"off by {off:.1e} from differences; mend the loss or its rate")


def gradient(patient: Patient) -> Iterator[Finding]:
    """Gradient and Hessian, or a field's Jacobian, against differences, away from small starts."""
    system, y = patient.system, np.ascontiguousarray(patient.start)
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
        yield _compared("Hessian", hessian, differences(system.gradient, y))


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
    short = patient.short
    with tempfile.TemporaryDirectory() as folder:
        found = load(short.save(Path(folder) / "run.nc"))
        same = np.array_equal(found.state, short.state)
        name = short.leading
        same &= np.array_equal(found[name], short[name], equal_nan=True)
        if not same or found.system != patient.system:
            yield Finding("WRONG", "save and load", "a run comes back as another one")
        else:
            yield Finding("works", "save and load", "a run comes back, and its system")


def digits(patient: Patient) -> Iterator[Finding]:
    """The short run is within its stated error of a certificate's enclosure, or of many digits."""
    run, proof = patient.short, patient.certificate
    name, last = run.leading, float(run[run.leading][-1])
    if proof is not None:
        exact = float(proof.loss(SOON).mid())
    elif patient.start.size > FEW_DIGITS:
        return
    else:
        many = integrate(patient.system, patient.start, SOON, method="reference", max_seconds=30.0)
        if not many.completed:
            yield Finding("missing", "digits", f"many take too long: {many.status}")
            return
        exact = float(many[name][-1])
    off, stated = abs(last - exact), float(run.errors(name)[-1]) * abs(last)
    if off <= stated:
        yield Finding("works", "digits", f"{name} is off by {off:.0e}, {stated:.0e} is stated")
    else:
        text = f"{name} is off by {off:.1e}, and its stated error is {stated:.1e}: report it"
        yield Finding("WRONG", "digits", text)


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
    """The short run is certified and the proof accepted, or what would have to be so."""
    proof = patient.certificate
    if proof is None:
        yield Finding("missing", "certificates", str(patient.system.certified))
    elif refused := verify(proof, patient.system, patient.start).refused:
        yield Finding("WRONG", "certificates", f"the independent check refuses one: {refused}")
    else:
        yield Finding("works", "certificates", f"one to t = {SOON:g} is accepted")


#: All checks, in their order.
CHECKS: tuple[Check, ...] = (
    gradient,
    defined,
    starts,
    round_trip,
    falling,
    saved,
    digits,
    observed,
    claimed,
    derived,
    certificates,
)
