"""The contract that systems, solvers and proofs share.

It knows states, charts, problems, quadrature, ball arithmetic, files and errors. It knows no
system, no solver and no claim.
"""
