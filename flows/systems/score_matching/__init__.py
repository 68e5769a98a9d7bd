"""Score matching of a Gaussian mixture."""
