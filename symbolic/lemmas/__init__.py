"""Lemmas that several systems use: kernels, Gaussians, mixtures."""
