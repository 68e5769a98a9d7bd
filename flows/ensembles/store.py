"""An ensemble on disk: a folder with a manifest and one NetCDF file a chunk, all atomic.

A chunk file carries the digest of its numbers, so that one that was cut off or changed is seen
and computed again. The manifest says what the chunks are of: only the same ensemble goes on in
the same folder.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flows.core.errors import InputError
from flows.core.files import is_remnant, write_file
from flows.core.netcdf import digest, is_damaged, write_netcdf
from flows.ensembles.member import Rows

FORMAT = "popflow-ensemble-1"
MANIFEST = "manifest.json"


def prepare(
    folder: Path, manifest: dict[str, Any], kind: str = FORMAT, what: str = "ensemble"
) -> dict[str, Any]:
    """Begin an ensemble in ``folder``, or go on with the one that is there.

    Parameters
    ----------
    folder : Path
        Made if it is missing.
    manifest : dict
        Plain values that say what is computed.
    kind : str
        Format of the manifest.
    what : str
        What a person calls what is in such a folder.

    Returns
    -------
    dict
        The manifest that counts: the one on disk keeps its ``chunk_size``.

    Raises
    ------
    InputError
        If the folder holds something else, or cannot be written. Nothing is changed then.
    """
    manifest = json.loads(json.dumps({"format": kind, **manifest}))
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: expected a folder, got a file; choose another")
    if folder.is_dir() and (folder / MANIFEST).exists():
        old = read_manifest(folder, kind, what)
        differ = [
            k
            for k in sorted({*old, *manifest})
            if k != "chunk_size" and old.get(k) != manifest.get(k)
        ]
        if differ:
            raise InputError(
                f"{folder} holds another {what}, which differs in"
                f" {', '.join(differ)}; choose another folder"
            )
        return old
    if folder.is_dir() and not all(map(is_remnant, folder.iterdir())):
        raise InputError(
            f"{folder}: expected a new or empty folder, or one of this {what}, got"
            " one with other files; choose another"
        )
    begun = not folder.exists()
    try:
        folder.mkdir(exist_ok=True)
    except OSError as problem:
        raise InputError(
            f"{folder}: cannot be written ({problem.strerror}); choose another"
        ) from None
    text = json.dumps(manifest, indent=1)
    try:
        write_file(
            folder / MANIFEST,
            lambda part: Path(part).write_text(text, encoding="utf-8"),
            durable=True,
        )
    except InputError:
        if begun:
            folder.rmdir()
        raise
    return manifest


def read_manifest(folder: Path, kind: str = FORMAT, what: str = "ensemble") -> dict[str, Any]:
    """Manifest of the ensemble, or of another result, in ``folder``.

    Raises
    ------
    InputError
        If there is none, or it is damaged.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if manifest["format"] != kind:
            raise InputError(
                f"{folder} has the format {manifest['format']!r}, expected {kind!r}; choose another"
                " folder"
            )
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(
            f"{folder} is not a popflow {what}, or its {MANIFEST} is damaged; choose another folder"
        ) from None
    return dict(manifest)


def chunk_path(folder: Path, number: int) -> Path:
    """File of one chunk."""
    return folder / f"chunk-{number:06d}.nc"


def save(path: Path, rows: Rows) -> None:
    """Write a chunk: all of it or nothing, also if the machine stops."""
    variables = {
        name: (
            (
                "member",
                *(
                    ("time", *(f"{name}_{axis}" for axis in range(x.ndim - 2)))
                    if x.ndim > 1
                    else ()
                ),
            ),
            x,
        )
        for name, x in rows.items()
    }
    about = {"popflow": FORMAT, "names": json.dumps(list(rows)), "digest": digest(rows)}
    write_netcdf(path, variables, about, packed=True)


def load(path: Path, names: list[str] | None = None, columns: slice = slice(None)) -> Rows:
    """Read quantities of a chunk, all of them by default, at some of the times."""
    import h5py  # type: ignore[import-untyped]

    rows = {}
    with h5py.File(path) as data:
        for name in json.loads(data.attrs["names"]) if names is None else names:
            found = data[name].asstr() if h5py.check_string_dtype(data[name].dtype) else data[name]
            rows[name] = found[:, columns] if data[name].ndim > 1 else found[:]
    return rows


def intact(path: Path, count: int) -> bool:
    """Whether a chunk of ``count`` members is there, whole, and as it was written."""
    import h5py

    if not path.exists():
        return False
    try:
        if is_damaged(path):
            return False
        with h5py.File(path) as data:
            written = data.attrs["digest"]
        rows = load(path)
        same = written in (digest(rows), digest(rows, types=False))
        return same and len(rows["status"]) == count
    except Exception:  # a damaged file can fail anywhere between HDF5 and the decoding of text
        return False
