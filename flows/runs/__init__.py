"""One run: integrate or descend, keep, measure, check.

It knows systems and solvers. It draws nothing and prints nothing.
"""
