"""Matrix factorisation: the chain of layers, its calculus, balanced chains."""
