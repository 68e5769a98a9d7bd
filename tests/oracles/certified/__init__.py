"""Certificates that tests share, and the same trajectories by what certificates do not use."""
