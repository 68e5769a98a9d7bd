r"""A hidden layer of students that learns one of teachers, as a gradient flow.

.. math:: L(W, a) = \tfrac12 E \Big(\sum_i a_i s(w_i \cdot x) - \sum_j b_j s(v_j \cdot x)\Big)^2,
          \qquad x \sim N(0, I_d), \qquad \dot w = -\nabla_w L, \quad \dot a = -\nabla_a L
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

import symbolic
from flows.core.arrays import Array, check_integer, check_shape
from flows.core.errors import InputError
from flows.core.options import Options, chosen
from flows.core.settings import with_settings
from flows.core.starts import given_array, read_array
from flows.systems.two_layer.followed import Followed
from flows.systems.two_layer.given import (
    biases_of,
    check_activation,
    check_teachers,
    outputs_of,
    teachers_of,
)

if TYPE_CHECKING:
    from symbolic.evidence.derivation import Document

__all__ = ["TwoLayer"]


@dataclass(frozen=True)
class TwoLayer(Followed):
    r"""Gradient flow of `n` students towards `m` teachers, with or without biases.

    .. math:: L = \tfrac12 E \Big(\sum_i a_i s(w_i \cdot x + c_i)
              - \sum_j b_j s(v_j \cdot x + e_j)\Big)^2

    Without biases `c` and `e`, and with an activation of a known kernel, it is a sum of kernels
    `k(u, v) = E s(u.x) s(v.x)`.

    Parameters
    ----------
    students : int
        Their number `n`.
    teachers : int or array_like, shape (m, d)
        Teachers, no two equal and none zero; a number `k` is `e_1, ..., e_k`.
    d : int, optional
        Dimension of the input; as many as a teacher has entries by default.
    activation : str
        ``relu``, ``leaky:0.1`` (the slope of negative arguments, not 1), ``erf``, ``quadratic``
        (`u^2`), ``tanh``, ``sigmoid``, ``softplus`` or ``gelu`` (`u Phi(u)`).
    output_weights : sequence of float, optional
        `a_i`, one each by default; with trained outputs :meth:`initial` draws them.
    teacher_weights : sequence of float, optional
        `b_j`, one each by default.
    train_outputs : bool
        Whether `a` moves too. A state then has a last column, the outputs.
    biases : bool
        Whether students have biases `c_i`, which move. A state then has a column for them, behind
        the neurons.
    teacher_biases : sequence of float, optional
        `e_j`, all zero by default.

    Raises
    ------
    InputError
        For teachers of another length, zero or repeated ones, an unknown activation, and outputs of
        the wrong number.

    Notes
    -----
    Units: ``t`` is the time of ``dw/dt = -grad L``, and the loss carries the factor 1/2, as that of
    :class:`flows.ReLUNeuron`. That is the case of one ReLU teacher and outputs one, which runs by
    its compiled code and has the claims of its paper.
    Any other run keeps up to 150 numbers with as many digits as it takes, and more in doubles;
    where these do not know the loss it is NaN. In more dimensions than there are neurons it stays
    in their span.
    With biases, and with the last four activations, the flow is an own system: see
    :class:`flows.OwnSystem`. ReLU, leaky ReLU and quadratic ones have the loss in closed form, with
    as many digits as it takes; the average of others is over nodes in the planes of pairs of
    neurons, with a bound. A neuron with a bias is `(w_i, c_i)` in `layer_balance`.
    Source: kernels of Cho & Saul 2009 and Williams 1997, derived anew (`popflow derive two_layer`).
    Accuracy: loss and gradient of a state are right to 1e-15, relative to the loss and to the
    length of the gradient; the Hessian to a few roundings of its largest entry. Averages without a
    closed form are those of own systems: NaN where an error is a tenth or more.

    Examples
    --------
    >>> system = TwoLayer(students=2, teachers=2, activation="erf")
    >>> system.loss([[1.0, 0.0], [0.0, 1.0]])
    0.0
    """

    students: int
    teachers: Any
    d: int | None = None
    activation: str = "relu"
    output_weights: Any = None
    teacher_weights: Any = None
    train_outputs: bool = False
    biases: bool = False
    teacher_biases: Any = None
    doubles: bool = field(default=False, init=False, compare=False, repr=False)
    steps: tuple[float, float, bool, bool] = field(
        default=(0.0, 0.0, True, False), init=False, compare=False, repr=False
    )

    #: A run alone takes most of a second.
    many: ClassVar[int] = 48

    def __post_init__(self) -> None:
        """Check the parameters; arrays become tuples."""
        check_integer(self.students, "students")
        rows = teachers_of(self.teachers, self.d)
        check_shape((self.students, len(rows[0])))
        check_activation(self.activation)
        for name in ("train_outputs", "biases"):
            if not isinstance(flag := getattr(self, name), (bool, np.bool_)):
                raise InputError(f"{name} must be true or false, got {flag!r}")
        outputs = outputs_of(self.output_weights, self.students, "output_weights", "student")
        weights = outputs_of(self.teacher_weights, len(rows), "teacher_weights", "teacher")
        for name, value in (
            ("teachers", rows),
            ("d", len(rows[0])),
            ("output_weights", outputs),
            ("teacher_weights", weights),
            ("train_outputs", bool(self.train_outputs)),
            ("biases", bool(self.biases)),
            ("teacher_biases", biases_of(self.teacher_biases, len(rows))),
        ):
            object.__setattr__(self, name, value)

    @classmethod
    def from_options(cls, options: Options, *, members: bool = False) -> tuple[Self, Array]:
        """System and start of ``students``, ``teachers``, ``d`` or ``initial``, and the outputs."""
        start = given_array(options, "initial", cls.start_axes(members))
        text = str(2 if options["teachers"] is None else options["teachers"])
        check_teachers(text)
        trained, biases = (bool(options[name]) for name in ("train_outputs", "biases"))
        asked = chosen(options, "d") if start is None else start.shape[-1] - trained - biases
        teachers: Any = int(text) if text.isdecimal() else read_array(text, ("m", "d"))
        if start is None and options["d"] is None:
            # Room for all orthonormal teachers.
            asked = max(asked, teachers) if text.isdecimal() else teachers.shape[1]
        students = 3 if options["students"] is None else options["students"]
        if start is not None and options["students"] not in (None, start.shape[-2]):
            raise InputError(
                f"--students: expected {start.shape[-2]}, as many as the start has, got {students};"
                " leave it out"
            )
        system = cls(
            students=students if start is None else start.shape[-2],
            teachers=teachers,
            d=asked,
            activation=options["activation"] or "relu",
            output_weights=options["output_weights"],
            teacher_weights=options["teacher_weights"],
            train_outputs=trained,
            biases=biases,
            teacher_biases=options["teacher_biases"],
        )
        return system, system.chosen_start(options) if start is None else start

    @classmethod
    def from_parameters(cls, parameters: dict[str, Any]) -> Self:
        """System of its :attr:`parameters`."""
        names = ("activation", "output_weights", "teacher_weights", "train_outputs")
        given = {name: parameters[name] for name in names}
        given |= {k: parameters[k] for k in ("biases", "teacher_biases") if k in parameters}
        return cls(parameters["n"], parameters["teachers"], parameters["d"], **given)

    def derive(self) -> Document:
        """Derive what the flow is made of.

        Returns
        -------
        Document
            With biases, and of an activation without a closed kernel, of this very loss, as
            :meth:`flows.OwnSystem.derive`; otherwise of two layers of any size.

        Raises
        ------
        InputError
            For more than 40 numbers of a state with biases, or without a closed kernel.
        """
        if self._averaged is not None:
            return self._averaged.led.derive()
        return symbolic.derive(self.name)

    def at_tolerance(self, rtol: float, atol: float, damped: bool, multistep: bool = False) -> Self:
        """Know what steps leave."""
        return with_settings(self, steps=(rtol, atol, damped, multistep))

    def in_doubles(self) -> Self:
        """Return the system with states that are doubles."""
        return with_settings(self, doubles=True)
