"""The picture of the README: loss and local exponent of one, two and three ReLU neurons.

python docs/picture.py
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import flows

NUMBERS, COLOURS, DASHES = (1, 2, 3), ("#0072B2", "#D55E00", "#009E73"), ("-", "--", ":")
T_END = 1e12


def main() -> None:
    """Integrate, draw, write `picture.png` beside this file."""
    figure = Figure(figsize=(8.4, 3.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    for n, colour, dash in zip(NUMBERS, COLOURS, DASHES, strict=True):
        system = flows.ReLUNeuron(n=n, d=5)
        run = flows.integrate(system, system.initial(scale=0.1, seed=0), t_end=T_END)
        seen = (run.t > 0) & (run["loss"] > 1e-40)
        style = {"color": colour, "linestyle": dash, "linewidth": 1.8}
        label = f"{n} neuron{'s' * (n > 1)}"
        left.loglog(run.t[seen], run["loss"][seen], **style, label=label)
        right.semilogx(run.t[seen], flows.local_exponent(run)[seen], **style, label=label)
    t = np.geomspace(1e2, T_END)
    left.loglog(t, t**-3.0, color="black", linewidth=0.8, label="$t^{-3}$")
    right.axhline(-3, color="black", linewidth=0.8, label="$-3$, the theorem")
    left.set(xlabel="$t$", ylabel="loss $L$", ylim=(1e-40, 10))
    right.set(xlabel="$t$", ylabel=r"local exponent $t\,\dot L/L$", ylim=(-5, 0.2))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    print(flows.figures.save(figure, Path(__file__).parent / "picture.png"))


if __name__ == "__main__":
    main()
