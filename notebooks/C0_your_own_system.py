# %% [markdown]
# # Your own system
#
# A loss that is written as a SymPy expression over named blocks, or a Gaussian expectation of one,
# becomes a system: gradient, Jacobian, flow, potentials and claims come out of the expression, and
# everything that works for the built-in systems works for it.

# %%
# %matplotlib inline
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import sympy as sp
from IPython.display import Math

import flows
from potentials import (
    EXPONENT,
    Comparison,
    Conserved,
    Inequality,
    LowerBound,
    Source,
    UpperBound,
    symbol,
)
from symbolic import Expectation

HERE = Source("this notebook", 2026, "", "derived here", "inequality")

# %% [markdown]
# ## A neuron with quadratic activation
#
# The teacher is $x \mapsto (v \cdot x)^2$, the student $x \mapsto \sum_i (w_i \cdot x)^2$, and the
# loss is half the mean squared difference over $x \sim N(0, I)$. Does over-parameterisation slow it
# down as it does the ReLU neuron? There are two blocks: $a$ holds the students' parts along the
# teacher, and $B$ their transverse parts. We expect $B$ to fall like $t^{-1/2}$ and the loss like
# $t^{-2}$; the claims say so.

# %%
n, d = 3, 4
a, B = sp.MatrixSymbol("a", n, 1), sp.MatrixSymbol("B", n, d - 1)
x = sp.MatrixSymbol("x", d, 1)
student = [a[i, 0] * x[0, 0] + sum(B[i, j] * x[j + 1, 0] for j in range(d - 1)) for i in range(n)]
loss = Expectation((sum(s**2 for s in student) - x[0, 0] ** 2) ** 2, x) / 2

L, U, t = symbol("loss"), symbol("transverse"), symbol("t")
late = (t, 1 - 100 * U)  # near the optimum
claims = (
    UpperBound(
        id="upper",
        statement="L <= C t^-2",
        source=HERE,
        exponent=sp.Integer(2),
        conclusions=(Comparison(L, "<=", t**-EXPONENT, None, late),),
    ),
    LowerBound(
        id="lower",
        statement="L >= c t^-2",
        source=HERE,
        exponent=sp.Integer(2),
        conclusions=(Comparison(L, ">=", t**-EXPONENT, None, late),),
    ),
    Inequality(
        id="slow",
        statement="dU/dt >= -11 U^2",
        source=HERE,
        exponent=sp.Integer(2),
        conclusions=(
            Comparison(-symbol("transverse_dot"), "<=", U**EXPONENT, sp.Integer(11), late),
        ),
    ),
)
neuron = flows.OwnSystem(
    "quadratic_neuron", [a, B], loss, potentials={"transverse": sp.trace(B.T * B)}, claims=claims
)

# %% [markdown]
# The expectation of a polynomial is brought into closed form by symbolic moments. The rest is as
# for any system. States have as many digits as it takes, so that the loss keeps its own to
# $t = 10^{12}$.

# %%
start = neuron.initial(scale=0.1, seed=0)
run = flows.integrate(neuron, start, t_end=1e12)
print(
    f"{run.status}: loss {run['loss'][-1]:.4g}, exponents: loss"
    f" {flows.local_exponent(run)[-1]:.4f},"
    f" transverse {flows.local_exponent(run, 'transverse')[-1]:.4f}"
)
for verdict in flows.check(run):
    print(f"{verdict.claim:8}{verdict.verdict:10}constant {verdict.constant:.4f}")

# %%
flows.figures.loss_figure(run)

# %% [markdown]
# A check that cannot fail says nothing. The same claims, broken:

# %%
for claim, change in (
    (claims[0], {"exponent": sp.Integer(3)}),
    (claims[1], {"exponent": sp.Integer(1)}),
    (claims[2], {"sign": -1}),
):
    (verdict,) = flows.check(run, replace(claim, **change))
    print(f"{claim.id} with {change}: {verdict.verdict}")

# %% [markdown]
# ### What comes out
#
# Near the optimum the length of $a$ is slaved,
# $|a|^2 - 1 \approx -\frac13 \operatorname{tr} B^T B$, and the eigenvalues $\beta_k$ of $B^T B$
# obey $\dot\beta_k = -8 \beta_k (\beta_k + \frac13 \sum_l \beta_l)$. All
# $r = \min(n - 1, d - 1)$ of them become equal, so that
#
# $$ t^2 L \to \frac{3 r}{64 (3 + r)}. $$
#
# One neuron ($r = 0$) converges exponentially. So quadratic activation is slowed down as well, to
# $t^{-2}$ instead of the ReLU's $t^{-3}$.

# %%
tail = flows.tail_constant(run, exponent=2)
r = min(n - 1, d - 1)
print(
    f"t^2 L -> {tail.value:.6f} +- {tail.error:.0e};"
    f" 3 r/(64 (3 + r)) = {3 * r / (64 * (3 + r)):.6f}"
)

# %% [markdown]
# ### Its law and its certificate
#
# The law is derived from the loss at the limit of the run, which is found from the last state.

# %%
law = flows.late_time_law(run)
print(law)
print(
    f"the constant: {law.laws[law.chosen].constant:.12f}, {sp.Rational(3 * r, 64 * (3 + r))} above"
)

# %% [markdown]
# The loss is a polynomial, so there is a proof about this trajectory. Polynomial pieces and a
# radius enclose the flow at every time up to $10^6$; the file states the loss by its coefficients
# and exponents, and a checker that shares no code with the maker differentiates them anew.

# %%
certificate = flows.certify(neuron, start, t_end=1e6, digits=16)
certificate.save("cert.json")
checked = flows.verify("cert.json", neuron, start, 1e6)
print(f"accepted: {checked.accepted}, {len(certificate.pieces)} pieces")
print(f"the flow is within {certificate.error:.1e} of them at every time")
print("the loss that was checked:", checked.about["loss"][:60], "...")
print(f"t^2 L at t = 1e6: {10**12 * certificate.loss(1e6)}")

# %% [markdown]
# With a thousandth more in one coefficient the pieces are not those of the flow:

# %%
data = json.loads(Path("cert.json").read_text())
numerator, denominator, powers = data["parameters"]["terms"][0]
changed = sp.Rational(numerator, denominator) * sp.Rational(1001, 1000)
data["parameters"]["terms"][0] = [int(changed.p), int(changed.q), powers]
Path("other.json").write_text(json.dumps(data))
print(flows.verify("other.json").refused)

# %% [markdown]
# With unlike starts the eigenvalues become equal slowly, and in an ensemble one sees how slowly:

# %%
many = flows.integrate_ensemble(neuron, flows.Law(size=12, scale=0.1, seed=1), t_end=1e5)
for k in (-31, -1):
    low, middle, high = (many.t[k] ** 2 * many.quantiles("loss", (0.0, 0.5, 1.0)))[:, k]
    print(f"t = {many.t[k]:.0e}: t^2 L between {low:.5f} and {high:.5f}, median {middle:.5f}")

# %% [markdown]
# ## Factorisation into two layers
#
# The built-in `matrix_factorization` has its residual as a variable of its own. Ten lines give the
# same flow, and their exact states know the residual as well:

# %%
V, W = sp.MatrixSymbol("V", 2, 2), sp.MatrixSymbol("W", 2, 2)
residual, defect = sp.diag(2, 1) - W * V, V * V.T - W.T * W
fit, balance = sp.trace(residual.T * residual) / 2, sp.trace(defect.T * defect)
constant = Conserved(
    id="balance",
    statement="the balance is conserved",
    source=HERE,
    conclusions=(Comparison(symbol("defect"), "==", symbol("defect_0"), sp.S.One),),
)
own = flows.OwnSystem("two_layers", [V, W], fit, {"defect": balance}, [constant])
built_in = flows.MatrixFactorization(d=2, depth=2, target=np.diag([2.0, 1.0]), regularization=0.0)
start = built_in.initial(0.3, seed=2)
mine = flows.integrate(own, start.ravel(), t_end=5.0)
theirs = flows.integrate(built_in, start, t_end=5.0)
difference = np.abs(mine["loss"] / theirs["loss"] - 1).max()
print(f"largest relative difference of the losses: {difference:.0e}")
print(f"the balance: {flows.check(mine)[0].verdict}")

# %% [markdown]
# With a balancing term it is not conserved, and the check says so; its rate along the flow is
# derived from the expressions:

# %%
kept = flows.OwnSystem("balanced", [V, W], fit + balance, {"defect": balance}, [constant])
run = flows.integrate(kept, start.ravel(), t_end=5.0)
print(f"the balance: {flows.check(run)[0].verdict}")
(potential,) = kept.statements.potentials
Math(potential.latex() + r", \qquad " + potential.lie_latex())

# %% [markdown]
# ## Expectations without a closed form
#
# An expectation that has no closed form is computed by quadrature, and its error is measured at
# every output. This is gradient EM for two components on a line, beside the built-in system:

# %%
mu, z = sp.MatrixSymbol("mu", 2, 1), sp.Symbol("z")
density = sum(sp.exp(mu[i, 0] * z - mu[i, 0] ** 2 / 2) for i in range(2)) / 2
mixture = flows.OwnSystem("two_gaussians", [mu], Expectation(-sp.log(density), z))
built_in = flows.GMMEM(n=2, d=1)
state = np.array([1.2, -0.4])
found = mixture.expectation(state)
print(
    f"KL {found.loss:.12f}, error {found.error:.0e} with {len(found.rule)} nodes;"
    f" built in: {built_in.loss(state[:, None]):.12f}"
)
run = flows.integrate(mixture, state, t_end=1e4, rtol=1e-8)
worst = run.features["expectation_error"].max()
print(
    f"{run.status}: largest error of an expectation {worst:.0e},"
    f" exponent {flows.local_exponent(run)[-1]:.3f}"
)

# %% [markdown]
# A saved run carries its loss and its potentials as data, which are read and never executed:
# whoever opens it has their values, the limit and the law. It does not carry the claims. To check
# those again, give the system: `flows.load("run.nc", system=neuron)`.
