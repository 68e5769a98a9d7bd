"""The inspector as a person uses it: a real server, a real browser."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import flows

PANELS = 7
ROOT = Path(__file__).parents[2]
# Quick to compute, so that the tests are about the page.
SMALL = ("gmm_em", "--n", "2", "--d", "1", "--scale", "1", "--t-end", "1000")


@pytest.fixture(scope="module")
def serve():
    """Start the command line's server: its address."""
    started = []

    def begin(*words):
        process = subprocess.Popen(
            [sys.executable, "-m", "flows", "inspect", *words, "--port", "0", "--no-browser"],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        started.append(process)
        return re.match(r"http://127\.0\.0\.1:\d+/", process.stdout.readline()).group()

    yield begin
    for process in started:
        process.terminate()
        process.wait()
        process.stdout.close()


@pytest.fixture(scope="module")
def address(serve, chromium):
    return serve(*SMALL)


@pytest.fixture
def inspector(visit, address):
    with visit(address) as seen:
        finish(seen)
        yield seen


def finish(seen, status="done"):
    """Wait until the run has ended in this way."""
    seen.page.locator("#status").filter(has_text=re.compile(f"^{status}$")).wait_for()


def test_it_opens_with_the_run_that_the_command_line_says(inspector):
    inspector.drawn(PANELS)
    title = inspector.page.locator("#current h2").inner_text()
    assert title == "gmm_em, n = 2, d = 1, scale = 1, seed = 0, T = 1000"
    assert inspector.page.get_by_label("horizon T", exact=True).input_value() == "1000"
    assert inspector.complaints == []
    own = inspector.page.url
    assert all(url.startswith((own, "data:", "blob:")) for url in inspector.requests)
    assert inspector.page.locator("#current table").count() == 2


def test_a_changed_slider_runs_at_once_and_shows_the_run(inspector):
    slider = inspector.page.get_by_role("slider", name="n, slider", exact=True)
    slider.fill("3")
    slider.dispatch_event("change")
    inspector.page.locator("#current h2").filter(has_text="n = 3").wait_for()
    inspector.drawn(PANELS)
    system = flows.GMMEM(3, 1)
    run = flows.integrate(system, system.initial(1.0, 0), 1000.0)
    shown = inspector.page.locator("#current .loss .number").first.inner_text()
    assert float(shown) == pytest.approx(run["loss"][-1], rel=1e-5, abs=0)  # six digits


def test_bad_input_shows_its_message_at_its_field_and_keeps_the_run(inspector):
    field = inspector.page.get_by_label("scale", exact=True)
    error = inspector.page.locator("#scale-error")
    assert not error.is_visible()
    field.fill("-1")
    field.press("Enter")
    finish(inspector, "failed")
    assert "scale must be" in error.inner_text()
    assert field.get_attribute("aria-invalid") == "true"
    assert inspector.page.locator("#current h2").is_visible()
    field.fill("0.5")
    field.press("Enter")
    finish(inspector)
    assert not error.is_visible()
    assert field.get_attribute("aria-invalid") == "false"


def test_a_run_in_progress_can_be_cancelled_and_what_it_has_is_shown(inspector):
    page = inspector.page
    page.locator("#live").uncheck()
    # With fifty digits it takes seconds: time enough to cancel it.
    page.get_by_label("system", exact=True).select_option("relu_neuron")
    page.get_by_label("d", exact=True).fill("5")
    page.get_by_label("horizon T", exact=True).fill("1e12")
    page.get_by_text("Start, target, solver").click()
    page.get_by_label("method", exact=True).select_option("reference")
    page.get_by_role("button", name="Run", exact=True).click()
    page.locator("#status").filter(has_text=re.compile(r"t = [1-9][\d.]*(e\+.*)?$")).wait_for()
    assert 0 < float(page.locator("#progress").evaluate("x => x.value")) < 1
    cancel = page.get_by_role("button", name="Cancel")
    assert cancel.is_enabled()
    cancel.click()
    finish(inspector)
    assert "interrupted" in page.locator("#current dl").first.inner_text()
    assert not cancel.is_enabled()


def test_two_runs_stand_side_by_side_and_share_the_time(inspector):
    page = inspector.page
    page.get_by_role("button", name=re.compile("^Pin")).click()
    seed = page.get_by_label("seed", exact=True)
    seed.fill("5")
    seed.press("Enter")
    page.locator("#current h2").filter(has_text="seed = 5").wait_for()
    inspector.drawn(2 * PANELS)
    left, right = (page.locator(f"#{x}").bounding_box() for x in ("pinned", "current"))
    assert left["x"] + left["width"] <= right["x"]
    assert abs(left["y"] - right["y"]) < 1
    clocks = page.locator(".clock")
    page.locator("#pinned .bar input").fill("7")
    assert clocks.nth(0).inner_text() == clocks.nth(1).inner_text()
    page.get_by_role("button", name="Unpin").click()
    assert not page.locator("#pinned").is_visible()


def test_paper_has_the_panels_of_the_run_and_not_the_form(inspector):
    inspector.drawn(PANELS)
    inspector.page.emulate_media(media="print")
    assert inspector.page.locator(".loss .plot").is_visible()
    assert not inspector.page.locator("#form").is_visible()


def test_fields_are_those_of_the_system(inspector):
    page = inspector.page
    assert page.get_by_label("weights", exact=True).is_visible()
    assert not page.get_by_label("depth", exact=True).is_visible()
    page.locator("#live").uncheck()
    page.get_by_label("system", exact=True).select_option("matrix_factorization")
    assert page.get_by_label("depth", exact=True).is_visible()
    assert not page.get_by_label("n", exact=True).is_visible()


def test_axe_finds_no_fault_before_or_after_an_error(inspector):
    inspector.drawn(PANELS)
    assert inspector.axe() == []
    field = inspector.page.get_by_label("horizon T", exact=True)
    field.fill("soon")
    field.press("Enter")
    finish(inspector, "failed")
    assert "soon" in inspector.page.locator("#t_end-error").inner_text()
    assert inspector.axe() == []


def test_a_saved_run_opens_and_the_form_goes_on_from_there(visit, serve, tmp_path):
    system = flows.GMMEM(2, 2)
    flows.integrate(system, system.initial(1.0, 3), 100.0).save(tmp_path / "run.nc")
    with visit(serve(str(tmp_path / "run.nc"))) as seen:
        finish(seen)
        seen.drawn(PANELS)
        assert seen.page.locator("#current h2").inner_text().endswith("run.nc")
        assert "t = 100" in seen.page.locator("#current dl").first.inner_text()
        assert seen.complaints == []


def test_the_keyboard_reaches_every_field(inspector):
    page = inspector.page
    name = "x => x.id || x.name || x.ariaLabel || x.dataset.for || x.tagName"
    wanted = page.locator("#form :is(input, select, textarea, button, summary):enabled")
    wanted = [x.evaluate(name) for x in wanted.all() if x.is_visible()]
    page.get_by_label("system", exact=True).focus()
    reached = []
    for _ in range(len(wanted) + 3):
        reached.append(page.evaluate(f"({name})(document.activeElement)"))
        page.keyboard.press("Tab")
    assert len(wanted) > 10
    assert set(wanted) <= set(reached)
