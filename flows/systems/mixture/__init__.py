"""What the two mixtures share: sound coordinates, expectations over the mixture, kernels."""
