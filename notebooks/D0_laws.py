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
    run = flows.integrate(mixture, mixture.initial(1.0, seed=0), t_end=1e8)
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
    found = flows.late_time_law(flows.ReLUNeuron(n=3, d=3), at=[[x / 10, 0, 0] for x in h])
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
# $L = \frac12 |U V^\top - M|^2$ in a direction that $M$ does not have: $L = (uv)^2/2$, and
# $u^2 - v^2 = \delta$ is conserved. Balanced, it falls like $1/(8 t^2)$; unbalanced, like
# $e^{-2|\delta| t}$.

# %%
u, v = sp.symbols("u v", real=True)
product = flows.OwnSystem("two_factors", [u, v], (u * v) ** 2 / 2)
(law,) = late_time_law((u * v) ** 2 / 2, [u, v], {u: 0, v: 0}, confined=True).laws
compare(
    "u v, balanced",
    "1/(8 t^2)",
    law,
    flows.integrate(product, [0.5, 0.5], 1e6),
    "Saxe, McClelland & Ganguli 2014",
)
(law,) = late_time_law((u * v) ** 2 / 2, [u, v], {u: sp.Rational(1, 2), v: 0}).laws
start = [(0.25 + 0.01) ** 0.5, 0.1]
compare(
    "u v, unbalanced",
    "2 |delta|",
    law,
    flows.integrate(product, start, 40.0),
    "Tarmoun et al. 2021",
)

# %% [markdown]
# ## Factorisations that fail
#
# $N$ scalar layers whose product should be $s$ but is negative run to zero, where
# $L - s^2/2 \sim (N-2)^{-N/(N-2)} s^{-2/(N-2)} t^{-N/(N-2)}$ if they are balanced. The law is
# derived from all layers; the run is that of the balanced set $w = (-x, x, \dots, x)$, on which
# they stay. Its coordinate $y = \sqrt N x$ has the flow of the loss itself.

# %%
for depth, s in ((3, 1), (4, 1), (5, 1), (6, 1), (4, 2)):
    w = sp.symbols(f"w1:{depth + 1}", real=True)
    loss = (s - sp.prod(w)) ** 2 / 2
    (law,) = late_time_law(loss, w, dict.fromkeys(w, 0), confined=True).laws
    formula = (depth - 2) ** (-depth / (depth - 2)) * s ** (-2 / (depth - 2))
    y = sp.Symbol("y", real=True)
    along = sp.expand(((s + (y / sp.sqrt(depth)) ** depth) ** 2 - s**2) / 2)
    run = flows.integrate(flows.OwnSystem("chain", [y], along), [0.5], t_end=1e8)
    assert abs(law.constant / formula - 1) < 1e-12
    compare(f"failing, N = {depth}, s = {s}", "see the text", law, run, NONE)

# %% [markdown]
# ## Soft committee machines
#
# Students $\sum_i a_i\, \mathrm{erf}(w_i x/\sqrt 2)$ of a teacher of one unit, with trained $a_i$
# (Saad & Solla 1995 give the expectations). Two students in the teacher's place share it,
# $a_1 + a_2 = 1$: the difference of their weights is slow. The run starts near equal shares and
# ends at others; its loss is a difference of terms of size one, so that the constant is measured to
# about a thousandth.

# %%
a1, a2, w1, w2 = sp.symbols("a1 a2 w1 w2", real=True)


def overlap(p, q):
    """E erf(p x/sqrt 2) erf(q x/sqrt 2) for a standard normal x."""
    return 2 / sp.pi * sp.asin(p * q / sp.sqrt((1 + p**2) * (1 + q**2)))


TEACHER = sp.Integer(2)  # a length at which every expectation is rational, up to pi and one arc
units = [(a1, w1), (a2, w2), (sp.Integer(-1), TEACHER)]
committee = sum(a * b * overlap(p, q) for a, p in units for b, q in units) / 2
machine = flows.OwnSystem("committee", [a1, a2, w1, w2], committee)
run = flows.integrate(machine, [0.5, 0.5, 2.3, 1.7], t_end=3e6)
# The share to which the run converges, up to the square of what is left of it.
share = sp.Rational(round(float(run.state_at(-1)[0]), 4)).limit_denominator(10**4)
found = late_time_law(
    committee, [a1, a2, w1, w2], {a1: share, a2: 1 - share, w1: TEACHER, w2: TEACHER}
)
(law,) = found.laws
compare("committee of erf, two students", "1/(64 l4)", law, run, NONE)
print(f"degree {found.degree}; tangent, slow and fast directions: {found.kernel}")

# %% [markdown]
# ## The table

# %%
pd.DataFrame(ROWS, columns=["law", "formula", "predicted", "measured", "off by", "known before"])
