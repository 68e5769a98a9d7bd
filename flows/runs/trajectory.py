"""A trajectory: what was computed, how far, and how it came about."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from flows.core.arrays import Array, plain
from flows.core.card import card_of
from flows.core.errors import InputError, unknown
from flows.core.features import Features, joined
from flows.core.piece import Event
from flows.core.problem import COMPLETED
from flows.core.subspace import Inside
from flows.core.system import Excess, System
from flows.core.views import VIEWS
from flows.runs.bends import Bends, bends_along
from flows.runs.quantities import Quantities
from flows.runs.save import save
from flows.runs.tables import Observables, labelled, tabled
from flows.runs.tolerance import below_digits, is_exact, left_by_steps
from flows.runs.uncertainty import Uncertainty, vanished
from potentials import Potential, Statements

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped]
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# A Hessian of so many rows takes less time than the run.
MOST_CURVATURES = 40
# Elements of the largest intermediate array of the features, so that memory stays bounded.
CHUNK = 2_000_000


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Result of :func:`flows.integrate`.

    Parameters
    ----------
    system : System
        What was integrated.
    t : ndarray, shape (T,)
        Times reached, 0 first. Units: time of ``dw/dt = -grad L``.
    frame : object
        Frame of the sound coordinates.
    states : State
        States in sound coordinates, leading axis ``T``.
    start : ndarray
        User's start.
    status : str
        ``completed``, or ``step_budget``, ``time_budget``, ``solver_failed``, ``field_failed`` (the
        system cannot compute its field), ``kink_reached`` (beyond it no gradient leads),
        ``nonfinite``, ``interrupted``: then ``t`` ends before the end.
    message : str
        One line for a person.
    stats : dict
        ``steps``, ``field_evaluations``, ``jacobian_evaluations``, ``seconds``, ``pieces``.
    events : sequence of Event
        What happened on the way, for example collapsed neurons.
    rtol : float
        Relative tolerance of the solver's steps.
    provenance : dict
        Versions, method and request.
    given : tuple of Potential
        Potentials of this run beside those of its system.
    above : Excess, optional
        Loss above its limit, where the integration of the run has found it.
    followed : Trajectory, optional
        The same run at more times, where it is asked for at times that are too far apart to tell
        what becomes of errors in between.
    """

    system: System
    t: Array
    frame: Any
    states: Any
    start: NDArray[Any]
    status: str
    message: str
    stats: dict[str, Any]
    events: Sequence[Event]
    rtol: float
    provenance: dict[str, Any]
    given: tuple[Potential, ...] = ()
    above: Excess | None = None
    followed: Trajectory | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Fields alone: a copy evaluates again what it is asked for."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def __repr__(self) -> str:
        """Five lines."""
        return str(card_of(self))

    def _repr_html_(self) -> str:
        return card_of(self).html()

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters of the system, and its name."""
        return {"system": self.system.name, **self.system.parameters}

    @property
    def statements(self) -> Statements:
        """Potentials and claims of the system, and the potentials that were given to the run."""
        stated = self.system.statements
        if not self.given:
            return stated
        return replace(stated, potentials=(*stated.potentials, *self.given))

    @property
    def completed(self) -> bool:
        """Whether the run reached its end."""
        return self.status == COMPLETED

    @functools.cached_property
    def state(self) -> Array:
        """User's parameters at every time, shape (T, ...).

        Rounded to doubles near the optimum, so that ``system.loss(run.state[-1])`` is the loss of
        the rounded parameters; ``run["loss"]`` is that of the trajectory.
        """
        return self.system.restore(self.frame, self.states)

    def state_at(self, index: int) -> Array:
        """User's parameters at one time; cheaper than ``state`` for large systems."""
        return self.system.restore(self.frame, self.states.at(index))

    @functools.cached_property
    def features(self) -> Features:
        """What potentials and claims are evaluated from (see ``System.features``)."""
        if self.followed is None:
            return self._features(None)
        return self._features(self.followed.features.at(self._asked))

    @functools.cached_property
    def _asked(self) -> NDArray[np.intp]:
        """Where the times of this run are among those that are followed."""
        assert self.followed is not None
        return np.searchsorted(self.followed.t, self.t)

    def _features(self, known: dict[str, Array] | None) -> Features:
        """Features, those that cost little being known or not; the others wait to be asked for."""
        parts = functools.cache(self._parts)  # which costly features that come together share

        def later(feature: Callable[[Any, Any], Array]) -> Callable[[], Array]:
            return lambda: np.concatenate([feature(self.frame, part) for part in parts()])

        if known is None:
            system = self.system.observed(self.rtol)
            known = joined([system.features(self.frame, part) for part in parts()])
        costly = {name: later(feature) for name, feature in self.system.costly.items()}
        if "loss" not in known:
            return Features(known, costly)
        loss_dot = known["loss_dot"]
        above = {"excess": lambda: self.excess.value, "excess_dot": lambda: loss_dot}
        return Features(known, {**costly, **above})

    def _parts(self) -> list[Any]:
        """States, as many at once as are measured in one go."""
        one = self.states.at(0)
        size = self.system.feature_size(max(getattr(one, f.name).size for f in fields(one)))
        step = max(1, CHUNK // max(1, size))
        return [self.states.at(slice(i, i + step)) for i in range(0, len(self.t), step)]

    @functools.cached_property
    def excess(self) -> Excess:
        """Loss above its limit, ``L - L*``: value, limit and, where it is not known, the reason.

        It is not known at saddles, of flows without a power law, and of states that are doubles.
        """
        if self.above is not None:
            return self.above
        if "loss" not in self.features:
            raise InputError(f"{self.system.name} is a plain field and has no loss")
        return self.system.excess(self.frame, self.states, self.t, self.features["loss"])

    @functools.cached_property
    def curvatures(self) -> Array | None:
        """Rates at which deviations from the last state decay, see :meth:`decay_rates`."""
        return self.decay_rates(-1)

    def decay_rates(self, k: int) -> Array | None:
        """Rates at which deviations from state `k` decay, increasing, shape (N,).

        They are the eigenvalues of the Hessian of the loss; of a plain field, or one in another
        metric, the real parts of those of minus its Jacobian. None where there are more than
        `MOST_CURVATURES`, or the loss has no Hessian there. Of a run in a subspace that its flow
        keeps they are those in it: no deviation leads the run out of it.
        """
        if self.inside is not None:
            return self.inside[0].decay_rates(k)
        state = self.state_at(k)
        if state.size * (1 + np.iscomplexobj(state)) > MOST_CURVATURES:
            return None
        try:
            found = self.system.decay_rates(state, float(self.t[k]))
        except (InputError, np.linalg.LinAlgError):  # a neuron at zero, a loss that a file lacks
            return None
        return found

    @functools.cached_property
    def bends(self) -> Bends:
        """Index of the Hessian, which `run["hessian_index"]` is, and its least eigenvalue."""
        return bends_along(self.system, self.frame, self.states)

    @functools.cached_property
    def quantities(self) -> Quantities:
        """All quantities by name, which check, rates, curves and figures share."""
        return Quantities(self)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the observables."""
        return (*self.system.measures, *(p.name for p in self.statements.potentials))

    @property
    def leading(self) -> str:
        """Observable of messages and figures: the loss, or the first potential of a field."""
        return self.system.leading

    def __getitem__(self, name: str) -> Array:
        """Observable ``name``, or block of the state, at every time."""
        if name == "hessian_index":
            return self.bends.negative.copy()
        if name in (*self.system.measures, "excess"):
            return self.features[name]
        blocks = {} if name in self.names else self.system.unpack(self.state)
        return blocks[name] if name in blocks else self.potential(name)[0]

    def potential(self, name: str) -> tuple[Array, Array]:
        """Potential ``name`` and its derivative along the flow, from the state at every time."""
        if all(name != p.name for p in self.statements.potentials):
            raise unknown("observable", name, self.names)
        # The quantities are shared, and what the caller gets is the caller's.
        return self.quantities[name].copy(), self.quantities[f"{name}_dot"].copy()

    @property
    def observables(self) -> Observables:
        """All observables by name."""
        return Observables(self)

    def error(self, name: str = "loss") -> float:
        """Estimated relative error of an observable, the largest of :meth:`errors`."""
        return float(self.errors(name).max())

    def errors(self, name: str = "loss") -> Array:
        """Estimated relative error of an observable at each time.

        It adds the error of the tolerance, which every quantity has, and the errors that the system
        knows of this one: rounding of the state, and of terms that cancel
        (:meth:`flows.core.system.System.errors`).
        Local tolerances are not global errors: compare two tolerances before quoting digits.

        Returns
        -------
        ndarray, shape (T,)
            Of an observable for each neuron, that of the worst one. Infinite where it is NaN, which
            is not known, and at zeros that are not exact.

        Raises
        ------
        InputError
            For a name that is no quantity of the run.
        """
        try:
            value = np.abs(self.quantities[name])
        except KeyError:
            raise unknown("observable", name, self.names) from None
        beside, relative = self._uncertainty.beside(name), np.zeros(value.shape)
        if beside is not None:
            relative = np.full(value.shape, np.inf)
            np.divide(beside, value, out=relative, where=value > 0)
            relative[(value == 0) & (beside == 0)] = 0.0
        relative[~np.isfinite(value) | vanished(value)] = np.inf
        return self.tolerance + relative.reshape(len(self.t), -1).max(axis=1, initial=0.0)

    def absolute_errors(self, name: str = "loss") -> Array:
        """Estimated absolute error of an observable at each time: see :meth:`errors`.

        Returns
        -------
        ndarray
            Of the observable's shape. Where it is NaN, a bound of its size, or NaN.

        Raises
        ------
        InputError
            For a name that is no quantity of the run.
        """
        try:
            error = self._uncertainty[name]
        except KeyError:
            raise unknown("observable", name, self.names) from None
        return np.zeros_like(self.quantities[name]) if error is None else error

    @functools.cached_property
    def tolerance(self) -> Array:
        """Relative error that the solver's tolerance leaves in a quantity, shape (T,)."""
        if self.followed is not None:
            return np.asarray(self.followed.tolerance[self._asked])
        return self.tolerance_of(self.states, self.features, self.t)

    def tolerance_of(self, states: Any, features: Mapping[str, Array], t: Array) -> Array:
        """Return :attr:`tolerance` of this run, or of several like it, one a leading axis."""
        usual = self._usual
        if is_exact(self.provenance):
            return usual + below_digits(features["loss"])
        if not usual.any():
            return np.broadcast_to(usual, t.shape)
        return usual * (1.0 + self.system.magnification(self.frame, states, features, t, self.rtol))

    @property
    def _usual(self) -> Array:
        """What the tolerance leaves where the flow magnifies no errors of steps, shape (T,)."""
        return np.full(len(self.t), left_by_steps(self.provenance, self.rtol))

    @functools.cached_property
    def feature_errors(self) -> Features:
        """Absolute errors of features beside that of the tolerance, by name."""
        if self.followed is not None:
            return self.followed.feature_errors.at(self._asked)
        known = self.system.errors(self.states, self.features, self.t, self.tolerance)
        return self._errors(known)

    def _errors(self, known: dict[str, Array]) -> Features:
        """Errors of features, what the system states of them being known."""
        later: dict[str, Callable[[], Array]] = {
            name.removesuffix("_error"): functools.partial(self.features.__getitem__, name)
            for name in self.system.costly
            if name.endswith("_error")
        }
        if not is_exact(self.provenance) and self._usual.any():
            names = self.system.later_names
            known = dict.copy(known) if names else known
            later |= {k: functools.partial(self._with_later, k, known.pop(k, None)) for k in names}
        if "excess" in known or "loss" not in self.features:
            return Features(known, later)
        return Features(known, later | {"excess": self._of_excess})

    def _with_later(self, name: str, error: Array | None) -> Array:
        """Error of a feature with what is added to it when it is asked for."""
        more = self._later[name]()
        return more if error is None else error + more

    @functools.cached_property
    def _later(self) -> dict[str, Callable[[], Array]]:
        given = self.frame, self.states, self.features, self.t, self._usual, self.tolerance
        return self.system.later_errors(*given)

    def _of_excess(self) -> Array:
        """Error of the excess, where its system gives one."""
        found = self.excess.error
        return np.zeros(len(self.t)) if found is None else found

    @functools.cached_property
    def inside(self) -> tuple[Trajectory, Inside] | None:
        """The same run in a subspace that its flow keeps, where there is one."""
        found = self.system.inside(self.states)
        if found is None:
            return None
        run = replace(self, system=found.system, states=found.states, given=(), followed=None)
        return run, found

    @functools.cached_property
    def _uncertainty(self) -> Uncertainty:
        return Uncertainty(self)

    def to_json(self) -> dict[str, Any]:
        """Plain values in the layout of ``popflow run --json``."""
        return {
            "system": self.system.name,
            "parameters": self.system.parameters,
            "t": self.t.tolist(),
            **({"loss": self["loss"].tolist()} if "loss" in self.names else {}),
            "observables": {name: self[name].tolist() for name in self.names},
            "final_state": plain(self.state_at(-1)),
            "status": self.status,
            "message": self.message,
            "stats": self.stats,
            "events": [e._asdict() for e in self.events],
            "provenance": self.provenance,
        }

    def to_xarray(self) -> xarray.Dataset:
        """Observables and state as labelled arrays over the coordinate `t`.

        Returns
        -------
        xarray.Dataset
            Every observable; `state`, the user's parameters, with the system's names of its axes;
            the blocks of a loss of one's own by name, over `t`, `W_row` and `W_col`;
            `relative_error`, the error of :meth:`errors` for each `observable`.

        ``run.to_xarray()["loss"].sel(t=1e3, method="nearest")`` is a loss by its time.
        """
        return labelled(self)

    def to_dataframe(self) -> pandas.DataFrame:
        """Observables as a table over `t`, one column each, and one for each neuron of `norms`.

        Returns
        -------
        pandas.DataFrame
            With `relative_error[NAME]`, the error of :meth:`errors`.

        Raises
        ------
        InputError
            If pandas is not installed.
        """
        return tabled(self)

    def plot(self, ax: Axes | None = None) -> Figure | Axes:
        """Loss with the bounds of its claims; below it, without `ax`, the local exponent.

        Parameters
        ----------
        ax : Axes, optional
            Where the loss is drawn.

        Returns
        -------
        Figure or Axes
            The figure of :func:`flows.figures.loss_figure`, or `ax`.
        """
        return VIEWS["plot"](self, ax)

    def save(self, path: str | os.PathLike[str], force: bool = False) -> Path:
        """Write the run as NetCDF, atomically.

        Parameters
        ----------
        path : path
            Where; conventionally ``*.nc``.
        force : bool
            Replace an existing file.

        Raises
        ------
        InputError
            If the file exists (without ``force``) or cannot be written; nothing is left behind.
        """
        return save(self, path, force)
