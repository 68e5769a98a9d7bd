"""Options that only the ReLU neuron has."""

from __future__ import annotations

from flows.core.options import Option

OPTIONS = (Option("teacher", "array", "Teacher v, .npy or JSON list", "FILE", "e_1"),)

#: What help texts show of it.
EXAMPLES = """
popflow list relu_neuron
popflow derive relu_neuron
popflow run relu_neuron --t-end 1e12 --out run.nc
popflow check relu_neuron --n 5 --t-end 1e12
popflow check relu_neuron --n 2 --d 2 --certificate cert.json
popflow inspect relu_neuron --n 3 --d 5
popflow certify relu_neuron --n 2 --d 2 --t-end 1e12 --out cert.json
popflow certify relu_neuron --n 2 --d 2 --t-end inf                for all times
popflow certify relu_neuron --d 2 --late-states --out late.json
popflow law relu_neuron --at neurons.json        [[0.25, 0], [0.75, 0]]
popflow prove relu_neuron --theorem loss_lower --trusted
popflow prove relu_neuron --json theorems.json --latex theorems.tex
popflow ensemble relu_neuron --size 1000 --out many
popflow sweep relu_neuron --vary n=1,2,3 --size 50 --below 1e-12 --figure neurons.svg
"""
