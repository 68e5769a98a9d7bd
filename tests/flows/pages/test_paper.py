import re

import pytest
from matplotlib.figure import Figure

from flows.pages import paper

POINTS = 72  # an inch


def drawn(columns):
    figure = Figure(figsize=(6.8, 4.0), layout="constrained")
    for axes in figure.subplots(2, columns, squeeze=False).flat:
        axes.plot([1, 2], [3, 4], label="a curve")
        axes.set_xlabel("t")
        axes.legend()
    return figure


def width_of(pdf):
    box = re.search(rb"/MediaBox \[ ([\d. ]+)\]", pdf.read_bytes())[1].split()
    return float(box[2]) / POINTS


@pytest.mark.parametrize(("columns", "width"), [(1, paper.COLUMN), (2, paper.PAGE)])
def test_files_have_the_width_of_a_column_or_of_a_page(tmp_path, columns, width):
    files = paper.write_all(drawn(columns), tmp_path / "figure")
    assert [f.suffix for f in files] == [".pdf", ".svg", ".png"]
    assert width_of(files[0]) == pytest.approx(width, abs=1 / POINTS)


def test_another_width_is_noticed(tmp_path):
    drawn(1).savefig(tmp_path / "as_drawn.pdf")
    assert abs(width_of(tmp_path / "as_drawn.pdf") - paper.COLUMN) > 1


def test_text_of_a_column_is_small_and_stays_inside():
    figure = paper.fit(drawn(1))
    figure.draw_without_rendering()
    box = figure.get_tightbbox()
    assert box.x0 >= 0 and box.x1 <= paper.COLUMN
    sizes = {text.get_fontsize() for axes in figure.axes for text in axes.get_xticklabels()}
    assert sizes == {paper.SMALL}
