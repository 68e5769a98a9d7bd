"""Averages over data: expectations, densities, kinks, and means in closed form."""
