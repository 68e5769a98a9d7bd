# %% [markdown]
# # Gradient EM with too many components
#
# Xu, Fazel & Du, *Toward Global Convergence of Gradient EM for Over-Parameterized Gaussian Mixture
# Models*, NeurIPS 2024, [arXiv 2407.00490](https://arxiv.org/abs/2407.00490).
#
# Data come from one Gaussian; the model is a mixture of $n$. Gradient EM is gradient descent on the
# KL divergence, it converges from every start, and no faster than a power of time.

# %%
# %matplotlib inline
import numpy as np
from IPython.display import Math

import flows
import potentials

system = flows.GMMEM(n=3, d=2)
run = flows.integrate(system, system.initial(1.0, seed=0), t_end=1e8)
print(f"{run.status}: KL {run['loss'][0]:.3g} -> {run['loss'][-1]:.3g}")

# %%
flows.figures.gmm_em.means_figure(run)

# %% [markdown]
# ## The proof in one identity
#
# The potential is the sum of squared means, and its derivative along the flow is an expectation
# that is positive. The derivation proves it; the run measures it.

# %%
(squares,) = (p for p in potentials.potentials("gmm_em") if p.name == "squared_norm_sum")
Math(squares.latex() + r", \qquad " + squares.lie_latex())

# %%
value, rate = run.potential("squared_norm_sum")
print(
    f"largest relative difference of dU/dt and -2 E|v|^2:"
    f" {np.max(np.abs(rate / (-2 * run['fisher']) - 1)):.0e}"
)
flows.figures.gmm_em.lyapunov_figure(run)

# %%
for verdict in flows.check(run):
    print(f"{verdict.claim:18}{verdict.verdict:20}{verdict.message.split(' on ')[0].split(',')[0]}")

# %% [markdown]
# ## What the paper does not say
#
# **The rate.** The paper proves $L = O(t^{-1/2})$. Every run falls like $t^{-2}$:

# %%
flows.figures.gmm_em.loss_figure(run)

# %% [markdown]
# **Its constant.** With equal weights the limit depends on two numbers only: $n$, and the dimension
# $r = \min(n - 1, d)$ of the space that the deviations of the means span:
#
# $$ t^2 L \to \frac{r n^2}{16}. $$

# %%
for n, d in ((2, 1), (3, 2), (5, 2), (4, 1)):
    one = flows.GMMEM(n=n, d=d)
    late = flows.integrate(one, one.initial(1.0, seed=0), t_end=1e8)
    tail = flows.tail_constant(late, exponent=2)
    print(
        f"n = {n}, d = {d}: t^2 L -> {tail.value:.6f} +- {tail.error:.0e};"
        f" r n^2/16 = {min(n - 1, d) * n * n / 16:.6f}"
    )

# %% [markdown]
# **One component is exponential**, with $L(t) = L(0) e^{-2t}$ to the last digit:

# %%
alone = flows.GMMEM(n=1, d=2)
exact = flows.integrate(alone, [[1.0, -0.5]], t_end=300.0)
error = np.abs(exact["loss"] / (exact["loss"][0] * np.exp(-2 * exact.t)) - 1).max()
print(f"down to {exact['loss'][-1]:.1e}, largest relative error {error:.0e}")

# %% [markdown]
# **Bad regions are much worse than claimed.** Two means at opposite ends, at distance
# $12 \sqrt d$, one at the target: the theorem says that such a start stays away from the optimum
# for a time $e^d/30$. In one dimension that is less than one; measured, it is tens of millions.

# %%
bad = flows.integrate(flows.GMMEM(n=3, d=1), [[12.0], [-12.0], [0.0]], t_end=1e12)
left = bad.t[bad["max_norm"] < 10.0][0]
print(f"claimed for t <= {np.e / 30:.2g}; the longest mean falls below 10 at t = {left:.1e}")
