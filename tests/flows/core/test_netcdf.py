"""NetCDF files: what is written is read, and the digest sees every change."""

import numpy as np
import pytest

from flows.core.netcdf import digest, read_netcdf, write_netcdf

VALUES = {
    "number": (("a", "b"), np.array([[1.0, np.nan, -0.0], [np.inf, 5e-324, 3.0]])),
    "count": ("a", np.array([1, 2])),
    "truth": ("a", np.array([True, False])),
    "word": ("a", np.array(["one", "zwölf"], dtype=object)),
    "alone": ((), np.array(2.5)),
    "none": ("c", np.zeros(0)),
}


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "file.nc"
    write_netcdf(path, VALUES, {"about": "text"})
    found, about = read_netcdf(path)
    assert about == {"about": "text"} and set(found) == set(VALUES)
    for name, (_, values) in VALUES.items():
        assert found[name].dtype == values.dtype and found[name].shape == values.shape
        assert np.array_equal(found[name], values, equal_nan=values.dtype == float)
    assert digest(found) == digest({name: values for name, (_, values) in VALUES.items()})


@pytest.mark.parametrize(
    "changed",
    [
        {"x": np.array([1.0, np.nextafter(2.0, 3.0)])},
        {"x": np.array([[1.0, 2.0]])},
        {"y": np.array([1.0, 2.0])},
        {"x": np.array([1.0, 2.0]).view(np.int64)},
        {"x": np.array([1.0, 2.0]).view(">f8")},
        {"x": np.array([1.0, 2.0], dtype=np.float32)},
        {"x": np.array(["1.0", "2.0"])},
    ],
)
def test_the_digest_sees_names_shapes_types_and_values(changed):
    assert digest(changed) != digest({"x": np.array([1.0, 2.0])})
    assert digest({"x": np.array([1.0, 2.0], dtype=">f8")}) == digest({"x": np.array([1.0, 2.0])})
