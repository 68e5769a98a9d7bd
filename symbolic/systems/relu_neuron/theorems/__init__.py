"""The theorems about the single ReLU neuron: their setting, their proofs, their list."""
