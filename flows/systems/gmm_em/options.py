"""Options that only gradient EM has."""

from __future__ import annotations

from flows.core.options import Option

OPTIONS = (
    Option(
        "weights",
        "numbers",
        "Weights of the components, of sum 1",
        "W1,W2,..",
        "equal",
        example="0.2,0.3,0.5",
    ),
)

#: What help texts show of it.
EXAMPLES = """
popflow derive gmm_em --latex gmm_em.tex
popflow run gmm_em --weights 0.2,0.3,0.5 --scale 1 --t-end 1e8
popflow check gmm_em --claim loss_upper --json
popflow report gmm_em --out gmm_em --force
popflow certify gmm_em --d 1 --n 2 --t-end 1e6 --json
popflow law gmm_em --n 3 --d 2 --weights 0.2,0.3,0.5
popflow stationary gmm_em --n 2 --d 2 --scale 1
popflow ensemble gmm_em --size 100 --claim loss_upper --json
popflow doctor gmm_em
"""
