"""The derivations of each system, by the system's name."""
