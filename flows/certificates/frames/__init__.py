"""Flows as certificates are made of them: in the verifier's equations, and in what users see."""
