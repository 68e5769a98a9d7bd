"""Seconds from a command in a cold process to the first picture.

    python benchmarks/first_picture.py

First a PNG by `popflow inspect SYSTEM --potential NAME --out FILE`; then the inspector: until its
page is delivered, and until the run that the page asks for is computed, checked and ready to draw.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

FIRST = {
    "relu_neuron": "pairwise_distance",
    "gmm_em": "squared_norm_sum",
    "score_matching": "max_norm",
    "matrix_factorization": "loss_fit",
}
PAUSE = 0.02


def ask(address: str, method: str = "GET", body: object = None) -> bytes:
    """What the server answers."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(address, data, headers, method=method)
    with urllib.request.urlopen(request) as answer:
        return bytes(answer.read())


def png(system: str, potential: str) -> float:
    """Seconds to a PNG of a potential."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        subprocess.run(
            [
                sys.executable,
                "-m",
                "flows",
                "inspect",
                system,
                "--potential",
                potential,
                "--out",
                str(Path(folder) / "picture.png"),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return time.perf_counter() - begun


def inspector(system: str) -> tuple[float, float, int]:
    """Seconds to the inspector's page, to its first run; bytes of both."""
    begun = time.perf_counter()
    server = subprocess.Popen(
        [sys.executable, "-m", "flows", "inspect", system, "--port", "0", "--no-browser"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        address = server.stdout.readline().split()[0]
        size = len(ask(address))
        page = time.perf_counter() - begun
        ask(f"{address}run", "POST", {"system": system, "texts": {"t_end": "1e9"}})
        while (progress := json.loads(ask(f"{address}run")))["status"] == "running":
            time.sleep(PAUSE)
        assert progress["status"] == "done", progress["message"]
        return page, time.perf_counter() - begun, size + len(progress["html"])
    finally:
        server.terminate()
        server.communicate()


if __name__ == "__main__":
    print(f"{'system':22} {'PNG':>6} {'page':>6} {'run':>6}  bytes")
    for name, first in FIRST.items():
        page, run, size = inspector(name)
        print(f"{name:22} {png(name, first):6.1f} {page:6.1f} {run:6.1f}  {size}", flush=True)
