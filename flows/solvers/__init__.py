"""How one smooth piece is solved: an adapter a library, and `choice`, which picks one.

A solver sees a field, a Jacobian, tolerances and output times. It knows no system.
"""
