r"""Search for the start at which a claim is tightest: random starts, then an optimiser.

For a claim ``lhs <= C rhs`` (or ``lhs >= c rhs``) a run from the start ``w`` needs the constant

.. math:: C(w) = \max_t \frac{\mathrm{lhs}}{\mathrm{rhs}} \quad\text{or}\quad
          c(w) = \min_t \frac{\mathrm{lhs}}{\mathrm{rhs}},

which :func:`flows.check` reports. Tighter is larger for ``<=`` and smaller for ``>=``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from flows.core.arrays import Array
from flows.core.errors import InputError
from flows.core.problem import COMPLETED, INTERRUPTED
from flows.core.system import System
from flows.ensembles.member import FAILURES
from flows.ensembles.starts import Law
from flows.runs.check import check
from flows.runs.integrate import follow
from flows.runs.request import Request, check_count
from flows.runs.verdict import Verdict
from potentials.claim import Claim

__all__ = ["WorstCase", "worst_case"]

# Number of random starts of first descents, which end in different local optima.
FINALISTS = 3
# First simplex, in units of the root mean square entry: wide enough to leave a random start's
# neighbourhood, small enough to stay in its basin.
SIMPLEX = 0.3
# A simplex of this relative size has converged: constants are known to about rtol only.
XATOL = 1e-5
# Keeps the zero start from a division by zero.
TINY = 1e-300


@dataclass(frozen=True, eq=False)
class WorstCase:
    """The tightest start found.

    Parameters
    ----------
    claim : str
        Id of the claim.
    constant : float
        The constant that this start needs, the tightest of all runs.
    attained_at : float
        When it needs it; NaN where the claim compares numbers of the whole run.
    start : ndarray
        The start.
    verdict : Verdict
        What the run from it says about the claim.
    typical : float
        Median of the constants of the random starts.
    evaluations, failures : int
        Runs, and how many of them gave no constant that counts.
    seed : int
        With the same arguments it gives the same result.
    """

    claim: str
    constant: float
    attained_at: float
    start: Array
    verdict: Verdict
    typical: float
    evaluations: int
    failures: int
    seed: int


def worst_case(
    system: System,
    claim: Claim | str,
    *,
    t_end: float,
    size: int = 32,
    evaluations: int = 600,
    seed: int = 0,
    scale: float = 0.1,
    spread: float = 10.0,
    beyond: bool = False,
    method: str = "auto",
    rtol: float = 1e-6,
    max_steps: int = 20_000,
) -> WorstCase:
    r"""Search for the start that makes a claim's inequality tightest.

    Every entry of the start is varied. Only its root mean square entry is bounded, to
    ``[scale / spread, scale spread]``: a start beyond is multiplied back into it.

    Parameters
    ----------
    system : System
        The flow.
    claim : Claim or str
        A claim, or its id, with one conclusion ``<=`` or ``>=``.
    t_end : float
        End of each run; the constant is that of the run up to here.
    size : int
        Number of random starts, drawn as ``Law(size, scale, seed)``.
    evaluations : int
        Runs that the optimiser may spend after them, see the notes.
    seed, scale
        Of the law of random starts.
    spread : float
        How far the size of a start may be from ``scale``, a factor of at least 1.
    beyond : bool
        Whether starts count that do not fulfil the claim's hypotheses.
    method, rtol, max_steps
        As for :func:`flows.integrate`.

    Returns
    -------
    WorstCase
        A run that fails, ends early or is outside of the hypotheses counts as infinitely loose.

    Raises
    ------
    InputError
        For a claim without a single constant, arguments that cannot be used, and where no random
        start has a constant that counts.

    Notes
    -----
    The optimiser is the Nelder-Mead simplex (Nelder & Mead 1965, with the parameters of Gao & Han
    2012 for many dimensions): half of the runs from the three best random starts, the other half
    from the best that these found. The search is local: the worst constant is at least as tight.

    Accuracy
    --------
    The maximum over time is that over the output times, ten a decade.

    Examples
    --------
    >>> import flows
    >>> system = flows.ReLUNeuron(n=2, d=2)
    >>> w = worst_case(system, "gradient_lower", t_end=100.0, size=3, evaluations=20)
    >>> w.constant < w.typical, w.evaluations
    (True, 23)
    """
    known = {c.id: c for c in system.statements.claims}
    if isinstance(claim, str) and claim not in known:
        raise InputError(f"unknown claim {claim!r}; known: {', '.join(known)}")
    chosen = known[claim] if isinstance(claim, str) else claim
    sense = _sense(chosen)
    law = Law(size, scale, seed)
    _check_search(evaluations, spread)
    request = Request(t_end, method=method, rtol=rtol, max_steps=max_steps)
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    search = _Search(system, chosen, sense, beyond, request)
    # One thread of BLAS: products round alike everywhere.
    with threadpool_limits(1):
        starts = [law.start(system, k) for k in range(law.size)]
        random = np.array([search.looseness(start) for start in starts])
        if search.best is None:
            raise InputError(
                f"no random start of {law.size} has a constant of {chosen.id!r} that"
                " counts; take another scale or t_end, or beyond=True"
            )
        bounds = scale / spread, scale * spread
        order = np.argsort(random, kind="stable")[: min(FINALISTS, np.isfinite(random).sum())]
        for k in order:
            _search_from(search, starts[k], evaluations // (2 * len(order)), *bounds)
        # A fresh simplex at the best of them: simplices of many dimensions stagnate.
        _search_from(search, search.best[1], law.size + evaluations - search.count, *bounds)
    constant, start, verdict = search.best
    return WorstCase(
        chosen.id,
        constant,
        math.nan if verdict.attained_at is None else verdict.attained_at,
        start,
        verdict,
        -sense * float(np.median(random[np.isfinite(random)])),
        search.count,
        search.failures,
        law.seed,
    )


class _Search:
    """Runs from starts, and the best of them: the optimiser's objective has a memory."""

    def __init__(
        self, system: System, claim: Claim, sense: float, beyond: bool, request: Request
    ) -> None:
        self.system, self.claim, self.sense = system, claim, sense
        self.beyond, self.request = beyond, request
        self.count = self.failures = 0
        self.best: tuple[float, Array, Verdict] | None = None

    def looseness(self, start: Array) -> float:
        """Constant with the sign that makes smaller tighter; infinite if there is none."""
        self.count += 1
        verdict = self._verdict(start)
        if verdict is None or verdict.constant is None or not math.isfinite(verdict.constant):
            self.failures += 1
            return math.inf
        if self.best is None or self.sense * (verdict.constant - self.best[0]) > 0:
            self.best = verdict.constant, start, verdict
        return -self.sense * verdict.constant

    def _verdict(self, start: Array) -> Verdict | None:
        try:
            run = follow(self.system, start, self.request)
            if run.status == INTERRUPTED:
                raise KeyboardInterrupt
            (verdict,) = check(run, self.claim)
        except FAILURES:
            return None
        counts = self.beyond or all(h.holds for h in verdict.hypotheses)
        return verdict if counts and run.status == COMPLETED else None


def _search_from(search: _Search, start: Array, budget: int, low: float, high: float) -> None:
    """Nelder-Mead from one start, in real entries, with the size kept between two bounds."""
    from scipy.optimize import minimize

    x = start.ravel().view(float)
    if budget <= len(x):
        return  # not even the first simplex
    unit = _size(x)

    def objective(x: Array) -> float:
        bounded = x * (min(max(_size(x), low), high) / max(_size(x), TINY))
        return search.looseness(bounded.view(start.dtype).reshape(start.shape))

    minimize(
        objective,
        x,
        method="Nelder-Mead",
        options={
            "initial_simplex": x + SIMPLEX * unit * np.vstack([np.zeros(len(x)), np.eye(len(x))]),
            "adaptive": True,
            "maxfev": budget,
            "xatol": XATOL * unit,
            "fatol": math.inf,
        },
    )


def _size(x: Array) -> float:
    return math.sqrt(float(np.mean(x**2)))


def _sense(claim: Claim) -> float:
    """1 where a larger constant is tighter, -1 where a smaller one is."""
    relations = [c.relation for c in claim.comparisons]
    if len(relations) != 1 or relations[0] == "==":
        raise InputError(
            f"claim {claim.id!r} has no single constant: it is an identity or has"
            " several conclusions"
        )
    return 1.0 if relations[0] == "<=" else -1.0


def _check_search(evaluations: int, spread: float) -> None:
    check_count("evaluations", evaluations, least=0)
    if not (math.isfinite(spread) and spread >= 1):
        raise InputError(f"spread must be a finite number >= 1, got {spread!r}")
