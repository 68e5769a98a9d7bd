"""What the help texts end with: what to do next, and examples."""

from __future__ import annotations

NEXT = """\
popflow follows the training of over-parameterised models as a continuous-time ODE.

What next:
  popflow inspect relu_neuron              choose a run and look at it in the browser
  popflow check relu_neuron --t-end 1e12   what the theorems claim, and what this run says
  popflow report --out report              the whole story: one page a system
  popflow list                             the systems; with SYSTEM, its potentials and claims
  popflow COMMAND --help                   examples of each command
"""


def _examples(*lines: str) -> str:
    """Epilog that click prints as it is."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


POPFLOW = """\b
Begin with:
  popflow inspect relu_neuron

\b
Completion by the shell (bash; zsh and fish have their own word):
  eval "$(_POPFLOW_COMPLETE=bash_source popflow)"
"""
LIST = _examples("popflow list", "popflow list relu_neuron")
DERIVE = _examples(
    "popflow derive relu_neuron",
    "popflow derive gaussian --controls        break every step: is each error seen?",
    "popflow derive gmm_em --latex gmm_em.tex",
    'popflow derive "(x*y - 1)**2/2"            of a loss, with what its flow keeps',
    "popflow derive matrix_factorization --d 2 --depth 2 --regularization 0",
)
RUN = _examples(
    "popflow run relu_neuron --t-end 1e12 --out run.nc",
    "popflow run gmm_em --weights 0.2,0.3,0.5 --scale 1 --t-end 1e8",
    'popflow run "(x*y - 1)**2/2" --start x=0.5,y=0.4 --t-end 1e12',
    "popflow run matrix_factorization --d 2 --field complex --t-end 1e4 --json",
)
CHECK = _examples(
    "popflow check run.nc",
    "popflow check relu_neuron --n 5 --t-end 1e12",
    "popflow check gmm_em --claim loss_upper --json",
    "popflow check relu_neuron --n 2 --d 2 --certificate cert.json",
)
INSPECT = _examples(
    "popflow inspect relu_neuron --n 3 --d 5",
    "popflow inspect run.nc --no-browser --port 9000",
    "popflow inspect run.nc --out run.html",
    "popflow inspect run.nc --potential pairwise_distance --out distance.png",
)
REPORT = _examples("popflow report --out report", "popflow report gmm_em --out gmm_em --force")
CERTIFY = _examples(
    "popflow certify relu_neuron --n 2 --d 2 --t-end 1e12 --out cert.json",
    "popflow certify relu_neuron --n 2 --d 2 --t-end inf                for all times",
    "popflow certify matrix_factorization --d 2 --t-end 20 --claim skew_monotone",
    "popflow certify gmm_em --d 1 --n 2 --t-end 1e6 --json",
    "popflow certify loss.json --initial start.json --t-end 100 --out cert.json",
    "popflow certify relu_neuron --d 2 --late-states --out late.json",
)
VERIFY = _examples(
    "popflow verify cert.json",
    "popflow verify cert.json --n 2 --d 2 --t-end 1e12    it must be about this flow",
)
LAW = _examples(
    "popflow law relu_neuron --at neurons.json        [[0.25, 0], [0.75, 0]]",
    "popflow law gmm_em --n 3 --d 2 --weights 0.2,0.3,0.5",
    'popflow law "(x*y - 1)**2/2" --start x=0.5,y=0.4',
    "popflow law run.nc --json",
)
FIND = _examples(
    'popflow find "(x*y - 1)**2/2" --level 1/8 --out potential.json',
    'popflow find "(x*y - 1)**2/2" --level "2/5;1/200" --rate exp',
    'popflow find "(a**2 + b**2)**2/4" --rate 2 --latex potential.tex',
    'popflow find "(x*y - 1)**2/2" --keep "x**2 == y**2 + 2" --json',
    "popflow find matrix_factorization --d 1 --depth 2 --level 1/8 --rate exp",
    'popflow find "cosh(x) - 1" --at x=0 --rate exp --level 1/10',
)
PROVE = _examples(
    "popflow prove relu_neuron --theorem loss_lower --trusted",
    "popflow prove relu_neuron --json theorems.json --latex theorems.tex",
    "popflow prove --check theorems.json",
)
STATIONARY = _examples(
    "popflow stationary gmm_em --n 2 --d 2 --scale 1",
    "popflow stationary two_layer --teachers 6 --initial near.json --certify --out point.json",
    "popflow stationary two_layer --students 7 --teachers 7 --d 7 --scale 0.378 --size 20",
)
ENSEMBLE = _examples(
    "popflow ensemble relu_neuron --size 1000 --out many",
    "popflow ensemble gmm_em --size 100 --claim loss_upper --json",
)
NEW = _examples("popflow new linear_attention")
DOCTOR = _examples("popflow doctor linear_attention.py --d 3", "popflow doctor gmm_em")
SWEEP = _examples(
    "popflow sweep matrix_factorization --vary regularization=0,1,5,50 --vary d=2,3 \\",
    "    --size 100 --scale 0.25 --t-end 1e4 --rtol 1e-4 --out strengths",
    "popflow sweep relu_neuron --vary n=1,2,3 --size 50 --below 1e-12 --figure neurons.svg",
)
