"""Which random starts of a matrix factorisation converge, and the theorem on how many do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flows.core.problem import COMPLETED
from flows.core.proportion import LEVEL, interval
from flows.ensembles.integrate import integrate_ensemble
from flows.runs.verdict import HypothesisResult, Outcome, Verdict
from flows.systems.matrix_factorization.chains import adjoint, chain
from flows.systems.matrix_factorization.system import MatrixFactorization
from potentials.matrix_factorization import PROBABILITY, STRONG, VANISHED

__all__ = ["Convergence", "check_probability", "convergence"]


@dataclass(frozen=True)
class Convergence:
    """Which random starts of a matrix factorisation converged.

    Parameters
    ----------
    system : MatrixFactorization
        The flow.
    positive : ndarray of bool, shape (members,)
        Whether `det W(0) > 0`, in bases in which the target is diagonal.
    converged : ndarray of bool, shape (members,)
        Whether `L(t_end) <= 1e-6 L(0)`.
    """

    system: MatrixFactorization
    positive: NDArray[np.bool_]
    converged: NDArray[np.bool_]

    def fraction(self, positive: bool) -> float:
        """Fraction that converges of the starts with this sign of the determinant."""
        chosen = self.converged[self.positive == positive]
        return float(chosen.mean()) if len(chosen) else np.nan


def convergence(
    system: MatrixFactorization,
    scale: float,
    seeds: Iterable[int],
    t_end: float = 1e6,
    *,
    rtol: float = 1e-8,
) -> Convergence:
    r"""Integrate random starts of a matrix factorisation and see which converge.

    .. math:: L(t_{end}) \le 10^{-6} L(0)

    Parameters
    ----------
    system : MatrixFactorization
        The flow.
    scale : float
        Standard deviation of an entry of the start.
    seeds : iterable of int
        One start each.
    t_end : float
        End of every run.
    rtol : float
        Tolerance; which starts converge does not need many digits.

    Returns
    -------
    Convergence
        With the sign of the determinant of each start. A run that stopped early has not converged.

    Raises
    ------
    InputError
        For a scale, seed, time or tolerance that cannot be used.

    Notes
    -----
    Starts are followed together, as by :func:`flows.integrate_ensemble`.
    Real starts whose product has a negative determinant cannot reach a target with a positive one.
    Source: Luo, Xu, Gao, Fazel & Du, arXiv 2511.09925, Theorem 1, on the probability
    (:func:`flows.ensembles.matrix_factorization.check_probability`).

    Examples
    --------
    >>> import flows
    >>> system = flows.MatrixFactorization(d=1, regularization=50.0)
    >>> found = flows.convergence(system, 0.3, range(4), t_end=1e4)
    >>> found.positive.tolist() == found.converged.tolist()
    True
    """
    starts = np.array([system.initial(scale, seed) for seed in seeds])
    found = integrate_ensemble(system, starts, t_end, [t_end], rtol=rtol)
    loss = found["loss"]
    converged = (found.status == COMPLETED) & (loss[:, -1] <= float(VANISHED) * loss[:, 0])
    left, _, right = np.linalg.svd(np.array(system.target))
    turned = adjoint(left) @ chain(starts) @ adjoint(right)
    return Convergence(system, np.linalg.det(turned).real > 0, converged)


def check_probability(found: Convergence) -> Verdict:
    """Check Theorem 1: the probability to converge is near 1/2 (real) or 1 (complex).

    Parameters
    ----------
    found : Convergence
        An ensemble.

    Returns
    -------
    Verdict
        `measured` is the fraction, `bound` 1/2 or 1, `error` what reaches from the fraction to the
        far end of its interval. The conclusion is that the interval contains the bound; real starts
        are decided by the sign of a determinant, so that 1/2 is exact in the limit.
    """
    known = found.system.parameters
    a, largest, least = (known[x] for x in ("regularization", "sigma_max", "sigma_min"))
    strong, equal = float(STRONG) * largest, largest * (1 - 1e-12)
    hypotheses = (
        HypothesisResult("a >> sigma_1, read as a >= 10 sigma_1", a >= strong, a, strong, ">="),
        HypothesisResult("Sigma = sigma_1 I", least >= equal, least, equal, ">="),
        HypothesisResult("N = 4", known["depth"] == 4, known["depth"], 4, "="),
    )
    count, trials = int(found.converged.sum()), len(found.converged)
    low, high = interval(count, trials)
    expected = 1.0 if known["is_complex"] else 0.5
    holds, all_hold = low <= expected <= high, all(h.holds for h in hypotheses)
    if all_hold:
        outcome = Outcome.HOLDS if holds else Outcome.VIOLATED
    else:
        outcome = Outcome.HOLDS_BEYOND if holds else Outcome.HYPOTHESIS_NOT_MET
    fraction = count / trials
    signs = ", ".join(
        f"{found.converged[group].sum()} of {group.sum()} with det W(0) {word} 0"
        for group, word in ((found.positive, ">"), (~found.positive, "<"))
    )
    message = f"{count} of {trials} converge, {LEVEL:.0%} interval [{low:.3f}, {high:.3f}]: {signs}"
    error = max(high - fraction, fraction - low)
    return Verdict(
        "convergence_probability",
        outcome,
        fraction,
        expected,
        error,
        hypotheses,
        PROBABILITY,
        None,
        None,
        message,
    )
