"""Two layers, any teachers: sums over pairs of neurons, in doubles and in balls, and the system."""
