"""What papers print, and what the machine says about it."""

import pytest
import sympy as sp

from symbolic import Evidence, derive, printed_forms

FORMS = printed_forms("relu_neuron")
ALL = (*FORMS, *printed_forms("matrix_factorization"))
# What does not hold as it is printed, or as it is read where the print leaves a condition out.
REFUTED = {
    "Lemma 20",
    "appendix A, neurons parallel to v, read with either sign",
    "appendix A, equal neurons, read with any direction",
    "Theorem 34, read off balance",
    "Theorem 5, read without |W| <= sigma_1",
    "Theorem 11, L <= L_ori(T) exp(-sigma_1^(3/2) (t - T)), at t = T",
}


@pytest.mark.parametrize("printed", ALL, ids=lambda p: p.source)
def test_printed_form_is_proved_or_refuted_with_a_proved_correction(printed):
    finding = printed.form.verify().finding
    evidence = finding.evidence
    if any(printed.source.endswith(name) for name in REFUTED):
        assert evidence is Evidence.REFUTED and finding.counterexample
        assert printed.corrected.verify().finding.evidence is Evidence.PROVED
        assert printed.corrected != printed.form
    else:
        assert evidence is Evidence.PROVED
        assert printed.corrected is None


def test_every_slip_is_among_the_printed_forms():
    found = [name for name in REFUTED for p in ALL if p.source.endswith(name)]
    assert sorted(found) == sorted(REFUTED)


def test_counterexample_of_lemma_20_is_an_angle_beyond_2_86():
    (lemma,) = (p for p in FORMS if p.source.endswith("Lemma 20"))
    point = dict(lemma.form.verify().finding.counterexample)
    assert float(point["theta"]) > 2.86
    assert float(point["lhs"]) < float(point["rhs"])


def test_a_system_without_printed_forms_is_refused():
    with pytest.raises(
        ValueError, match=r"^unknown system 'gmm_em'; known: matrix_factorization, relu_neuron$"
    ):
        printed_forms("gmm_em")


def test_lemma_17_needs_the_right_angle_that_lemma_30_is_cut_off_at():
    # Beyond it a third neuron can pull a pair together: its term loses its sign.
    steps = {s.rule: s for d in derive("relu_neuron").derivations for s in d.steps}
    third = steps["a third neuron's term, sorted"].lhs
    within = steps["it is not negative, since C is the smallest cosine and positive"]
    assert within.verify().evidence is Evidence.PROVED
    cosine, with_i, with_j = (sp.Symbol(x, positive=True) for x in ("C", "C_ki", "C_kj"))
    value = third.subs({cosine: -sp.S.Half, with_i: sp.Rational(1, 4), with_j: -sp.S.Half})
    assert value < 0
