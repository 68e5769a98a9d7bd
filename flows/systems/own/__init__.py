"""A user's own loss: the general system, and the one that a file tells of."""
