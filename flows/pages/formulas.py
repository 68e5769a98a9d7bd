"""Sentences with formulas in plain letters, as they are read on a page: `theta_i^2 <= pi`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from markupsafe import Markup, escape

__all__ = ["brief", "line", "plain", "prose", "sentence"]

LETTERS = (
    "alpha|beta|gamma|delta|epsilon|zeta|eta|theta|kappa|lambda|mu|nu|xi|pi|rho|sigma|tau|phi|chi|psi"
    "|omega|Delta|Sigma"
)
SIGNS = {"**": "^", "<=": "≤", ">=": "≥", "!=": "≠", "==": "=", "->": "→", ">>": "≫", "sqrt(": "√("}
SQUARES = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
MINUS, TIMES = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"
#: An inner product, `<x, y>`.
PRODUCT = re.compile(r"<(?! )([^<>=≤≥:;]+, [^<>=≤≥:;]+)>")
Change = str | Callable[[re.Match[str]], str]
#: LaTeX of a definition and the plain text in its place, in this order, until nothing changes.
FROM_LATEX = (
    (r"\\_", "_"),
    (r"\\(?:left|right)(?![A-Za-z]) ?", ""),
    (r"\\lvert ?| ?\\rvert", "|"),
    (r"\\langle ?", "<"),
    (r" ?\\rangle", ">"),
    (r"\\bar (\w)", r"\1bar"),
    (r"\\dots", "..."),
    (r"\\(?:operatorname|mathrm)\{(\w+)\}", r"\1"),
    (r"\\(?!frac|sqrt)([A-Za-z]+)", r"\1"),
    (r"([_^])\{([\w<,]*)\}", r"\1\2"),
    (r"\\sqrt\{([^{}]*)\}", r"sqrt\1"),
    (r"\\frac\{([^{}]*)\}\{([^{}]*)\}", r"\1/\2"),
    (r"([_^])\{([^{}]*)\}", r"\1(\2)"),
    (r"\{([^{}]*)\}", r"\1"),
    (r" \)", ")"),
    (r"- \((<[^()]*>)\)", r"-\1"),
)


def _letter(found: re.Match[str]) -> str:
    """Greek letter of a name."""
    name = found.group()
    case = "CAPITAL" if name[0].isupper() else "SMALL"
    return unicodedata.lookup(f"GREEK {case} LETTER {name.upper().replace('LAMBDA', 'LAMDA')}")


def _power_of_ten(found: re.Match[str]) -> str:
    """`1e-7` as a power of ten."""
    digits, power = found.groups()
    if "." in digits and abs(int(power)) <= 2:
        return f"{float(found.group()):g}"
    factor = "" if digits == "1" else f"{digits} {TIMES} "
    return f"{factor}10<sup>{int(power)}</sup>".replace("-", MINUS)


def _raised(found: re.Match[str]) -> str:
    return f"<sup>{next(filter(None, found.groups())).replace(' x ', f' {TIMES} ')}</sup>"


def _lowered(found: re.Match[str]) -> str:
    base, *below = found.groups()
    return f"{base}<sub>{next(filter(None, below)).replace('-', MINUS)}</sub>"


# In this order, on text in which the signs are replaced and which is escaped. A name such as
# `far_rate` is left alone: only a letter has an index.
INDEX = r"\{([^{}]+)\}|(max|min|ori|reg|end|[a-zA-Z0-9μ]{1,2}|[-+])(?![a-zA-Z0-9_])"
# A fraction is a power where it is negative: `d^-1/2`, but `v^2/2` is half a square.
POWER = (
    rf"\(([^()]+)\)|\{{([^{{}}]+)\}}"
    rf"|({MINUS}\d+/\d+|[+{MINUS}]?\d+(?:\.\d+)?(?:e[+-]?\d+)?|\w)"
)
BAR = "\N{COMBINING MACRON}"
#: A dot product, `mu_k.x` or `h_i.(x - m)`, and no abbreviation such as e.g.
DOTTED = r"((?<![\w./])(?:[a-z]|mu|dev)(?:_\w+)?|\))\.(?=(?:[a-z]|mu)(?![\w.]*\.|[a-z])|\()"
CHANGES: tuple[tuple[str, Change], ...] = (
    (DOTTED, r"\1·"),
    (r"\bd2([a-z])/d([a-z])d([a-z])\b", r"∂²\1/∂\2∂\3"),
    (r"\b([a-z])bar(?=\b|_)", rf"\1{BAR}"),
    (r"√\((\w)\)", r"√\1"),
    (r"`(\w+)`", r"<code>\1</code>"),
    (rf"(?<![A-Za-z])(?:{LETTERS})(?![A-Za-z]|_\w{{4}})", _letter),
    (r"(?<![A-Za-z])eps(?![a-z])", "ε"),
    (r"\bgrad (?=[A-Z](?:\b|_)|log)|\bgrad(?=_)", "∇"),
    (r"\bsum(?=_)", "∑"),
    (r"\bsum (?=[|⟨])", "∑ "),
    (r"(?<![\w)])-(?=[\w|(∇])", MINUS),
    (r" - ", f" {MINUS} "),
    (rf"(?<!\w)(d?[^\W\d_]{BAR}?|[∇∑])_(?:{INDEX})", _lowered),
    (r"(?<=[|)])()_(F)\b", _lowered),
    (r"\b([TM]|ε)([012])(?!\w)", _lowered),
    (rf"\^(?:{POWER})", _raised),
    (r"\b(\d+(?:\.\d+)?)e([+-]?\d+)\b", _power_of_ten),
)


def prose(text: str) -> Markup:
    """Text with Greek letters, indices, powers and signs, as HTML.

    Parameters
    ----------
    text : str
        A sentence; it is shown as text, never as markup.

    Returns
    -------
    Markup
        The sentence.

    Examples
    --------
    >>> print(prose("every theta_i <= pi/2, as in far_rate"))
    every θ<sub>i</sub> ≤ π/2, as in far_rate
    >>> print(prose("L <= |v|^2/n^14 < 1e6"))
    L ≤ |v|<sup>2</sup>/n<sup>14</sup> &lt; 10<sup>6</sup>
    """
    for plain, sign in SIGNS.items():
        text = text.replace(plain, sign)
    html = str(escape(PRODUCT.sub(r"⟨\1⟩", text)))
    for pattern, change in CHANGES:
        html = re.sub(pattern, change, html)
    return Markup(html)


def sentence(statement: str) -> str:
    """Statement with a capital letter, where it begins with a word and not with a formula.

    Examples
    --------
    >>> sentence("a third more is allowed"), sentence("gamma is open"), sentence("exp(-t) <= c")
    ('A third more is allowed', 'gamma is open', 'exp(-t) <= c')
    """
    formula = rf"(?:exp|sum|max|min|{LETTERS})\b"
    word = re.match(rf"(?!{formula})(?:[a-z]{{2,}}(?=[ ,:])|a(?= [a-z]{{3}}))", statement)
    return statement[:1].upper() + statement[1:] if word else statement


def plain(latex: str) -> str:
    r"""Formula in the letters in which claims are stated: `theta_i^2`, `|z_i - z_j|`.

    Examples
    --------
    >>> plain(r"Z = \sum_{i<j} \lvert z_i - z_j \rvert")
    'Z = sum_i<j |z_i - z_j|'
    """
    before = ""
    while latex != before:
        before = latex
        for pattern, text in FROM_LATEX:
            latex = re.sub(pattern, text, latex)
    return latex


def line(latex: str) -> str:
    r"""Formula for a place that knows no markup, such as an axis: in Greek letters and signs.

    Examples
    --------
    >>> line(r"\sum_{i} \kappa_{\max}^2")
    '∑_i κ_max²'
    """
    text = plain(latex)
    for ascii_sign, sign in SIGNS.items():
        text = text.replace(ascii_sign, sign)
    text = re.sub(rf"(?<![A-Za-z])(?:{LETTERS})(?![A-Za-z])", _letter, text)
    text = re.sub(r"\bsum(?=_)", "∑", text).replace("| ^", "|^")
    return re.sub(r"\^([0-9])(?![0-9./])", lambda found: found[1].translate(SQUARES), text)


def brief(source: str) -> str:
    """Where a claim is stated, without the file that derives it.

    Examples
    --------
    >>> brief("Lemma 20; derived in symbolic/lemmas/gaussian.py")
    'Lemma 20; derived here'
    """
    return re.sub(
        r", symbolic/\S+", ", derived here", re.sub(r"derived in \S+", "derived here", source)
    )
