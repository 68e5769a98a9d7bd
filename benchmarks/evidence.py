"""How far each derivation is proved, and whether errors put into it are seen.

Run

    python benchmarks/evidence.py [NAME ...]

It verifies every step of every derivation anew, breaks each step (a sign, a factor 1.001, one
term's sign, two indices exchanged; an inequality turned round) and prints the tables of the README;
then the formulas as the papers print them, with the form that corrects one which does not hold.
Exits with 1 if a step is refuted or open, or an error is not seen.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

import symbolic
from symbolic import Derivation, Document, Evidence, Step
from symbolic.evidence.mutation import controls
from symbolic.evidence.step import counted

BAD = {Evidence.REFUTED, Evidence.OPEN}


def row(derivation: Derivation) -> tuple[str, bool, tuple[Step, ...], int, int]:
    """Line of the table, whether all is well, the steps, errors seen and errors put in."""
    begun = time.process_time()
    steps = derivation.verify().steps
    seconds = time.process_time() - begun
    evidence = Counter(step.evidence for step in steps)
    found = controls(Document("one", (derivation,)))
    seen = sum(c.caught for c in found)
    good = seen == len(found) and not BAD & set(evidence)
    counts = ", ".join(f"{evidence[e]} {e}" for e in Evidence if evidence[e])
    controlled = f"{seen} of {len(found)}"
    cells = (derivation.name, derivation.source, counts, controlled, f"{seconds:.1f}")
    return f"| {' | '.join(cells)} |", good, steps, seen, len(found)


def main() -> int:
    """Print the tables and their sums."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="derivations, all by default")
    total: list[Step] = []
    seen = put_in = 0
    good = True
    begun = time.process_time()
    for name in parser.parse_args().names or symbolic.DOCUMENTS:
        print(f"\n{name}\n\n| derivation | source | evidence | errors refuted | s |")
        print("|---|---|---|---|---|")
        for derivation in symbolic.derive(name).derivations:
            line, fine, steps, caught, errors = row(derivation)
            print(line, flush=True)
            total += steps
            seen, put_in, good = seen + caught, put_in + errors, good and fine
    print(
        f"\n{counted(total)}; {seen} of {put_in} errors refuted; "
        f"{time.process_time() - begun:.0f} s"
    )
    print("\n| printed | evidence | corrected |\n|---|---|---|")
    forms = (symbolic.printed_forms(name) for name in ("relu_neuron", "matrix_factorization"))
    for printed in (form for some in forms for form in some):
        found = printed.form.verify().finding
        where = ", ".join(f"{name} = {value}" for name, value in found.counterexample)
        corrected = printed.corrected.rule if printed.corrected else ""
        print(f"| {printed.source} | {found.evidence} {where} | {corrected} |")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
