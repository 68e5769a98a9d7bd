"""The ends of the help texts: next steps, and examples."""

from __future__ import annotations

import re

from flows.systems.registry import EXAMPLES


def _of(verb: str) -> list[str]:
    """What the systems show of a verb; lines that begin with blanks go with the one before."""
    shown = re.findall(rf"^popflow {verb}\b.*(?:\n .*)*", "".join(EXAMPLES.values()), re.MULTILINE)
    return "\n".join(shown).splitlines()


def _examples(verb: str, *more: str) -> str:
    """Epilog that click prints as it is."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in [*_of(verb), *more])


# The system that is shown first.
_FIRST = _of("inspect")[0].split()[2]
NEXT = f"""\
popflow follows the training of over-parameterised models as a continuous-time ODE.

What next:
  {f"popflow inspect {_FIRST}":38}  choose a run and look at it in the browser
  {f"popflow check {_FIRST} --t-end 1e12":38}  what the theorems claim, and what this run says
  popflow report --out report             the whole story: one page a system
  popflow list                            the systems; with SYSTEM, its potentials and claims
  popflow COMMAND --help                  examples of each command
"""

POPFLOW = f"""\b
Begin with:
  popflow inspect {_FIRST}

\b
Completion by the shell (bash; zsh and fish have their own word):
  eval "$(_POPFLOW_COMPLETE=bash_source popflow)"
"""
LIST = _examples("list", "popflow list")
DERIVE = _examples(
    "derive",
    "popflow derive gaussian --controls        break every step: is each error seen?",
    'popflow derive "(x*y - 1)**2/2"            of a loss, and the quantities its flow keeps',
)
RUN = _examples("run", 'popflow run "(x*y - 1)**2/2" --start x=0.5,y=0.4 --t-end 1e12')
CHECK = _examples(
    "check",
    "popflow check run.nc",
    'popflow check "(x*y - 1)**2/2" --claim "D(loss) <= -C*loss" --t-end 10',
)
INSPECT = _examples(
    "inspect",
    "popflow inspect run.nc --no-browser --port 9000",
    "popflow inspect run.nc --out run.html",
    "popflow inspect run.nc --potential pairwise_distance --out distance.png",
)
REPORT = _examples("report", "popflow report --out report")
CERTIFY = _examples(
    "certify", "popflow certify loss.json --initial start.json --t-end 100 --out cert.json"
)
VERIFY = _examples(
    "verify",
    "popflow verify cert.json",
    "popflow verify cert.json --n 2 --d 2 --t-end 1e12    it must be about this flow",
)
LAW = _examples(
    "law", 'popflow law "(x*y - 1)**2/2" --start x=0.5,y=0.4', "popflow law run.nc --json"
)
FIND = _examples(
    "find",
    'popflow find "(x*y - 1)**2/2" --level 1/8 --out potential.json',
    'popflow find "(x*y - 1)**2/2" --level "2/5;1/200" --rate exp',
    'popflow find "(a**2 + b**2)**2/4" --rate 2 --latex potential.tex',
    'popflow find "(x*y - 1)**2/2" --keep "x**2 == y**2 + 2" --json',
    'popflow find "cosh(x) - 1" --at x=0 --rate exp --level 1/10',
    'popflow find "cosh(x**2) - 1" --propose --rate 2 --level 1/10',
)
PROVE = _examples("prove", "popflow prove --check theorems.json")
STATIONARY = _examples("stationary")
ENSEMBLE = _examples("ensemble")
NEW = _examples("new", "popflow new linear_attention")
DOCTOR = _examples("doctor", "popflow doctor linear_attention.py --d 3")
SWEEP = _examples("sweep")
