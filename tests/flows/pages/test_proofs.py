"""The theorem for all times on a page, beside a run and beside a start that is another one."""

import re

import numpy as np

import flows
from flows.pages import proofs
from flows.pages.cases import registry
from flows.pages.proofs import proved


def test_what_is_proved_for_all_times_holds_along_a_run():
    asked = registry.endless("relu_neuron")
    text = proved(asked).text
    lower, upper = (float(x) for x in re.findall(r'<data value="([^"]+)">', text))
    limit, radius = map(float, re.search(r"tends to (\S+) ± (\S+?)\.<", text).groups())
    run = flows.integrate(asked.system, asked.start, 1e12)
    scaled = run["loss"] * (1 + run.t) ** 3
    assert lower <= scaled.min() and scaled.max() <= upper
    assert abs(scaled[-1] - limit) <= radius + 1e-7 < 1e-3 * limit  # what the tolerance leaves
    assert abs(scaled[-1] - 1.001 * limit) > radius + 1e-7


def test_a_proof_of_another_start_is_refused_on_the_page(monkeypatch):
    asked = registry.endless("relu_neuron")
    other = asked.start.copy()
    other[0, 0] = np.nextafter(other[0, 0], 1)
    certify = proofs.certify
    monkeypatch.setattr(
        proofs, "certify", lambda system, start, **more: certify(system, other, **more)
    )
    text = proved(asked).text
    assert "it is about another start" in text and "(1 + t)" not in text


def test_systems_without_such_a_start_have_no_such_part():
    assert registry.endless("gmm_em") is None
