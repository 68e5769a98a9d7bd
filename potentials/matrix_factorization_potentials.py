"""Potentials of matrix factorisation, and the times that claims refer to.

Conventions as in `potentials.matrix_factorization`.
"""

from __future__ import annotations

import sympy as sp

from potentials.claim import Mark
from potentials.matrix_factorization_notation import NAMES, a, even, luo, residual, sigma_min, skew
from potentials.notation import symbol
from potentials.potential import Over, Potential, Reduce, Term, single
from potentials.source import Source


def _single(
    name: str,
    latex_symbol: str,
    over: Over,
    feature: str,
    reduce: Reduce | None,
    domain: str,
    source: Source,
    words: str = "",
) -> Potential:
    terms = single(name, over, symbol(feature), reduce)
    return Potential(name, latex_symbol, terms, symbol(name), domain, source, NAMES, words)


_SQUARES = (Term("squares", "neuron", symbol("defect") ** 2, "sum"),)

_DEFINED = "W_2 ... W_{N/2} invertible (odd N: W_2 ... W_{N-1})"

_SIMPLE = "everywhere; differentiable where this singular value is simple and not zero"

POTENTIALS: tuple[Potential, ...] = (
    Potential(
        "loss_fit",
        r"L_{ori}",
        (Term("square", "state", residual**2),),
        symbol("square") / 2,
        "everywhere",
        luo("section 2", "definition"),
        NAMES,
        "The part of the loss that fits the target",
    ),
    Potential(
        "loss_balance",
        r"L_{reg}",
        _SQUARES,
        a / 4 * symbol("squares"),
        "everywhere",
        luo("section 2", "definition"),
        NAMES,
        "The part of the loss that keeps the layers balanced",
    ),
    Potential(
        "balance_defect",
        r"\lvert \Delta \rvert_F",
        _SQUARES,
        sp.sqrt(symbol("squares")),
        "everywhere; differentiable where it is not zero",
        luo("section 2", "definition"),
        NAMES,
        "How far the layers are from balance",
    ),
    Potential(
        "skew_error",
        "S",
        (Term("square", "state", skew**2),),
        symbol("square"),
        _DEFINED,
        luo("Theorems 4, 33 and 34", "definition"),
        NAMES,
        "The skew error: how much the matrices A and R of the flow differ",
    ),
    _single(
        "main_term",
        r"\sigma_{\min}(A + R)",
        "neuron",
        "main",
        "min",
        _DEFINED,
        luo("Theorem 5", "definition"),
        "The main term: the least singular value of the sum of A and R",
    ),
    _single(
        "singular_values",
        r"\sigma_i(W)",
        "neuron",
        "singular_value",
        None,
        _SIMPLE,
        luo("section 2", "definition"),
        "A singular value of the product of the layers",
    ),
    _single(
        "layer_max",
        r"\max_j \sigma_{\max}(W_j)",
        "neuron",
        "layer_value",
        "max",
        _SIMPLE,
        luo("Theorem 7", "definition"),
        "The largest singular value of any layer",
    ),
    _single(
        "layer_min",
        r"\min_j \sigma_{\min}(W_j)",
        "neuron",
        "layer_value",
        "min",
        _SIMPLE,
        luo("Theorem 7", "definition"),
        "The least singular value of any layer",
    ),
    _single(
        "determinant",
        r"\operatorname{Re} \det W",
        "state",
        "determinant",
        None,
        "everywhere; the sign matters for real layers only",
        luo("Theorem 2", "definition"),
        "The determinant of the product, whose sign decides for real layers",
    ),
)

AUXILIARIES: tuple[Potential, ...] = (
    _single(
        "nuclear_norm",
        r"\sum_i \sigma_i(W)",
        "neuron",
        "singular_value",
        "sum",
        _SIMPLE,
        luo("section 4", "definition"),
    ),
    _single(
        "value_max",
        r"\sigma_{\max}(W)",
        "neuron",
        "singular_value",
        "max",
        _SIMPLE,
        luo("Theorem 5", "definition"),
    ),
    _single(
        "value_min",
        r"\sigma_{\min}(W)",
        "neuron",
        "singular_value",
        "min",
        _SIMPLE,
        luo("Theorem 11", "definition"),
    ),
)

MARKS: tuple[Mark, ...] = (
    Mark(
        "T1",
        even / 10 - skew,
        "from",
        "end of alignment: |(A - R) Sigma^(1/2)|_F <= |(A + R) Sigma^(1/2)|_F/10 from then on",
    ),
    Mark(
        "T2",
        sigma_min / 2 - residual,
        "from",
        "end of saddle avoidance, beginning of local convergence: |Sigma - W|_F <= sigma_d/2 from"
        " then on",
    ),
)
