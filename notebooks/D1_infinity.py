# %% [markdown]
# # A plateau that no run to $10^{12}$ can see past
#
# Three ReLU neurons learn one. The theorem of Xu & Du says that the loss falls like $t^{-3}$ in the
# end; the constant in front of it depends on the start. Here a run shows a constant, and a proof
# shows that it is another one.

# %%
# %matplotlib inline
import math

import matplotlib.pyplot as plt
import numpy as np

import flows

system = flows.ReLUNeuron(n=3, d=2)
start = system.initial(0.1, seed=2)

# %% [markdown]
# ## What a run says
#
# Twelve decades of time. $t^3 L$ has been flat for six of them.

# %%
times = np.geomspace(1.0, 1e12, 121)
run = flows.integrate(system, start, t_end=1e12, t_eval=times.tolist())
scaled = run.t**3 * run["loss"]
for t in (1e6, 1e8, 1e10, 1e12):
    print(f"t = {t:.0e}   t^3 L = {scaled[np.argmin(abs(run.t / t - 1))]:.6f}")

# %% [markdown]
# ## What is proved
#
# A certificate encloses this trajectory in ball arithmetic. With `t_end=math.inf` it is carried on
# in log-time, along the flow of the shape $y_i = t z_i$ of the neurons across the teacher, until
# the shape contracts to a limit; a tail then holds for ever. A checker that shares no code with
# this has accepted the file before `certify` returns.

# %%
proved = flows.certify(system, start, math.inf)
infinity = proved.infinity
lower, upper = infinity.all_times
print("t^3 L tends to", infinity.constant.str(12))
print("the h_i tend to", ", ".join(h.str(8) for h in infinity.parts))
print(f"for all t >= 0   {lower:.4f} (1+t)^-3 <= L(t) <= {upper:.4f} (1+t)^-3")
print(
    f"{len(proved.pieces)} pieces to t = {proved.t_end:.0e}, {len(infinity.steps)} steps after it"
)

# %% [markdown]
# The limit is 0.9655, and not 0.682. Nothing is wrong with the run. The shape rests beside a saddle
# of its limiting flow, which it leaves so slowly that another twenty decades pass; then two neurons
# change places.
#
# ## Where it happens
#
# The steps of the carry tell. Each has a cubic in log-time that follows the shape; its energy at a
# zero of the limiting field is a third of the square of its length, and $t^3 L$ tends to it.

# %%
unit = 2.0**-proved.bits
length = np.cumsum([step.length for step in infinity.steps])
late = proved.t_end * np.exp(length)
square = [sum((sum(row) * unit) ** 2 for row in step.rows) for step in infinity.steps]
energy = np.array(square) / 3
for decade in (15, 25, 30, 35, 40):
    k = np.argmin(abs(np.log10(late) - decade))
    print(f"t = 1e{decade}   |shape|^2/3 = {energy[k]:.4f}")

# %%
figure, axes = plt.subplots(figsize=(7, 3.6))
axes.semilogx(run.t, scaled, label=r"$t^3 L$ of the run")
axes.semilogx(late, energy, label="$|c|^2/3$ on the steps of the proof")
axes.axhline(float(infinity.constant.mid()), color="0.6", lw=0.8, label="limit, proved")
axes.axvline(1e12, color="0.6", lw=0.8, ls=":")
axes.set(xlabel="t", ylabel="$t^3 L$", xlim=(1, late[-1]), ylim=(0, 1.2))
axes.legend(frameon=False)
plt.show()

# %% [markdown]
# A verdict about a run, however long, speaks of the times that it has seen. `flows.check` says so;
# a proof to infinity says the rest. `docs/infinity.md` has the inequalities.
