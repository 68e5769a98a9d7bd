"""Linear attention learns linear regression in context, for isotropic inputs.

One layer of linear attention is trained on prompts of `N` pairs `(x, w.x)` with `x, w ~ N(0, I)`
and a query. Of balanced layers a matrix `U` and a number `u` move, down the loss

    L(U, u) = g/2 |u U - I/g|^2,    g = 1 + (d + 1)/N,

up to a constant (Zhang, Frei & Bartlett 2023). What is left is the error in context.
"""

import sympy as sp

from popflow import Model, option, theorem
from potentials import Source
from symbolic import D

PAPER = "Zhang, Frei & Bartlett", 2023, "2306.09927"
REDUCED = Source(*PAPER, "reduced flow, Lambda = I", "identity")
FALLING = Source(*PAPER, "gradient inequality of the reduced flow, Lambda = I", "upper")


class LinearAttention(Model):
    """One layer of linear attention, trained by gradient flow on linear regression."""

    d: int = option(2, "dimension of the inputs")
    context: int = option(10, "pairs in a prompt")

    @property
    def g(self):
        """What the finite prompt makes of the second moment of the inputs."""
        return 1 + sp.Rational(self.d + 1, self.context)

    def blocks(self):
        """The bilinear form of the attention, and its gain."""
        return {"U": (self.d, self.d), "u": ()}

    def loss(self, U, u):
        """Error in context above its least value."""
        gap = u * U - sp.eye(self.d) / self.g
        return self.g * sp.trace(gap.T * gap) / 2

    def potentials(self, U, u):
        """What the flow keeps, and how fast it is."""
        return {"balance": u**2 - sp.trace(U.T * U), "speed": u**2}

    def initial(self, rng, scale):
        """Balanced, and of positive trace: then the flow leaves zero on the right side."""
        root = rng.normal(size=(self.d, self.d))
        U = root @ root.T
        size = float((U**2).sum()) ** 0.5
        return {"U": scale * U / size, "u": scale * (1 + rng.uniform())}

    def claims(self, loss, balance, balance_0, speed):
        """The balance stays, and the loss falls at least at half the rate that is sharp at last."""
        yield theorem("balance_kept", sp.Eq(balance, balance_0), REDUCED)
        yield theorem("loss_falls", D(loss) <= -self.g * speed * loss, FALLING)
