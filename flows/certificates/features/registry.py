"""The kind of box of each system that can be certified: that of the file of its name."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from flows.certificates.boxes import Box, Enclosure
from flows.certificates.certificate import Certificate
from flows.certificates.features.own import OwnBox

_NAMES = sorted({path.stem for path in Path(__file__).parent.glob("[a-z]*.py")} - {"registry"})
_FILES = {name: import_module(f"flows.certificates.features.{name}") for name in _NAMES}

BOXES: dict[str, type[Box]] = {
    name: file.BOX for name, file in _FILES.items() if hasattr(file, "BOX")
}


def enclosure(certificate: Certificate) -> Enclosure:
    """Enclosure of a certificate, with boxes of the system of its file, or of its own."""
    names = certificate.form()[0].name, certificate.system.name
    return next((BOXES[name] for name in names if name in BOXES), OwnBox).enclose(certificate)
