"""Figures of the paper of a system, each file those of one."""
