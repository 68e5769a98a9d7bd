"""The quartic well, the smallest complete system."""
