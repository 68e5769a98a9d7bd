"""What papers print, and what the machine says about it."""

import pytest

from symbolic import Evidence, printed_forms

FORMS = printed_forms("relu_neuron")
REFUTED = {"Lemma 20"}


@pytest.mark.parametrize("printed", FORMS, ids=lambda p: p.source)
def test_printed_form_is_proved_or_refuted_with_a_proved_correction(printed):
    evidence = printed.form.verify().finding.evidence
    if any(printed.source.endswith(name) for name in REFUTED):
        assert evidence is Evidence.REFUTED
        assert printed.corrected.verify().finding.evidence is Evidence.PROVED
        assert printed.corrected != printed.form
    else:
        assert evidence is Evidence.PROVED
        assert printed.corrected is None


def test_counterexample_of_lemma_20_is_an_angle_beyond_2_86():
    (lemma,) = (p for p in FORMS if p.source.endswith("Lemma 20"))
    point = dict(lemma.form.verify().finding.counterexample)
    assert float(point["theta"]) > 2.86
    assert float(point["lhs"]) < float(point["rhs"])


def test_a_system_without_printed_forms_is_refused():
    with pytest.raises(ValueError, match=r"^unknown system 'gmm_em'; known: relu_neuron$"):
        printed_forms("gmm_em")
