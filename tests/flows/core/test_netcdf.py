"""NetCDF files: what is written is read, and the digest sees every change."""

import numpy as np
import pytest

from flows.core.netcdf import DIGITS, SEAL, digest, is_damaged, read_netcdf, write_netcdf

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


def test_a_damaged_file_is_seen_before_hdf5_reads_it(tmp_path, monkeypatch):
    path = tmp_path / "file.nc"
    write_netcdf(path, VALUES, {"about": "text"})
    content = path.read_bytes()
    assert not is_damaged(path)
    monkeypatch.setattr("h5py.File", None)
    for position in range(0, len(content) - len(SEAL) - DIGITS, 97):
        path.write_bytes(
            content[:position] + bytes([content[position] ^ 4]) + content[position + 1 :]
        )
        assert is_damaged(path)
        with pytest.raises(ValueError, match="damaged"):
            read_netcdf(path)
    monkeypatch.undo()
    path.write_bytes(content[: -len(SEAL) - DIGITS])  # as from before
    assert not is_damaged(path) and set(read_netcdf(path)[0]) == set(VALUES)
