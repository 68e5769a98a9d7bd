"""Options that matrix factorisation has beside those of every system."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flows.core.errors import InputError
from flows.core.options import RANDOM_START, Option, Options, Slider

if TYPE_CHECKING:
    from numpy.typing import NDArray

_N = RANDOM_START[0]

OPTIONS = (
    replace(_N, refused="--depth sets the layers"),
    Option("field", "choice", "Numbers of the layers", default="real", choices=("real", "complex")),
    Option(
        "regularization",
        "number",
        "Strength a of the balancing term",
        "A",
        5.0,
        slider=Slider(0, 50, 0.5),
    ),
    Option("depth", "integer", "Number of layers", "N", 4, slider=Slider(2, 6, 1)),
    Option("target", "array", "Target, .npy or JSON lists", "FILE", "the identity", "Sigma"),
    Option(
        "balanced",
        "flag",
        "Balanced random start: every layer Gaussian, all defects zero",
        of_start=True,
    ),
)


def matrices(options: Options, name: str, axes: Sequence[str]) -> NDArray[Any] | None:
    """Array of an option whose numbers are real or complex, as ``field`` says.

    Raises
    ------
    InputError
        For a file that holds no such array.
    """
    from flows.core.starts import given_array

    is_complex = options["field"] == "complex"
    try:
        return given_array(options, name, axes, is_complex)
    except InputError:
        if is_complex:
            raise
        # What is no array of complex numbers either is refused by a reason of its own.
        given_array(options, name, axes, is_complex=True)
        raise InputError(
            f"{options[name]}: expected real numbers, got complex ones; add --field complex"
        ) from None


#: What help texts show of it.
EXAMPLES = r"""
popflow derive matrix_factorization --d 2 --depth 2 --regularization 0
popflow run matrix_factorization --d 2 --field complex --t-end 1e4 --json
popflow certify matrix_factorization --d 2 --t-end 20 --claim skew_monotone
popflow find matrix_factorization --d 1 --depth 2 --level 1/8 --rate exp
popflow sweep matrix_factorization --vary regularization=0,1,5,50 --vary d=2,3 \
    --size 100 --scale 0.25 --t-end 1e4 --rtol 1e-4 --out strengths
"""
