r"""Pieces of a LaTeX appendix: text, environments, symbols, and the page around them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sympy as sp

__all__ = ["BEGIN", "END", "article", "definition", "environment", "text"]

#: What a paper needs in its preamble to take the appendix in.
PREAMBLE = (
    r"\usepackage{amsmath,amssymb,amsthm}",
    r"\newtheorem{statement}{Statement}",
    r"\theoremstyle{definition}",
    r"\newtheorem{definition}[statement]{Definition}",
)
BEGIN, END = "% ---- appendix: begin ----", "% ---- appendix: end ----"
#: What is said of symbols, from the most to the least: property, of one, of several.
KINDS = (
    ("matrix", "a matrix", "matrices"),
    ("integer", "an integer", "integers"),
    ("positive", "positive", "positive"),
    ("nonnegative", "not negative", "not negative"),
    ("real", "real", "real"),
    ("commutative", "a number", "numbers"),
)


def text(words: str) -> str:
    """Escape what LaTeX would read as a command in running text."""
    special = {"^": r"\^{}", "~": r"\~{}", "\\": r"\textbackslash{}"}
    return "".join(rf"\{c}" if c in "_&%#${}" else special.get(c, c) for c in words)


def environment(name: str, body: Iterable[str], option: str = "") -> list[str]:
    """Lines of an environment."""
    heading = f"[{{{option}}}]" if option else ""
    return [rf"\begin{{{name}}}{heading}", *body, rf"\end{{{name}}}"]


def definition(expressions: Iterable[Any], conventions: Sequence[str]) -> list[str]:
    """Lines that say what the symbols of these expressions are, and what else is agreed on."""
    symbols = {s for x in expressions for s in x.free_symbols if isinstance(s, sp.Symbol)}
    body = _said(symbols)
    if conventions:
        items = [rf"\item {text(words)}" for words in conventions]
        body += ["The following is agreed on.", *environment("itemize", items)]
    return environment("definition", body, "Notation") if body else []


def _said(symbols: Iterable[sp.Symbol]) -> list[str]:
    """Sentences that say what the symbols are; one name may stand for more in some steps."""
    kinds: dict[str, list[int]] = {}
    for symbol in sorted(symbols, key=str):
        kinds.setdefault(sp.latex(symbol), []).append(_kind(symbol))
    together: dict[tuple[int, ...], list[str]] = {}
    for name, found in kinds.items():
        together.setdefault(tuple(sorted(set(found), reverse=True)), []).append(f"${name}$")
    sentences = []
    for (weakest, *stronger), names in sorted(together.items()):
        one = len(names) == 1
        words = [KINDS[k][1 if one else 2] for k in (weakest, *stronger)]
        more = "".join(f", in some steps {word}" for word in words[1:])
        sentences.append(f"{', '.join(names)} {'is' if one else 'are'} {words[0]}{more}.")
    return sentences


def _kind(symbol: sp.Symbol) -> int:
    """Index of the first of `KINDS` that is known to hold."""
    if not symbol.is_commutative:
        return 0
    return next(k for k, (name, *_) in enumerate(KINDS) if k and getattr(symbol, f"is_{name}"))


def article(title: str, body: Iterable[str], bibliography: str) -> str:
    """Return a complete document around an appendix, which says how to paste it elsewhere."""
    end = [r"\bibliographystyle{plain}", rf"\bibliography{{{bibliography}}}"]
    return "\n".join(
        [
            "% The text between the two marks below is an appendix that can be pasted into a",
            "% paper whose preamble has the lines from here to the first mark that it lacks.",
            r"\documentclass{article}",
            r"\usepackage[T1]{fontenc}",  # in the default encoding < and | print as others
            r"\usepackage[margin=2cm]{geometry}",
            *PREAMBLE,
            r"\begin{document}",
            BEGIN,
            rf"\section{{{text(title)}}}",
            *body,
            END,
            *(end if bibliography else []),
            r"\end{document}",
            "",
        ]
    )
