# %% [markdown]
# # Quickstart
#
# popflow treats training as an ordinary differential equation and does three things with it: it
# **derives** losses, gradients and potential functions symbolically and checks each step, it
# **integrates** the gradient flow for twelve decades of time without losing digits, and it
# **checks** what a paper claims along the flow. This notebook does all three for one ReLU neuron
# that is learnt by three of them (Xu & Du, COLT 2023).

# %%
# %matplotlib inline
from IPython.display import Math

import flows
import potentials
import symbolic

# %% [markdown]
# ## Integrate
#
# A system, a start, an end. `t` is the time of $dw/dt = -\nabla L$; gradient descent with step
# $\eta$ reaches $t = \eta \cdot \text{steps}$.

# %%
system = flows.ReLUNeuron(n=3, d=5)
start = system.initial(scale=0.1, seed=0)
run = flows.integrate(system, start, t_end=1e12)
print(f"{run.status}: loss {run['loss'][0]:.4g} -> {run['loss'][-1]:.4g}")
print(f"local exponent at the end: {flows.local_exponent(run, 'loss')[-1]:.5f}")

# %% [markdown]
# The loss falls like $t^{-3}$, which is what the theorem says and what a plot in $t$ could not
# show: a script in `t` stops after six decades (`python benchmarks/speed.py`).

# %%
flows.figures.loss_figure(run)

# %% [markdown]
# Every potential of the paper is an observable of the run.

# %%
for name in run.names:
    last = run[name][-1]
    print(f"{name:22}", last if last.ndim == 0 else last.round(6))

# %% [markdown]
# ## Check
#
# A finite run proves nothing about all times. For a claim "if H then C" a verdict says HOLDS (H and
# C), VIOLATED (H and not C), HOLDS_BEYOND (C although H is not met), HYPOTHESIS_NOT_MET, or
# INCONCLUSIVE; with the constant that the paper leaves open, measured.

# %%
for verdict in flows.check(run):
    constant = "" if verdict.constant is None else f"{verdict.constant:.4g}"
    where = verdict.source.locator.split(";")[0]
    print(f"{verdict.claim:26}{verdict.verdict:20}{constant:>10}   {where}")

# %% [markdown]
# A check must be able to fail. The same claim with another exponent is violated:

# %%
from dataclasses import replace

import sympy as sp

upper = next(c for c in potentials.claims("relu_neuron") if c.id == "loss_upper")
broken = replace(upper, hypotheses=(), exponent=sp.Integer(4))
(verdict,) = flows.check(run, broken)
print(verdict.verdict, "-", verdict.message.split(",")[0])

# %% [markdown]
# ## Derive
#
# What ran above was not typed but derived. Each derivation is a list of steps, and each step comes
# with its evidence: PROVED (SymPy), ENCLOSED (ball arithmetic), SAMPLED (50 digits).

# %%
document = symbolic.derive("relu_neuron")
for derivation in document.derivations:
    print(f"{len(derivation.steps):3} steps   {derivation.name}")

# %%
first = document.derivations[0].verify()
for step in first.steps:
    print(f"{step.finding.evidence:9}{step.rule}")
Math(first.steps[-1].displayed)

# %% [markdown]
# ## Next
#
# `B1` to `B4` tell the theorems of four papers, `C0` makes a system out of a loss of your own. On
# the command line, `popflow list` says what there is.
