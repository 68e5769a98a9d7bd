"""One ReLU neuron: the pair's kernel, its calculus, flow and bounds."""
