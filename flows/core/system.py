"""The interface of a flow that can be integrated, the only one between systems and machinery.

A system brings a user's start into *sound coordinates* (rounding stays relative, cost depends on
the span of the data only), gives the solver a :class:`~flows.core.chart.Chart` at a time, and
translates back. States in sound coordinates are :class:`State` objects.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

import potentials
from flows.core.arithmetics import DifferentiableFlow, JaxField, Smooth
from flows.core.arrays import Array
from flows.core.compiled import Compiled
from flows.core.errors import InputError, of_kind, undefined
from flows.core.excess import MARGIN, Excess
from flows.core.formula import Formula
from flows.core.options import Option, Options, chosen, law_options
from flows.core.piece import Piece, Restart
from flows.core.starts import given_array
from flows.core.state import State
from flows.core.subspace import Inside, Subspace
from potentials import Statements

if TYPE_CHECKING:
    from flows.core.minimiser import Approach, Escape, Minimiser

# The contract has one face: what its methods take and give is imported from here, too.
__all__ = [
    "DifferentiableFlow",
    "Excess",
    "JaxField",
    "Smooth",
    "State",
    "System",
    "checked_system",
]


def checked_system(system: Any) -> System:
    """System, or an :class:`~flows.core.errors.InputError` for anything else."""
    found: System = of_kind(
        "system", system, System, "make one, such as flows.ReLUNeuron(n=2, d=3)"
    )
    return found


class System(Formula, Compiled, abc.ABC):
    """A gradient flow. Concrete systems are frozen dataclasses and are never subclassed."""

    #: Whether raw coordinates of charts are linear in the user's parameters.
    linear_charts: ClassVar[bool] = True
    #: Types of frame and states, dataclasses of arrays.
    containers: ClassVar[tuple[type, type]]
    #: Parameters that fix the system, which its certificates state; none if it has no certificates.
    stated: ClassVar[tuple[str, ...]] = ()
    #: What the method ``auto`` tries, in this order, each at this fraction of the tolerance. LSODA
    #: is the fastest where a field is cheap, at a tenth more so (``benchmarks/solvers.py``).
    auto: ClassVar[tuple[tuple[str, float], ...]] = (("LSODA", 0.1), ("CVODE", 1.0), ("BDF", 1.0))
    #: Whether :meth:`magnification` and :meth:`errors` take several runs, one a leading axis.
    stacks: ClassVar[bool] = False
    #: A run keeps states between outputs whose times differ by more than this factor.
    max_output_ratio: ClassVar[float] = math.inf
    #: Whether the loss is at least 0 at every state, as where a student has a teacher.
    nonnegative: ClassVar[bool] = True

    title: ClassVar[str] = ""  #: In a heading.
    #: Names of the axes of a start.
    axes: ClassVar[tuple[str, ...]] = ("n", "d")
    #: What these axes run over, in labelled arrays.
    dimensions: ClassVar[tuple[str, ...]] = ("neuron", "coordinate")
    #: Options of this system beside the common ones, ``flows.core.options.START``.
    options: ClassVar[tuple[Option, ...]] = ()

    @classmethod
    def start_axes(cls, members: bool) -> tuple[str, ...]:
        """Names of the axes of a start, or of several ones."""
        return ("members", *cls.axes) if members else cls.axes

    @classmethod
    def from_options(cls, options: Options, *, members: bool = False) -> tuple[Self, Any]:
        """System and start that a person asks for on the command line or in a form.

        Here, the sizes of a start and the own options, no arrays, are the parameters.

        Parameters
        ----------
        options : mapping
            Values of `flows.core.options.START` and of the system's own options.
        members : bool
            Whether ``initial`` holds several starts, one along the first axis.

        Raises
        ------
        InputError
            For options that contradict each other or have bad values.
        """
        start = given_array(options, "initial", cls.start_axes(members))
        if start is None:
            sizes = {axis: chosen(options, axis) for axis in cls.axes}
        else:
            sizes = dict(zip(cls.axes, start.shape[members:], strict=True))
        own = {option.name: options[option.name] for option in cls.options if not option.of_start}
        system = cls(**sizes, **{k: v for k, v in own.items() if v is not None})
        return system, system.chosen_start(options) if start is None else start

    @classmethod
    @abc.abstractmethod
    def from_parameters(cls, parameters: dict[str, Any]) -> Self:
        """System of these :attr:`parameters`."""

    @property
    @abc.abstractmethod
    def parameters(self) -> dict[str, Any]:
        """Parameters as plain JSON values."""

    @property
    def measures(self) -> tuple[str, ...]:
        """What is observed of every state beside potentials."""
        return ("loss", "gradient_norm")

    @property
    def autonomous(self) -> bool:
        """Whether nothing about the flow depends on the time."""
        return True

    @property
    def leading(self) -> str:
        """Quantity that shows when a run is late, in messages and figures."""
        return "loss"

    @property
    def no_law(self) -> str:
        """Why no late-time law is derived, of whatever point or run; or nothing."""
        return ""

    @property
    def companions(self) -> tuple[tuple[System, float], ...]:
        """Systems, and factors of tolerances, whose runs show the errors of a run of this one."""
        return ()

    @property
    def definition(self) -> Any:
        """Plain JSON values that a file keeps beside the parameters, or None."""
        return None

    def recorded(self, states: Any) -> Any:
        """States of a file, with this system's observables."""
        return states

    def at_tolerance(self, rtol: float, atol: float, damped: bool, multistep: bool = False) -> Self:
        """System whose fields are at least as accurate as steps of these tolerances need.

        `damped`: whether steps damp errors where the flow is stiff; `multistep`: whether each chart
        begins with many small ones.
        """
        return self

    def without_events(self) -> System:
        """System of the same flow, whose runs may tell no events: no piece ends for one alone."""
        return self

    def observed(self, rtol: float) -> Self:
        """System whose features are at least as accurate as runs of this tolerance need."""
        return self

    def feature_size(self, unknowns: int) -> int:
        """Elements of the largest array that features of a state of ``unknowns`` numbers need."""
        return unknowns**2

    def in_doubles(self) -> Self:
        """System whose charts hold the user's parameters, linearly and in doubles."""
        return self

    def remark(self, frame: Any, states: Any, t: Array) -> str:
        """Remark about the states of a run besides how it ended, or nothing."""
        return ""

    @property
    def statements(self) -> Statements:
        """Potentials and claims that runs are measured and checked by."""
        return potentials.statements(self.name)

    @abc.abstractmethod
    def initial(self, scale: float = 0.1, seed: int = 0) -> Array:
        """Random start of the paper's law."""

    def chosen_start(self, options: Options) -> Any:
        """Random start of the law and the seed that the options say."""
        return self.initial(
            scale=chosen(options, "scale"),
            seed=chosen(options, "seed"),
            **law_options(self.options, options),
        )

    @property
    def start_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of arrays that are one start: that of :meth:`initial`, and others of one size."""
        return (self.initial().shape,)

    @abc.abstractmethod
    def check_start(self, start: Any) -> Array:
        """Start as an array, or an :class:`~flows.core.errors.InputError`."""

    def are_sound(self, starts: Array) -> NDArray[np.bool_]:
        """Which starts of many, one behind the other, :meth:`check_start` takes as they are.

        Others, and all where a system does not tell at once, are for that.
        """
        return np.zeros(len(starts), dtype=bool)

    def subspace(self, start: Array) -> Subspace | None:
        """A subspace that holds the start and is kept by the flow, where runs are led in one."""
        return None

    def inside(self, states: Any) -> Inside | None:
        """States of a run in a subspace that holds them all and is kept by the flow."""
        return None

    def may_have_subspace(self, starts: Array) -> NDArray[np.bool_]:
        """Starts of many, one behind the other, that may be in such a subspace."""
        return np.zeros(len(starts), dtype=bool)

    @abc.abstractmethod
    def reduce(self, start: Array) -> tuple[Any, Any]:
        """Frame (what translates back) and state in sound coordinates."""

    @abc.abstractmethod
    def restore(self, frame: Any, state: Any) -> Array:
        """User's parameters of the state(s)."""

    @abc.abstractmethod
    def begin(self, frame: Any, state: Any) -> Restart:
        """First state of a run at time 0; degenerate starts are resolved here."""

    @abc.abstractmethod
    def piece(self, frame: Any, state: Any, time: float) -> Piece:
        """Smooth piece of a run that begins with this state."""

    @abc.abstractmethod
    def exact_flow(self, frame: Any, state: Any, digits: int) -> Smooth:
        """Flow from one state with many digits, by formulas of its own."""

    def jax_field(self) -> JaxField | None:
        """Raw field in JAX; None for a system whose field is not written in JAX."""
        return None

    def differentiable(self, frame: Any, state: Any) -> DifferentiableFlow | None:
        """Run from one state, to be differentiated by its start; None where it is not written."""
        return None

    @property
    def certified(self) -> tuple[str, dict[str, Any]] | str:
        """Kind and parameters by which a certificate states this system, or why it has none."""
        if not self.stated:
            return f"{self.name} has no certificates"
        parameters = self.parameters
        return self.name, {key: parameters[key] for key in self.stated}

    def certified_form(self, start: Any = None) -> tuple[System | None, Array | None]:
        """Return system and start as a certificate states them; nothing where it states neither.

        Parameters
        ----------
        start : array_like or mapping, optional
            A start of this system.

        Returns
        -------
        system : System, optional
            This one, or the system of its formula; None without certificates of either.
        start : ndarray, optional
            The start of that system.
        """
        checked = None if start is None else self.check_start(start)
        if not isinstance(self.certified, str):
            return self, checked
        with suppress(InputError):
            if not isinstance(self.general.certified, str):
                return self.general, None if checked is None else self.flat(checked)
        return None, None

    def shaped(self, entries: Any) -> Array:
        """State of the entries of the blocks: inverse of :meth:`flat`."""
        shape = self.initial().shape
        order = self.flat(np.arange(math.prod(shape)).reshape(shape))
        return np.ravel(entries)[np.argsort(order)].reshape(shape)

    def minimiser(self, at: Any = None) -> Minimiser:
        """Minimiser at which a late-time law is derived; the system's own one where it has one.

        Raises
        ------
        InputError
            If none is given and the system has several, and for an array of another shape.
        NoLaw
            If the point is no minimiser.
        """
        raise InputError(f"{self.name} has no late-time law; ask for another system")

    def escape(self, frame: Any, state: Any) -> Escape | None:
        """How a run goes to infinity; None where it does not."""
        return None

    def approach(self, frame: Any, state: Any, t: float) -> Approach | None:
        """Minimiser that a run is near to at a time, by how much it is off; None where not known.

        Raises
        ------
        NoLaw
            Where the run is near to none.
        """
        return None

    @property
    def costly(self) -> Mapping[str, Callable[[Any, Any], Array]]:
        """Features beyond :meth:`features` that are seldom asked for; `X_error` is that of `X`."""
        return {}

    @abc.abstractmethod
    def features(self, frame: Any, states: Any) -> dict[str, Array]:
        """Numbers from which potentials and claims are evaluated, with their rates."""

    def batch_key(self, frame: Any, states: Any) -> Any:
        """Key of runs whose features are evaluated together; None: each alone."""
        return None

    def errors(
        self, states: Any, features: dict[str, Array], t: Array, tolerance: Array
    ) -> dict[str, Array]:
        """Absolute errors of features beside the relative one of the solver's tolerance.

        Here, the features that are named ``X_error``: rounding, cancellation, quadrature.

        Parameters
        ----------
        states : State
            States at ``T`` times.
        features : dict
            What :meth:`features` gives there.
        t, tolerance : ndarray, shape (T,)
            The times, and the relative error that the tolerance leaves in the sound coordinates.

        Returns
        -------
        dict
            By the features' names, of their shapes.
        """
        end = "_error"
        return {k.removesuffix(end): x for k, x in features.items() if k.endswith(end)}

    def magnification(
        self, frame: Any, states: Any, features: Mapping[str, Array], t: Array, rtol: float
    ) -> Array:
        """By how much more than usual a run is wrong where its flow magnifies errors: by nothing.

        Parameters
        ----------
        frame, states : object, State
            Of the run, at ``T`` times.
        features : mapping
            What :meth:`features` gives there.
        t : ndarray, shape (T,)
            The times.
        rtol : float
            Relative tolerance of its steps.

        Returns
        -------
        ndarray, shape (T,)
            What is added to one, that of a flow which magnifies nothing.
        """
        return np.zeros(len(states))

    def outgrown(self, states: Any) -> Array:
        """Logarithm of how much more than its flow errors of a run may have grown, (T,): here 0."""
        return np.zeros(len(states))

    def beside(self, frame: Any, states: Any, others: Sequence[Any]) -> Any:
        """States of a run, with errors as large as `others` show, which have larger tolerances."""
        raise undefined(self, "beside", "errors of its states have outgrown the flow")

    @property
    def later_names(self) -> tuple[str, ...]:
        """Features that have :meth:`later_errors`."""
        return ()

    def later_errors(
        self,
        frame: Any,
        states: Any,
        features: Mapping[str, Array],
        t: Array,
        usual: Array,
        tolerance: Array,
    ) -> dict[str, Callable[[], Array]]:
        """Absolute errors of :attr:`later_names` beside those of :meth:`errors`, when asked for.

        Parameters
        ----------
        frame, states : object, State
            Of the run, at ``T`` times.
        features : mapping
            What :meth:`features` gives there.
        t : ndarray, shape (T,)
            The times.
        usual, tolerance : ndarray, shape (T,)
            Relative error that the tolerance leaves where nothing is magnified, and here.
        """
        return {}

    def excess(self, frame: Any, states: Any, t: Array, loss: Array) -> Excess:
        """Loss above its limit along a run: the loss itself once no failure is as low.

        The student can learn its teacher: 0 is the limit below all critical points of failures.

        Parameters
        ----------
        frame, states : object, State
            Of the run.
        t, loss : ndarray, shape (T,)
            The times, and the loss there.
        """
        if loss[-1] < (1 - MARGIN) * self.least_failure:
            return Excess(loss, 0.0)
        return Excess(
            np.full(len(t), np.nan),
            math.nan,
            f"limit not found: the loss ends at {loss[-1]:.6g}, and runs that fail can rest at"
            f" {self.least_failure:.6g} or above",
        )

    @property
    def least_failure(self) -> float:
        """Smallest positive loss at which a run is known to rest; infinite where none is known."""
        return math.inf

    @abc.abstractmethod
    def loss(self, state: Array) -> float:
        """Population loss of a user's state."""

    @abc.abstractmethod
    def gradient(self, state: Array) -> Array:
        """Gradient of the loss, of the state's shape."""

    @abc.abstractmethod
    def hessian(self, state: Array) -> Array:
        """Hessian of the loss, of shape (size, size)."""

    def decay_rates(self, state: Array, t: float) -> Array:
        """Rates at which deviations from a state decay at a time, increasing; negative: they grow.

        They are the eigenvalues of the Hessian, or of minus the Jacobian of another field.
        """
        return np.asarray(np.linalg.eigvalsh(self.hessian(state)), dtype=float)

    def spectrum(self, frame: Any, state: Any) -> tuple[Array, Array]:
        """Eigenvalues of the Hessian at a state of a run, and how often each of them counts."""
        found = np.linalg.eigvalsh(self.hessian(self.restore(frame, state)))
        return np.asarray(found, dtype=float), np.ones(len(found))
