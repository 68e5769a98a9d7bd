"""What stands alone and several systems use: kernels, Gaussians, mixtures."""
