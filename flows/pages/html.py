"""HTML: templates, mathematics as MathML, numbers for people, figures inside a page."""

from __future__ import annotations

import base64
import functools
import gzip
import io
import itertools
import json
import math
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from latex2mathml.converter import convert
from markupsafe import Markup, escape

from flows.core.errors import InputError
from flows.core.files import checked_path, write_file
from flows.pages.formulas import brief, prose, sentence

__all__ = ["SIGNS", "bokeh", "image", "packed", "page_path", "render", "write_page"]

# Bars come in pairs; if it knows which one opens, MathML spaces and stretches them.
BARS = re.compile(r"(?:\\lvert|(?<!\\left)(?<!\\right)\|) ?(.+?) ?(?:\\rvert|\|)")
# ... and a function's name keeps a distance to what stands beside it.
NAMES = "sinh?|cosh?|tanh?|log|operatorname"
FUNCTION = re.compile(rf"(?<!^)(?<![({{\[])\\({NAMES})\b")
ARGUMENT = re.compile(rf"\\((?:{NAMES})\b(?: ?\^ ?(?:\w|{{[^{{}}]*}}))?) ?(?=\w|\\(?!left|,))")
# Of MathML inside HTML: what goes without saying, and signs that are written by their numbers.
NEEDLESS = re.compile(r' (?:xmlns|fence)="[^"]*"')
NUMBERED = re.compile(r"&#x([0-9A-F]+);")
# Where a formula can be cut, and what must not be.
OPEN = r"\\left ?(?:\\[A-Za-z]+|\\?.)|\\begin|[{(\[]"
CLOSE = r"\\right ?(?:\\[A-Za-z]+|\\?.)|\\end|[})\]]"
RELATIONS = r" (?:=|\\leq?|\\geq?|\\approx|\\implies) "
TOKEN = r"\\[{{}}]|(?P<open>{})|(?P<close>{})|(?P<cut>(?={}))"
RELATION = re.compile(TOKEN.format(OPEN, CLOSE, rf"{RELATIONS}| ?\\quad\b"))
TERM = re.compile(TOKEN.format(OPEN, CLOSE, rf"{RELATIONS}| [+-] | ?\\quad\b"))
#: A short name that a formula defines at its end, `\\quad N`: what it is stays beside it.
NAMED = re.compile(r"\s*\\quad\s*(?:\\dot\s*)?\w(?:_(?:\w|\{\w+\}))?\s*")
#: A word as an index is upright.
WORD = re.compile(r"_\{(end|near|ori|reg)\}")
#: A piece that ends so goes on with what comes next.
OPERATOR = re.compile(r"(?:^|=|\\(?:[lg]eq?|approx|implies|quad|(?:sum|int|prod|lim)\S*))\s*$")
#: Signs of a formula beyond which it is cut before its terms, and of a piece beyond which a bracket
#: in it is cut too: more would not fit a phone.
LONG, WIDE = 40, 26
#: Digits of a value beside its error, after the first.
SHOWN = 8
#: Signs of factors behind a bracket beyond which they may stand on a line of their own.
FACTORS = 12
#: A bracket whose two sides may stand on two lines, in one size.
BRACKET = re.compile(r"\\(?:left|right) ?[()\[\]]")
SIGN = re.compile(r"\\[A-Za-z]+|[{}\s]+")
#: Coordinates in an SVG, and how many decimals of a point they have on a page.
PLACED, NUMBER = re.compile(r' (?:d|x|y)="[^"]*"'), re.compile(r"\d+\.\d+")
PLACES = 2
#: Letters of an SVG: the font that matplotlib measures them by, and one of the same widths.
FAMILY = re.compile(r"; font-family: 'DejaVu Sans'(?=\")")
GROUP = re.compile(r'<g id="[^"]*"')  # nothing refers to a group
UNSIGNED = dict.fromkeys(("Creator", "Date", "Format", "Type"))
LETTERS = "text{font-family:'DejaVu Sans',Verdana,sans-serif}"
PLACE = Path(__file__).parent / "templates"
# A word and a sign say the verdict, the colour only repeats them.
SIGNS = {
    "HOLDS": "✓",
    "HOLDS_BEYOND": "✓⁺",
    "VIOLATED": "✗",
    "HYPOTHESIS_NOT_MET": "○",
    "INCONCLUSIVE": "?",
}


def render(template: str, **values: Any) -> str:
    """Text of a template; what it is given is shown as text, never as markup."""
    return _environment().get_template(template).render(**values)


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("flows.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "math": _math,
        "packed": lambda value: packed(json.dumps(value, separators=(",", ":"))),
        "packed_image": lambda address: packed(_svg(address)),
        "number": _number,
        "known": _known,
        "last_known": _last_known,
        "command": _command,
        "prose": prose,
        "brief": brief,
        "kind": _kind,
        "sentence": sentence,
        "alone": _alone,
    }
    environment.globals |= {
        "sign": lambda verdict: SIGNS[str(verdict)],
        "signs": SIGNS,
        "asset": lambda name: Markup(PLACE.joinpath(name).read_text("utf-8")),
    }
    return environment


@functools.cache
def bokeh() -> Markup:
    """BokehJS inside a page, which then needs no network; packed, as :func:`packed` does."""
    from bokeh.resources import Resources

    parts = Resources(mode="inline", log_level="error", components=["bokeh", "bokeh-api"]).js_raw
    return packed("\n".join(parts))


def packed(text: str) -> Markup:
    """Text as gzip in base 85, a fifth of its size, which ``explore.js`` unpacks.

    A comma stands for the digit that begins a tag.
    """
    digits = base64.b85encode(gzip.compress(text.encode(), mtime=0)).decode("ascii")
    return Markup(digits.replace("<", ","))


def image(drawn: Any) -> str:
    """Figure of matplotlib as an SVG data address."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    from flows.pages.drawing import STYLE

    text, engine, dpi = io.BytesIO(), drawn.get_layout_engine(), drawn.dpi
    # Letters as text: their outlines would be half of each figure.
    with matplotlib.rc_context({**STYLE, "svg.fonttype": "none"}):
        if engine is not None:
            # `savefig` would draw a first time, into nothing, to lay out.
            FigureCanvasSVG(drawn)
            drawn.dpi = 72  # of the format
            engine.execute(drawn)
            drawn.set_layout_engine(None)
        drawn.savefig(text, format="svg", transparent=True, metadata=UNSIGNED)
    drawn.dpi = dpi
    if engine is not None:
        drawn.set_layout_engine(engine)
    short = PLACED.sub(_rounded, text.getvalue().decode())
    short = re.sub(r"\s*\n\s*", " ", re.sub(r">(?:\s|<!--.*?-->)+<", "><", short))
    short = GROUP.sub("<g", FAMILY.sub("", short)).replace(
        "<defs>", f"<defs><style>{LETTERS}</style>", 1
    )
    return "data:image/svg+xml;base64," + base64.b64encode(short.encode()).decode("ascii")


def _svg(address: str) -> str:
    """SVG of an :func:`image`."""
    return base64.b64decode(address.partition(",")[2]).decode()


def _rounded(coordinates: re.Match[str]) -> str:
    """Curves and places with as many decimals of a point as a page needs."""
    return NUMBER.sub(
        lambda x: f"{float(x.group()):.{PLACES}f}".rstrip("0").rstrip("."), coordinates.group()
    )


def page_path(out: str | os.PathLike[str] | None, force: bool, name: str) -> Path:
    """Where a page is to be written, by default in a new temporary folder.

    Raises
    ------
    InputError
        For a file that exists, without ``force``, or a name that is none.
    """
    if out is None:
        return Path(tempfile.mkdtemp(prefix="popflow-")) / name
    path = checked_path(out)
    if path.exists() and not force:
        raise InputError(f"{path} exists; choose another name or force the overwrite")
    return path


def write_page(path: str | Path, text: str) -> None:
    """Write a page, all of it or nothing."""
    write_file(str(path), lambda part: Path(part).write_text(text, "utf-8"))


def _kind(name: str) -> str:
    """Kind of a claim in words, such as 'Upper bound'."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).capitalize()


def _alone(rule: str) -> str:
    """Rule of a step without the word that joins it to the step before, as it stands by itself.

    Examples
    --------
    >>> _alone("so L <= C t^-3"), _alone("sum of squares")
    ('L <= C t^-3', 'sum of squares')
    """
    return re.sub(r"^(?:so|and|hence|which is) ", "", rule)


@functools.lru_cache(maxsize=4096)  # a statement is a step of its proof too
def _math(latex: str) -> Markup:
    """MathML, one row a formula, in pieces so that a narrow screen can wrap it."""
    rows = []
    latex = latex.replace(r"^{\dagger}", "^{H}")  # one sign for the conjugate transpose
    upright = WORD.sub(r"_{\\mathrm{\1}}", latex)
    paired = BARS.sub(r"\\left|\1\\right|", upright)
    spaced = FUNCTION.sub(r"\\,\\\1", ARGUMENT.sub(r"\\\1\\, ", paired))
    for formula in spaced.split(r" \qquad "):
        row = Markup("").join(_mathml(x) for x in pieces(formula))
        rows.append(Markup('<div class="math">{}</div>').format(row))
    return Markup("\n").join(rows)


def _mathml(formula: str) -> Markup:
    """Formula as HTML needs it."""
    found = NEEDLESS.sub("", convert(formula, display="block"))
    return Markup(NUMBERED.sub(lambda sign: str(escape(chr(int(sign[1], 16)))), found))


def pieces(formula: str) -> list[str]:
    r"""Cut a formula where a line may end: before a relation, and a long one before its terms too.

    Parameters
    ----------
    formula : str
        LaTeX.

    Returns
    -------
    list of str
        Nothing inside braces, brackets or an environment is cut.

    Examples
    --------
    >>> pieces(r"a = \left(b + c\right)")
    ['a', ' = \\left(b + c\\right)']
    """
    rule = TERM if len(SIGN.sub("x", formula)) > LONG else RELATION
    found, depth, begin = [], 0, 0
    for token in rule.finditer(formula):
        depth += bool(token["open"]) - bool(token["close"])
        before = formula[begin : token.start()]
        whole = OPERATOR.search(before) or NAMED.fullmatch(before)
        if token["cut"] is not None and depth == 0 and not whole:
            found.append(before)
            begin = token.start()
    found.append(formula[begin:])
    found = [part for piece in found for part in _opened(_on_the_line(piece))]
    # Behind something, if empty, a sign stands between two terms and is spaced so.
    return [f"{{}}{x}" if x.startswith((" + ", " - ")) else x for x in found]


def _on_the_line(piece: str) -> str:
    r"""A fraction with a wide numerator, which cannot be cut, as a product, which can.

    Examples
    --------
    >>> _on_the_line(r" = \frac{a}{2}")
    ' = \\frac{a}{2}'
    """
    before, _, rest = piece.partition(r"\frac{")
    above, end = _braced(rest)
    below, tail = _braced(rest[end + 1 :]) if rest[end : end + 1] == "{" else ("", 0)
    wide = len(SIGN.sub("x", above)) > LONG and len(SIGN.sub("x", below)) <= FACTORS
    if not (wide and below) or before.strip(" =-"):
        return piece
    if any(token["cut"] is not None for token in _outside(above)):
        above = rf"\left({above}\right)"
    return rf"{before}\frac{{1}}{{{below}}} {above}{rest[end + 1 + tail :]}"


def _braced(text: str) -> tuple[str, int]:
    """What stands before the brace that closes an open one, and the place behind that."""
    depth = 1
    for brace in re.finditer(r"(?<!\\)[{}]", text):
        depth += 1 if brace.group() == "{" else -1
        if depth == 0:
            return text[: brace.start()], brace.end()
    return text, len(text)


def _outside(formula: str) -> list[re.Match[str]]:
    """Tokens of a formula that stand in no bracket."""
    depth, found = 0, []
    for token in TERM.finditer(formula):
        depth += bool(token["open"]) - bool(token["close"])
        found += [token] * (depth == 0)
    return found


def _opened(piece: str) -> list[str]:
    """A wide piece, cut before the terms in its first bracket, whose sides get one size."""
    if len(SIGN.sub("x", piece)) <= WIDE:
        return [piece]
    depth, opened, cuts = 0, None, list[int]()
    for token in TERM.finditer(piece):
        bracket = BRACKET.fullmatch(token.group())
        if token["open"]:
            if depth == 0 and bracket:
                opened, cuts = token, []
            depth += 1
        elif token["close"]:
            depth -= 1
            if depth == 0 and opened and bracket and cuts:
                return _in_one_size(piece, opened, cuts, token)
            opened = opened if depth else None
        elif token["cut"] is not None and depth == 1 and opened and token.start() > opened.end():
            cuts += [] if OPERATOR.search(piece[: token.start()]) else [token.start()]
    return [piece]


def _in_one_size(
    piece: str, opened: re.Match[str], cuts: list[int], closed: re.Match[str]
) -> list[str]:
    """The piece cut in its bracket, and what comes behind that cut again."""
    inner = [piece[a:b] for a, b in itertools.pairwise([opened.end(), *cuts, closed.start()])]
    left, right = (x.group().strip()[-1] for x in (opened, closed))
    inner[0] = f"{piece[: opened.start()]}\\Bigl{left}{inner[0]}"
    tail = piece[closed.end() :]
    # A bracket that carries a power itself would not be stretched.
    if tail.lstrip().startswith(("^", "_")):
        return [*inner[:-1], *_opened(f"{inner[-1]}\\Bigr{right}{{}}{tail}")]
    # Long factors behind the bracket may stand on the next line.
    if len(SIGN.sub("x", tail)) > FACTORS:
        return [*inner[:-1], *_opened(f"{inner[-1]}\\Bigr{right}"), *_opened(tail)]
    return [*inner[:-1], *_opened(f"{inner[-1]}\\Bigr{right}{tail}")]


def _command(text: str) -> Markup:
    """Command line whose options are not cut at a hyphen."""
    return Markup(re.sub(r"--[\w-]+", r'<span class="word">\g<0></span>', str(escape(text))))


def _last_known(values: Sequence[float]) -> int:
    """Position of the last value that is known; the last one where none is."""
    known = [k for k, value in enumerate(values) if math.isfinite(value)]
    return known[-1] if known else len(values) - 1


def _known(value: float, error: float) -> Markup:
    """Digits of a value that its error leaves, and two of the error with what rounding adds."""
    if not (value and error and math.isfinite(value) and math.isfinite(error)):
        return Markup("{} &plusmn; {}").format(_number(value), _number(error))
    more = math.floor(math.log10(abs(value))) - math.floor(math.log10(abs(error)))
    digits = 1 + min(SHOWN, max(0, more))
    rounded = abs(float(f"{value:.{digits}g}") - value)
    return Markup("{} &plusmn; {}").format(_number(value, digits), _number(error + rounded, 2))


def _number(x: float | None, most: int = 5) -> Markup:
    """Five digits for people, all of them in the attribute."""
    if x is None:
        return Markup("&ndash;")
    if math.isnan(x):
        return Markup("undefined")
    digits, _, power = f"{x:.{most}g}".partition("e")
    factor = "" if digits == "1" else f"{digits} &times; "
    shown = f"{factor}10<sup>{int(power)}</sup>" if power else digits
    html = Markup(shown.replace("-", "&minus;"))
    return Markup('<data value="{}">{}</data>').format(repr(float(x)), html)
