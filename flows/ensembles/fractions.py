"""Which fraction of the members of a sweep does something, against the parameters."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flows.core.arrays import is_real
from flows.core.errors import InputError
from flows.core.proportion import LEVEL, interval
from flows.ensembles.chunk import UNMOVED, Move, known, moves, open_to, sizes
from flows.ensembles.member import LOSS_ERROR, UNTRIED

if TYPE_CHECKING:
    import xarray

__all__ = ["sweep_fraction"]


def sweep_fraction(
    data: xarray.Dataset,
    condition: Callable[[xarray.Dataset], xarray.DataArray] | float,
    level: float = LEVEL,
) -> xarray.Dataset:
    r"""Fraction of the members that fulfil a condition, with its interval, for all parameters.

    Parameters
    ----------
    data : Dataset
        What :func:`flows.sweep` or :func:`flows.load_sweep` returned, or a part of it.
    condition : callable or float
        From the data set to one boolean a member; or a ratio ``r``, which means
        ``loss(T) <= r loss(0)``. It is asked of all numbers that a member may have, as by
        :meth:`flows.ensembles.result.Ensemble.fraction`.
    level : float
        Confidence of each interval, for example 0.95.

    Returns
    -------
    xarray.Dataset
        Over the parameters: ``count`` and ``trials``, of the members that were computed, those that
        failed included; ``undecided``, of members that are left out, as the answers differ within
        numerical errors, or for numbers that may be anything; ``fraction``, NaN without any;
        ``low`` and ``high``, the Clopper-Pearson interval, which covers the probability at least so
        often. The intervals hold one by one, not all at once.

    Raises
    ------
    InputError
        For data of no sweep, a condition that does not give one boolean a member, and a level or
        ratio that is none.

    Examples
    --------
    >>> import flows
    >>> found = flows.sweep(
    ...     lambda n: flows.ReLUNeuron(n, 2), {"n": [1, 2]}, size=4, t_end=1e3, rtol=1e-6
    ... )
    >>> fraction = flows.sweep_fraction(found, 1e-10, level=0.95)
    >>> fraction["count"].values.tolist(), fraction["high"].values.round(2).tolist()
    ([4, 1], [1.0, 0.81])
    """
    import xarray

    if not (isinstance(data, xarray.Dataset) and {"status", "member"} <= {*data.variables}):
        raise InputError(
            "data must be the data set of a sweep, with its status and members; take flows.sweep or"
            " flows.load_sweep"
        )
    if not (is_real(level) and 0 < level < 1):
        raise InputError(f"level must be a number between 0 and 1, got {level!r}; take 0.95")
    status = data["status"]

    def answers(data: xarray.Dataset) -> xarray.DataArray:
        found = condition(data) if callable(condition) else _below(data, condition)
        right = isinstance(found, xarray.DataArray) and found.dtype == bool
        if right and set(found.dims) == set(status.dims):
            return found
        came = f"{found.dtype} over {found.dims}" if hasattr(found, "dims") else repr(found)
        raise InputError(
            f"a condition must give booleans over {status.dims}, one a member, got {came}"
        )

    names = [str(n) for n in data if n != LOSS_ERROR and data[n].dtype == float]
    tried = decided = ~status.isin(UNTRIED)
    found = answers(_moved(data, names, UNMOVED))
    free = any(open_to(*_known(data, name)).any() for name in names)
    further = sizes(names) if free else ()
    for move in itertools.chain(moves(names, data.sizes.get("t", 1)), further):
        decided = decided & (answers(_moved(data, names, move)) == found)
    count = (found & decided).sum("member").rename("count")
    trials = decided.sum("member")
    undecided = (tried & ~decided).sum("member")
    ends = np.vectorize(lambda k, n: interval(int(k), int(n), level), otypes=[float, float])
    low, high = ends(count.transpose(*trials.dims), trials)
    over = trials.dims
    return xarray.Dataset(
        {
            "fraction": count / trials.where(trials > 0),
            "low": (over, low),
            "high": (over, high),
            "count": count,
            "trials": trials,
            "undecided": undecided,
        },
        attrs={"level": level},
    ).transpose(*over)


def _known(data: xarray.Dataset, name: str) -> tuple[Any, Any]:
    """Numbers of a name and their errors, in rows of times where there are any."""
    like = data[name].transpose(..., "t", missing_dims="ignore")
    shape = (-1, *(like.sizes[t] for t in like.dims if t == "t"))

    def read(each: str) -> Any:
        return data[each].broadcast_like(like).transpose(*like.dims).values.reshape(shape)

    return known(name, read, {*map(str, data)})


def _moved(data: xarray.Dataset, names: Sequence[str], move: Move) -> xarray.Dataset:
    """Numbers wherever they may be, too."""
    found = {}
    for name in names:
        like = data[name].transpose(..., "t", missing_dims="ignore")
        found[name] = like.copy(data=move(name, *_known(data, name)).reshape(like.shape))
    return data.assign(found)


def _below(data: xarray.Dataset, ratio: float) -> xarray.DataArray:
    """Whether the loss has fallen to this part of its first value."""
    if not (is_real(ratio) and 0 < ratio < 1):
        raise InputError(
            f"condition must be a function or a ratio of losses between 0 and 1, got {ratio!r}"
        )
    if "loss" not in data:
        raise InputError("condition: a ratio is one of losses, and the sweep has none; keep loss")
    loss = data["loss"]
    return loss.isel(t=-1, drop=True) <= ratio * loss.isel(t=0, drop=True)
