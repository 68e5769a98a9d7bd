"""The report's pages as a person meets them."""

import json

import numpy as np
import pytest
import sympy as sp

import flows
import potentials
import symbolic
from flows.cli.main import main
from flows.pages import figure, html, report
from flows.pages.case import Case
from flows.pages.figures import gmm_em, matrix_factorization, score_matching

PHONE = {"width": 390, "height": 844}
OPTIONS = "--n 2 --d 2 --scale 1 --seed 0"
T_END = 1e6
PANELS = 7
# Six digits are shown.
DIGITS = 1e-5
FRAMES = "new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))"
BROKEN = "<!DOCTYPE html><html lang='en'><title>x</title><main><h1>x</h1><img src='data:,'></main>"


def made(folder, system, start, draw):
    """A page with one run, and the index that leads to it: their addresses."""
    case = Case(
        "One run", "A small one.", system, start, OPTIONS, figures={"the loss": draw}, t_end=T_END
    )
    with pytest.MonkeyPatch.context() as patch:  # a derivation that is quickly verified
        patch.setattr(symbolic, "derive", lambda name, derive=symbolic.derive: derive("gaussian"))
        page = report.page(system.name, [case])
    texts = {"page": page.text, "index": html.render("index.html", pages=[page])}
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, "utf-8")
    return [(folder / f"{name}.html").as_uri() for name in texts]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A page with one run."""
    system = flows.GMMEM(2, 2)
    return made(
        tmp_path_factory.mktemp("report"), system, system.initial(1.0, 0), gmm_em.loss_figure
    )[0]


@pytest.fixture(scope="module")
def run():
    """The same run."""
    system = flows.GMMEM(2, 2)
    return flows.integrate(system, system.initial(1.0, 0), T_END)


@pytest.fixture
def explorer(visit, address):
    with visit(address) as seen:
        seen.page.locator(".explorer").scroll_into_view_if_needed()
        seen.drawn(PANELS)
        yield seen


def explored(seen, expression):
    """Value of an expression of the explorer `e`."""
    script = f"(() => {{ const e = document.querySelector('.explorer').explorer; {expression} }})()"
    return seen.page.evaluate(script)


def values(seen, panel):
    """What the legend of a panel shows at the cursor, by label."""
    rows = seen.page.locator(f".{panel} ul.legend li").all()
    return {row.locator("label").inner_text(): row.locator(".number").inner_text() for row in rows}


def place_of(seen, panel, t, y):
    """Point of the screen where a panel draws a point."""
    return explored(
        seen,
        f"""
        const {{view}} = e.charts.get("{panel}"), {{frame}} = view;
        const area = view.el.shadowRoot.querySelector(".bk-Canvas, canvas") ?? view.el;
        const box = (view.canvas_view?.el ?? area).getBoundingClientRect();
        return [box.left + frame.x_scale.compute({t!r}), box.top + frame.y_scale.compute({y!r})];
    """,
    )


def test_a_page_opens_without_complaints_and_asks_nobody_for_anything(explorer):
    assert explorer.complaints == []
    assert explorer.foreign == []


def test_what_a_page_loads_or_complains_of_is_noticed(visit, tmp_path):
    (tmp_path / "bad.html").write_text("<img src='missing.png'><script>throw Error('x')</script>")
    with visit((tmp_path / "bad.html").as_uri()) as seen:
        assert len(seen.foreign) == 1
        assert any("x" in text for text in seen.complaints)


def test_every_panel_shows_ink(explorer):
    inked = """[...document.querySelectorAll('.plot[data-drawn=yes]')].map(plot => {
      const canvases = [];
      const visit = root => { for (const x of root.querySelectorAll('*')) {
        if (x instanceof HTMLCanvasElement) canvases.push(x);
        if (x.shadowRoot) visit(x.shadowRoot);
      } };
      visit(plot);
      return canvases.some(c => c.width && c.getContext('2d').getImageData(0, 0, c.width, c.height)
        .data.some(x => x));
    })"""
    assert explorer.page.evaluate(inked) == [True] * PANELS


def test_values_at_the_cursor_are_those_of_the_command_line(explorer, capsys):
    main(["run", "gmm_em", *OPTIONS.split(), "--t-end", str(T_END), "--json"])
    printed = json.loads(capsys.readouterr().out)
    for index in (1, 40, len(printed["t"]) - 1):
        explored(explorer, f"e.move({index - 1})")  # the view begins after t = 0
        assert float(explorer.page.locator(".clock").inner_text()[4:]) == pytest.approx(
            printed["t"][index], rel=DIGITS, abs=0
        )
        shown = float(values(explorer, "loss")["loss"])
        assert shown == pytest.approx(printed["loss"][index], rel=DIGITS, abs=0)
        assert shown != pytest.approx(printed["loss"][index - 1], rel=DIGITS, abs=0)
        (value,) = values(explorer, "value").values()
        assert float(value) == pytest.approx(
            printed["observables"]["squared_norm_sum"][index], rel=DIGITS, abs=0
        )


def test_hovering_shows_the_value_of_the_point_and_moves_the_cursor(explorer, run):
    index = 60
    t, loss = float(run.t[index]), float(run["loss"][index])
    explorer.page.mouse.move(*place_of(explorer, "loss", t, loss))
    row = explorer.page.locator(".bk-Tooltip .bk-tooltip-row-value")
    row.first.wait_for()
    name, *numbers = (text.strip() for text in row.all_inner_texts())
    assert name == "loss"
    assert [float(x) for x in numbers] == pytest.approx([t, loss], rel=DIGITS, abs=0)
    assert explored(explorer, "return e.index") == index - 1
    assert float(values(explorer, "loss")["loss"]) == pytest.approx(loss, rel=DIGITS, abs=0)


def test_the_slider_moves_the_means_and_every_cursor(explorer, run):
    heads = (
        "return [...e.charts.get('plane').figure.renderers].map(r => r.data_source.data)"
        ".filter(d => 't' in d).map(d => [d.x[0], d.y[0]])"
    )
    slider = explorer.page.get_by_label("Time", exact=True)
    seen = []
    for index in (0, 50):
        slider.fill(str(index))
        assert (
            len(
                {
                    *explored(
                        explorer,
                        "return [...e.charts.values()].filter(c => c.range).map(c => "
                        "c.figure.center.filter(x => x.dimension === 'height').at(-1).location)",
                    )
                }
            )
            == 1
        )
        seen.append(explored(explorer, heads))
        # A projection to the plane of two components keeps their lengths.
        lengths = np.linalg.norm(run.state[index + 1], axis=1)
        assert np.linalg.norm(seen[-1], axis=1) == pytest.approx(lengths, rel=DIGITS, abs=0)
    assert seen[0] != seen[1]


def test_a_curve_can_be_switched_off_and_on(explorer):
    visible = "return e.charts.get('loss').figure.renderers.map(r => r.visible)[1]"
    switch = explorer.page.locator(".loss ul.legend input").nth(1)
    assert explored(explorer, visible) is True
    switch.uncheck()
    assert explored(explorer, visible) is False
    switch.check()
    assert explored(explorer, visible) is True


def test_zooming_one_panel_zooms_all(explorer):
    ranges = (
        "return [...e.charts.values()].filter(c => c.range).map(c => [c.range.start, c.range.end])"
    )
    whole = explored(explorer, ranges)
    assert len({tuple(x) for x in whole}) == 1
    explored(explorer, "e.charts.get('rate').range.setv({start: 1, end: 100})")
    assert explored(explorer, ranges) == [[1, 100]] * len(whole)
    explorer.page.get_by_role("button", name="Whole run").click()
    assert explored(explorer, ranges) == whole


def test_a_claim_is_chosen_with_its_potential_and_by_itself(explorer):
    potential, claim = (explorer.page.get_by_label(x, exact=True) for x in ("Potential", "Claim"))
    potential.select_option("fisher")
    (words,) = (p.words for p in potentials.potentials("gmm_em") if p.name == "fisher")
    assert explorer.page.locator(".value h3").inner_text() == words != "fisher"
    assert claim.input_value() == "fisher_lower"
    claim.select_option("projection")
    assert explorer.page.locator(".sides h3").inner_text() == "Both sides of the claim"
    assert potential.input_value() == "fisher"
    explorer.drawn(PANELS)
    assert explorer.complaints == []


def test_the_keyboard_reaches_everything_and_works_it(explorer):
    page = explorer.page
    focused = """(() => { let x = document.activeElement;
      while (x.shadowRoot?.activeElement) x = x.shadowRoot.activeElement;
      return x.id || x.title || x.textContent.trim().slice(0, 40) || x.tagName; })()"""
    page.locator(".bar input").focus()
    seen = [page.evaluate(focused)]
    for _ in range(150):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(focused))
    controls = page.locator(".explorer :is(input, select, button)").all()
    assert len(controls) > 12
    for name in (
        "Zoom in",
        "Zoom out",
        "Whole run",
        "explorer-1-potential",
        "explorer-1-claim",
        "Box Zoom",
        "Reset",
    ):
        assert any(name in x for x in seen), name
    slider = page.locator(".bar input")
    slider.focus()
    before = explored(explorer, "return e.index")
    page.keyboard.press("ArrowLeft")
    assert explored(explorer, "return e.index") == before - 1
    box = page.locator(".loss ul.legend input").first
    box.focus()
    page.keyboard.press("Space")
    assert not box.is_checked()
    page.get_by_role("button", name="Zoom in").focus()
    page.keyboard.press("Enter")
    assert explored(explorer, "return e.window[0] > e.view.t[0]")


@pytest.mark.parametrize(
    "how",
    [{"scheme": "light"}, {"scheme": "dark"}, {"viewport": PHONE, "is_mobile": True}],
    ids=["light", "dark", "phone"],
)
def test_axe_finds_no_fault(visit, address, how):
    with visit(address, **how) as seen:
        seen.page.locator(".explorer").scroll_into_view_if_needed()
        seen.drawn(PANELS)
        assert seen.axe() == []


@pytest.mark.parametrize(
    ("system", "draw"),
    [
        (flows.ReLUNeuron(2, 2), figure.loss_figure),
        (flows.ScoreMatching(2, 2), score_matching.loss_figure),
        (flows.MatrixFactorization(2), matrix_factorization.stages_figure),
    ],
    ids=lambda x: getattr(x, "name", ""),
)
def test_axe_finds_no_fault_on_the_page_of_any_system_or_the_index(visit, tmp_path, system, draw):
    for place in made(tmp_path, system, system.initial(0.1, 0), draw):
        with visit(place) as seen:
            if seen.page.locator(".explorer").count():
                seen.page.locator(".explorer").scroll_into_view_if_needed()
                seen.drawn(PANELS)
            # The test above looks at one page in the light, too.
            seen.page.emulate_media(color_scheme="dark")
            seen.page.evaluate(FRAMES)
            assert seen.axe() == []
            assert seen.complaints == []


def test_axe_finds_a_picture_without_words(visit, tmp_path):
    (tmp_path / "bad.html").write_text(BROKEN)
    with visit((tmp_path / "bad.html").as_uri()) as seen:
        assert [name for name, *_ in seen.axe()] == ["image-alt"]


def test_dark_and_light_differ_and_follow_the_reader(visit, address):
    inks = {}
    for scheme in ("light", "dark"):
        with visit(address, scheme=scheme) as seen:
            seen.page.locator(".explorer").scroll_into_view_if_needed()
            seen.drawn(PANELS)
            ink = "return e.charts.get('loss').figure.left[0].axis_label_text_color"
            inks[scheme] = explored(seen, ink)
            other = {"light": "dark", "dark": "light"}[scheme]
            seen.page.emulate_media(color_scheme=other)
            seen.page.evaluate(FRAMES)  # a page learns of it with the next frame
            inks[f"then {other}"] = explored(seen, ink)
    assert inks["light"] == inks["then light"] != inks["dark"] == inks["then dark"]


def test_a_phone_needs_no_scrolling_sideways(visit, address):
    with visit(address, viewport=PHONE, is_mobile=True, has_touch=True) as seen:
        seen.page.locator(".explorer").scroll_into_view_if_needed()
        seen.drawn(PANELS)
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert seen.page.evaluate(wide) == 0
        seen.page.evaluate(
            "document.body.append(Object.assign(document.createElement('div'),"
            " {style: 'width: 500px; height: 1px'}))"
        )
        assert seen.page.evaluate(wide) > 0


def test_paper_has_the_static_figures_and_every_table(visit, address):
    with visit(address) as seen:
        seen.page.emulate_media(media="print")
        assert not seen.page.locator(".explorer").is_visible()
        assert seen.page.locator("figure img").first.is_visible()
        assert seen.page.locator("table").count() >= 3
        assert len(seen.page.pdf()) > 10_000


@pytest.mark.parametrize("potentials", [{}, {"square": sp.Symbol("y") ** 2}], ids=["none", "one"])
def test_a_run_of_an_own_system_without_claims_is_drawn(tmp_path, visit, potentials):
    y = sp.Symbol("y")
    system = flows.OwnSystem("quartic", [y], y**4 / 4, potentials=potentials)
    run = flows.integrate(system, [1.0], 100.0, rtol=1e-6)
    address = flows.inspect(run, out=tmp_path / "run.html", browser=False).as_uri()
    with visit(address) as visited:
        visited.drawn(3 + 2 * len(potentials))
        assert visited.complaints == [] and visited.foreign == []


def test_on_a_phone_formulas_fit_or_can_be_reached_and_verdicts_unfold(visit, address):
    wide = """() => [...document.querySelectorAll(".math, .wide")].filter(
        box => box.scrollWidth > box.clientWidth && box.tabIndex !== 0).length"""
    with visit(address, viewport=PHONE, is_mobile=True, has_touch=True) as seen:
        folded = seen.page.locator("details.verdicts").first
        table = folded.locator("table").first
        assert not table.is_visible()
        folded.locator("summary").click()
        seen.page.evaluate(FRAMES)
        assert table.is_visible()
        assert seen.page.evaluate(wide) == 0
        image = seen.page.locator("figure .wide img").first
        assert image.bounding_box()["width"] <= PHONE["width"]
        seen.page.locator("figure .wide").first.tap()
        assert image.bounding_box()["width"] > PHONE["width"]  # its text can be read
        seen.page.evaluate(
            "document.querySelector('.math').append(Object.assign(document.createElement('div'),"
            " {style: 'min-width: 900px; height: 1px'}))"
        )
        assert seen.page.evaluate(wide) == 1  # the check can fail
