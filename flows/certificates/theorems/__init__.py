"""Theorems whose hypotheses an enclosed state meets: what each file says of its system."""
