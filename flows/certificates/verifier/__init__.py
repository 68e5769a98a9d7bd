"""The independent checker of certificates. It imports nothing of this project but the errors."""
