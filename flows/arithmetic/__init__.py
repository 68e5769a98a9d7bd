"""Numbers: doubles, sixteen side by side, duals; the operations of a definition; compiled code.

A definition is plain Python over the names of an arithmetic. This room knows no system, no solver
and no chart; it alone makes machine code.
"""
