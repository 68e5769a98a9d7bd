"""LaTeX of functions that say how they are shown, and of their powers."""

from typing import Any

__all__ = ["raised"]


def raised(text: str, exp: Any) -> str:
    r"""LaTeX of a power.

    Parameters
    ----------
    text : str
        LaTeX of the base.
    exp : str or None
        The exponent, as SymPy's printer gives it; None for the first power.

    Returns
    -------
    str
        The base in brackets and its exponent, or the base alone.

    Examples
    --------
    >>> print(raised("x", None), raised("x + y", "2"))
    x \left(x + y\right)^{2}
    """
    return text if exp is None else rf"\left({text}\right)^{{{exp}}}"
