import base64
import pickle
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from oracles.printed import unpacked

import flows
import potentials
import symbolic
from flows.core.errors import InputError
from flows.pages import html, parts, report
from flows.pages.case import Case
from flows.pages.cases import registry
from flows.pages.figure import loss_figure
from flows.pages.figures import gmm_em
from flows.pages.formulas import prose, sentence
from flows.pages.found import kept_formulas
from symbolic.evidence import step
from symbolic.evidence.identity import Basis, Evidence, Finding
from symbolic.evidence.step import distinct

LARGEST = 1e6  # bytes of a page that opens at once on a phone
HOSTILE = "<script>alert('x')</script>"
(LOSS_LOWER,) = (
    replace(c, hypotheses=())  # nobody has the small start
    for c in potentials.claims("relu_neuron")
    if c.id == "loss_lower"
)


def case(**more):
    system = flows.ReLUNeuron(n=2, d=2)
    start = [[0.2, 0.1], [0.2, -0.1]]
    return Case(
        **{
            "title": "pair",
            "text": "two neurons",
            "system": system,
            "start": start,
            "options": "--initial pair.json",
            "figures": {"the loss": loss_figure},
            "broken": (replace(LOSS_LOWER, exponent=2),),
            "t_end": 1e6,
            **more,
        }
    )


@pytest.fixture(scope="module")
def page():
    """The page, for which nothing is proved anew: `tests/symbolic/evidence` proves these steps."""
    known = Finding(Evidence.PROVED, basis=Basis.ALGEBRA)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step, "examine", lambda *statement: known)
        return report.page("relu_neuron", [case()]).text


class Reader(HTMLParser):
    """Collects what a browser would load, the numbers, and tags that are not closed."""

    VOID = ("meta", "img", "br", "link", "input")

    def __init__(self, text):
        super().__init__()
        self.loaded, self.links, self.numbers, self.open, self.tags = [], [], [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        # A link is followed by a person; all else is loaded with the page.
        keys = {"a": (), "data": ()}.get(tag, ("src", "href", "srcset", "data", "action"))
        self.loaded += [v for k, v in attrs if k in keys]
        self.links += [v for k, v in attrs if tag == "a" and k == "href"]
        self.numbers += [float(v) for k, v in attrs if tag == "data" and k == "value"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def foreign(text):
    """Addresses outside the page; the names of XML namespaces are not loaded by anything."""
    inside = ("#", "data:")
    shown = re.sub(r"base64,[\w+/=]+|<script>.*?</script>", "", text, flags=re.DOTALL)
    styled = re.findall(r"url\([^)]*\)|@import", shown)
    return [x for x in Reader(text).loaded if not x.startswith(inside)] + styled


def test_a_page_loads_nothing_from_elsewhere(page):
    assert foreign(page) == []
    assert "default-src 'none'" in page  # and the browser holds it to that
    assert {link for link in Reader(page).links if not link.startswith("#")} == {"index.html"}


def test_a_link_to_elsewhere_is_noticed():
    assert foreign('<img src="https://example.org/x.png"><p style="background:url(x)"></p>')


def test_tags_are_balanced_and_the_page_is_small(page):
    assert Reader(page).open == []
    assert len(page.encode()) < LARGEST


def test_a_packed_text_opens_no_tag_and_is_the_text_again():
    texts = ["<b>&amp;</b>" * k + "~" * j for k in range(30) for j in range(5)]
    packed = [str(html.packed(text)) for text in texts]
    assert not any("<" in one for one in packed) and any("," in one for one in packed)
    assert [unpacked(one) for one in packed] == texts


def test_no_figure_is_on_a_page_twice_and_runs_are_folded(page):
    shown = re.findall(r'<img src="data:[^"]+" alt="([^"]+)"', page)
    folded = re.findall(r'<img alt="([^"]+)"><script type="application/gzip">', page)
    assert len(shown) == 1 and not set(shown) & set(folded)
    assert page.count('<details class="part"') > 3 and page.count('<details class="part" open') == 1


def test_an_open_tag_is_noticed():
    assert Reader("<p><b></b>").open == ["p"]


def test_figures_are_vector_images_with_a_caption(page):
    encoded = re.search(r'<img src="data:image/svg\+xml;base64,([^"]+)" alt="the loss"', page)
    drawing = ET.fromstring(base64.b64decode(encoded[1]))
    assert drawing.tag.endswith("svg")
    assert not any(element.tag.endswith("image") for element in drawing.iter())  # no pixels
    # Letters are text, and nothing refers to an element that is not there.
    text = base64.b64decode(encoded[1]).decode()
    assert "<text" in text
    assert set(re.findall(r'href="#([^"]+)"', text)) <= set(re.findall(r' id="([^"]+)"', text))


def test_verdicts_and_their_numbers_are_those_of_the_check(page):
    one = case()
    run = flows.integrate(one.system, one.start, one.t_end)
    numbers = Reader(page).numbers
    for verdict in flows.check(run):
        row = re.search(
            rf"<code class=.faint.>{verdict.claim}</code></div></th></tr>(.*?</tr>)",
            page,
            re.DOTALL,
        )[1]
        (claim,) = (c for c in potentials.claims("relu_neuron") if c.id == verdict.claim)
        stated = dict.fromkeys(c.constant for c in claim.comparisons)
        values = (
            verdict.measured,
            verdict.bound,
            verdict.error,
            verdict.constant,
            *stated,
            verdict.attained_at,
        )
        assert Reader(row).numbers == [float(v) for v in values if v is not None]
        assert (">open<" in row) == (None in stated)
        assert re.search(rf'class="verdict {verdict.verdict}">\S+ {verdict.verdict}<', row)
    assert float(run["loss"][-1]) in numbers
    assert float(run["loss"][-1]) * (1 + 1e-15) not in numbers


def test_the_derived_law_stands_beside_each_theorem(page):
    run = flows.integrate(case().system, case().start, case().t_end)
    law = flows.late_time_law(run)
    section = page[
        page.index("<h3>Late-time law") : page.index("A constant that a theorem leaves open is")
    ]
    assert str(prose(str(law.laws[law.chosen]))) in section and "**" not in section
    value, error = Reader(section).numbers
    assert abs(value - law.laws[law.chosen].constant) <= error < 1e-3
    rows = re.findall(
        r">(\w+)</code></th><td class=\"n\">(\S+)</td><td class=\"n\">(\S+)<", section
    )
    bounds = [(b.claim, prose(str(b.claimed)), prose(str(b.derived))) for b in law.bounds()]
    assert rows == bounds
    assert ("loss_upper", "\N{MINUS SIGN}3", "\N{MINUS SIGN}3") in rows


def test_a_broken_claim_is_shown_as_violated(page):
    honest, control = page.split("Negative control", 1)
    assert "VIOLATED</b>" in control
    assert "VIOLATED</b>" not in honest


def test_every_claim_potential_and_step_is_on_the_page(page):
    for claim in potentials.claims("relu_neuron"):
        said, _, more = claim.statement.partition("; ")
        heading = f'<h3 class="sentence" id="claim-{claim.id}">{prose(sentence(said))}</h3>'
        assert heading in page and f"<code>{claim.id}</code>" in page
        assert f"<p>{prose(sentence(more))}.</p>" in page or not more
        assert f'href="#claim-{claim.id}"' in page
    for potential in potentials.potentials("relu_neuron"):
        assert f'<h3 class="sentence">{prose(potential.words)}</h3>' in page
        assert f"<code>{potential.name}</code>" in page
    steps = symbolic.derive("relu_neuron").steps
    assert len(re.findall(r"\(PROVED by (definition|evaluation|algebra|calculus)\)", page)) == len(
        steps
    )
    assert f"{len(distinct(steps))} distinct steps of {len(steps)}: " in page
    assert "REFUTED" not in page


def test_formulas_are_mathml_without_left_over_latex(page):
    formulas = re.findall(r"<math.*?</math>", page, re.DOTALL)
    assert len(formulas) > 100
    for formula in formulas:
        assert "\\" not in formula
        ET.fromstring(formula.replace("&", "&amp;"))
    assert "\\" in html._math(r"\unknowncommand x")  # what such a remnant would look like


def test_the_command_of_a_run_repeats_it():
    for one in registry.cases("relu_neuron"):
        assert one.command.splitlines()[-1].startswith("popflow check relu_neuron --")
        assert one.command.endswith("--t-end 1e+12")
        assert ("--initial" in one.options) == bool(one.prepare)


def test_provenance_is_on_the_page(page):
    for word in ("numpy", "rtol = 1e-10", "field_evaluations = ", "popflow report relu_neuron"):
        assert word in page


@pytest.fixture
def short(monkeypatch):
    """Pages with a short derivation: what is tested here is beside it."""
    monkeypatch.setattr(symbolic, "derive", lambda name, derive=symbolic.derive: derive("gaussian"))


def test_hostile_text_is_shown_as_text(short):
    broken = replace(LOSS_LOWER, id=HOSTILE)
    words = {HOSTILE: loss_figure}
    text = report.page(
        "relu_neuron",
        [case(title=HOSTILE, text=HOSTILE, options=HOSTILE, figures=words, broken=(broken,))],
    ).text
    assert HOSTILE not in text
    assert text.count("&lt;script&gt;") >= 6


@pytest.fixture
def quick(monkeypatch):
    """Pages without content: what is tested here is where they go."""
    made = report.Page(
        "relu_neuron",
        registry.story("relu_neuron"),
        "<!DOCTYPE html>",
        ("a paper",),
        "data:,",
        "loss",
        {"PROVED": 96},
        {"HOLDS": 3, "VIOLATED": 1},
        2,
    )
    monkeypatch.setattr(report, "parts", lambda name: [report.Part(name, "run")])
    monkeypatch.setattr(
        report, "jobs", lambda names, workers: [(report.Part(x, "run"),) for x in names]
    )
    monkeypatch.setattr(report, "make_all", lambda job, folder, figures: list(job))
    monkeypatch.setattr(report, "_assembled", lambda name, parts: made)


def test_a_report_is_a_page_a_system_and_an_index(tmp_path, quick):
    out = tmp_path / "new" / "folder"
    announced = []
    paths = report.write(["relu_neuron"], out, announce=announced.append)
    assert announced == paths == [out / "relu_neuron.html", out / "index.html"]
    assert sorted(paths) == sorted(out.iterdir())  # and nothing else is left
    text = paths[1].read_text("utf-8")
    assert foreign(text) == []
    assert Reader(text).links == ["#main", "relu_neuron.html"]
    for word in (
        "a paper",
        registry.story("relu_neuron").title,
        "has the limit",
        "VIOLATED</dt>",
        "96 PROVED",
        "3 HOLDS",
        "1 VIOLATED",
        "2 runs",
        'popflow report relu_neuron <span class="word">--out</span> DIR',
    ):
        assert word in text


@pytest.mark.parametrize("existing", ["relu_neuron.html", "index.html"])
def test_existing_pages_are_kept_unless_forced(tmp_path, quick, existing):
    (tmp_path / existing).write_text("mine")
    with pytest.raises(InputError, match="exists; give --force"):
        report.write(["relu_neuron"], tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [existing]
    assert (tmp_path / existing).read_text() == "mine"
    report.write(["relu_neuron"], tmp_path, force=True)
    assert (tmp_path / existing).read_text("utf-8").startswith("<!DOCTYPE html>")


def test_bad_requests_are_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "make", lambda part, folder, figures: pytest.fail("worked"))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="unknown system 'relu'; did you mean relu_neuron"):
        report.write(["relu_neuron", "relu"], tmp_path / "out")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="expected a folder"):
            report.write(["relu_neuron"], folder)
    with pytest.raises(InputError, match="unknown format of figures 'gif'"):
        report.write(["relu_neuron"], tmp_path / "out", figures=["gif"])
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_figures_for_a_paper_lie_beside_the_page_and_are_linked(tmp_path, short):
    system = flows.GMMEM(2, 1)
    one = Case(
        "pair",
        "two",
        system,
        [[1.0], [-0.5]],
        "--initial pair.json",
        figures={"the loss": gmm_em.loss_figure},
        t_end=100.0,
    )
    text = report.page("gmm_em", [one], folder=tmp_path, figures=("pdf",)).text
    files = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    stems = {"loss", *(p.name.replace("_", "-") for p in potentials.potentials("gmm_em"))}
    assert files == {
        f"figures/gmm_em/run-1-{stem}.{suffix}" for stem in stems for suffix in ("pdf",)
    }
    assert files <= set(Reader(text).links)
    assert foreign(text) == []


def test_no_figures_for_a_paper_are_written_unless_asked_for(tmp_path, short):
    bare = report.page("relu_neuron", [case()], folder=tmp_path).text
    assert not any(tmp_path.iterdir()) and "For a paper" not in bare
    assert "(PROVED by evaluation)" in bare and "(PROVED by algebra)" in bare


def test_parts_can_be_sent_between_processes():
    part = parts.Part("relu_neuron", "run")
    made = parts.shown(case(), parts.Drawing("relu_neuron"), 1)
    for one in (part, made):
        assert pickle.loads(pickle.dumps(one)) == one
    own = parts.parts("relu_neuron")
    count = 1 + len(registry.portraits("relu_neuron")) + len(registry.cases("relu_neuron"))
    assert len(set(own)) == len(own) == 1 + count


@pytest.mark.parametrize("workers", [parts.FEW, parts.FEW + 1])
def test_jobs_are_all_parts_once_a_quick_page_first_and_kernels_are_shared(workers):
    names = list(registry.CASES)
    found = parts.jobs(names, workers)
    everything = [part for job in found for part in job]
    assert sorted(map(str, everything)) == sorted(str(p) for n in names for p in parts.parts(n))
    compiled = [name for name in names if registry.kernels(name)]
    first = next(name for name in names if name not in compiled)
    assert found[0] == (parts.Part(first, "derivation"),)
    shared = [job for job in found if len(job) > 1]
    assert len(shared) == (1 if workers == parts.FEW else len(compiled))
    assert {part.system for job in shared for part in job} == set(compiled)
    for name in compiled:
        (job,) = (job for job in shared if any(part.system == name for part in job))
        assert {part.kind for part in job} == {"portrait", "run"}
    alone = parts.jobs(["gmm_em"], workers)
    assert {len(job) for job in alone} == {1} and len(alone) == len(parts.parts("gmm_em"))


def test_a_page_begins_with_problem_result_and_findings_and_then_decides(page):
    story = registry.story("relu_neuron")
    marks = [f'id="{x}"' for x in ("problem", "result", "found", "verdicts", "run-1", "claims")]
    places = [page.index(mark) for mark in marks]
    assert places == sorted(places)
    told = page[: places[3]]
    assert f"<h1>{story.title}</h1>" in told
    assert told.count("<math") >= len(story.problem) and "<figure" in told
    assert told.count("<li>") >= len(story.found)


@pytest.mark.parametrize(
    "name, wanted",
    [
        ("matrix_factorization", "{W_{1}}_{0,0}^{2} + {W_{1}}_{0,1}^{2} - {W_{2}}_{0,0}^{2}"),
        ("two_layer", "- 2 {a}_{0,0}^{2} + {w}_{0,0}^{2}"),
    ],
)
def test_a_page_lists_what_a_small_polynomial_case_keeps(name, wanted):
    formulas = [latex for latex, _ in kept_formulas(registry.story(name).small[1])]
    assert any(one.startswith(wanted) for one in formulas), formulas
    assert all("merror" not in html._math(one) for one in formulas)
    assert kept_formulas(flows.ReLUNeuron(n=1, d=1)) is None


@pytest.mark.parametrize("name", potentials.SYSTEMS)
def test_every_system_says_what_its_page_shows(name):
    assert registry.portraits(name) and registry.story(name).found
    for one in registry.cases(name):
        assert one.system.name == name and one.figures


def test_hypotheses_are_said_in_words(page):
    table = page.partition('<table class="hypotheses">')[2].partition("</table>")[0]
    assert "d = 2, not ≥ log(100 n)" in table and "<td>met</td>" in table
    assert "needed</th>" not in table


@pytest.mark.parametrize("name", potentials.SYSTEMS)
def test_every_derivation_of_a_page_has_a_heading_of_its_own(name):
    headings = [d.heading for d in symbolic.derive(name).derivations]
    assert all(headings) and len(set(headings)) == len(headings)


def test_a_wide_bracket_is_cut_before_its_terms_and_both_sides_are_of_one_size():
    formula = r"y = \frac{1}{2} \left(\sum_{i} \max(0, w_i \cdot x) - \max(0, v \cdot x)\right)^2 z"
    found = html.pieces(formula)
    assert found[2] == r"{} - \max(0, v \cdot x)\Bigr){}^2 z" and len(found) == 3
    assert found[1].count(r"\Bigl(") == 1
    assert html.pieces(r"y = \left(a - b\right)^2") == ["y", r" = \left(a - b\right)^2"]


def test_a_long_formula_is_cut_before_its_terms_and_nowhere_else():
    formula = (
        r"\frac{d}{dt} x = - a x + \left(b - c\right) y - \sum_{k=1}^{n} - b_{k} x_{k} x y z u v"
    )
    found = html.pieces(formula)
    assert len(found) == 4 and "".join(x.removeprefix("{}") for x in found) == formula
    assert html.pieces("a - b = c - d") == ["a - b", " = c - d"]  # a short one stays


def test_a_derivation_is_a_statement_and_a_folded_proof(page):
    (lemma,) = (d for d in symbolic.derive("relu_neuron").derivations if "separation" in d.name)
    heading = f'<h3 class="sentence">{lemma.heading}</h3>'
    part = page.partition(heading)[2].partition("<h3")[0]
    said, proof = part.split('<details class="proof">')
    assert "<b>Statement</b>" in said and "Lemma 17" in said
    assert f"Proof: {len(lemma.steps)} steps" in proof and proof.count("<li>") == len(lemma.steps)
    assert said.count('<div class="math">') == len(lemma.results) == 1
    # What is stated is not written once more in the proof.
    assert proof.count('<div class="math">') == len(lemma.steps) - 1
    assert "this is the statement" in proof


def test_what_a_formula_defines_at_its_end_stays_with_its_name():
    assert html.pieces(r"a = 0, \quad N = 2") == ["a", " = 0,", r" \quad N = 2"]
    assert html.pieces(r"a + b = 0, \quad W_j W_k = 2")[-2:] == [r" \quad W_j W_k", " = 2"]


def test_a_wide_fraction_is_a_product_that_can_be_cut():
    wide = " + ".join(f"x_{k} y_{k} z_{k}" for k in range(9))
    found = html.pieces(rf"\frac{{{wide}}}{{2 \pi}} = 1")
    assert found[0].startswith(r"\frac{1}{2 \pi} \Bigl(x_0") and len(found) > 9
    assert "".join(found).count("(") == "".join(found).count(")") == 1
    assert html.pieces(r"\frac{a}{2 \pi} = 1")[0] == r"\frac{a}{2 \pi}"
    long = r"\frac{1}{" + wide + "}"
    assert html.pieces(long)[0].startswith(r"\frac{1}{x_0")  # only what is above the line


@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [
        (0.934683594, 2.857e-7, "0.9346836 +- 2.9 x 10-7"),
        (1.5, 0.3, "1.5 +- 0.3"),
        (0.0, 1e-3, "0 +- 0.001"),
        (1.0, float("inf"), "1 +- inf"),
    ],
)
def test_a_value_has_the_digits_that_its_error_leaves(value, error, shown):
    text = re.sub("<[^>]+>", "", str(html._known(value, error)))
    assert text.replace("&plusmn;", "+-").replace("&times;", "x").replace("&minus;", "-") == shown


def test_symbols_of_sentences_are_those_of_formulas():
    said = "h_i.v = mu_i.(x - m), abar and d2e/dadb, sqrt(d), e.g. in toy.py or eq. 66"
    plain = re.sub("</?sub>", "", str(prose(said))).replace("\N{MINUS SIGN}", "-")
    assert plain == "hi·v = μi·(x - m), a\u0304 and ∂²e/∂a∂b, √d, e.g. in toy.py or eq. 66"


def test_options_of_a_command_are_not_cut_and_no_markup_enters():
    shown = str(html._command("popflow check --t-end 1 <b>"))
    assert shown == 'popflow check <span class="word">--t-end</span> 1 &lt;b&gt;'
