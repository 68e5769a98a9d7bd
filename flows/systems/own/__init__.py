"""A user's own loss: the general system, and the one that a file tells of.

One class in four layers: `given` (what a user says), `values` (the loss at a state), `flow` (its
runs), `system` (limits, derivation, certificates). `energy` follows exact states, `pieces` those in
doubles; `reading` and `features` say what is observed there, and with which error.
"""
