"""The document of gradient EM; its integrands are tested with those of score matching."""

from symbolic.lemmas import mixture_node
from symbolic.systems.gmm_em import document as gmm_em


def test_the_document_has_the_derivations_of_the_system_in_order():
    names = [d.name for d in gmm_em.derive().derivations]
    assert names[0] == "gradient EM" and names[-1].startswith("Hessian")
    assert len(names) == len(set(names)) == 5


def test_the_integrands_are_functions_of_what_is_known_at_a_node():
    assert gmm_em.gradient_integrand().free_symbols <= set(mixture_node.GRADIENT)
    for part in gmm_em.hessian_integrands():
        assert part.free_symbols <= set(mixture_node.HESSIAN)
