"""For all times, of means on a line."""

from flows.certificates.means import certify_means as prove

__all__ = ["prove"]
