# %% [markdown]
# # From a loss to a theorem: over-parameterised matrix sensing
#
# N. Xiong, L. Ding and S. Du ("How over-parameterization slows down gradient descent in matrix
# sensing", 2023, arXiv 2310.01769) learn a matrix of rank one by $X X^\top$ with a factor $X$ that
# has one column too many. With one column the loss falls exponentially, with two of them not faster
# than like $t^{-2}$. Which function of the state proves how fast it does fall, and with which
# constant? Nothing but the loss is put in here:
#
# $$ L(X) = \tfrac14 |X X^\top - e_1 e_1^\top|_F^2, \qquad X \in \mathbb{R}^{2 \times 2},
#    \qquad \dot X = -\nabla L(X). $$

# %%
# %matplotlib inline
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import sympy as sp
from IPython.display import Math

import flows

# %% [markdown]
# ## Two factors
#
# The smallest relative has a product of two numbers, $L = (a b - 1)^2/2$. What its flow keeps comes
# out by linear algebra over the rationals: a conserved quantity, and sets that no flow leaves.

# %%
a, b = sp.symbols("a b")
product = flows.OwnSystem("product", [a, b], (a * b - 1) ** 2 / 2)
print(product.invariants(2))

# %% [markdown]
# The conserved quantity is worth a factor of two. On the set where $L \le \frac18$ the best rate is
# 2. From starts with $a^2 - b^2 = 2$ it is 4, and no bound on the loss is needed:

# %%
print(flows.find_potential(product, rate="exp", level="1/8"))
balanced = flows.find_potential(product, rate="exp", keep=[sp.Eq(a**2 - b**2, 2)])
print(balanced)

# %% [markdown]
# ## The shared factor
#
# The minimisers of $L(X)$ are circles, and no proof of a low degree exists in the entries of $X$.
# In those of $G = X X^\top$ there is one: the loss and the rates are polynomials in them, and $G$
# has no negative eigenvalue. The search takes these coordinates by itself.

# %%
X = sp.MatrixSymbol("X", 2, 2)
off = X * X.T - sp.diag(1, 0)
fit = flows.OwnSystem("overparameterised", [X], sp.trace(off * off.T) / 4)
found = flows.find_potential(fit, rate=2, level="1/50", degree=6)
print(found)
print(f"proved {found.constant}, the best one of this degree {found.best:.6f}")

# %% [markdown]
# An exponential rate is not to be had. The answer says up to which degree there is no proof, and
# disproves nothing by itself:

# %%
faster = flows.find_potential(fit, rate="exp", level="1/50", degree=6)
print(faster.verdict, "up to degree", faster.degree)

# %% [markdown]
# ## Is the constant the right one?
#
# The late-time law is derived from the loss at the minimiser of a run, by other means. Its constant
# is the same one: the theorem cannot be improved on this set.

# %%
run = flows.integrate(fit, [1.0, 0.1, -0.05, 0.2], 1e8)
print(f"{run.status}; L(0) = {run['loss'][0]:.5f}")
print(flows.late_time_law(run))

# %% [markdown]
# The inequality behind the theorem is $\dot L \le -8 L^{3/2}$. It is checked along the run to
# $t = 10$, and once more with a constant that is off by a thousandth. Later, both sides agree to
# all digits, and no check tells one from the other.

# %%
shorter = flows.integrate(fit, [1.0, 0.1, -0.05, 0.2], 10.0)
(claim,) = found.claims()
(compared,) = claim.conclusions
sharper = replace(compared, constant=compared.constant * sp.Rational(1001, 1000))
for one in (claim, replace(claim, conclusions=(sharper,))):
    (verdict,) = flows.check(shorter, one)
    print(f"constant {float(one.conclusions[0].constant)}: {verdict.verdict}")

# %% [markdown]
# ## What slows it down
#
# The second row of $X$ has nothing to learn, and it has the whole rate. Its squared length is
# $G_{22}$, and a machine proves what it does, too:

# %%
row = sp.Symbol("G[1,1]")
slow = flows.find_potential(fit, rate=1, level="1/50", template=[row], degree=0)
print(slow)

# %%
figure, axes = plt.subplots(figsize=(6, 3.2))
for seed in range(4):
    start = np.array([1.0, 0.0, 0.0, 0.0]) + 0.15 * np.random.default_rng(seed).normal(size=4)
    one = flows.integrate(fit, start, 1e6)
    if one["loss"][0] <= 1 / 50:
        second = np.sum(one.state[:, 2:] ** 2, axis=1)
        axes.semilogx(one.t[1:], one.t[1:] ** 2 * one["loss"][1:], color="C0")
        axes.semilogx(one.t[1:], one.t[1:] * second[1:] / 8, color="C1")
axes.axhline(float(found.constant), color="k", ls="--", lw=1)
axes.plot([], [], color="C0", label="$t^2 L$")
axes.plot([], [], color="C1", label="$t\\, G_{22}/8$")
axes.plot([], [], "k--", lw=1, label="proved")
axes.set(xlabel="$t$", ylim=(0, 0.07))
axes.legend()
figure.tight_layout()

# %% [markdown]
# ## A theorem in a file
#
# The proof is a sum of squares with fractions. A program that shares no code with the search adds
# them up, from the statement alone:

# %%
folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / "potential.json"
slow.save(path)
checked = flows.verify(path)
print(checked.accepted)
print(checked.potential.statement)

# %% [markdown]
# A number that is off by a thousandth is seen:

# %%
data = json.loads(path.read_text())
data["constant"] = str(sp.Rational(data["constant"]) * sp.Rational(999, 1000))
path.write_text(json.dumps(data))
print(flows.verify(path).accepted)

# %% [markdown]
# `found.latex()` writes the theorem with its squares for a paper. The inequality that they prove:

# %%
theorem = slow.latex()
Math(theorem.partition("\\[ ")[2].partition(" \\]")[0])

# %% [markdown]
# ## What came out
#
# | statement | evidence |
# | --- | --- |
# | $L(t) \le \frac1{16} t^{-2}$ from every start with $L \le \frac1{50}$ | proved, above |
# | $t^2 L \to \frac1{16}$ | derived from the loss, above |
# | $G_{22}(t) \le \frac12 t^{-1}$ from the same starts | proved, and verified from its file |
# | $L(t) \le L(0) e^{-4t}$ for $(ab - 1)^2/2$ with $a^2 - b^2 = 2$ | proved, above |
