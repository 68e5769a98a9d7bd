"""What flows: one folder, or one file with a model, a system; `registry` finds them.

A folder knows everything about its system: coordinates, field in each arithmetic, exact oracle,
options of the command line. It knows no solver, no certificate and no figure.
"""
