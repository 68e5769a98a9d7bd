"""Two layers, Gaussian input: kernels of a pair of neurons, and what loss and flow make of them."""
