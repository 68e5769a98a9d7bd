# %% [markdown]
# # Factorising a matrix into four: one half, or one
#
# Luo, Xu, Gao, Fazel & Du, [arXiv 2511.09925](https://arxiv.org/abs/2511.09925).
#
# A matrix is fitted by a product of four layers, with a term that keeps them balanced. From a small
# random start the flow converges with probability near one if the layers are complex, and near one
# half if they are real: the sign of a determinant stands in the way.

# %%
# %matplotlib inline
import numpy as np

import flows

system = flows.MatrixFactorization(d=3, regularization=20.0)
runs = {}
for seed in (2, 0):
    runs[seed] = run = flows.integrate(system, system.initial(0.2, seed), t_end=1e6)
    print(
        f"seed {seed}: sign of det W(0) {np.sign(run['determinant'][0]):+.0f},"
        f" loss at the end {run['loss'][-1]:.3g}"
    )

# %%
flows.figures.matrix_factorization.stages_figure(runs[2])

# %% [markdown]
# The layers first align (the skew error falls), then leave the saddle at zero one singular value
# after the other, then converge. With a negative determinant one singular value cannot pass zero,
# and half of the square of what it should have become is what remains of the loss.

# %%
for seed, run in runs.items():
    for verdict in flows.check(run):
        print(f"seed {seed}  {verdict.claim:20}{verdict.verdict:20}{verdict.source.locator}")

# %% [markdown]
# ## What the paper does not say
#
# **One half takes strong balancing.** The theorem asks for $a \gg \sigma_1$ and means it. With $a$
# of order one the flow crosses $\det W = 0$, and starts with a negative determinant converge too:

# %%
for a in (0.5, 2.0, 20.0):
    found = flows.convergence(flows.MatrixFactorization(1, "real", a), 0.2, range(30), 1e3)
    print(
        f"a = {a:4}: converge with det W(0) > 0: {found.fraction(True):.2f},"
        f" with det W(0) < 0: {found.fraction(False):.2f}, all: {found.converged.mean():.2f}"
    )

# %% [markdown]
# **Two layers do not know the one half.** At the same strength $a = 20$ and from the same law, two
# layers converge whatever the sign is, and four hardly ever pass it:

# %%
for depth in (2, 3, 4):
    layers = flows.MatrixFactorization(d=2, depth=depth, regularization=20.0)
    found = flows.convergence(layers, 0.3, range(8), 1e3)
    print(
        f"depth {depth}: converge with det W(0) > 0: {found.fraction(True):.2f},"
        f" with det W(0) < 0: {found.fraction(False):.2f}"
    )

# %% [markdown]
# **Off balance the skew error can grow.** Along a balanced chain of even depth it never increases
# (Theorem 4). From random starts without balancing its derivative, evaluated from the state, is
# positive somewhere in most runs. At odd depth, of which the theorem says nothing, it fell all the
# way in every balanced run that we made:


# %%
def growth(depth, balanced, regularization):
    """Largest relative rate of the skew error along six runs."""
    chain = flows.MatrixFactorization(
        d=2, depth=depth, regularization=regularization, target=np.diag([2.0, 1.0])
    )
    found = []
    for seed in range(6):
        run = flows.integrate(chain, chain.initial(0.7, seed, balanced), t_end=30.0, rtol=1e-8)
        value, rate = run.potential("skew_error")
        known = value > 1e-6 * value[0]
        found.append(np.max(rate[known] / value[known]))
    return np.array(found)


for depth, balanced, a in ((4, True, 5.0), (4, False, 0.0), (3, True, 5.0)):
    found = growth(depth, balanced, a)
    kind = "balanced" if balanced else "random"
    print(
        f"depth {depth}, {kind} start: grows somewhere in {np.sum(found > 1e-6)} of"
        f" {len(found)} runs, rate at most {found.max():+.2g}"
    )

# %% [markdown]
# **The balance is conserved to rounding.** Without the balancing term every
# $W_j W_j^H - W_{j+1}^H W_{j+1}$ is constant; the run never uses that, and keeps it:

# %%
free = flows.MatrixFactorization(d=3, regularization=0.0)
run = flows.integrate(free, free.initial(0.5, seed=0), t_end=1e4)
defect = run.features["layer_defect"]
print(f"relative drift over t = 1e4: {np.max(np.abs(defect / defect[0] - 1)):.0e}")
