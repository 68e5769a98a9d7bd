import json
import pickle

import numpy as np
import pytest

from flows.core.errors import InputError
from flows.core.starts import MAX_BYTES, read_array

START = [[0.1, -0.2, 0.3], [1e-300, 2.0, 3.0]]


def _npy(array):
    return lambda path: np.save(path, array, allow_pickle=True)


def _text(text):
    return lambda path: path.write_text(text)


def _claims_a_huge_shape(path):
    np.save(path, np.zeros((1, 1)))
    content = path.read_bytes().replace(b"(1, 1), }        ", b"(10000000000, 1)}")
    assert b"10000000000" in content
    path.write_bytes(content)


def _truncated(path):
    np.save(path, np.ones((4, 4)))
    path.write_bytes(path.read_bytes()[:-8])


def _archive(path):
    with path.open("wb") as file:
        np.savez(file, START)


def _too_long(path):
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)  # sparse: takes no room on the disk


BAD_FILES = {
    "missing.npy": (lambda path: None, "cannot be read"),
    "folder.npy": (lambda path: path.mkdir(), "not a file"),
    "huge.npy": (_too_long, "at most"),
    "huge.json": (_too_long, "at most"),
    "objects.npy": (_npy(np.array([[{"a": 1}]], dtype=object)), "pickled"),
    "raw_pickle.npy": (lambda path: path.write_bytes(pickle.dumps(START)), "pickled"),
    "archive.npy": (_archive, "another format"),
    "truncated.npy": (_truncated, "truncated"),
    "huge_shape.npy": (_claims_a_huge_shape, "truncated"),
    "empty_file.npy": (_text(""), "another format"),
    "complex.npy": (_npy(np.ones((2, 3), dtype=complex)), "not all real"),
    "text.npy": (_npy(np.array([["a", "b"]])), "not all real"),
    "truth.npy": (_npy(np.array([[True, False]])), "not all real"),
    "flat.npy": (_npy(np.ones(3)), "shape (3,)"),
    "deep.npy": (_npy(np.ones((1, 2, 3))), "shape (1, 2, 3)"),
    "no_neuron.npy": (_npy(np.ones((0, 3))), "shape (0, 3)"),
    "nan.npy": (_npy(np.array([[0.0, np.nan]])), "got nan at [0, 1]"),
    "long_double.npy": (_npy(np.array([[np.longdouble("1e400")]])), "got inf"),
    "not.json": (_text("w = [[1, 2]]"), "JSON"),
    "empty.json": (_text(""), "JSON"),
    "binary.json": (lambda path: path.write_bytes(b"\xff\xfe\x00"), "JSON"),
    "ragged.json": (_text("[[1, 2], [3]]"), "equal lengths"),
    "nested.json": (_text("[" * 100_000), "JSON"),
    "nested_closed.json": (_text("[" * 80 + "1" + "]" * 80), "JSON"),
    "integer.json": (_text("[[" + "9" * 5000 + "]]"), "JSON"),
    "big_integer.json": (_text("[[" + "9" * 400 + "]]"), "not all real"),
    "strings.json": (_text('[["1", "2"]]'), "not all real"),
    "null.json": (_text("[[1, null]]"), "not all real"),
    "object.json": (_text('{"real": [[1]]}'), "not all real"),
    "number.json": (_text("3"), "shape ()"),
    "nan.json": (_text("[[NaN, 1]]"), "got nan at [0, 0]"),
    "infinity.json": (_text("[[0, 1], [0, -Infinity]]"), "got -inf at [1, 1]"),
    "overflow.json": (_text("[[1e999]]"), "got inf"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_refused_in_one_line_that_names_it(tmp_path, name):
    write, expected = BAD_FILES[name]
    path = tmp_path / name
    write(path)
    with pytest.raises(InputError) as error:
        read_array(path, ("n", "d"))
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    assert expected in message


def test_npy_and_json_give_the_same_doubles(tmp_path):
    np.save(tmp_path / "start.npy", np.array(START))
    (tmp_path / "start.json").write_text(json.dumps(START))
    for name in ("start.npy", "start.json"):
        array = read_array(tmp_path / name, ("n", "d"))
        assert array.dtype == np.float64
        assert array.tolist() == START


def test_an_array_does_not_hang_on_its_file(tmp_path):
    path = tmp_path / "start.npy"
    np.save(path, np.array(START))
    array = read_array(path, ("n", "d"))
    path.unlink()
    array[0, 0] = 7.0
    assert array[0, 0] == 7.0


@pytest.mark.parametrize("dtype", ["float16", "float32", "int64", "uint8", ">f8"])
def test_any_real_type_and_order_is_read(tmp_path, dtype):
    array = np.asfortranarray(np.arange(6).reshape(2, 3).astype(dtype))
    np.save(tmp_path / "start.npy", array)
    assert read_array(tmp_path / "start.npy", ("n", "d")).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_teacher_has_one_axis(tmp_path):
    (tmp_path / "teacher.json").write_text("[3, 4]")
    assert read_array(tmp_path / "teacher.json", ("d",)).tolist() == [3.0, 4.0]
    with pytest.raises(InputError, match=r"shape \(n, d\)"):
        read_array(tmp_path / "teacher.json", ("n", "d"))
