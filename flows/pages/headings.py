"""What each derivation shows, in a sentence: the headings of a page's last chapter."""

from __future__ import annotations

__all__ = ["HEADINGS", "OWN_HEADINGS"]

#: A sentence for each derivation, by its name.
HEADINGS = {
    # One ReLU neuron
    "dual kernel of the ReLU activation": "The average of two ReLU neurons' product has a closed"
    " form",
    "loss": "The loss is a quarter of |r|^2 and a sum over pairs of neurons",
    "gradient": "The gradient is a sum of pulls, one from each neuron and one from the teacher",
    "Hessian": "The Hessian consists of blocks, one for each pair of neurons",
    "flow of z, h, theta and r": "The parts along and across the teacher, the angles and the"
    " residual have a flow of their own",
    "separation of the z directions": "The parts across the teacher turn away from each other",
    "persistence of the largest angle": "The largest angle between the parts across does not close",
    "mirror pair": "A mirror pair slows down like t^-1 in its angle, and t^3 L has a limit",
    "a mirror pair from both sides": "The loss of a mirror pair is bounded on both sides for all"
    " times",
    "neurons along the teacher": "Neurons along the teacher stay there and learn exponentially"
    " fast",
    "equal neurons": "Equal neurons move as one neuron and learn exponentially fast",
    "fall of the residual along the teacher": "The residual along the teacher falls first",
    "what an angle costs": "An angle to the teacher costs a loss of the order of its cube",
    "sizes of residual and gradient": "The loss bounds the residual and the gradient",
    "finite movement": "The neurons move by a finite length from phase 3 on",
    "upper bound of the loss": "The loss is at most a multiple of t^-3",
    "bounds of the Hessian": "The blocks of the Hessian are bounded",
    "decay of the pairwise distance": "The sum Z of all distances falls no faster than Z' = -C Z^2",
    "the longest z and the pairwise distance": "The sum of all distances bounds the longest part"
    " across",
    "distance against loss": "The loss is at least a multiple of Z^3",
    "lower bound of the loss": "The loss is at least a multiple of t^-3",
    "descent lemma": "A step of gradient descent lowers the loss by its length times |grad L|^2, up"
    " to an integral of the Hessian",
    # Gradient EM
    "gradient EM": "Gradient EM is the gradient flow of the KL divergence",
    "projection on the means": "The squared norms of the means fall at the rate 2 E|v|^2",
    "KL divergence without cancellation": "The KL divergence is the average of something that is"
    " never negative",
    "gradient without cancellation": "The gradient has a form in which nothing cancels",
    "Hessian of the KL divergence": "The Hessian of the KL divergence is an average over pairs of"
    " components",
    # Score matching
    "score-matching loss": "The loss is the relative Fisher information, E|v|^2",
    "score-matching gradient": "The gradient has two forms, which agree on average",
    "Hessian of the score-matching loss": "The Hessian is an average over pairs of components",
    "noise time": "Noise shortens the means and slows the flow down",
    "coincident components": "Coincident components move as one and arrive exponentially fast",
    "flow of a cluster": "A cluster's offsets along its mean grow by exp(M^2) on the way",
    "loss with far components": "The loss of far components has a closed form to leading order",
    "rate with far components": "With far components t log t L has a limit",
    "stationary point": "Two opposite components have a distance at which the gradient vanishes",
    # Matrix factorisation
    "gradient of L_ori": "The gradient of the fit is a product of three matrices",
    "gradient of L_reg": "The gradient of the balancing term is linear in the two defects beside a"
    " layer",
    "gauge motion": "The balancing term moves the layers and leaves their product in place",
    "orthogonal parts": "The gradients of the two parts of the loss are orthogonal",
    "separate dissipation": "Each part of the loss falls by its own gradient alone",
    "balance": "The fit conserves the defects of balance, and a balanced chain stays balanced",
    "balanced flow": "At depth 4 a balanced chain is described by two matrices, A and R",
    "skew error": "The skew error of a balanced chain never grows",
    "main term": "The main term of a balanced chain grows",
    "singular values of a balanced chain": "Each singular value of a balanced chain has an equation"
    " of its own",
    "local convergence": "Near the target the loss falls exponentially",
    # Two layers
    "dual kernel of the leaky ReLU activation": "The average of two leaky ReLU neurons' product has"
    " a closed form",
    "dual kernel of the quadratic activation": "The average of two quadratic neurons' product"
    " is a polynomial",
    "dual kernel of the erf activation": "The average of two erf neurons' product is an arc sine",
    "loss of two layers": "The loss is a sum of kernels; one with a kink is a line and a bend",
    "gradient of a student, leaky ReLU": "A student with a kink pulls itself along a line",
    "gradient of a student, quadratic": "The gradient of a quadratic student, by neuron and output",
    "gradient of a student, erf": "The gradient of a student with the error function",
    "gradient of a pair with a kink": "The bend pulls a student by the angle to each other neuron",
    "Hessian of a pair with a kink": "The bend has a Hessian at aligned and opposite neurons",
    "Hessian, quadratic": "The Hessian of quadratic neurons consists of four kinds of terms",
    "Hessian, erf": "The Hessian of erf neurons consists of four kinds of terms, too",
    "one ReLU teacher, outputs one: the ReLU neuron": "With one ReLU teacher and outputs one"
    " this is the ReLU neuron",
    "balance of the layers": "Training of the outputs keeps p a^2 - |w|^2 of every student",
}

#: The same for a loss of one's own.
OWN_HEADINGS = HEADINGS | {
    "gradient": "The loss and its gradient",
    "Hessian": "The Hessian of the loss",
}
