"""Options of two layers beside the common ones."""

from __future__ import annotations

from dataclasses import replace

from flows.core.options import RANDOM_START, Option, Slider

OPTIONS = (
    replace(RANDOM_START[0], refused="--students is their number"),
    Option("students", "size", "Number of students", "N", 3, slider=Slider(1, 12, 1)),
    Option(
        "teachers",
        "text",
        "Teachers, a number K for e_1 to e_K, or .npy or JSON lists",
        "FILE|K",
        2,
    ),
    Option(
        "activation",
        "text",
        "Activation: relu, leaky:S with a slope S, erf, quadratic, tanh, sigmoid, softplus, gelu",
        "NAME",
        "relu",
    ),
    Option(
        "output_weights",
        "numbers",
        "Outputs of the students; where they are trained, those they start with",
        "A1,A2,..",
        "one each",
        example="1,1,-1",
        rare=True,
    ),
    Option(
        "teacher_weights",
        "numbers",
        "Outputs of the teachers",
        "B1,B2,..",
        "one each",
        example="1,-0.5",
        rare=True,
    ),
    Option("train_outputs", "flag", "Train the students' outputs too"),
    Option("biases", "flag", "Train biases of the students too"),
    Option(
        "teacher_biases",
        "numbers",
        "Biases of the teachers",
        "E1,E2,..",
        "zero each",
        example="0.5,-0.5",
        rare=True,
    ),
)

#: What help texts show of it.
EXAMPLES = """
popflow stationary two_layer --teachers 6 --initial near.json --certify --out point.json
popflow stationary two_layer --students 7 --teachers 7 --d 7 --scale 0.378 --size 20
"""
