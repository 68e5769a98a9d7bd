"""The derivation of a loss of one's own: what its gradient flow is made of, step by step."""
