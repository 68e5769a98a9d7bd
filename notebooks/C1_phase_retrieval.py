# %% [markdown]
# # From an abstract to a theorem: phase retrieval
#
# Y. Chen, Y. Chi, J. Fan and C. Ma ("Gradient descent with random initialization: fast global
# convergence for nonconvex phase retrieval", 2019, arXiv 1803.07726) recover a vector $v$ from the
# squares $(v \cdot x)^2$. They show that gradient descent from a random start arrives in $O(\log d
# + \log(1/\varepsilon))$ steps, although there is a saddle on the way. What does the flow of the
# population loss do? Nothing but the loss is put in here:
#
# $$ L(w) = \tfrac14 E\left((w \cdot x)^2 - (v \cdot x)^2\right)^2, \qquad x \sim N(0, I_d),
#    \qquad \dot w = -\nabla L(w). $$

# %%
# %matplotlib inline
import matplotlib.pyplot as plt
import numpy as np
import sympy as sp
from IPython.display import Math

import flows
from potentials import Comparison, Inequality, Source, symbol
from symbolic import D, Expectation

# %% [markdown]
# ## The loss in three lines
#
# The teacher is $v = e_1$. Two potentials: $h = w \cdot v$ is the part along the teacher, $z$ the
# squared length of the rest, and $R = z/h^2 = \tan^2 \theta$, with the angle $\theta$ of $w$ and
# $v$.


# %%
def phase_retrieval(d, arithmetic="auto"):
    w, x = sp.MatrixSymbol("w", d, 1), sp.MatrixSymbol("x", d, 1)
    loss = Expectation(((w.T * x)[0, 0] ** 2 - x[0, 0] ** 2) ** 2, x) / 4
    z = sum(w[i, 0] ** 2 for i in range(1, d))
    potentials = {"R": z / w[0, 0] ** 2}
    return flows.OwnSystem("phase_retrieval", [w], loss, potentials, arithmetic=arithmetic)


document = phase_retrieval(3).derive().verify()
document

# %% [markdown]
# ## What the machine finds
#
# The rate of the potential along the flow is substituted and simplified:

# %%
(rate,) = (d for d in document.derivations if d.name == "R along the flow")
for step in rate.steps[1:]:
    print(f"{step.evidence}: {step.rule}")
Math(rate.steps[1].equation)

# %% [markdown]
# That is $-4 R$. **The angle falls exactly like $\tan\theta(t) = e^{-2t} \tan\theta(0)$, from
# every start with $w \cdot v \neq 0$ and in every dimension**: the saddle on $w \perp v$ slows the
# loss down, never the angle. A random start has $\tan\theta \approx \sqrt{d}$, so the angle is of
# order one at $t \approx \frac14 \log d$: the $\log d$ of the paper.

# %%
w1, w2, w3 = sp.symbols("w_1 w_2 w_3", real=True)
ratio = (w2**2 + w3**2) / w1**2
print("d/dt R + 4 R =", sp.simplify(rate.steps[1].rhs + 4 * ratio))

# %% [markdown]
# The law at the minimum is derived from the loss alone:

# %%
system = phase_retrieval(10)
law = flows.late_time_law(system, at=np.eye(10)[0])
print(law)

# %% [markdown]
# The Hessian at $v$ is 2 across the teacher and 6 along it, so $L$ falls like $e^{-4t}$, and the
# constant follows from the angle: across the teacher $w$ is $\tan\theta(0)\, e^{-2t}$ in the end,
# and $L$ is half of $2 |w_\perp|^2$. So $e^{4t} L(t) \to \tan^2\theta(0)$. A run says so to all
# its digits:

# %%
start = system.initial(scale=0.01, seed=3)
times = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]
run = flows.integrate(system, start, t_end=100.0, t_eval=times)
tangent = np.sum(start[1:] ** 2) / start[0] ** 2
print(f"{run.status}; tan^2 of the angle at the start: {tangent:.10f}")
for t, loss, R in zip(run.t[1:], run["loss"][1:], run["R"][1:], strict=True):
    print(
        f"t = {t:5.0f}: L = {loss:.3e}, e^(4t) L = {np.exp(4 * t) * loss:.10f},"
        f" e^(4t) R = {np.exp(4 * t) * R:.10f}"
    )

# %% [markdown]
# A check that cannot fail says nothing. The rate is put to the run with its constant measured, and
# then as an inequality that is off by a thousandth, on one side and on the other:

# %%
R, C = sp.symbols("R C")
run = flows.integrate(system, start, t_end=100.0)
(verdict,) = flows.check(run, D(R) <= -C * R)
print(f"d/dt R <= -C R: {verdict.verdict}, C = {verdict.constant:.10f}")
for rate_of_R in (sp.Rational(3999, 1000), sp.Rational(4001, 1000)):
    claim = Inequality(
        id="angle",
        statement=f"dR/dt <= -{rate_of_R} R",
        source=Source("this notebook", 2026, "", "derived here", "inequality"),
        conclusions=(Comparison(-symbol("R_dot"), ">=", symbol("R"), rate_of_R),),
    )
    print(claim.statement, flows.check(run, claim)[0].verdict)

# %% [markdown]
# ## The saddle, and how long it lasts
#
# From a start of length one the flow comes near the saddle $|w|^2 = \tfrac13$, $w \perp v$, where
# $L = \tfrac23$ and $h$ grows like $e^{2t}$: from $1/\sqrt{d}$ to one it takes $\tfrac14 \log d$.
# From a small start it never meets the saddle: near $w = 0$ the teacher's direction grows like
# $e^{3t}$, the others like $e^t$ only, and what $d$ costs is $\tfrac16 \log d$. Each pair of lines
# is four times the dimension:


# %%
def path(d, length):
    direction = np.ones(d) / np.sqrt(d)
    system = phase_retrieval(d, arithmetic="doubles")
    return flows.integrate(system, length * direction, 5.0, np.linspace(0.02, 5, 250))


figure, axes = plt.subplots(figsize=(6, 3.2))
for length, share in ((1.0, 1 / 4), (0.01, 1 / 6)):
    reached = []
    for d, width in ((8, 1), (32, 2)):
        run = path(d, length)
        reached.append(np.interp(-0.1, -run["loss"], run.t))
        style = "-" if length == 1 else "--"
        axes.plot(run.t, run["loss"], style, color="C0", lw=width, label=f"|w| = {length}, d = {d}")
    later = (reached[1] - reached[0]) / np.log(4)
    print(f"length {length}: L = 0.1 after {later:.3f} log d + const; for large d {share:.3f}")
axes.set(xlabel="$t$", ylabel="$L$", xlim=(0, 5))
axes.legend()
figure.tight_layout()

# %% [markdown]
# ## What came out
#
# | statement | evidence |
# | --- | --- |
# | $\frac{d}{dt} \tan^2\theta = -4 \tan^2\theta$, for $d = 3$ | proved, above |
# | $L \sim e^{-4t}$ at the minimum, for $d = 10$ | derived, above |
# | $e^{4t} L \to \tan^2\theta(0)$ | measured to ten digits |
#
# For every $d$: the gradient is $(3|w|^2 - 1) w - 2 (w \cdot v) v$, which turns with $w_\perp$, so
# that two numbers, $h$ and $|w_\perp|$, move as for $d = 2$.
