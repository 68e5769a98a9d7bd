"""Deep matrix factorisation, real and complex."""
