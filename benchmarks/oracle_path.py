"""Where benchmarks find the oracles of the tests.

`tests` has folders named like the packages; a folder without `__init__.py` would hide an installed
package, so the packages' own folder goes on the path with it.
"""

from __future__ import annotations

from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
PATHS = (str(_ROOT), str(_ROOT / "tests"))
