"""Mathematics as MathML, which browsers set themselves: no network, no script, no font to load."""

import html
import re

from docutils import nodes
from latex2mathml.converter import convert

from flows.pages.html import ARGUMENT, FUNCTION

# Bars come in pairs; if it knows which one opens, MathML spaces and stretches them.
BARS = re.compile(r"\\lvert ?(.+?) ?\\rvert")
# Environments that only lay out lines, and line breaks of LaTeX.
LAYOUT = re.compile(r"\\(?:begin|end)\{(?:split|aligned|gathered|gather\*?)\}|(?<!\\)&")


def mathml(latex, display):
    """Return MathML of a formula.

    Parameters
    ----------
    latex : str
        The formula; lines are separated by a double backslash.
    display : {"inline", "block"}
        How it is set.
    """
    plain = LAYOUT.sub("", latex).replace(r"\tfrac", r"\frac").replace(r"\displaystyle", "")
    rows = [row for row in re.split(r"\\\\(?:\[\w+\])?", plain.strip().strip("$")) if row.strip()]
    paired = (BARS.sub(r"\\left|\1\\right|", row).strip() for row in rows)
    spaced = (FUNCTION.sub(r"\\,\\\1", ARGUMENT.sub(r"\\\1\\, ", row)) for row in paired)
    if r"\begin" in plain:  # a matrix: its lines are rows
        spaced = [BARS.sub(r"\\left|\1\\right|", latex)]
    return "\n".join(convert(row.strip(), display=display) for row in spaced)


def inline(translator, node):
    """Write a formula in a line."""
    translator.body.append(mathml(node.astext(), "inline"))
    raise nodes.SkipNode


def block(translator, node):
    """Write a displayed formula, with its source for those who cannot see it."""
    label = html.escape(" ".join(node.astext().split()))
    translator.body.append(
        f'<div class="math" role="math" aria-label="{label}" tabindex="0">'
        f"{mathml(node.astext(), 'block')}</div>"
    )
    raise nodes.SkipNode


def setup(app):
    """Register the renderer."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"version": "1", "parallel_read_safe": True}
