"""The kernel without its conditions: what it would refuse becomes a certificate.

So the second reader is shown to refuse by itself what the kernel refuses.
"""

import json
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

from symbolic.theorem import curves, kernel, terms
from symbolic.theorem.certificate import certificate
from symbolic.theorem.kernel import Theorem
from symbolic.theorem.proving import Statement


def forged(control: Callable[[], Any]) -> dict[str, Any] | None:
    """Return the certificate of what a control asks for; None where it cannot be written down."""
    with ExitStack() as lenient:
        for place, name, instead in (
            (kernel, "_need", lambda *_: None),
            (kernel, "_still", lambda *_: None),
            (Theorem, "__post_init__", lambda *_: None),
            (terms, "continuous", lambda *_: None),
            (terms, "fair", lambda by: {k: v for k, v in by.items() if v != k}),
            (curves, "prove", lambda *_: None),
            (curves, "pi_between", lambda *_: True),
        ):
            lenient.enter_context(patch.object(place, name, instead))
        try:
            theorem = control()
            if not isinstance(theorem, Theorem):
                return None
            statement = Statement("", "", "", theorem, {}, "")
            found: dict[str, Any] = json.loads(json.dumps(certificate("", [statement])))
            return found
        except Exception:  # terms or formulas refuse it, or it is nothing that a file can hold
            return None
