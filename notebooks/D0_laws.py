# %% [markdown]
# # Late-time laws, derived and measured
#
# How a loss falls in the end follows from the loss and the minimiser. Each law below is derived by
# `late_time_law`, each number is measured on a run of the gradient flow, and the table at the end
# puts them side by side. Laws of ReLU neurons and mixtures come from the systems of the papers, the
# others from losses that are written down here.

# %%
# %matplotlib inline
from itertools import pairwise

import numpy as np
import pandas as pd
import sympy as sp

import flows
from symbolic import late_time_law
from symbolic.asymptotics import polar

ROWS = []


def compare(what, formula, law, run, known):
    """Put the constant of a power law, or the rate of an exponential one, beside the run's."""
    if law.kind == "exponential":
        falling = run["loss"] > 1e-20
        predicted = law.rate
        measured = (run["gradient_norm"] ** 2 / run["loss"])[falling][-1]
    else:
        tail = flows.tail_constant(run, law=law)
        predicted, measured = law.constant, tail.value
    off = f"{abs(measured / predicted - 1):.0e}"
    ROWS.append((what, formula, f"{predicted:.8g}", f"{measured:.8g}", off, known))
    shape = f"exp(-{law.rate:.4g} t)" if law.kind == "exponential" else f"C t^-{law.exponent}"
    print(f"{what}: {shape}, predicted {predicted:.8g}, measured {measured:.8g}")


NONE = "we know of none"

# %% [markdown]
# ## Mixtures with unequal weights
#
# Gradient EM on one Gaussian. With $Q = I - \sqrt w \sqrt w^\top$ and $\lambda$ the largest $d$
# eigenvalues of $Q\,\mathrm{diag}(1/w)\,Q$, $t^2 L \to \sum_j \lambda_j^2 / 16$. For equal weights
# this is $r n^2/16$ with $r = \min(d, n-1)$. The next term is a logarithm whose coefficient is
# derived too.

# %%
for weights in ([0.2, 0.3, 0.5], [1 / 3, 1 / 3, 1 / 3]):
    mixture = flows.GMMEM(n=3, d=2, weights=weights)
    run = flows.integrate(mixture, mixture.initial(0.7, seed=0), t_end=1e8)
    found = flows.late_time_law(run)
    law = found.laws[found.chosen]
    w = np.array(weights)
    projection = np.eye(3) - np.sqrt(np.outer(w, w))
    values = np.linalg.eigvalsh(projection @ np.diag(1 / w) @ projection)[-2:]
    print(
        f"formula {np.sum(values**2) / 16:.10f}, coefficient of log t/t {float(law.log_term):.8f}"
    )
    compare(f"mixture, weights {np.round(w, 2)}", "sum of l^2/16", law, run, NONE)

# %% [markdown]
# The logarithm can be seen: $t\,(t^2 L/C - 1)$ grows by $\beta$ for each unit of $\log t$.

# %%
t, scaled = run.t, run.t * (run.t**2 * run["loss"] / law.constant - 1)
at = [int(np.searchsorted(t, one)) for one in (1e4, 1e5, 1e6, 1e7)]
for i, j in pairwise(at):
    print(f"t = {t[i]:.0e}: {(scaled[j] - scaled[i]) / np.log(t[j] / t[i]):.4f}")

# %%
flows.figures.loss_figure(run)

# %% [markdown]
# ## ReLU neurons: shapes that have a closed form
#
# Neurons $w_i = h_i v$ with $\sum h_i = 1$ are a minimiser for all shares $h$. What is left of the
# transverse parts settles into a shape, a local minimum of
#
# $$ \ell_3 = \frac{1}{6\pi} \Big( \sum_{i<j} h_i h_j |u_i - u_j|^3 - \sum_i h_i |u_i|^3 \Big),
# \qquad \sum h_i u_i = 0. $$
#
# With equal shares the shapes are regular, and their constants have closed forms.

# %%
SHAPES = {
    2: (([1.0], [-1.0]),),
    3: (([1.0, 0.0], [-0.5, 0.75**0.5], [-0.5, -(0.75**0.5)]),),
    4: (
        ([1.0, 1.0, 1.0], [1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]),
        ([1.0, 0.0, 0.0], [-0.5, 0.75**0.5, 0.0], [-0.5, -(0.75**0.5), 0.0], [0.0, 0.0, 0.0]),
    ),
}
NAMES = {2: ("pair",), 3: ("triangle",), 4: ("tetrahedron", "triangle with centre")}
for n, shapes in SHAPES.items():
    neurons = flows.ReLUNeuron(n=n, d=n)
    found = flows.late_time_law(neurons, at=np.eye(1, n).repeat(n, axis=0) / n)
    for law, shape, name in zip(found.laws, shapes, NAMES[n], strict=True):
        start = np.hstack([np.full((n, 1), 1 / n), 1e-3 * np.array(shape)])
        run = flows.integrate(neurons, start, t_end=1e12)
        compare(f"ReLU, n = {n}, {name}", str(law.constant_exact), law, run, NONE)

# %% [markdown]
# ## Which shapes attract for which shares
#
# For three neurons the attractors depend on the shares: a triangle, or all transverse parts on a
# line. `gamma` is the smallest exponent with which a run gets there.

# %%
table = []
for h in ([4, 3, 3], [5, 3, 2], [6, 2, 2], [6, 3, 1], [8, 1, 1], [4.5, 4.5, 1]):
    at = [[x / 10, 0, 0] for x in h]
    found = flows.late_time_law(flows.ReLUNeuron(n=3, d=3), at, log_terms=False)
    for law in found.laws:
        rows = np.array(law.direction).reshape(3, -1)[:, 1:]
        size = np.linalg.svd(rows, compute_uv=False)
        flat = "line" if size[1] < 1e-6 * size[0] else "triangle"
        table.append((str(np.array(h) / 10), flat, law.constant, min(law.gamma), law.share))
pd.DataFrame(table, columns=["shares", "shape", "constant", "gamma", "part of starts"]).round(4)

# %% [markdown]
# ## Matrix sensing with general measurements
#
# $L = \frac18 \sum_m \langle A_m, XX^\top - M \rangle^2$ with $X$ wider than the rank of $M$. The
# fast entries remove what they can of the residual; $P$ projects on the rest. On the block $Z$
# beside the range of $M$ the leading form is $\ell_4(Z) = \frac18 |P A(ZZ^\top)|^2$, and
# $t^2 L \to 1/(64\, \ell_4)$ at its minimum on $|Z| = 1$.

# %%
X = sp.MatrixSymbol("X", 2, 2)
MEASUREMENTS = [sp.Matrix(a) for a in ([[1, 0], [0, 0]], [[0, 1], [1, 0]], [[1, 1], [1, 3]])]
sensing = sum((sp.trace(a * X * X.T) - a[0, 0]) ** 2 for a in MEASUREMENTS) / 8
(law,) = late_time_law(sensing, [X], {X: sp.diag(1, 0)}).laws
run = flows.integrate(flows.OwnSystem("sensing", [X], sensing), [1.1, 0.05, 0.1, 0.6], t_end=1e7)
compare("sensing, 3 measurements", "1/(64 min l4)", law, run, NONE)

# %% [markdown]
# ## Two factors, balanced or not
#
# $L = \frac12 |U V^\top - M|^2$ with $U$ of $n \times k$ and $V$ of $m \times k$. The flow
# conserves $\Delta = U^\top U - V^\top V$. Balanced ($\Delta = 0$), with $s = \min(n, m, k) -
# \mathrm{rank}\, M$ directions that $M$ does not have, $L \sim s/(8 t^2)$: beside the range of
# $M$, $\ell_4 = \frac12 |A B^\top|^2$ on the cone $A^\top A = B^\top B$, and it is smallest where
# the two are orthogonal up to a factor. Unbalanced, so that $U$ or $V$ has full rank in the end,
# nothing is slow: the Hessian has the eigenvalues $\lambda_i(U U^\top) + \lambda_j(V V^\top)$,
# and $L$ falls with the rate of twice the smallest positive one. The minimiser is read off the
# run.


# %%
def factors(n, m, k, target):
    """Blocks and loss."""
    left, right = sp.MatrixSymbol("U", n, k), sp.MatrixSymbol("V", m, k)
    gap = left * right.T - target
    return [left, right], sp.trace(gap.T * gap) / 2


for (n, m, k), target in (((2, 2, 1), sp.zeros(2, 2)), ((2, 2, 2), sp.zeros(2, 2))):
    blocks, loss = factors(n, m, k, target)
    start = 0.1 * np.array([[5, 1], [1, 4]])[:, :k].ravel()
    # Both factors are one matrix, so that they are balanced.
    run = flows.integrate(flows.OwnSystem("factors", blocks, loss), [*start, *start], 1e6)
    found = flows.late_time_law(run)
    s = min(n, m, k) - sp.Matrix(target).rank()
    assert found.laws[found.chosen].constant_exact == sp.Rational(s, 8)
    known = "Saxe, McClelland & Ganguli 2014" if s == 1 else NONE
    compare(f"U V', balanced, {n}, {m}, {k}", f"{s}/(8 t^2)", found.laws[found.chosen], run, known)

blocks, loss = factors(2, 2, 2, sp.diag(1, 0))
system = flows.OwnSystem("factors", blocks, loss)
run = flows.integrate(system, [1, 0.2, 0.1, 0.6, 0.8, -0.1, 0.1, 0.1], t_end=60.0)
found = flows.late_time_law(run)
last = system.unpack(found.at)
left, right = (np.linalg.eigvalsh(last[name] @ last[name].T) for name in ("U", "V"))
sums = np.add.outer(left, right)
print(f"formula {2 * sums[sums > 1e-9].min():.10f}, derived {found.laws[0].rate:.10f}")
compare("U V', unbalanced", "2 min(l_i + l_j)", found.laws[0], run, "Tarmoun et al. 2021 (scalars)")

# %% [markdown]
# ## Factorisations that fail
#
# $N$ scalar layers whose product should be $s$ but is negative run to zero, where $L - s^2/2 \sim
# (N-2)^{-N/(N-2)} s^{-2/(N-2)} t^{-N/(N-2)}$ if they are balanced. For every $N$: on the balanced
# set $w = (-x, x, \dots, x)$, with the length $\rho = \sqrt N x$, the leading form is $s N^{-N/2}
# \rho^N$.

# %%
N, S = sp.Symbol("N", positive=True), sp.Symbol("s", positive=True)
every = (N - 2) ** (-N / (N - 2)) * S ** (-2 / (N - 2))
ratio = polar.constant(N, S * N ** (-N / 2)) / every
print("for every depth:", sp.simplify(sp.expand_log(sp.log(ratio), force=True)) == 0)

# %% [markdown]
# The law is derived from all layers; the run is that of the balanced set, on which they stay. Its
# coordinate $\rho$ has the flow of the loss itself.

# %%
for depth, s in ((3, 1), (4, 1), (5, 1), (6, 1), (4, 2)):
    w = sp.symbols(f"w1:{depth + 1}", real=True)
    loss = (s - sp.prod(w)) ** 2 / 2
    (law,) = late_time_law(loss, w, dict.fromkeys(w, 0), confined=True).laws
    formula = float(every.subs({N: depth, S: s}))
    y = sp.Symbol("y", real=True)
    along = sp.expand(((s + (y / sp.sqrt(depth)) ** depth) ** 2 - s**2) / 2)
    run = flows.integrate(flows.OwnSystem("chain", [y], along), [0.5], t_end=1e8)
    assert abs(law.constant / formula - 1) < 1e-12
    compare(f"failing, N = {depth}, s = {s}", "see the text", law, run, NONE)

# %% [markdown]
# Of matrices, one singular value can fail while the others are fitted. The law of this run is found
# from the run alone: its limit, the kernel there, and the cone of the conserved quantities.

# %%
target = np.diag([1.0, 0.5])
chain = flows.MatrixFactorization(d=2, depth=3, target=target, regularization=0)
run = flows.integrate(chain, [np.diag([0.9, -0.4]), *[np.diag([0.9, 0.4])] * 2], t_end=1e5)
found = flows.late_time_law(run)
(law,) = found.laws
print(found, f"with L* = {found.derived.limit}, formula {float(every.subs({N: 3, S: 0.5})):.4g}")
# -dL/dt = |grad L|^2 = p C t^-(p+1), of the mode that fails; L itself is L* and a rounded bit.
slope = float(np.sum(chain.gradient(run.state_at(-1))[:, 1, 1] ** 2))
print(f"measured {slope * run.t[-1] ** 4 / 3:.4g}")

# %% [markdown]
# ## Soft committee machines
#
# Students $\sum_i a_i\, \mathrm{erf}(w_i x/\sqrt 2)$ of a teacher of one unit, with trained $a_i$
# (Saad & Solla 1995 give the expectations). Students in the teacher's place share it, $\sum a_i =
# 1$, and differences of their weights are slow. With $z_i = w_i - B$, $\sum a_i z_i = 0$, the
# residual is $\frac12 \sum a_i z_i^2\, g''$ less what $g$ and $g'$ can take of it, so that
#
# $$ \ell_4 = \frac{\kappa}{8} \Big( \sum_i a_i z_i^2 \Big)^2, \qquad
#    t^2 L \to \frac{1}{8 \kappa \mu^2}, \qquad
#    \kappa = \mathrm{dist}\big(g'', \mathrm{span}(g, g')\big)^2, $$
#
# where $\mu$ is the smallest eigenvalue of $\mathrm{diag}(a)$ across $a$, for any number of
# students with positive shares. The shares, and so the constant, are those of the run's limit.


# %%
def overlap(p, q):
    """E erf(p x/sqrt 2) erf(q x/sqrt 2) for a standard normal x."""
    return 2 / sp.pi * sp.asin(p * q / sp.sqrt((1 + p**2) * (1 + q**2)))


TEACHER = sp.Integer(2)
p, q = sp.symbols("p q", positive=True)
gram = sp.Matrix(
    3, 3, lambda i, j: overlap(p, q).diff((p, i), (q, j)).subs({p: TEACHER, q: TEACHER})
)
kappa = sp.simplify(gram.det() / gram[:2, :2].det())
print(f"kappa = {kappa} = {float(kappa):.8g}")


def formula(shares):
    """1/(8 kappa mu^2)."""
    across = np.eye(len(shares)) - np.outer(shares, shares) / (shares @ shares)
    mu = np.sort(np.linalg.eigvalsh(across @ np.diag(shares) @ across))[1]
    return 1 / (8 * float(kappa) * mu**2)


for start in ([0.5, 0.5, 2.3, 1.7], [0.4, 0.3, 0.3, 2.3, 1.7, 2.05]):
    count = len(start) // 2
    a, w = (sp.symbols(f"{name}1:{count + 1}", real=True) for name in "aw")
    units = [*zip(a, w, strict=True), (sp.Integer(-1), TEACHER)]
    committee = sum(x * y * overlap(u, v) for x, u in units for y, v in units) / 2
    run = flows.integrate(flows.OwnSystem("committee", [*a, *w], committee), start, t_end=1e7)
    found = flows.late_time_law(run)
    law = found.laws[found.chosen]
    print(f"shares {np.round(found.at[:count], 4)}: formula {formula(found.at[:count]):.7g}")
    compare(f"committee of erf, {count} students", "1/(8 kappa mu^2)", law, run, NONE)
    print(found.notes[-1])

# %% [markdown]
# Three students have a small `gamma`: the run is still beside a saddle of the form, so that the
# constant that it measures is not yet that of its law, as the note says.

# %% [markdown]
# ## The table

# %%
pd.DataFrame(ROWS, columns=["law", "formula", "predicted", "measured", "off by", "known before"])
