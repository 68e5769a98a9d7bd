"""What a file may prove of two layers: a critical point."""

from flows.certificates.verifier.stationary import point

POINT = point
