"""The limit of the rate with a component far out; mutants that matter are refuted."""

import sympy as sp

from symbolic.evidence.identity import Evidence
from symbolic.systems.score_matching.tail import derive_far_rate


def test_the_rate_without_its_logarithm_is_not_the_limit():
    (step,) = (s for s in derive_far_rate().steps if s.rule.startswith("the loss by time"))
    # 1/t and 1/(t log t) differ: without the logarithm the product vanishes.
    product = step.lhs.args[0]
    (logarithm,) = (f for f in product.args if f.has(sp.log))
    assert sp.limit(product / logarithm, *step.lhs.args[1:3]) == 0
    assert step.verify().finding.evidence is Evidence.PROVED
