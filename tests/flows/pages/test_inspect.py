"""A run in the browser: one page that needs no network, for any system."""

import html
import json
import re
import webbrowser

import pytest
import sympy as sp
from oracles.printed import unpacked

import flows
from flows.core.errors import InputError
from potentials import symbol

Y = sp.Symbol("y")
QUARTIC = flows.OwnSystem("quartic", [Y], Y**4 / 4)
NEURONS = flows.ReLUNeuron(n=2, d=2)
START = [[1.0, 0.5], [0.5, -0.2]]
# A legend shows six digits; a page has one more.
SHOWN = 5e-7


def shown(page):
    """What the interactive figures of a page get."""
    (text,) = re.findall(
        r'<div class="explorer"><script type="application/gzip">(.*?)</script>', page.read_text()
    )
    return json.loads(unpacked(text))


@pytest.fixture
def opened(monkeypatch):
    """Addresses that a browser is sent to."""
    found = []
    monkeypatch.setattr(webbrowser, "open", found.append)
    return found


def test_a_run_with_a_potential_of_its_own_is_one_page_that_a_browser_opens(tmp_path, opened):
    given = {"scaled": symbol("t") ** 3 * symbol("loss")}
    run = flows.integrate(NEURONS, START, 100.0, rtol=1e-6, potentials=given)
    page = flows.inspect(run, out=tmp_path / "run.html")
    assert opened == [page.resolve().as_uri()] and page == tmp_path / "run.html"
    view = shown(page)
    assert [p["name"] for p in view["potentials"]][-1] == "scaled"
    assert view["loss"]["series"][0]["values"] == pytest.approx(run["loss"][1:], rel=SHOWN, abs=0)
    assert [c["verdict"] for c in view["claims"]] == [str(v.verdict) for v in flows.check(run)]
    # A page that may fetch nothing; whether it wants to is seen in a browser.
    policy = html.unescape(page.read_text().partition("Content-Security-Policy")[2][:300])
    assert "default-src 'none'" in policy and "connect-src 'none'" in policy


def test_a_loss_of_ones_own_has_its_law_and_its_own_headings(tmp_path):
    run = flows.integrate(QUARTIC, [1.0], 1e4, rtol=1e-6)
    page = flows.inspect(run, out=tmp_path / "run.html", browser=False).read_text("utf-8")
    assert "t<sup>\N{MINUS SIGN}2</sup>, C = 1/16" in page
    assert "The loss and its gradient" in page and "the teacher" not in page
    assert f"<h2>Run of {QUARTIC.name}</h2>" in page


def test_a_system_without_claims_and_potentials_has_a_page_too(tmp_path, opened):
    run = flows.integrate(QUARTIC, [1.0], 100.0, rtol=1e-6)
    page = flows.inspect(run, browser=False)
    view = shown(page)
    assert opened == [] and view["claims"] == view["potentials"] == []
    # Nothing is said of means or a target, which it does not have.
    (body,) = view["plane"]["bodies"]
    assert body["label"] == "entry 1" and view["plane"]["goals"] == []
    assert body["x"] == pytest.approx(run.state[1:, 0], rel=SHOWN) and set(body["y"]) == {1}
    again = flows.load(run.save(tmp_path / "run.nc"))
    assert shown(flows.inspect(again, browser=False)) == shown(page)


def test_a_page_is_not_overwritten_by_accident(tmp_path, opened):
    run = flows.integrate(QUARTIC, [1.0], 1.0, rtol=1e-6)
    out = tmp_path / "run.html"
    out.write_text("mine")
    with pytest.raises(InputError, match="exists; choose another name"):
        flows.inspect(run, out=out)
    assert out.read_text() == "mine" and opened == []
    flows.inspect(run, out=out, force=True)
    assert out.read_text().startswith("<!DOCTYPE html>")


def test_what_is_no_run_is_one_line():
    with pytest.raises(InputError, match="inspect shows a run, got 3") as caught:
        flows.inspect(3)
    assert "\n" not in str(caught.value)
