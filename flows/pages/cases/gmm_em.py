"""The runs on the report page of gradient EM, and its figures beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from matplotlib.figure import Figure

import potentials
from flows.pages.case import Case, Story, echo, scaled
from flows.pages.figures.gmm_em import (
    bad_region_figure,
    loss_figure,
    lyapunov_figure,
    means_figure,
    paper_figure,
)
from flows.systems.gmm_em.system import GMMEM

#: What these runs compile is shared by all that are about mixtures.
KERNELS = "mixture"
LOSS = (
    "Above: the loss and the proven bound, which is left out where it is too large for a number."
    " Its exponents are recalled: quoted from memory of the paper. Below: the local exponent,"
    " or the rate d log L/dt where the decay is exponential."
)
MEANS = "The means in the plane with contours of the density (dashed: the target's)."
LYAPUNOV = "The potential U and its derivative, as a sum over components and as an expectation."

#: Of the derivations that both losses of a mixture share.
MIXTURE = (
    "p is the density of the mixture and p_0 that of the target; w_k is the density of a component"
    " times its weight, over p_0, and psi_k = w_k / sum w. Indices a and c are coordinates. m is"
    " the mean of all components, dev_i = mu_i - m, u = v - m, h_i = mu_i - v and a_i = x - mu_i;"
    " delta = p/p_0 - 1, where p_0 is taken about m if the components are near each other;"
    " rho_i = psi_i/W_i and g_i = rho_i - 1."
)

STORY = Story(
    title="Gradient EM with too many components: the loss falls like t⁻², faster than its bound",
    problem=(
        (
            r"L = \mathrm{KL} \left( N(0, I) \,\|\, \sum_{i=1}^{n} \pi_i N(\mu_i, I) \right)",
            "A mixture of n Gaussians with means mu_i and fixed weights pi_i is fitted to one"
            " Gaussian in R^d, whose mean is 0 by translation; KL is the Kullback-Leibler"
            " divergence.",
        ),
        (
            r"\frac{d \mu_i}{d t} = -\nabla_{\mu_i} L = -\mathbb{E} [\psi_i v]",
            "Gradient EM is the gradient flow of L; E averages over x ~ N(0, I), psi_i(x) is the"
            " posterior weight of a component, and v(x) is the sum of all psi_i mu_i.",
        ),
        (
            r"U = \sum_{i=1}^{n} |\mu_i|^2",
            "The potential of the theorem never increases: its derivative is -2 E|v|^2. Below,"
            " mu_max is the length of the longest mean, pi_min the least weight, and grad_i L the"
            " gradient of L by mu_i.",
        ),
    ),
    result=(
        "The theorem bounds the loss by a multiple of t^(-1/2). From this random start it falls"
        " like t⁻²: the local exponent t L'/L, below in the figure, tends to -2. More than"
        " one component rules out an exponential rate. One component (Run 3) has"
        " L = L(0) exp(-2t)."
    ),
    symbols=MIXTURE + " The weight of a component is pi_i, also written W_i.",
    found=(
        "With equal weights t^2 L has the limit r n^2/16, where r is the smaller one of d and"
        " n - 1 (Run 1).",
        "The bad region (Run 4), where two opposite components far away hardly move, is left at a"
        " time of about 10⁷, far beyond the time exp(d)/30 up to which the theorem speaks.",
    ),
)

PORTRAITS: dict[str, Callable[[], Figure]] = {
    "Loss and local exponent for 2, 5 and 10 components in the plane.": paper_figure,
    "The plateau of the bad region in one to three dimensions. Triangles: the time exp(d)/30 up to"
    " which the theorem speaks.": bad_region_figure,
}


def cases() -> tuple[Case, ...]:
    """Return the runs: equal and unequal weights, one component, the bad region."""
    known = {claim.id: claim for claim in potentials.claims("gmm_em")}
    equal, unequal = GMMEM(3, 2), GMMEM(3, 2, [0.2, 0.3, 0.5])
    bad = [[12.0], [-12.0], [0.0]]
    drawn = {LOSS: loss_figure, MEANS: means_figure, LYAPUNOV: lyapunov_figure}
    return (
        Case(
            "Three components, equal weights",
            "Over-parameterised: the loss falls like t⁻², far faster than the proven bound.",
            equal,
            equal.initial(1.0, 0),
            "--n 3 --d 2 --scale 1 --seed 0",
            figures=drawn,
            broken=(
                replace(known["loss_upper"], exponent=2.1),
                replace(known["gradient_lower"], exponent=2.9),
                scaled(known["projection"], 1.0005),
            ),
            t_end=1e8,
            power=2,
        ),
        Case(
            "Three components, unequal weights",
            "The weighted mean of all components falls much faster than their distances from it;"
            " the exponent is the same.",
            unequal,
            unequal.initial(1.0, 0),
            "--weights 0.2,0.3,0.5 --d 2 --scale 1 --seed 0",
            figures=drawn,
            t_end=1e8,
            power=2,
        ),
        Case(
            "One component",
            "Exactly parameterised: L(t) = L(0) exp(-2t).",
            GMMEM(1, 2),
            GMMEM(1, 2).initial(1.0, 0),
            "--n 1 --d 2 --scale 1 --seed 0",
            figures={LOSS: loss_figure},
            t_end=300.0,
            power=2,
        ),
        Case(
            "Bad region",
            "Two opposite components at distance 12, a third one at the target: the field is about"
            " exp(-18), and the region is left only after a time of 10⁷.",
            GMMEM(3, 1),
            bad,
            "--initial bad.json",
            echo(bad, "bad.json"),
            {LOSS: loss_figure, LYAPUNOV: lyapunov_figure},
            t_end=1e12,
            power=2,
        ),
    )
