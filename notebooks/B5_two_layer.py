# %% [markdown]
# # Two layers: a minimum that is not global, proved
#
# A student of ReLU neurons learns a teacher of $k$ orthonormal ones, on Gaussian input. Safran &
# Shamir, *Spurious Local Minima are Common in Two-Layer ReLU Neural Networks*, ICML 2018,
# [arXiv 1712.08968](https://arxiv.org/abs/1712.08968), found that training can
# fail from $k = 6$ on.
#
# ## Two starts
#
# Seven teachers, seven students, $W = \mathrm{randn}/\sqrt{k}$. Almost all starts learn the
# teacher; one in twenty ends like the second one here.

# %%
# %matplotlib inline
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import flows

k = 7
system = flows.TwoLayer(students=k, teachers=k)


def start(seed):
    return np.random.default_rng(seed).normal(size=(k, k)) / np.sqrt(k)


runs = {seed: flows.integrate(system.in_doubles(), start(seed), t_end=1e3) for seed in (0, 5)}
figure, axes = plt.subplots(figsize=(6, 3.5))
for seed, run in runs.items():
    shown = run["loss"] > 1e-20
    axes.loglog(run.t[shown], run["loss"][shown], label=f"start {seed}")
axes.set(xlabel="t", ylabel="loss")
axes.legend()
# %% [markdown]
# ## Where the second one ends
#
# `flows.stationary` goes on with Newton's method: a critical point, with the spectrum of its
# Hessian. Six students are near their teachers, the last one points away from its own.

# %%
point = flows.stationary(system, runs[5].state[-1])
print(f"{point.kind} of index {point.index}, loss {point.loss:.10f}")
print("least eigenvalues:", ", ".join(f"{x:.6f}" for x in point.eigenvalues[:7]))

image = plt.matshow(point.state, cmap="RdBu", vmin=-1, vmax=1)
plt.xlabel("teacher")
plt.ylabel("student")
plt.colorbar(image)
# %% [markdown]
# ## Proved
#
# In ball arithmetic: in all 49 coordinates, with no symmetry assumed, there is one critical point
# in a box (Krawczyk), its Hessian is positive definite (Gershgorin), and so is the matrix of every
# further dimension. A checker with code of its own reads the file.

# %%
proof = point.certify()
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "point.json"
    proof.save(path)
    checked = flows.verify(path)
print("loss", proof.summary()["loss"]["value"])
print("Hessian >=", f"{proof.within.least:.9f}")
print("accepted:", checked.accepted)
print(f"no other critical point within {proof.radius:.2e} in each coordinate")

# %% [markdown]
# ## Where the family becomes a minimum
#
# The same point exists for other numbers of teachers. Each is found from its neighbour.


# %%
def near(k, own, other, lonely, flat, back):
    w = np.full((k, k), other)
    np.fill_diagonal(w, own)
    w[:-1, -1], w[-1, :-1], w[-1, -1] = lonely, flat, back
    return w


entries = 0.9867, -0.0504, 0.3080, 0.2245, -0.6015
for k in (6, 5, 4, 3):
    found = flows.stationary(flows.TwoLayer(students=k, teachers=k), near(k, *entries))
    w = found.state
    entries = w[0, 0], w[0, 1], w[0, -1], w[-1, 0], w[-1, -1]
    print(
        f"k = {k}: loss {found.loss:.8f}, index {found.index}, least eigenvalue"
        f" {found.eigenvalues[0]:+.6f}, proved a {found.certify().kind}"
    )

# %% [markdown]
# For many teachers $k L \to 1/2 - 2/\pi^2$, measured with 75 digits
# (`python benchmarks/two_layer.py --part family`).
#
# ## One neuron more
#
# Over-parameterisation by one neuron does not remove all of them: eight teachers, nine students.

# %%
w = np.full((9, 8), -0.03)
w[np.arange(7), np.arange(7)] = 0.984
w[:7, 7] = 0.23
w[7], w[7, 7] = 0.126, -0.189
w[8], w[8, 7] = 0.069, -0.486
beyond = flows.stationary(flows.TwoLayer(students=9, teachers=8), w)
proof = beyond.certify()
print(f"{proof.kind}, loss {beyond.loss:.10f}, Hessian >= {proof.within.least:.8f}")

# %% [markdown]
# ## More students than teachers: slow
#
# Where training succeeds, surplus students slow it down. Two teachers, four students: each teacher
# is learnt by a pair, and the loss falls like $t^{-3}$, followed here to $t = 10^{12}$.

# %%
slow = flows.TwoLayer(students=4, teachers=2)
run = flows.integrate(slow, slow.initial(0.3, seed=0), t_end=1e12)
for t in (1e3, 1e6, 1e9, 1e12):
    k = np.searchsorted(run.t, t * (1 - 1e-9))
    print(f"t = {run.t[k]:.0e}   t^3 L = {run.t[k] ** 3 * run['loss'][k]:.6f}")
print(flows.late_time_law(run))

# %% [markdown]
# The constant is a sum of two laws of a single teacher. With the share $A$ of one of its two
# students each of them gives $(\pi^2/3) \, 8 \, (A (1 - A))^2$: kinks of different teachers overlap
# too little to count.

# %%
shares = run.state[-1].max(axis=1)
pairs = [shares[run.state[-1].argmax(axis=1) == j] for j in range(2)]
print(f"{sum(np.pi**2 / 3 * 8 * np.prod(pair) ** 2 for pair in pairs):.6f}")
