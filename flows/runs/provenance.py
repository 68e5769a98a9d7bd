"""How a result came about: versions, machine, method and request."""

from __future__ import annotations

import functools
import importlib.metadata
import platform
from typing import Any

__all__ = ["provenance"]

# What a result depends on.
PACKAGES = ("popflow", "numpy", "scipy", "sympy", "numba", "scikit-sundae", "jax", "diffrax")


def provenance(method: str, request: dict[str, Any]) -> dict[str, Any]:
    """Versions, platform, method and request of a run, as plain values."""
    return {
        "method": method,
        "request": request,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "versions": dict(_versions()),
    }


@functools.cache
def _versions() -> dict[str, str]:
    """Versions of what computes."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions
