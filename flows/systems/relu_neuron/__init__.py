"""One ReLU neuron as teacher, `n` as students: coordinates, pieces, collapse, fields."""
