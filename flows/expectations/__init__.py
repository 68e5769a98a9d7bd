"""Expectations `E f(x)`, `x ~ N(0, I)`: forms, nodes with a proved bound, and when they serve.

It knows integrands as expressions. It knows no system, and no state but a vector of numbers.
"""
