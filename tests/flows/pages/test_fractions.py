"""The figure of a fraction: each point and each interval stands where the numbers are."""

import numpy as np
import pytest
import xarray

import flows
from flows.core.errors import InputError

STRENGTHS, SIZES = [0, 1, 500], [2, 3]


def found(strengths=STRENGTHS):
    rng = np.random.default_rng(0)
    middle = rng.uniform(0.2, 0.8, (len(strengths), 2))
    over = ("regularization", "d")
    return xarray.Dataset(
        {"fraction": (over, middle), "low": (over, middle - 0.1), "high": (over, middle + 0.15)},
        {"regularization": strengths, "d": SIZES},
        {"level": 0.95},
    )


def curves(figure):
    """Points, and ends of the intervals, of each curve."""
    (axes,) = figure.axes
    for drawn in axes.containers:
        line, _, (bars,) = drawn.lines
        yield line.get_xydata(), np.array([segment[:, 1] for segment in bars.get_segments()])


def test_points_and_intervals_are_the_numbers():
    data = found()
    figure = flows.figures.fraction_figure(data)
    for d, (points, ends) in zip(SIZES, curves(figure), strict=True):
        one = data.sel(d=d)
        assert np.allclose(points[:, 1], one["fraction"])
        assert np.allclose(ends, np.stack([one["low"], one["high"]], axis=1))
        assert np.allclose(points[:, 0], np.arange(3), atol=0.1)
    (axes,) = figure.axes
    assert [x.get_text() for x in axes.get_xticklabels()] == ["0", "1", "500"]
    assert axes.get_xlabel() == "regularization" and "95% interval" in axes.get_ylabel()
    assert [x.get_text() for x in axes.get_legend().get_texts()] == ["d = 2", "d = 3"]


def test_positive_values_over_decades_have_a_logarithmic_axis():
    figure = flows.figures.fraction_figure(found([1, 20, 500]))
    assert figure.axes[0].get_xscale() == "log"
    for points, _ in curves(figure):
        assert np.allclose(points[:, 0], [1, 20, 500], rtol=0.1)
    assert len(list(curves(flows.figures.fraction_figure(found(), along="d")))) == 3


def test_what_cannot_be_drawn_is_one_line():
    data = found()
    with pytest.raises(InputError, match="unknown parameter 'e'"):
        flows.figures.fraction_figure(data, along="e")
    with pytest.raises(InputError, match="no parameter left"):
        flows.figures.fraction_figure(data.isel(regularization=0, d=0))
    with pytest.raises(InputError, match="sweep_fraction returned"):
        flows.figures.fraction_figure(data.drop_vars("low"))
